// Streams of other systems: Kafka topics and Kinesis streams.

import { z } from 'zod'
import { payloadMapping } from './payload.ts'

export const kafkaSource = {
  kind: z.literal('kafka'),
  /** Brokers of the other cluster. */
  brokers: z.array(z.string().min(1)).min(1),
  topic: z.string().min(1),
  group: z.string().min(1).optional(),
  /** Schema registry, for `format: avro`. */
  registry: z.url().optional(),
  mapping: payloadMapping,
} as const

export const kinesisSource = {
  kind: z.literal('kinesis'),
  stream: z.string().min(1),
  region: z.string().min(1),
  /** A server other than the region's. */
  endpoint: z.url().optional(),
  from: z.enum(['oldest', 'newest']).default('oldest'),
  mapping: payloadMapping,
} as const
