// A finding that would tell people → an alarm, or the reason why it is none: ISA-18.2 as rules. What is withheld is counted and stored.
// In any 10 minutes a line raises at most 6 alarms, 3 more that are each graver than all before them, and 1 digest.

import type { Actions, Finding } from '@andon/schemas'
import { fact, refused } from '../facts.ts'
import { DECIDING_ROLES } from '../approvals.ts'
import { proposeNotice } from '../planning.ts'
import { uuid8 } from '@andon/kit/ids'
import type { DecideContext, Facts, State } from '../types.ts'
import { ALARM_WINDOW_US, DAY_US, addCounts, noCounts } from './state.ts'
import type { AlarmCounts, AlarmNote, LineAlarms, Raised, Suppression } from './state.ts'

/** Alarms of a line in 10 minutes before it floods. */
export const ORDINARY_ALARMS = 6
/** Fewer would-be alarms in 10 minutes end the flood. */
export const FLOOD_ENDS_BELOW = 5
/** Longest time out of service or suppressed by design before somebody says so again. */
export const MAX_SUPPRESSION_US = 90 * DAY_US
const TOP_SOURCES = 5

/** Alarms about findings in the 10 minutes before, which the budget counts. Calls and digests have their own. */
const recent = (alarms: LineAlarms | undefined, atUs: number): Raised[] => {
  const found: Raised[] = []
  for (let at = (alarms?.raised.length ?? 0) - 1; at >= 0; at -= 1) {
    const one = alarms?.raised[at] as Raised
    if (one.atUs <= atUs - ALARM_WINDOW_US) break
    if (one.kind === 'finding' || one.kind === 'again') found.push(one)
  }
  return found
}

/** Whether one more alarm fits: into the ordinary ones, or as the gravest of all in the window. Four severities give three of these. */
export const mayTell = (state: State, line: string, severity: number, atUs: number): boolean => {
  const told = recent(state.alarms.get(line), atUs)
  return told.length < ORDINARY_ALARMS || told.every((one) => clamped(severity) < clamped(one.severity))
}

const clamped = (severity: number): number => Math.min(4, Math.max(1, Math.round(severity)))

/** Why an asset's findings are no alarms at all; null when they are. */
export const suppressionOf = (state: State, line: string, assetId: string | null, atUs: number): Suppression['kind'] | null => {
  if (assetId === null) return null
  const suppressions = state.alarms.get(line)?.suppressions
  const found = suppressions?.get(assetId)
  if (!found || atUs >= found.untilUs) return null
  const { whileOutOfService: other } = found
  const isMet = other === null || (suppressions?.get(other)?.kind === 'out-of-service' && atUs < (suppressions.get(other)?.untilUs ?? 0))
  return isMet ? found.kind : null
}

/** The alarm of the window that says the same: same cause in the line, or the asset's own or its tree's, and no graver. */
const groupedWith = (state: State, finding: Finding, incidentId: string, line: string, context: DecideContext): string | null => {
  for (const one of recent(state.alarms.get(line), context.atUs)) {
    const other = state.incidents.get(one.incidentId)
    if (!other?.finding || other.id === incidentId || finding.severity < one.severity) continue
    if (isSameCause(finding, other.finding) || isAbove(other.finding.assetId, finding.assetId, context)) return other.id
  }
  return null
}

/** A cause is a fault mode, or a known cluster; two assets share one only by the mode of their class. Without a name only the asset tells. */
const isSameCause = (left: Finding, right: Finding): boolean => {
  if (left.faultModeId !== null || right.faultModeId !== null) return left.faultModeId === right.faultModeId
  return left.assetId === right.assetId && left.clusterId === right.clusterId && left.about === right.about
}

/** Where the plant says what an asset is part of: an alarm of the whole speaks for its parts. */
const isAbove = (upper: string, lower: string, { parentOf }: DecideContext): boolean => {
  const seen = new Set<string>()
  for (let at = parentOf?.(lower); at !== undefined && !seen.has(at); at = parentOf?.(at)) {
    if (at === upper) return true
    seen.add(at)
  }
  return false
}

/** Why a finding whose plan tells people is no alarm now; null when it is one. */
export const withheld = (state: State, finding: Finding, incidentId: string, line: string, context: DecideContext): AlarmNote | null => {
  const group = groupedWith(state, finding, incidentId, line, context)
  if (group !== null) return { state: 'grouped', with: group }
  return mayTell(state, line, finding.severity, context.atUs) ? null : { state: 'flood' }
}

/** More than people can hear: the flood's own incident and notice, unless the line floods already or a digest was told just now. */
export const floodBegan = (
  state: State,
  line: string,
  requestId: string | null,
  assetId: string | null,
  first: Partial<AlarmCounts>,
  context: DecideContext,
): Facts => {
  const alarms = state.alarms.get(line)
  if (alarms?.flood) return []
  const { atUs } = context
  const incidentId = uuid8('incident', line, 'alarm-flood', atUs)
  const title = `Alarms flood ${line}: from here on the gravest ones and a digest every 10 minutes`
  const detail = JSON.stringify({ counts: addCounts(noCounts(), { ...noCounts(), ...first }) })
  const began = fact('AlarmFloodBegan', line, atUs, [atUs], { requestId, incidentId, assetId, title, detail })
  const about = JSON.stringify({ policy: null, runbook: null, notes: ['alarm flood'] })
  const opened = fact('IncidentOpened', line, atUs, [incidentId], { requestId, incidentId, title, detail: about })
  const isToldLately = alarms?.raised.some((one) => one.kind === 'digest' && one.atUs > atUs - ALARM_WINDOW_US) ?? false
  return [began, opened, ...(isToldLately ? [] : notice(line, incidentId, requestId, 'flood', context))]
}

