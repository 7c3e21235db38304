// What a partition knows of a line's alarms: who was told in the last day, what was withheld and why, whether alarms flood.
// A function of the facts alone; every answered finding counts exactly once.

import type { Actions } from '@andon/schemas'
import type { Incident, State, Step, Verdict } from '../types.ts'

const MINUTE_US = 60_000_000
/** The window in which alarms are counted, and the time between two digests. */
export const ALARM_WINDOW_US = 10 * MINUTE_US
export const DAY_US = 24 * 60 * MINUTE_US
const MOST_RAISED = 2_000
const MOST_FLOODS = 200
const MOST_SOURCES = 500

/** What became of a finding as an alarm. `event`: nothing in its plan tells people. `deadlines` are timers whose notice was withheld. */
export const DISPOSITIONS = ['raised', 'event', 'grouped', 'flood', 'shelved', 'out-of-service', 'by-design', 'refused'] as const
export type Disposition = (typeof DISPOSITIONS)[number]
export type AlarmCounts = Record<Disposition, number> & { findings: number; deadlines: number }

export interface Raised {
  readonly atUs: number
  readonly incidentId: string
  readonly assetId: string | null
  readonly severity: number
  /** `again`: a deadline's notice. `call`: a person called, which nothing withholds. `digest`: of a flood. */
  readonly kind: 'finding' | 'again' | 'call' | 'digest'
}

export interface Suppression {
  readonly id: string
  readonly line: string
  readonly assetId: string
  readonly kind: 'out-of-service' | 'by-design'
  readonly reason: string
  readonly by: string
  readonly atUs: number
  readonly untilUs: number
  /** By design: holds only while this asset is out of service. */
  readonly whileOutOfService: string | null
}

export interface Flood {
  readonly sinceUs: number
  readonly incidentId: string
  digests: number
  periodEndsUs: number
  totals: AlarmCounts
}

export interface LineAlarms {
  raised: Raised[]
  /** Since the last digest, or since the flood began; over all time where there was none. */
  counts: AlarmCounts
  /** Findings withheld by the flood since the last digest, by asset. */
  readonly sources: Map<string, number>
  flood: Flood | null
  floods: { readonly fromUs: number; readonly toUs: number }[]
  /** By asset. */
  readonly suppressions: Map<string, Suppression>
  /** The request answered last as an event: a notice in the same decision makes it an alarm. */
  lastEvent: string | null
}

export const noCounts = (): AlarmCounts => ({
  raised: 0,
  event: 0,
  grouped: 0,
  flood: 0,
  shelved: 0,
  'out-of-service': 0,
  'by-design': 0,
  refused: 0,
  findings: 0,
  deadlines: 0,
})

export const addCounts = (left: AlarmCounts, right: AlarmCounts): AlarmCounts => {
  const sum = noCounts()
  for (const name of Object.keys(sum) as (keyof AlarmCounts)[]) sum[name] = left[name] + right[name]
  return sum
}

export const alarmsOf = (state: State, line: string): LineAlarms => {
  let alarms = state.alarms.get(line)
  if (!alarms) {
    alarms = {
      raised: [],
      counts: noCounts(),
      sources: new Map(),
      flood: null,
      floods: [],
      suppressions: new Map(),
      lastEvent: null,
    }
    state.alarms.set(line, alarms)
  }
  return alarms
}

export interface AlarmNote {
  readonly state: Disposition
  /** The alarm it was grouped with. */
  readonly with?: string
}

/** What a fact says of its finding as an alarm; an event where it says nothing, as all did before alarms were counted. */
export const alarmNoteOf = ({ detail }: Pick<Actions, 'detail'>): AlarmNote | null =>
  detail === null ? null : ((JSON.parse(detail) as { alarm?: AlarmNote }).alarm ?? null)

/** Counts a finding by the first fact that answered it. */
export const countFinding = (state: State, asked: Actions, answer: Actions): void => {
  const alarms = alarmsOf(state, asked.line)
  const said = answer.type === 'RequestRefused' ? 'refused' : (alarmNoteOf(answer)?.state ?? 'event')
  const disposition = DISPOSITIONS.includes(said) ? said : 'event'
  alarms.counts.findings += 1
  alarms.counts[disposition] += 1
  alarms.lastEvent = disposition === 'event' ? asked.id : null
  if (disposition === 'flood') countSource(alarms, asked.assetId)
}

