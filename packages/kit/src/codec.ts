// Values ↔ bytes on the log: Avro in Confluent's framing (0x00, 4-byte schema id), by code compiled from the schemas
// (avro/). The registry client only registers schemas at start and fetches a writer's schema once. Nothing here waits on
// the hot path.

import { SchemaType } from '@kafkajs/confluent-schema-registry'
import { avroSchemas, schemaNames, schemaOfTopic } from '@andon/schemas'
import type { AvroRecord, RecordInputs, SchemaName } from '@andon/schemas'
import { compileDecoder, compileResolver } from './avro/decoder.ts'
import type { Decoder } from './avro/decoder.ts'
import { compileEncoder } from './avro/encoder.ts'
import type { Encoder } from './avro/encoder.ts'
import { frameBytes, readFrame, undecodable, undecodableBy, writeFrame } from './avro/frame.ts'
import { whyInvalid } from './avro-types.ts'
import type { Codec } from './codec-port.ts'
import { AndonError, messageOf } from './errors.ts'
import { openRegistry } from './schema-registry.ts'

export interface CodecOptions {
  readonly registryUrl: string
  /** Prefix of subjects, as of topics. Default none. */
  readonly namespace?: string
  /** Register schemas the registry lacks; otherwise their absence ends the start. Default true. */
  readonly autoRegister?: boolean
  /** Avro record schemas of topics beside Andon's own, by topic; topics derived from one (`<topic>.run.7`) have its schema. */
  readonly schemas?: OwnSchemas
  /** Values of topics without a schema here are read as their writers wrote them, by decodeAsync: for tools. Default false. */
  readonly readsAnyTopic?: boolean
}

export type OwnSchemas = Readonly<Record<string, object>>

/** A schema and the id that new records carry. */
interface Subject {
  readonly id: number
  readonly schema: object
}

/** Where a writer's schema comes from; undefined when nobody knows the id. Rejects with a retriable error when it cannot be asked. */
export type SchemaSource = (id: number) => Promise<object | undefined>

export interface CodecStats {
  /** Resolvers built so far: one per pair of schema and foreign writer id, whatever the number of records. */
  readonly resolversBuilt: number
}

export interface AvroCodec extends Codec {
  /** Typed by the topic's schema when the topic is a literal. */
  encode<N extends SchemaName>(topic: N, value: RecordInputs[N]): Buffer
  encode(topic: string, value: unknown): Buffer
  /** Schema id new records of the topic carry. */
  schemaId(topic: string): number
  /** The schema with an id, as a writer of the topic had it. Rejects as decodeAsync does. */
  writerSchema(topic: string, id: number): Promise<object>
  readonly stats: CodecStats
}

const maxRecordBytes = 1024 * 1024
const slabBytes = 64 * 1024
/** Writers' schemas remembered per schema of ours; code is compiled for each. */
const maxWriters = 200
const maxNames = 1000
const unknownForMs = 30_000

/** Writes one frame; the encoder is compiled when the first value of its schema comes. */
type Frame = { readonly id: number; readonly encode: Encoder }

/** Stands for topics without a schema of ours. */
const ANY = ''

