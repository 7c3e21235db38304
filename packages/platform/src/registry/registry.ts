// The registry's operations. Writes run one after the other; each reads the topic to its end before it decides and again before it answers,
// so an answered id is on the log. Reads answer from the state.

import avro from 'avsc'
import { incompatibilities } from './compatibility.ts'
import { LEVELS, type Level, MODES, type Mode, type SchemaValue } from './records.ts'
import { refuse } from './refusal.ts'
import { schemaIdentity } from './state.ts'
import type { RegistryStore } from './store.ts'

/** Level of a cluster that never set one: every service rolls out on its own. */
const DEFAULT_LEVEL: Level = 'FULL_TRANSITIVE'

export interface Candidate {
  readonly schema: unknown
  readonly schemaType?: unknown
  readonly references?: unknown
  /** Only in mode IMPORT. */
  readonly id?: unknown
  readonly version?: unknown
}

/** Compact text of a valid Avro schema; refuses anything else. */
const checkedSchema = ({ schema, schemaType, references }: Candidate): string => {
  if (schemaType !== undefined && schemaType !== null && schemaType !== 'AVRO')
    throw refuse.schemaInvalid(`schemaType ${JSON.stringify(schemaType)} is not kept here, only AVRO`)
  if (Array.isArray(references) && references.length > 0) throw refuse.schemaInvalid('references are not kept here; inline the named types')
  if (typeof schema !== 'string' || schema === '') throw refuse.schemaInvalid('expected the schema as a JSON text in the property "schema"')
  try {
    const parsed: unknown = JSON.parse(schema)
    avro.Type.forSchema(parsed as avro.Schema, { noAnonymousTypes: true })
    return JSON.stringify(parsed)
  } catch (error) {
    throw refuse.schemaInvalid(error instanceof Error ? error.message : String(error))
  }
}

const sameAs = (schema: string): ((value: SchemaValue) => boolean) => {
  const identity = schemaIdentity(schema)
  return (value) => schemaIdentity(value.schema) === identity
}

export type Registry = ReturnType<typeof createRegistry>

