// What people taught, as a partition remembers it: names and standings of fault modes, failures, verdicts on episodes. Bounded; the
// oldest word is forgotten first. Decided in fault-modes.ts, failures.ts and verdicts.ts.

import type { Actions, EpisodeVerdict, FailureRecord, FaultModeNote } from '@andon/schemas'
import type { Verdict } from './types.ts'

/** Who may say what. Failures also come from the maintenance system, which is an integrator. */
export const TEACHING_ROLES = {
  FaultModeNameRequested: ['technician', 'shift-lead', 'process-engineer'],
  FailureRecordRequested: ['technician', 'shift-lead', 'process-engineer', 'integrator'],
  VerdictRequested: ['operator', 'technician', 'shift-lead', 'process-engineer'],
} as const satisfies Record<string, readonly string[]>

export const TEACHING_REQUESTS: readonly string[] = Object.keys(TEACHING_ROLES)

const MOST_MODES = 5_000
const MOST_FAILURES = 20_000
const MOST_VERDICTS = 20_000

export interface Taught<T> {
  readonly what: T
  /** Control group in whose partition it was said. */
  readonly line: string
  readonly by: string
  readonly atUs: number
  /** Counts changes of what was said of the same subject; a repeat does not count. */
  readonly revision: number
  readonly incidentId: string | null
}

export interface TeachingState {
  /** By stable id of the mode. */
  readonly modes: Map<string, Taught<FaultModeNote>>
  /** By failureId. Withdrawn ones stay, so that a repeated import does not bring them back. */
  readonly failures: Map<string, Taught<FailureRecord>>
  /** By episode: the last word counts. */
  readonly verdicts: Map<string, Taught<EpisodeVerdict>>
}

export const emptyTeaching = (): TeachingState => ({ modes: new Map(), failures: new Map(), verdicts: new Map() })

/** What the plant says of an asset or class that somebody teaches about. */
export interface TeachingPlace {
  readonly classId: string
  /** Equipment class of ISO 14224, where the plant file names one. */
  readonly equipmentClass: string | undefined
}

export interface TeachingPlant {
  readonly placeOf: (assetId: string) => TeachingPlace | undefined
  readonly hasClass: (classId: string) => boolean
}

/** Folds a fact into what was taught; null for facts about anything else. */
export const evolveTeaching = (state: TeachingState, record: Actions): Verdict | null => {
  switch (record.type) {
    case 'FaultModeNamed':
      return remember(state.modes, record.faultMode?.modeId, record.faultMode, record, MOST_MODES)
    case 'FailureRecorded':
    case 'FailureWithdrawn':
      return remember(state.failures, record.failure?.failureId, record.failure, record, MOST_FAILURES)
    case 'VerdictRecorded':
      return remember(state.verdicts, record.episodeVerdict?.episodeId, record.episodeVerdict, record, MOST_VERDICTS)
    default:
      return null
  }
}

const remember = <T>(all: Map<string, Taught<T>>, key: string | undefined, what: T | null, record: Actions, most: number): Verdict => {
  if (key === undefined || what === null) return 'dead'
  const before = all.get(key)
  // an answer to a repeated request says the same again: who said it first, and when, stays
  if (before !== undefined && isSame(before.what, what)) return 'counted'
  all.delete(key)
  all.set(key, {
    what,
    line: record.line,
    by: record.by,
    atUs: record.atUs,
    revision: (before?.revision ?? 0) + 1,
    incidentId: record.incidentId,
  })
  const [oldest] = all.keys()
  if (all.size > most && oldest !== undefined) all.delete(oldest)
  return 'counted'
}

/** Whether two records say the same, whatever the order of their fields. */
export const isSame = (left: unknown, right: unknown): boolean => {
  if (left === right) return true
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false
  const [a, b] = [left as Record<string, unknown>, right as Record<string, unknown>]
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => isSame(a[key], b[key]))
}

/** A short and a long text that somebody typed. */
export const MOST_NAME = 200
export const MOST_TEXT = 2_000

/** The first text that is too long; undefined when all fit. */
export const tooLong = (texts: Readonly<Record<string, string | null>>, most: number): string | undefined =>
  Object.entries(texts).find(([, text]) => (text?.length ?? 0) > most)?.[0]
