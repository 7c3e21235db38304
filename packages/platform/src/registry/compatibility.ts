// May a schema follow those before it, at a level. Messages are worded as Confluent's registry words them in verbose answers.

import { type AvroSchema, type Incompatibility, checkCompatibility } from '@andon/schemas'
import type { Level, SchemaValue } from './records.ts'

const describe = (found: Incompatibility, reader: string, writer: string): string =>
  `{errorType:'${found.type}', description:'${found.message} (path '${found.path}'; reader is the ${reader} schema, writer the ${writer} schema)'}`

/** Reasons why `schema` may not follow `earlier` (ascending) at the level; empty when it may. */
export const incompatibilities = (schema: string, earlier: readonly SchemaValue[], level: Level): string[] => {
  if (level === 'NONE') return []
  const candidate = JSON.parse(schema) as AvroSchema
  const readsOld = level.startsWith('BACKWARD') || level.startsWith('FULL')
  const isReadByOld = level.startsWith('FORWARD') || level.startsWith('FULL')
  const against = level.endsWith('_TRANSITIVE') ? [...earlier].reverse() : earlier.slice(-1)
  for (const old of against) {
    const before = JSON.parse(old.schema) as AvroSchema
    const messages = [
      ...(readsOld ? checkCompatibility(candidate, before).map((each) => describe(each, 'new', 'old')) : []),
      ...(isReadByOld ? checkCompatibility(before, candidate).map((each) => describe(each, 'old', 'new')) : []),
    ]
    if (messages.length > 0) {
      return [...messages, `{oldSchemaVersion: ${old.version}}`, `{oldSchema: '${old.schema}'}`, `{compatibility: '${level}'}`]
    }
  }
  return []
}
