// Shapes of what people teach at the door: fault modes, failures, verdicts.

import { EPISODE_VERDICTS, FAILURE_KINDS, STANDINGS } from '@andon/decisions'
import { z } from 'zod'
import { FIRST_US, LAST_US } from './bodies.ts'

const text = (description: string) => z.string().max(2_000).nullable().optional().meta({ description })
const A_TIME = 'expected a time like 2026-11-23T08:00:00Z, or microseconds UTC'
const time = z
  .union([z.int({ error: A_TIME }), z.iso.datetime({ offset: true, error: A_TIME })], { error: A_TIME })
  .transform((given) => (typeof given === 'number' ? given : Date.parse(given) * 1000))
  .refine((us) => us >= FIRST_US && us <= LAST_US, { error: 'expected a time from 1900 to 2199' })
const code = (description: string) => z.string().max(40).nullable().optional().meta({ description })

const failure = z.strictObject({
  failureId: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .meta({ description: 'Known by this id; without it made of asset, time, mode and source' }),
  source: z
    .string()
    .max(200)
    .default('')
    .meta({ description: 'Part of the id where none is given: who records, e.g. the maintenance system' }),
  asset: z.string().min(1),
  at: time.meta({ description: 'Event time: ISO 8601 with a zone, or microseconds UTC' }),
  kind: z.enum(FAILURE_KINDS).default('failure').meta({ description: 'failure, or intervention: maintenance that may have prevented one' }),
  restored: time.nullable().optional().meta({ description: 'Event time of the restoration' }),
  mode: code('Failure mode of ISO 14224, e.g. VIB; UNK when it is not known'),
  mechanism: code('Failure mechanism of ISO 14224, e.g. 2.4'),
  cause: code('Failure cause of ISO 14224, e.g. 3.4'),
  detection: code('Detection method of ISO 14224, e.g. 6'),
  component: text('Component or subunit'),
  workOrder: text('Work order of the maintenance system'),
  note: z.string().max(2_000).default(''),
})

export type FailureBody = z.output<typeof failure>

export const teachingBodies = {
  mode: z.strictObject({
    class: z.string().min(1).optional().meta({ description: 'Asset class; needed the first time somebody speaks of the mode' }),
    name: text('Short name'),
    labels: z.array(z.string().min(1)).optional(),
    standing: z.enum(STANDINGS).optional().meta({ description: 'fault; normal or ignore (no alarm is wanted); known (accepted for now)' }),
    rootCause: text('Root cause'),
    instruction: text('What to do about it'),
    cause: text('ISA-18.2: what leads to it'),
    consequence: text('ISA-18.2: what happens if nobody responds'),
    response: text('ISA-18.2: what the operator does'),
    timeToRespondS: z.int().min(0).nullable().optional().meta({ description: 'ISA-18.2: time to respond, seconds' }),
  }),
  failure,
  failures: z.strictObject({ failures: z.array(failure).min(1).max(500) }),
  withdrawal: z.strictObject({ reason: z.string().max(2_000).default('') }),
  verdict: z.strictObject({
    verdict: z.enum(EPISODE_VERDICTS).meta({ description: 'normal-now: the new level is wanted' }),
    note: z.string().max(2_000).default(''),
    mode: z.string().min(1).nullable().default(null).meta({ description: 'Fault mode the person says it was' }),
    findingId: z.string().default('').meta({ description: 'Finding that the person saw' }),
    asset: z.string().min(1).optional().meta({ description: 'Needed when no incident knows the episode' }),
  }),
  modesQuery: z.object({ class: z.string().optional() }),
  failuresQuery: z.object({
    asset: z.string().optional(),
    class: z.string().optional(),
    withdrawn: z.enum(['true', 'false']).optional(),
    limit: z.coerce.number().int().min(1).max(1_000).default(200),
    before: z.coerce.number().default(Infinity),
  }),
  verdictsQuery: z.object({ episode: z.string().optional(), limit: z.coerce.number().int().min(1).max(1_000).default(200) }),
}