const notice = (line: string, incidentId: string, requestId: string | null, name: string, context: DecideContext): Facts => {
  const subject = { incidentId, line, assetId: null, requestId, proposedBy: 'actions', finding: null, severity: 2 }
  return proposeNotice(subject, { name }, 'alarm-flood', '', context)
}

/** Ten minutes of a flood are over: what was withheld, by reason and source; or the end, when it has become quiet. */
export const digestFacts = (line: string, alarms: LineAlarms, context: DecideContext): Facts => {
  const { flood, counts } = alarms
  if (!flood) return []
  const { atUs } = context
  const isOver = counts.raised + counts.flood + counts.deadlines < FLOOD_ENDS_BELOW
  const { incidentId, digests } = flood
  const top = [...alarms.sources].toSorted((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, TOP_SOURCES)
  const totals = addCounts(flood.totals, counts)
  const said = `${counts.findings} findings, ${counts.raised} told, ${counts.flood} withheld, ${counts.grouped} grouped`
  const title = isOver
    ? `The flood of alarms on ${line} is over: ${totals.findings} findings, ${totals.raised} told, ${totals.flood} withheld`
    : `Flood on ${line}, the last 10 minutes: ${said}`
  const timer = { name: 'alarm-digest', dueUs: flood.periodEndsUs }
  const sources = top.map(([assetId, findings]) => ({ assetId, findings }))
  const detail = JSON.stringify({ sinceUs: flood.sinceUs, digest: digests + 1, counts, totals, sources })
  const parts = [incidentId, digests + 1]
  const facts = [
    fact('TimerFired', line, atUs, parts, { incidentId, title, timer }),
    ...notice(line, incidentId, null, `digest-${digests + 1}`, context),
    fact(isOver ? 'AlarmFloodEnded' : 'AlarmDigest', line, atUs, parts, { incidentId, title, detail }),
  ]
  return isOver ? [...facts, fact('IncidentClosed', line, atUs, [incidentId], { incidentId, title })] : facts
}

/** The time a suppression was asked for is over. */
export const restoreFacts = ({ id, line, assetId, untilUs }: Suppression, { atUs }: DecideContext): Facts => [
  fact('TimerFired', line, atUs, [id, 'restore', untilUs], {
    assetId,
    title: `Alarms of ${assetId} count again`,
    timer: { name: 'restore', dueUs: untilUs },
  }),
  fact('AlarmRestored', line, atUs, [id, untilUs], { assetId, title: 'The time is over' }),
]

/** AlarmSuppressRequested, AlarmRestoreRequested → an asset out of service or suppressed by design, with a reason and an end. */
export const decideSuppression = (request: Actions, state: State, { atUs, plant }: DecideContext): Facts => {
  const no = (code: string, message: string): Facts => [refused(request, atUs, code, message)]
  const { assetId, decision } = request
  if (assetId === null) return no('ANDON_ACTIONS_MALFORMED', `${request.type} names no asset`)
  if (plant && !plant.placeOf(assetId)) return no('ANDON_ACTIONS_UNKNOWN_PLACE', `The plant has no asset ${assetId}`)
  if (!(request.roles ?? []).some((role) => DECIDING_ROLES.includes(role)))
    return no('ANDON_ACTIONS_ROLE', `Suppressing alarms needs one of the roles ${DECIDING_ROLES.join(', ')}`)
  const about = { by: request.by, requestId: request.id, assetId }
  if (request.type === 'AlarmRestoreRequested') {
    const isKnown = state.alarms.get(request.line)?.suppressions.has(assetId) ?? false
    if (!isKnown) return no('ANDON_ACTIONS_NOT_PENDING', `Alarms of ${assetId} are not suppressed`)
    return [fact('AlarmRestored', request.line, atUs, [request.id], { ...about, title: decision?.reason ?? 'Restored' })]
  }
  const { verdict = '', reason = '', untilUs = null } = decision ?? {}
  if (verdict !== 'out-of-service' && verdict !== 'by-design')
    return no('ANDON_ACTIONS_MALFORMED', `verdict: expected out-of-service or by-design, found ${verdict}`)
  const isTimed = untilUs !== null && untilUs > atUs && untilUs - atUs <= MAX_SUPPRESSION_US
  if (!isTimed || reason === '') return no('ANDON_ACTIONS_MALFORMED', 'Suppressing alarms names a reason and an end within 90 days')
  const { whileOutOfService = null } = JSON.parse(request.detail ?? '{}') as { whileOutOfService?: string | null }
  const suppression: Suppression = {
    id: request.id,
    line: request.line,
    assetId,
    kind: verdict,
    reason,
    by: request.by,
    atUs,
    untilUs,
    whileOutOfService: verdict === 'by-design' ? whileOutOfService : null,
  }
  const title = verdict === 'by-design' ? `Alarms of ${assetId} are suppressed by design` : `${assetId} is out of service`
  return [fact('AlarmSuppressed', request.line, atUs, [request.id], { ...about, title, detail: JSON.stringify(suppression) })]
}