/** A codec that knows the subjects it writes, by schema name or topic, and asks `source` for others' schemas. */
const createCodec = (subjects: ReadonlyMap<string, Subject>, source: SchemaSource, readsAnyTopic = false): AvroCodec => {
  const frames = new Map<string, Frame>()
  const own = new Map<string, Decoder>()
  const writers = new Map<string, Map<number, { decode: Decoder; schema: object }>>(
    [...subjects.keys(), ANY].map((name) => [name, new Map()]),
  )
  const unknownUntil = new Map<number, number>()
  const names = new Map<string, string>()
  const stats = { resolversBuilt: 0 }
  let slab = Buffer.allocUnsafeSlow(slabBytes)
  let used = 0

  const nameOf = (topic: string, mayBeAny = false): string => {
    const known = names.get(topic)
    if (known !== undefined) return known
    const base = topic.split('.', 1)[0] ?? topic
    const name = schemaOfTopic(topic) ?? (subjects.has(topic) ? topic : base)
    if (!subjects.has(name)) {
      if (readsAnyTopic && mayBeAny) return ANY
      throw new AndonError('ANDON_CODEC_TOPIC', `Topic ${topic} has no schema`, { fields: { topic } })
    }
    if (names.size >= maxNames) names.clear()
    names.set(topic, name)
    return name
  }

  const subjectOf = (name: string): Subject => subjects.get(name) as Subject

  const frameOf = (name: string): Frame => {
    const known = frames.get(name)
    if (known !== undefined) return known
    const { id, schema } = subjectOf(name)
    const frame = { id, encode: compileEncoder(schema) }
    frames.set(name, frame)
    return frame
  }

  const ownDecoder = (name: string): Decoder => {
    const known = own.get(name)
    if (known !== undefined) return known
    const decode = compileDecoder(subjectOf(name).schema)
    own.set(name, decode)
    return decode
  }

  const encodeInto = (topic: string, value: unknown, into: Buffer, at: number): number => {
    const name = nameOf(topic)
    const { id, encode } = frameOf(name)
    let end: number
    try {
      end = encode(value, into, at + frameBytes)
    } catch (error) {
      throw invalidValue(topic, subjectOf(name).schema, value, error)
    }
    const bytes = (end < 0 ? into.length - end : end) - at
    if (bytes > maxRecordBytes) throw tooLarge(topic, bytes)
    if (end < 0) return end
    writeFrame(into, at, id)
    return end
  }

  const encode = (topic: string, value: unknown): Buffer => {
    let end = encodeInto(topic, value, slab, used)
    if (end < 0) {
      slab = Buffer.allocUnsafeSlow(Math.max(slabBytes, slab.length - used - end))
      used = 0
      end = encodeInto(topic, value, slab, 0)
    }
    const bytes = slab.subarray(used, end)
    used = end
    return bytes
  }

  const decoderOf = (name: string, id: number): Decoder | undefined =>
    id === subjects.get(name)?.id ? ownDecoder(name) : writers.get(name)?.get(id)?.decode

  /** Decoders whose bytes are views, by schema and writer; made of what the others are made of. */
  const lenders = new Map<string, Map<number, Decoder>>()

  const lenderOf = (name: string, id: number): Decoder | undefined => {
    const known = lenders.get(name) ?? new Map<number, Decoder>()
    const found = known.get(id)
    if (found !== undefined) return found
    const written = id === subjects.get(name)?.id ? subjectOf(name).schema : writers.get(name)?.get(id)?.schema
    if (written === undefined || name === ANY) return undefined
    const own = subjectOf(name).schema
    const lender = written === own ? compileDecoder(own, { lendsBytes: true }) : compileResolver(written, own, { lendsBytes: true })
    if (known.size >= maxWriters) known.clear()
    lenders.set(name, known.set(id, lender))
    return lender
  }

  const read = (topic: string, decode: Decoder, bytes: Buffer, from = 0, to = bytes.length): unknown => {
    try {
      return decode(bytes, from + frameBytes, to)
    } catch (error) {
      throw undecodableBy(topic, error)
    }
  }

  const learn = (topic: string, name: string, id: number, schema: object): Decoder => {
    const known = writers.get(name) as Map<number, { decode: Decoder; schema: object }>
    let decode: Decoder
    try {
      decode = name === ANY ? compileDecoder(schema) : compileResolver(schema, subjectOf(name).schema)
    } catch (error) {
      throw undecodable('ANDON_CODEC_INCOMPATIBLE', topic, `schema ${id} cannot be read here: ${messageOf(error)}`, error)
    }
    stats.resolversBuilt += 1
    const [oldest] = known.keys()
    if (known.size >= maxWriters && oldest !== undefined) known.delete(oldest)
    known.set(id, { decode, schema })
    return decode
  }

  const fetch = async (topic: string, name: string, id: number): Promise<Decoder> => {
    const isUnknown = (unknownUntil.get(id) ?? 0) > Date.now()
    const schema = isUnknown ? undefined : await source(id)
    if (schema !== undefined) return decoderOf(name, id) ?? learn(topic, name, id, schema)
    if (!isUnknown) {
      if (unknownUntil.size >= maxWriters) unknownUntil.clear()
      unknownUntil.set(id, Date.now() + unknownForMs)
    }
    throw undecodable('ANDON_CODEC_UNKNOWN_SCHEMA', topic, `the registry has no schema ${id}`)
  }

  return {
    encode,
    encodeInto,
    stats,
    schemaId: (topic) => subjectOf(nameOf(topic)).id,
    decode: <T>(topic: string, bytes: Buffer): T => {
      const name = nameOf(topic, true)
      const id = readFrame(topic, bytes, 0, bytes.length)
      const decoder = decoderOf(name, id)
      if (decoder === undefined) throw undecodable('ANDON_CODEC_UNKNOWN_SCHEMA', topic, `schema ${id} is not known yet`)
      return read(topic, decoder, bytes) as T
    },
    decodeLent: <T>(topic: string, source: Buffer, from: number, to: number): T => {
      const name = nameOf(topic)
      const id = readFrame(topic, source, from, to)
      const lender = lenderOf(name, id)
      if (lender === undefined) throw undecodable('ANDON_CODEC_UNKNOWN_SCHEMA', topic, `schema ${id} is not known yet`)
      return read(topic, lender, source, from, to) as T
    },
    decodeAsync: async <T>(topic: string, bytes: Buffer): Promise<T> => {
      const name = nameOf(topic, true)
      const id = readFrame(topic, bytes, 0, bytes.length)
      return read(topic, decoderOf(name, id) ?? (await fetch(topic, name, id)), bytes) as T
    },
    writerSchema: async (topic, id) => {
      const name = nameOf(topic, true)
      if (id === subjects.get(name)?.id) return subjectOf(name).schema
      if (decoderOf(name, id) === undefined) await fetch(topic, name, id)
      return writers.get(name)?.get(id)?.schema as object
    },
  }
}

