// Values ↔ bytes on the log: Avro in Confluent's framing (0x00, 4-byte schema id). avsc encodes and decodes; the
// registry client only registers schemas at start and fetches a writer's schema once. Nothing here waits on the hot path.

import { SchemaType } from '@kafkajs/confluent-schema-registry'
import { avroSchemas, checkCompatibility, schemaNames, schemaOfTopic } from '@andon/schemas'
import type { AvroRecord, RecordInputs, SchemaName } from '@andon/schemas'
import type { Resolver, Type } from 'avsc'
import { avroType } from './avro-types.ts'
import type { Codec } from './codec-port.ts'
import { AndonError, messageOf } from './errors.ts'
import { openRegistry } from './schema-registry.ts'

export interface CodecOptions {
  readonly registryUrl: string
  /** Prefix of subjects, as of topics. Default none. */
  readonly namespace?: string
  /** Register schemas the registry lacks; otherwise their absence ends the start. Default true. */
  readonly autoRegister?: boolean
}

/** Where a writer's schema comes from; undefined when nobody knows the id. Rejects with a retriable error when it cannot be asked. */
export type SchemaSource = (id: number) => Promise<object | undefined>

export interface CodecStats {
  /** Resolvers built so far: one per pair of schema and writer id, whatever the number of records. */
  readonly resolversBuilt: number
}

export interface AvroCodec extends Codec {
  /** Typed by the topic's schema when the topic is a literal. */
  encode<N extends SchemaName>(topic: N, value: RecordInputs[N]): Buffer
  encode(topic: string, value: unknown): Buffer
  /** Schema id new records of the topic carry. */
  schemaId(topic: string): number
  readonly stats: CodecStats
}

const frameBytes = 5
const maxRecordBytes = 1024 * 1024
const slabBytes = 64 * 1024
const maxWriters = 1000
const maxNames = 1000
const unknownForMs = 30_000

/** What decoding with one writer's schema needs; null resolver = the schemas are equal. */
type Reading = { readonly resolver: Resolver | null }

/** A codec that knows the ids it writes with and asks `source` for others. */
export const createCodec = (ids: Readonly<Record<SchemaName, number>>, source: SchemaSource): AvroCodec => {
  const types = new Map<SchemaName, Type>(schemaNames.map((name) => [name, avroType(avroSchemas[name])]))
  const readings = new Map<SchemaName, Map<number, Reading>>(schemaNames.map((name) => [name, new Map([[ids[name], { resolver: null }]])]))
  const unknownUntil = new Map<number, number>()
  const names = new Map<string, SchemaName>()
  const stats = { resolversBuilt: 0 }
  let slab = Buffer.allocUnsafeSlow(slabBytes)
  let used = 0

  const nameOf = (topic: string): SchemaName => {
    const known = names.get(topic)
    if (known !== undefined) return known
    const name = schemaOfTopic(topic)
    if (name === undefined) throw new AndonError('ANDON_CODEC_TOPIC', `Topic ${topic} has no schema`, { fields: { topic } })
    if (names.size >= maxNames) names.clear()
    names.set(topic, name)
    return name
  }

  const typeOf = (name: SchemaName): Type => types.get(name) as Type

  const encode = (topic: string, value: unknown): Buffer => {
    const name = nameOf(topic)
    const type = typeOf(name)
    try {
      let end = type.encode(value, slab, used + frameBytes)
      if (end < 0) {
        const needed = used + frameBytes - end
        if (needed - used > maxRecordBytes) throw tooLarge(topic, needed - used)
        slab = Buffer.allocUnsafeSlow(Math.max(slabBytes, needed))
        used = 0
        end = type.encode(value, slab, frameBytes)
        if (end < 0) {
          slab = Buffer.allocUnsafeSlow(frameBytes - end + slab.length)
          end = type.encode(value, slab, frameBytes)
        }
      }
      if (end - used > maxRecordBytes) throw tooLarge(topic, end - used)
      slab[used] = 0
      slab.writeInt32BE(ids[name], used + 1)
      const bytes = slab.subarray(used, end)
      used = end
      return bytes
    } catch (error) {
      if (error instanceof AndonError) throw error
      throw invalidValue(topic, type, value, error)
    }
  }

  const readId = (topic: string, bytes: Buffer): number => {
    if (bytes.length < frameBytes) throw undecodable('ANDON_CODEC_TRUNCATED', topic, `${bytes.length} bytes are no framed record`)
    if (bytes[0] !== 0) throw undecodable('ANDON_CODEC_MAGIC', topic, `first byte is ${bytes[0]}, expected 0`)
    return bytes.readInt32BE(1)
  }

  const read = (topic: string, type: Type, { resolver }: Reading, bytes: Buffer): unknown => {
    let decoded: { value: unknown; offset: number }
    try {
      decoded = type.decode(bytes, frameBytes, resolver ?? undefined)
    } catch (error) {
      throw undecodable('ANDON_CODEC_UNDECODABLE', topic, messageOf(error), error)
    }
    if (decoded.offset < 0) throw undecodable('ANDON_CODEC_TRUNCATED', topic, 'the body ends early')
    if (decoded.offset !== bytes.length)
      throw undecodable('ANDON_CODEC_UNDECODABLE', topic, `${bytes.length - decoded.offset} bytes are left over`)
    return decoded.value
  }

  const learn = (topic: string, name: SchemaName, id: number, schema: object): Reading => {
    const reader = typeOf(name)
    const known = readings.get(name) as Map<number, Reading>
    let reading: Reading
    try {
      const [fault] = checkCompatibility(avroSchemas[name], schema as AvroRecord)
      if (fault !== undefined) throw new Error(`${fault.path}: ${fault.message}`)
      const writer = avroType(schema as AvroRecord)
      reading = { resolver: writer.fingerprint().equals(reader.fingerprint()) ? null : reader.createResolver(writer) }
    } catch (error) {
      throw undecodable('ANDON_CODEC_INCOMPATIBLE', topic, `schema ${id} cannot be read here: ${messageOf(error)}`, error)
    }
    if (reading.resolver !== null) stats.resolversBuilt += 1
    const [oldest] = known.keys()
    if (known.size >= maxWriters && oldest !== undefined) known.delete(oldest)
    known.set(id, reading)
    return reading
  }

  return {
    encode,
    stats,
    schemaId: (topic) => ids[nameOf(topic)],
    decode: <T>(topic: string, bytes: Buffer): T => {
      const name = nameOf(topic)
      const id = readId(topic, bytes)
      const reading = readings.get(name)?.get(id)
      if (reading === undefined) throw undecodable('ANDON_CODEC_UNKNOWN_SCHEMA', topic, `schema ${id} is not known yet`)
      return read(topic, typeOf(name), reading, bytes) as T
    },
    decodeAsync: async <T>(topic: string, bytes: Buffer): Promise<T> => {
      const name = nameOf(topic)
      const id = readId(topic, bytes)
      let reading = readings.get(name)?.get(id)
      if (reading === undefined) {
        const isUnknown = (unknownUntil.get(id) ?? 0) > Date.now()
        const schema = isUnknown ? undefined : await source(id)
        if (schema === undefined) {
          if (!isUnknown) {
            if (unknownUntil.size >= maxWriters) unknownUntil.clear()
            unknownUntil.set(id, Date.now() + unknownForMs)
          }
          throw undecodable('ANDON_CODEC_UNKNOWN_SCHEMA', topic, `the registry has no schema ${id}`)
        }
        reading = learn(topic, name, id, schema)
      }
      return read(topic, typeOf(name), reading, bytes) as T
    },
  }
}