export const createRegistry = (store: RegistryStore) => {
  const { state } = store
  let queue: Promise<unknown> = Promise.resolve()

  /** Runs a write after those before it, on a state read to the end of the topic. */
  const exclusively = <T>(work: () => Promise<T>): Promise<T> => {
    const result = queue.then(async () => {
      await store.catchUp()
      return work()
    })
    queue = result.catch(() => undefined)
    return result
  }

  const levelOf = (subject: string): Level => state.level(subject) ?? state.level(null) ?? DEFAULT_LEVEL
  const modeOf = (subject: string | null): Mode => {
    const global = state.mode(null) ?? 'READWRITE'
    return global === 'READONLY_OVERRIDE' ? global : (state.mode(subject) ?? global)
  }

  const requireWritable = (subject: string): Mode => {
    const mode = modeOf(subject)
    if (mode.startsWith('READONLY')) throw refuse.notPermitted(`Subject ${subject} is in read-only mode`)
    return mode
  }

  /** Version numbers are given as a number, `-1` or `latest`. */
  const findVersion = (subject: string, version: string, withDeleted = false): SchemaValue => {
    const isLatest = version === 'latest' || version === '-1'
    if (!isLatest && !/^[1-9]\d{0,9}$/.test(version)) throw refuse.versionInvalid(version)
    const versions = state.versions(subject, withDeleted)
    if (versions.length === 0) throw refuse.subjectUnknown(subject)
    const found = isLatest ? versions.at(-1) : versions.find((each) => each.version === Number(version))
    if (found === undefined) throw refuse.versionUnknown(version)
    return found
  }

  return {
    state,

    register: (subject: string, candidate: Candidate): Promise<number> =>
      exclusively(async () => {
        const schema = checkedSchema(candidate)
        const existing = state.versions(subject).find(sameAs(schema))
        if (existing !== undefined && (candidate.id === undefined || candidate.id === existing.id)) return existing.id
        const isImport = requireWritable(subject) === 'IMPORT'
        const isNumbered = Number.isInteger(candidate.id) && (candidate.id as number) > 0
        if (isImport !== isNumbered)
          throw refuse.notPermitted(
            isImport ? `Subject ${subject} is in import mode: expected an id` : `Subject ${subject} is not in import mode`,
          )
        if (!isImport) {
          const messages = incompatibilities(schema, state.versions(subject), levelOf(subject))
          if (messages.length > 0) throw refuse.incompatible(subject, messages)
        }
        const id = isImport ? (candidate.id as number) : state.idFor(schema)
        if (state.withId(id).some((value) => !sameAs(schema)(value)))
          throw refuse.notPermitted(`Overwriting the schema with id ${id} is not permitted`)
        const next = (state.versions(subject, true).at(-1)?.version ?? 0) + 1
        const version =
          isImport && Number.isInteger(candidate.version) && (candidate.version as number) > 0 ? (candidate.version as number) : next
        await store.append([{ kind: 'schema', subject, version, value: { subject, version, id, schema, deleted: false } }])
        return id
      }),

    /** The version of the subject that holds exactly this schema. */
    lookUp(subject: string, candidate: Candidate, withDeleted = false): SchemaValue {
      const versions = state.versions(subject, withDeleted)
      if (versions.length === 0) throw refuse.subjectUnknown(subject)
      const found = versions.findLast(sameAs(checkedSchema(candidate)))
      if (found === undefined) throw refuse.schemaUnknown()
      return found
    },

    findVersion,

    /** Reasons against following one version, or with none given every version. */
    check(subject: string, candidate: Candidate, version?: string): string[] {
      const schema = checkedSchema(candidate)
      const level = levelOf(subject)
      if (version === undefined) return incompatibilities(schema, state.versions(subject), level)
      const isLatestOfNone = (version === 'latest' || version === '-1') && state.versions(subject).length === 0
      return isLatestOfNone ? [] : incompatibilities(schema, [findVersion(subject, version)], level)
    },

    deleteSubject: (subject: string, isPermanent: boolean): Promise<number[]> =>
      exclusively(async () => {
        requireWritable(subject)
        const all = state.versions(subject, true)
        const live = state.versions(subject)
        if (all.length === 0) throw refuse.subjectUnknown(subject)
        if (!isPermanent) {
          if (live.length === 0) throw refuse.subjectDeleted(subject)
          await store.append([{ kind: 'delete-subject', subject, version: live.at(-1)?.version ?? 0 }])
          return live.map((each) => each.version)
        }
        if (live.length > 0) throw refuse.subjectNotDeleted(subject)
        await store.append(all.map(({ version }) => ({ kind: 'schema', subject, version, value: null })))
        return all.map((each) => each.version)
      }),

    deleteVersion: (subject: string, text: string, isPermanent: boolean): Promise<number> =>
      exclusively(async () => {
        requireWritable(subject)
        const found = findVersion(subject, text, true)
        const { version } = found
        if (!isPermanent && found.deleted) throw refuse.versionDeleted(subject, version)
        if (isPermanent && !found.deleted) throw refuse.versionNotDeleted(subject, version)
        await store.append([{ kind: 'schema', subject, version, value: isPermanent ? null : { ...found, deleted: true } }])
        return version
      }),

    /** Level in force, or only the subject's own when `isOwnOnly`. */
    level(subject: string | null, isOwnOnly: boolean): Level {
      const own = state.level(subject)
      if (own !== undefined) return own
      if (subject !== null && isOwnOnly) throw refuse.levelUnset(subject)
      return state.level(null) ?? DEFAULT_LEVEL
    },

    setLevel: (subject: string | null, level: unknown): Promise<Level> =>
      exclusively(async () => {
        const word = typeof level === 'string' ? level.toUpperCase() : ''
        if (!LEVELS.includes(word)) throw refuse.levelInvalid()
        await store.append([{ kind: 'config', subject, level: word as Level }])
        return word as Level
      }),

    /** Takes back a level and tells which it was. */
    unsetLevel: (subject: string | null): Promise<Level> =>
      exclusively(async () => {
        const level = state.level(subject)
        if (level === undefined && subject !== null) throw refuse.subjectUnknown(subject)
        await store.append([{ kind: 'config', subject, level: null }])
        return level ?? DEFAULT_LEVEL
      }),

    mode(subject: string | null, isOwnOnly: boolean): Mode {
      const own = state.mode(subject)
      if (own === undefined && subject !== null && isOwnOnly) throw refuse.modeUnset(subject)
      return own ?? state.mode(null) ?? 'READWRITE'
    },

    setMode: (subject: string | null, mode: unknown, isForced: boolean): Promise<Mode> =>
      exclusively(async () => {
        const word = typeof mode === 'string' ? mode.toUpperCase() : ''
        if (!MODES.includes(word)) throw refuse.modeInvalid()
        const present = subject === null ? state.subjects() : state.versions(subject)
        if (word === 'IMPORT' && present.length > 0 && !isForced) throw refuse.notPermitted('Cannot import since found existing subjects')
        await store.append([{ kind: 'mode', subject, mode: word as Mode }])
        return word as Mode
      }),

    unsetMode: (subject: string): Promise<Mode> =>
      exclusively(async () => {
        const mode = state.mode(subject)
        if (mode === undefined) throw refuse.modeUnset(subject)
        await store.append([{ kind: 'mode', subject, mode: null }])
        return mode
      }),
  }
}
