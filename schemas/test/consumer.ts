// A consumer built against some version of the schemas, as others write them: plain avsc, none of our own code.

import { readdirSync, readFileSync } from 'node:fs'
import avsc from 'avsc'
import type { AvroRecord } from '../src/index.ts'

export const released = new URL('../released/', import.meta.url)

export const releasedVersions = (): string[] => readdirSync(released).toSorted()

/** A file of a released version, as `v1/avro/actions.avsc`. */
export const readReleased = (path: string): unknown => JSON.parse(readFileSync(new URL(path, released), 'utf8'))

/** Reads with one schema what was written with another, as plain objects; throws where a consumer would. */
export const consumerOf = (reads: AvroRecord, writes: AvroRecord): ((bytes: Buffer) => unknown) => {
  const reader = avsc.Type.forSchema(reads as avsc.Schema, { registry: {} })
  const resolver = reader.createResolver(avsc.Type.forSchema(writes as avsc.Schema, { registry: {} }))
  return (bytes) => {
    const value: unknown = reader.fromBuffer(bytes, resolver)
    if (!reader.isValid(value)) throw new Error('What was read is not valid in the schema it was read with')
    return structuredClone(value) // plain objects: avsc gives each schema classes of its own
  }
}