/**
 * A codec on a schema registry: today's schemas are registered (or looked up) once, here. Rejects with
 * ANDON_UNREACHABLE within seconds when the registry does not answer.
 */
export const openCodec = async (options: CodecOptions): Promise<AvroCodec> => {
  const registry = await openRegistry(options.registryUrl)
  const id = (topic: string): Promise<number> => {
    const name = schemaOfTopic(topic) as SchemaName
    const schema = { type: SchemaType.AVRO as const, schema: JSON.stringify(avroSchemas[name]) }
    return registry.idOf(`${options.namespace ?? ''}${topic}-value`, schema, options.autoRegister ?? true)
  }
  const named = await Promise.all(schemaNames.map(async (name) => [name, await id(name === 'changelog' ? changelogTopic : name)] as const))
  return createCodec(Object.fromEntries(named) as Record<SchemaName, number>, (schemaId) => registry.schema(schemaId))
}

/** All changelogs have one schema, so one of them stands for the id. */
const changelogTopic = 'features.changelog'

/** A codec without a registry, for unit tests: ids are 1, 2, … in the order of schemaNames; `extra` adds writers' schemas by id. */
export const localCodec = (extra: Readonly<Record<number, object>> = {}): AvroCodec => {
  const ids = Object.fromEntries(schemaNames.map((name, index) => [name, index + 1])) as Record<SchemaName, number>
  return createCodec(ids, (id) => Promise.resolve(extra[id]))
}

const undecodable = (code: string, topic: string, why: string, cause?: unknown): AndonError =>
  new AndonError(code, `Cannot decode a record of ${topic}: ${why}`, { cause, fields: { topic } })

const tooLarge = (topic: string, bytes: number): AndonError =>
  new AndonError('ANDON_CODEC_TOO_LARGE', `A record of ${topic} has ${bytes} bytes, the limit is ${maxRecordBytes}; split it`, {
    fields: { topic, bytes },
    status: 413,
  })

const invalidValue = (topic: string, type: Type, value: unknown, cause: unknown): AndonError => {
  let first: string | undefined
  type.isValid(value, {
    errorHook: (path, found, expected) => {
      first ??= `${path.join('.')}: expected ${String(expected)}, found ${JSON.stringify(found) ?? 'nothing'}`
    },
  })
  return new AndonError('ANDON_CODEC_INVALID_VALUE', `Not a record of ${topic}: ${first ?? messageOf(cause)}`, { cause, fields: { topic } })
}
