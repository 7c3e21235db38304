// Messages of brokers: MQTT topics and NATS subjects.

import { z } from 'zod'
import { payloadMapping } from './payload.ts'

export const mqttSource = {
  kind: z.literal('mqtt'),
  /** Topic filter; `+name` is a level with a name, e.g. plants/+site/+machine/data. */
  topic: z.string().min(1),
  qos: z.union([z.literal(0), z.literal(1), z.literal(2)]).default(1),
  mapping: payloadMapping,
} as const

export const natsSource = {
  kind: z.literal('nats'),
  /** Subject with wildcards, e.g. plant.*.data. */
  subject: z.string().min(1),
  /** JetStream stream and durable consumer; without it, core NATS with a queue group. */
  jetstream: z.strictObject({ stream: z.string().min(1), durable: z.string().min(1) }).optional(),
  mapping: payloadMapping,
} as const
