// Today's schemas against every released and registered one: may each read what the other wrote (FULL_TRANSITIVE)?

import { readFileSync, readdirSync } from 'node:fs'
import { canonicalJson } from '@andon/kit/ids'
import { type AvroRecord, type SchemaName, checkCompatibility, schemaNames } from '@andon/schemas'
import type { RegisteredVersion } from './registry.ts'
import { fieldAt } from './schema-words.ts'

/** A schema of the past and what it is called. */
export interface Past {
  readonly name: string
  readonly schema: AvroRecord
}

export interface SchemaFault {
  readonly topic: string
  /** The schema of the past: `released v1`, `registry version 3`. */
  readonly against: string
  /** Who could not read whom. */
  readonly reader: 'today' | 'past'
  /** Field by names; empty for the record itself. */
  readonly field: string
  readonly message: string
}

const releasedFolder = new URL('../../../../schemas/released/', import.meta.url)

/** Schemas of every released version of this repository, oldest version first. */
export const releasedSchemas = (name: SchemaName): Past[] =>
  readdirSync(releasedFolder)
    .filter((version) => /^v\d+$/.test(version))
    .toSorted((a, b) => Number(a.slice(1)) - Number(b.slice(1)))
    .flatMap((version) => {
      const folder = new URL(`${version}/avro/`, releasedFolder)
      if (!readdirSync(folder).includes(`${name}.avsc`)) return []
      return [{ name: `released ${version}`, schema: JSON.parse(readFileSync(new URL(`${name}.avsc`, folder), 'utf8')) as AvroRecord }]
    })

export const registeredSchemas = (versions: readonly RegisteredVersion[]): Past[] =>
  versions.map(({ version, schema }) => ({ name: `registry version ${version}`, schema }))

/** Why today's schema and one of the past cannot read each other; empty when all can. */
export const checkSchema = (topic: string, today: AvroRecord, past: readonly Past[]): SchemaFault[] =>
  past.flatMap(({ name, schema }) => [
    ...checkCompatibility(today, schema).map((fault) => faultOf(topic, name, 'today', today, fault)),
    ...checkCompatibility(schema, today).map((fault) => faultOf(topic, name, 'past', schema, fault)),
  ])

const faultOf = (
  topic: string,
  against: string,
  reader: 'today' | 'past',
  schema: AvroRecord,
  fault: { readonly path: string; readonly message: string },
): SchemaFault => ({ topic, against, reader, field: fieldAt(schema, fault.path), message: fault.message })

export const sameSchema = (left: AvroRecord, right: AvroRecord): boolean => canonicalJson(left) === canonicalJson(right)

/** The registry counts a schema with a further attribute as another one; readers and writers see no difference. */
export const asRollback = (version: RegisteredVersion, newest: number): AvroRecord =>
  ({ ...version.schema, rollback: `to version ${version.version} after version ${newest}` }) as AvroRecord

/** Topics that have a schema of their own; all changelogs share one. */
export const schemaTopics: readonly SchemaName[] = schemaNames.filter((name) => name !== 'changelog')
