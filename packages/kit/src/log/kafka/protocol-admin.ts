// Bodies of the requests that create, change and empty topics.

import { In, Out } from './protocol-io.ts'

export interface Refusal {
  readonly name: string
  readonly code: number
  readonly message: string | null
}

/** Replicas as the cluster's default says. */
export const createTopicsBody = (
  topics: readonly { name: string; partitions: number; configs: Readonly<Record<string, string>> }[],
  timeoutMs: number,
): Buffer =>
  new Out()
    .array(topics, (out, { name, partitions, configs }) =>
      out
        .string(name)
        .int32(partitions)
        .int16(-1)
        .int32(0) // replicas by hand: none
        .array(Object.entries(configs), (config, [key, value]) => config.string(key).string(value)),
    )
    .int32(timeoutMs)
    .int8(0)
    .done()

export const createTopicsReply = (reply: Buffer): Refusal[] => {
  const from = new In(reply)
  from.int32()
  return from.array(() => ({ name: from.string() ?? '', code: from.int16(), message: from.string() })).filter(({ code }) => code !== 0)
}

export const deleteTopicsBody = (names: readonly string[], timeoutMs: number): Buffer =>
  new Out()
    .array(names, (out, name) => out.string(name))
    .int32(timeoutMs)
    .done()

export const deleteTopicsReply = (reply: Buffer): Refusal[] => {
  const from = new In(reply)
  from.int32()
  return from.array(() => ({ name: from.string() ?? '', code: from.int16(), message: null })).filter(({ code }) => code !== 0)
}

/** Records below `before` go. */
export const deleteRecordsBody = (topic: string, partition: number, before: number, timeoutMs: number): Buffer =>
  new Out()
    .array([topic], (out, name) => out.string(name).array([partition], (part, number) => part.int32(number).int64(before)))
    .int32(timeoutMs)
    .done()

export const deleteRecordsReply = (reply: Buffer): { code: number; lowWatermark: number } => {
  const from = new In(reply)
  from.int32()
  return from
    .array(() => {
      from.string()
      return from.array(() => {
        from.int32()
        const lowWatermark = from.int64()
        return { lowWatermark, code: from.int16() }
      })
    })
    .flat()[0]!
}

const TOPIC = 2

export const describeConfigsBody = (topics: readonly string[]): Buffer =>
  new Out()
    .array(topics, (out, topic) => out.int8(TOPIC).string(topic).int32(-1)) // -1: all settings
    .int8(0)
    .done()

/** Settings in force by topic, with those that the topic itself sets marked as its own. */
export const describeConfigsReply = (
  reply: Buffer,
): { name: string; code: number; message: string | null; configs: Map<string, { value: string | null; isOwn: boolean }> }[] => {
  const from = new In(reply)
  from.int32()
  return from.array(() => {
    const code = from.int16()
    const message = from.string()
    from.int8()
    const name = from.string() ?? ''
    const configs = new Map(
      from.array(() => {
        const key = from.string() ?? ''
        const value = from.string()
        from.int8() // read only
        const isOwn = from.int8() === 1
        from.int8() // sensitive
        from.array(() => [from.string(), from.string(), from.int8()]) // synonyms
        return [key, { value, isOwn }] as const
      }),
    )
    return { name, code, message, configs }
  })
}

/** Sets these settings and leaves all others as they are. */
export const alterConfigsBody = (topic: string, configs: Readonly<Record<string, string>>): Buffer =>
  new Out()
    .array([topic], (out, name) =>
      out
        .int8(TOPIC)
        .string(name)
        .array(Object.entries(configs), (config, [key, value]) => config.string(key).int8(0).string(value)),
    )
    .int8(0)
    .done()

export const alterConfigsReply = (reply: Buffer): Refusal[] => {
  const from = new In(reply)
  from.int32()
  return from
    .array(() => {
      const code = from.int16()
      const message = from.string()
      from.int8()
      return { name: from.string() ?? '', code, message }
    })
    .filter(({ code }) => code !== 0)
}
