// What `_schemas` says so far: the fold of its records in log order. Pure; reading the topic again gives the same state.

import { canonicalJson } from '@andon/kit/ids'
import type { Entry, Level, Mode, SchemaValue } from './records.ts'

/** Two texts with equal identity are the same schema and share an id. */
export const schemaIdentity = (schema: string): string => canonicalJson(JSON.parse(schema))

export class RegistryState {
  readonly #subjects = new Map<string, Map<number, SchemaValue>>()
  readonly #ids = new Map<string, number>()
  readonly #levels = new Map<string | null, Level>()
  readonly #modes = new Map<string | null, Mode>()
  #highestId = 0

  /** Takes in one record. `retiredId`: the id a permanently deleted version had; no other schema may get it. */
  apply(entry: Entry, retiredId = 0): void {
    this.#highestId = Math.max(this.#highestId, retiredId)
    if (entry.kind === 'schema') this.#applySchema(entry.subject, entry.version, entry.value)
    if (entry.kind === 'config') put(this.#levels, entry.subject, entry.level)
    if (entry.kind === 'mode') put(this.#modes, entry.subject, entry.mode)
    if (entry.kind === 'delete-subject' && entry.version !== null) {
      const upTo = entry.version
      const versions = this.#subjects.get(entry.subject)
      for (const value of versions?.values() ?? []) if (value.version <= upTo) versions?.set(value.version, { ...value, deleted: true })
    }
  }

  #applySchema(subject: string, version: number, value: SchemaValue | null): void {
    const versions = this.#subjects.get(subject) ?? new Map<number, SchemaValue>()
    if (value === null) {
      const removed = versions.get(version)
      versions.delete(version)
      if (versions.size === 0) this.#subjects.delete(subject)
      // A schema nobody has any more loses its id, now as after a restart.
      if (removed !== undefined && this.withId(removed.id).length === 0) this.#ids.delete(schemaIdentity(removed.schema))
      return
    }
    this.#subjects.set(subject, versions.set(version, value))
    this.#highestId = Math.max(this.#highestId, value.id)
    const identity = schemaIdentity(value.schema)
    if (!this.#ids.has(identity)) this.#ids.set(identity, value.id)
  }

  /** Id the schema has or, never given before, the next one. */
  idFor(schema: string): number {
    return this.#ids.get(schemaIdentity(schema)) ?? this.#highestId + 1
  }

  /** Every version of every subject, soft-deleted ones too, by subject and version. */
  all(): SchemaValue[] {
    return [...this.#subjects.keys()].sort().flatMap((subject) => this.versions(subject, true))
  }

  /** Versions of a subject, ascending; empty for an unknown one. */
  versions(subject: string, withDeleted = false): SchemaValue[] {
    const versions = [...(this.#subjects.get(subject)?.values() ?? [])].sort((a, b) => a.version - b.version)
    return withDeleted ? versions : versions.filter((each) => !each.deleted)
  }

  subjects(withDeleted = false): string[] {
    return [...this.#subjects.keys()].filter((subject) => this.versions(subject, withDeleted).length > 0).sort()
  }

  /** Versions that carry the id. */
  withId(id: number): SchemaValue[] {
    return this.all().filter((each) => each.id === id)
  }

  level(subject: string | null): Level | undefined {
    return this.#levels.get(subject)
  }

  mode(subject: string | null): Mode | undefined {
    return this.#modes.get(subject)
  }
}

const put = <T>(map: Map<string | null, T>, key: string | null, value: T | null): void => {
  if (value === null) map.delete(key)
  else map.set(key, value)
}
