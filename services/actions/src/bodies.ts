// Shapes of what the door takes; the OpenAPI document is made of the same ones.

import { z } from 'zod'

const reason = z.string().max(1_000).default('').meta({ description: 'Why, in a sentence' })

const why = z.string().min(1).max(1_000).meta({ description: 'Why, in a sentence' })
const commandHash = z
  .string()
  .min(1)
  .meta({ description: 'commandHash of the step as it was shown: binds the decision to exactly this command' })
/** Event times that the log can hold and a plant can mean: the years 1900 to 2199, microseconds UTC. */
export const FIRST_US = Date.UTC(1900, 0) * 1000
export const LAST_US = Date.UTC(2200, 0) * 1000 - 1
const timeUs = z.int().min(FIRST_US).max(LAST_US)
const untilUs = timeUs.meta({ description: 'Until when, microseconds UTC' })

export const bodies = {
  incidentsQuery: z.object({
    open: z.enum(['true', 'false']).optional(),
    limit: z.coerce.number().int().min(1).max(1_000).default(200),
    before: z.coerce.number().default(Infinity),
  }),
  decision: z.strictObject({
    reason,
    commandHash,
  }),
  delegation: z.strictObject({
    reason,
    commandHash,
    to: z.string().min(1).max(200).meta({ description: 'Principal who may decide this step with your roles' }),
    untilUs,
  }),
  modification: z.strictObject({
    reason: why,
    commandHash,
    params: z.record(z.string(), z.unknown()).meta({ description: 'All parameters of the command as they shall be' }),
  }),
  proposal: z.strictObject({
    command: z.string().min(1).max(200).meta({ description: 'Command of the catalogue' }),
    params: z.record(z.string(), z.unknown()).optional(),
    reason: why,
  }),
  acknowledgement: z.strictObject({ reason }),
  comment: z.strictObject({ text: z.string().trim().min(1).max(1_000) }),
  shelving: z.strictObject({ reason: why, untilUs }),
  suppression: z.strictObject({
    kind: z.enum(['out-of-service', 'by-design']),
    reason: why,
    untilUs,
    whileOutOfService: z.string().min(1).optional().meta({ description: 'by-design only while this asset is out of service' }),
  }),
  restoration: z.strictObject({ reason }),
  call: z
    .strictObject({ line: z.string().min(1).optional(), asset: z.string().min(1).optional(), title: z.string().min(1).max(300) })
    .refine((body) => body.line !== undefined || body.asset !== undefined, { message: 'expected line or asset' }),
  hold: z.strictObject({
    scope: z.string().min(1).default('*').meta({ description: '* or a line' }),
    reason: z.string().min(1).max(1_000),
  }),
  lift: z.strictObject({ reason }),
  evidence: z.strictObject({
    cameraIds: z.array(z.string().min(1)).min(1).optional(),
    fromUs: timeUs.optional(),
    toUs: timeUs.optional(),
    beforeS: z.number().min(0).max(600).optional(),
    afterS: z.number().min(0).max(600).optional(),
  }),
  config: z.strictObject({
    documents: z
      .array(
        z.strictObject({
          name: z.string().min(1),
          kind: z.string().optional(),
          body: z.unknown().meta({ description: 'YAML or JSON text, or the document as an object' }),
        }),
      )
      .min(1)
      .max(200),
  }),
}
