// What a partition knows → the figures of ISA-18.2 for its lines.

import type { State } from '../types.ts'
import { ALARM_WINDOW_US, DAY_US, noCounts } from './state.ts'
import type { LineAlarms } from './state.ts'

export interface AlarmKpi {
  readonly line: string
  readonly alarmsLast10Min: number
  readonly alarmsLastDay: number
  readonly inFloodSinceUs: number | null
  /** Share of the last day spent in flood. */
  readonly floodShareOfDay: number
  /** Told incidents that are open, and those of them opened more than a day ago. */
  readonly standing: number
  readonly stale: number
  readonly shelved: number
  readonly suppressed: number
  /** Alarms of the last day by severity, 1 the gravest. */
  readonly bySeverity: Readonly<Record<1 | 2 | 3 | 4, number>>
  /** Assets that raised most alarms in the last day. */
  readonly topSources: readonly { readonly assetId: string; readonly alarms: number }[]
  /** Since the last digest of the flood; without one, since the last flood ended. */
  readonly counts: LineAlarms['counts']
}

const TOP = 10

export const alarmKpis = (state: State, nowUs: number): AlarmKpi[] => {
  const standing = standingOf(state, nowUs)
  const lines = new Set([...state.alarms.keys(), ...standing.keys()])
  return [...lines].toSorted().map((line) => {
    const alarms = state.alarms.get(line)
    const day = (alarms?.raised ?? []).filter(({ atUs, kind }) => atUs > nowUs - DAY_US && kind !== 'digest')
    const sources = new Map<string, number>()
    const bySeverity = { 1: 0, 2: 0, 3: 0, 4: 0 }
    for (const { assetId, severity } of day) {
      sources.set(assetId ?? line, (sources.get(assetId ?? line) ?? 0) + 1)
      bySeverity[Math.min(4, Math.max(1, severity)) as 1] += 1
    }
    const counted = standing.get(line) ?? { standing: 0, stale: 0, shelved: 0 }
    return {
      line,
      alarmsLast10Min: (alarms?.raised ?? []).filter(({ atUs }) => atUs > nowUs - ALARM_WINDOW_US).length,
      alarmsLastDay: day.length,
      inFloodSinceUs: alarms?.flood?.sinceUs ?? null,
      floodShareOfDay: alarms ? floodUs(alarms, nowUs) / DAY_US : 0,
      ...counted,
      suppressed: [...(alarms?.suppressions.values() ?? [])].filter(({ untilUs }) => untilUs > nowUs).length,
      bySeverity,
      topSources: [...sources]
        .toSorted((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
        .slice(0, TOP)
        .map(([assetId, count]) => ({ assetId, alarms: count })),
      counts: { ...(alarms?.counts ?? noCounts()) },
    }
  })
}

const floodUs = (alarms: LineAlarms, nowUs: number): number => {
  const floods = alarms.flood ? [...alarms.floods, { fromUs: alarms.flood.sinceUs, toUs: nowUs }] : alarms.floods
  let us = 0
  for (const { fromUs, toUs } of floods) us += Math.max(0, toUs - Math.max(fromUs, nowUs - DAY_US))
  return us
}

const standingOf = (state: State, nowUs: number): Map<string, { standing: number; stale: number; shelved: number }> => {
  const lines = new Map<string, { standing: number; stale: number; shelved: number }>()
  for (const id of state.openIncidents) {
    const incident = state.incidents.get(id)
    if (!incident) continue
    const line = lines.get(incident.line) ?? { standing: 0, stale: 0, shelved: 0 }
    lines.set(incident.line, line)
    if (incident.shelvedUntilUs !== null) line.shelved += 1
    if (!incident.stepIds.some((step) => state.steps.get(step)?.proposal.command.effect === 'notify')) continue
    line.standing += 1
    if (nowUs - incident.openedUs >= DAY_US) line.stale += 1
  }
  return lines
}
