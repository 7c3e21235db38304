// Messages of brokers: MQTT topics and NATS subjects.

import { z } from 'zod'
import type { Fault } from '../read.ts'
import { payloadFaults, payloadMapping } from './payload.ts'
import type { PayloadMapping } from './payload.ts'

export const mqttSource = {
  kind: z.literal('mqtt'),
  /** Topic filter; `+name` is a level with a name, e.g. plants/+site/+machine/data. */
  topic: z.string().min(1),
  /** How the client door subscribes. QoS 2 would acknowledge before a reading is safe, and repeats are known by their identity. */
  qos: z.union([z.literal(0), z.literal(1)]).default(1),
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

const namedLevel = /^\+[A-Za-z]\w*$/

/** What the shape of an MQTT source cannot say. */
export const mqttFaults = ({ topic, mapping }: { topic: string; mapping: PayloadMapping }): Fault[] => {
  const levels = topic.split('/')
  const names = levels.filter((level) => namedLevel.test(level)).map((level) => level.slice(1))
  const expected = topicFault(levels, names)
  if (expected !== undefined) return [{ path: ['topic'], expected }]
  const isOpen = levels.at(-1) === '#'
  return payloadFaults(mapping, ['mapping'], { levels: isOpen ? Number.POSITIVE_INFINITY : levels.length, names })
}

const topicFault = (levels: readonly string[], names: readonly string[]): string | undefined => {
  if (Buffer.byteLength(levels.join('/')) > 65_535) return 'a topic of at most 65535 bytes'
  if (levels[0] === 'andon' || levels[0]?.startsWith('$') === true) return 'a topic outside andon/… and $…'
  if (levels.slice(0, -1).includes('#')) return 'a topic with # as its last level only'
  // oxlint-disable-next-line no-control-regex -- MQTT forbids these in topics
  if (levels.some((level) => /[\u0000-\u001f]/.test(level))) return 'a topic without control characters'
  const odd = levels.find((level) => /[+#]/.test(level) && level !== '+' && level !== '#' && !namedLevel.test(level))
  if (odd !== undefined) return `levels that are text, +, +name or #; ${JSON.stringify(odd)} is none of them`
  if (names.includes('key')) return 'a name other than key, which is what each found the reading under'
  return new Set(names).size < names.length ? 'names that are used once' : undefined
}

/** What the shape of a NATS source cannot say. */
export const natsFaults = ({ subject, mapping }: { subject: string; mapping: PayloadMapping }): Fault[] => {
  const tokens = subject.split('.')
  if (tokens.some((token) => token === '' || /\s/.test(token)) || tokens.slice(0, -1).includes('>')) {
    return [{ path: ['subject'], expected: 'tokens joined by dots, none empty, with > as the last one only' }]
  }
  const levels = tokens.at(-1) === '>' ? Number.POSITIVE_INFINITY : tokens.length
  return payloadFaults(mapping, ['mapping'], { levels, names: [] })
}