const countSource = (alarms: LineAlarms, assetId: string | null): void => {
  const key = assetId ?? ''
  if (alarms.sources.has(key) || alarms.sources.size < MOST_SOURCES) alarms.sources.set(key, (alarms.sources.get(key) ?? 0) + 1)
}

/** A step that tells people was proposed: an alarm, one per incident and decision. */
export const noteRaised = (state: State, incident: Incident, step: Step, record: Actions): void => {
  if (step.proposal.command.effect !== 'notify') return
  const alarms = alarmsOf(state, record.line)
  if (record.requestId !== null && record.requestId === alarms.lastEvent) {
    alarms.counts.event -= 1
    alarms.counts.raised += 1
    alarms.lastEvent = null
  }
  const last = alarms.raised.at(-1)
  if (last?.incidentId === incident.id && last.atUs === record.atUs) return
  const kind = kindOf(alarms, incident, record)
  alarms.raised.push({ atUs: record.atUs, incidentId: incident.id, assetId: incident.assetId, severity: incident.severity, kind })
  const isOld = (alarms.raised[0]?.atUs ?? 0) <= record.atUs - DAY_US || alarms.raised.length > MOST_RAISED
  if (isOld) alarms.raised = alarms.raised.filter(({ atUs }) => atUs > record.atUs - DAY_US).slice(-MOST_RAISED)
}

const kindOf = (alarms: LineAlarms, incident: Incident, { requestId }: Actions): Raised['kind'] => {
  if (alarms.flood?.incidentId === incident.id) return 'digest'
  if (incident.kind === 'call') return 'call'
  return requestId === null ? 'again' : 'finding'
}

/** Folds a fact about alarms; null for facts about anything else. */
export const evolveAlarms = (state: State, record: Actions): Verdict | null => {
  const detail = (): never => JSON.parse(record.detail ?? 'null') as never
  switch (record.type) {
    case 'AlarmFloodBegan':
      return beginFlood(alarmsOf(state, record.line), record, detail())
    case 'AlarmDigest':
      return digest(alarmsOf(state, record.line), record)
    case 'AlarmFloodEnded':
      return endFlood(alarmsOf(state, record.line), record)
    case 'AlarmSuppressed':
      return suppress(alarmsOf(state, record.line), detail())
    case 'AlarmRestored':
      return record.assetId !== null && alarmsOf(state, record.line).suppressions.delete(record.assetId) ? 'counted' : 'dead'
    default:
      return null
  }
}

const beginFlood = (alarms: LineAlarms, record: Actions, first: { readonly counts: AlarmCounts } | null): Verdict => {
  if (alarms.flood || record.incidentId === null || first === null) return 'dead'
  alarms.flood = {
    sinceUs: record.atUs,
    incidentId: record.incidentId,
    digests: 0,
    periodEndsUs: record.atUs + ALARM_WINDOW_US,
    totals: noCounts(),
  }
  alarms.counts = addCounts(noCounts(), first.counts)
  alarms.sources.clear()
  if (first.counts.flood > 0) countSource(alarms, record.assetId)
  return 'counted'
}

const digest = (alarms: LineAlarms, record: Actions): Verdict => {
  const { flood } = alarms
  if (!flood) return 'dead'
  flood.totals = addCounts(flood.totals, alarms.counts)
  flood.digests += 1
  flood.periodEndsUs = record.atUs + ALARM_WINDOW_US
  alarms.counts = noCounts()
  alarms.sources.clear()
  alarms.lastEvent = null
  return 'counted'
}

const endFlood = (alarms: LineAlarms, record: Actions): Verdict => {
  const { flood } = alarms
  if (!flood) return 'dead'
  alarms.floods = [...alarms.floods, { fromUs: flood.sinceUs, toUs: record.atUs }].slice(-MOST_FLOODS)
  alarms.flood = null
  alarms.counts = noCounts()
  alarms.sources.clear()
  alarms.lastEvent = null
  return 'counted'
}

const suppress = (alarms: LineAlarms, suppression: Suppression | null): Verdict => {
  if (!suppression) return 'dead'
  alarms.suppressions.set(suppression.assetId, suppression)
  return 'counted'
}
