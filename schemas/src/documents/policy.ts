// policies/*.yaml: when a finding proposes what, who decides, and by when.

import { z } from 'zod'
import { allFaults, readDocument } from './read.ts'
import type { Fault, ReadOptions } from './read.ts'

const step = z.strictObject({
  step: z.string().regex(/^[a-z][a-z0-9-]*$/, 'a step name of lower-case letters, digits and hyphens'),
  command: z.string().min(1),
  params: z.record(z.string(), z.unknown()).default({}),
  /** Distinct humans needed; 0 runs without, which a command that moves or stops something never does. */
  approvals: z.int().min(0),
  /** Roles that may decide; empty = operator and above. */
  roles: z.array(z.string().min(1)).default([]),
  /** The proposer cannot approve. */
  fourEyes: z.boolean().default(false),
  expireMinutes: z.number().positive().default(15),
  escalateMinutes: z.number().positive().optional(),
  /** Roles that have to be among the approvals, each with people of its own. */
  quorum: z.array(z.strictObject({ role: z.string().min(1), people: z.int().positive() })).optional(),
  /** Approving needs a strong sign-in of its own. */
  stepUp: z.boolean().optional(),
  /** Who is told after the first escalation, and when. */
  ladder: z.array(z.strictObject({ afterMinutes: z.number().positive(), tell: z.string().min(1) })).optional(),
})

const policyShape = z.strictObject({
  version: z.literal(1),
  name: z.string().regex(/^policies\/[a-z0-9-]+$/, 'a name like policies/press-vibration'),
  /** enforce, unless it says shadow: then it is judged beside the others, logged and counted, and acts on nothing. */
  mode: z.enum(['enforce', 'shadow']).optional(),
  /** The page that says what this automation does and does not do; needed where the plan acts on the plant. */
  boundary: z
    .string()
    .regex(/^boundaries\/[a-z0-9-]+$/, 'a name like boundaries/press-pause')
    .optional(),
  /** Highest risk class that the plan's commands may have. */
  riskClass: z.enum(['low', 'medium', 'high']).optional(),
  /** Last day on which it decides by itself (UTC); after that it asks. */
  validUntil: z.iso.date().optional(),
  /** CEL condition over finding, asset, line, incident, shift and model. */
  when: z.string().min(1),
  plan: z.array(step).min(1),
  evidence: z.strictObject({ beforeS: z.number().min(0).max(600), afterS: z.number().min(0).max(600) }).nullable(),
  budget: z.strictObject({ perLinePerHour: z.int().positive(), perAssetPerHour: z.int().positive().optional() }),
  /** What makes a finding too weak to act on without a person; `onDoubt: nothing` proposes nothing instead of asking. */
  guardrails: z
    .strictObject({
      minRatio: z.number().positive().optional(),
      maxPValue: z.number().gt(0).max(1).optional(),
      onDoubt: z.enum(['ask', 'nothing']).default('ask'),
    })
    .optional(),
  /** Owner of each model by the model's name: cannot approve what it proposes. */
  modelOwners: z.record(z.string(), z.string().min(1)).optional(),
  /** Above it, what the finding proposes needs a person; verdicts `false-alarm` are counted. */
  falsePositives: z.strictObject({ perAssetPerWeek: z.number().min(0) }).optional(),
  runbook: z.string().min(1),
})

/** Every fault of a policy by itself, for checks that report all of them. */
export const policyFaults = (value: unknown): (Fault & { readonly found: string })[] => allFaults(policyShape, value, faults)

export type Policy = z.output<typeof policyShape>
export type PolicyStep = Policy['plan'][number]

/** Reads a policy. Whether its commands exist is checked with the catalogue (checkPlantDocuments). */
export const parsePolicy = (source: unknown, options: ReadOptions = {}): Policy =>
  readDocument(policyShape, source, { file: 'policy', ...options }, faults)

const faults = (policy: Policy): Fault[] => {
  const seen = new Set<string>()
  return policy.plan.flatMap((each, i) => {
    const found: Fault[] = []
    if (seen.has(each.step)) found.push({ path: ['plan', i, 'step'], expected: 'a step name that is used once' })
    seen.add(each.step)
    if (each.fourEyes && each.approvals === 0) found.push({ path: ['plan', i, 'approvals'], expected: 'at least 1 where fourEyes is set' })
    if (each.escalateMinutes !== undefined && each.escalateMinutes >= each.expireMinutes) {
      found.push({ path: ['plan', i, 'escalateMinutes'], expected: 'less than expireMinutes' })
    }
    const roles = each.quorum?.findIndex(({ role }) => each.roles.length > 0 && !each.roles.includes(role)) ?? -1
    if (roles >= 0) found.push({ path: ['plan', i, 'quorum', roles, 'role'], expected: `one of roles: ${each.roles.join(', ')}` })
    each.ladder?.forEach(({ afterMinutes }, rung) => {
      const after = rung === 0 ? (each.escalateMinutes ?? 0) : (each.ladder?.[rung - 1]?.afterMinutes ?? 0)
      if (afterMinutes <= after || afterMinutes >= each.expireMinutes)
        found.push({ path: ['plan', i, 'ladder', rung, 'afterMinutes'], expected: `more than ${after} and less than expireMinutes` })
    })
    return found
  })
}
