// Streams of other systems: Kafka topics and Kinesis streams.

import { z } from 'zod'
import type { Fault } from '../read.ts'
import { payloadFaults, payloadMapping } from './payload.ts'
import type { PayloadMapping } from './payload.ts'

const path = z.string().min(1)

export const kafkaSource = {
  kind: z.literal('kafka'),
  /** Brokers of the other cluster. */
  brokers: z.array(z.string().min(1)).min(1),
  topic: z.string().min(1),
  /** Consumer group on the other cluster. Default: andon- and the id of this file. */
  group: z.string().min(1).optional(),
  /** Encrypted connections; files are on ingest's machine. */
  tls: z.strictObject({ caFile: path.optional(), certFile: path.optional(), keyFile: path.optional() }).optional(),
  sasl: z
    .strictObject({
      mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']).default('scram-sha-512'),
      username: z.string().min(1),
      /** Environment variable of ingest that has the password. */
      passwordFrom: z.string().regex(/^INGEST_SECRET_[A-Z0-9_]+$/, 'a name that starts with INGEST_SECRET_'),
    })
    .optional(),
  /** Schema registry, for `format: avro`. */
  registry: z.url().optional(),
  /** `{recordKey}` stands for the key of a record. */
  mapping: payloadMapping,
} as const

/** What the shape of a Kafka source cannot say. */
export const kafkaFaults = ({ mapping, registry }: { mapping: PayloadMapping; registry?: string | undefined }): Fault[] => [
  ...payloadFaults(mapping, ['mapping']),
  ...(mapping.format === 'avro' && registry === undefined
    ? [{ path: ['registry'], expected: 'a schema registry, since format is avro' }]
    : []),
]

export const kinesisSource = {
  kind: z.literal('kinesis'),
  stream: z.string().min(1),
  region: z.string().min(1),
  /** A server other than the region's. */
  endpoint: z.url().optional(),
  from: z.enum(['oldest', 'newest']).default('oldest'),
  mapping: payloadMapping,
} as const