/**
 * A codec on a schema registry: today's schemas are registered (or looked up) once, here. Rejects with
 * ANDON_UNREACHABLE within seconds when the registry does not answer.
 */
export const openCodec = async (options: CodecOptions): Promise<AvroCodec> => {
  const registry = await openRegistry(options.registryUrl)
  const subject = async (name: string, topic: string, schema: object): Promise<[string, Subject]> => {
    const framed = { type: SchemaType.AVRO as const, schema: JSON.stringify(schema) }
    return [name, { id: await registry.idOf(`${options.namespace ?? ''}${topic}-value`, framed, options.autoRegister ?? true), schema }]
  }
  const named = await Promise.all([
    ...schemaNames.map((name) => subject(name, name === 'changelog' ? changelogTopic : name, avroSchemas[name])),
    ...Object.entries(options.schemas ?? {}).map(([topic, schema]) => subject(topic, topic, schema)),
  ])
  return createCodec(new Map(named), (schemaId) => registry.schema(schemaId), options.readsAnyTopic)
}

/** Reads values of anybody's topics as their writers wrote them; nothing of ours is registered or looked up. */
export interface AvroReader {
  /** The value of a framed record; int64 beyond 2^53 as bigint. Rejects with a retriable error when the registry cannot be asked. */
  read(topic: string, bytes: Buffer): Promise<unknown>
}

/** @param settingName what names the registry, for the error when nothing answers there. */
export const openAvroReader = async (registryUrl: string, settingName: string): Promise<AvroReader> => {
  const registry = await openRegistry(registryUrl, settingName)
  const codec = createCodec(new Map(), (schemaId) => registry.schema(schemaId), true)
  return { read: (topic, bytes) => codec.decodeAsync(topic, bytes) }
}

/** All changelogs have one schema, so one of them stands for the id. */
const changelogTopic = 'features.changelog'

/** A codec without a registry, for unit tests: ids are 1, 2, … in the order of schemaNames, then of `schemas`; `extra` adds writers' schemas by id. */
export const localCodec = (extra: Readonly<Record<number, object>> = {}, schemas: OwnSchemas = {}): AvroCodec => {
  const all = [...schemaNames.map((name) => [name, avroSchemas[name]] as const), ...Object.entries(schemas)]
  return createCodec(new Map(all.map(([name, schema], index) => [name, { id: index + 1, schema }])), (id) => Promise.resolve(extra[id]))
}

const tooLarge = (topic: string, bytes: number): AndonError =>
  new AndonError('ANDON_CODEC_TOO_LARGE', `A record of ${topic} has ${bytes} bytes, the limit is ${maxRecordBytes}; split it`, {
    fields: { topic, bytes },
    status: 413,
  })

const invalidValue = (topic: string, schema: object, value: unknown, cause: unknown): AndonError =>
  new AndonError('ANDON_CODEC_INVALID_VALUE', `Not a record of ${topic}: ${whyInvalid(schema as AvroRecord, value) ?? messageOf(cause)}`, {
    cause,
    fields: { topic },
  })
