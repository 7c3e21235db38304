// What a policy's condition sees, and of which type each part is: the gate fills it, the lint checks conditions against it. Pure.

import { findingTypeOf, incidentIdOf } from '@andon/decisions'
import type { State } from '@andon/decisions'
import { canonicalJson, sha256Hex } from '@andon/kit/ids'
import type { Actions, Asset, Finding, Line } from '@andon/schemas'
import { UNASSIGNED } from './on-anomalies.ts'
import type { PlantView } from './plant-view.ts'

/** Types of CEL; `dyn` is what may be absent or null. */
type CelType = 'string' | 'int' | 'double' | 'bool' | 'dyn' | 'list<string>' | 'list<dyn>'

/** Every variable of a condition with its fields. */
export const VARIABLES = {
  finding: {
    type: 'string',
    findingId: 'string',
    episodeId: 'string',
    assetId: 'string',
    transition: 'string',
    severity: 'int',
    ratio: 'double',
    peakRatio: 'double',
    openedUs: 'double',
    atUs: 'double',
    openingVectorId: 'string',
    vectorId: 'string',
    predictionId: 'string',
    model: 'string',
    modelVersion: 'double',
    modelDigest: 'string',
    modelRole: 'string',
    detectorSet: 'string',
    contributions: 'list<dyn>',
    clusterId: 'dyn',
    clusterIsNovel: 'bool',
    faultMode: 'dyn',
    doubts: 'list<string>',
    historical: 'bool',
    recordedUs: 'dyn',
    title: 'string',
    about: 'string',
    faultModeId: 'dyn',
    pValue: 'dyn',
    regime: 'dyn',
    sources: 'list<dyn>',
    nearest: 'list<dyn>',
    precedent: 'dyn',
  } satisfies Record<keyof Finding | 'type', CelType>,
  asset: {
    id: 'string',
    name: 'string',
    line: 'string',
    class: 'string',
    origin: 'string',
    parent: 'dyn',
    priority: 'dyn',
    sources: 'list<string>',
    bearing: 'dyn',
    nominalSpeedRpm: 'dyn',
    speedChannel: 'dyn',
    tacho: 'dyn',
    gears: 'dyn',
    zones: 'dyn',
    channels: 'list<dyn>',
    safety: 'dyn',
  } satisfies Record<keyof Asset, CelType>,
  line: { id: 'string', name: 'string', area: 'string', controlGroup: 'string', controlSystem: 'dyn' } satisfies Record<
    keyof Line,
    CelType
  >,
  incident: { isOpen: 'bool', severity: 'int', steps: 'int' },
  shift: { name: 'string', weekday: 'int', hour: 'int' },
  model: { name: 'string', version: 'int', digest: 'string', role: 'string', isChampion: 'bool', hasDrifted: 'bool', isInDomain: 'bool' },
} as const satisfies Record<string, Record<string, CelType>>

export type PolicyInput = Record<keyof typeof VARIABLES, object>

/** What the conditions are judged on at `atUs`, the owner's stamp. */
export const inputOf = (request: Actions, finding: Finding, state: State, plant: PlantView, atUs: number): PolicyInput => {
  const incident = state.incidents.get(incidentIdOf(request.line, finding.assetId, finding.episodeId))
  const lineId = plant.lineOf(finding.assetId)?.id ?? UNASSIGNED
  const { model, modelVersion, modelDigest, modelRole, doubts } = finding
  return {
    finding: { ...finding, type: findingTypeOf(request), severity: BigInt(finding.severity) },
    asset: plant.plant?.assets.find((one) => one.id === finding.assetId) ?? { id: finding.assetId, line: lineId },
    line: plant.line(lineId) ?? { id: lineId },
    incident: { isOpen: incident !== undefined, severity: BigInt(incident?.severity ?? 0), steps: BigInt(incident?.stepIds.length ?? 0) },
    shift: shiftAt(plant, atUs),
    model: {
      name: model,
      version: BigInt(modelVersion),
      digest: modelDigest,
      role: modelRole,
      isChampion: modelRole === 'champion',
      hasDrifted: doubts.includes('drift'),
      isInDomain: !doubts.includes('out-of-domain'),
    },
  }
}

/** Digest of all that the conditions saw. */
export const inputDigest = (input: PolicyInput): string => sha256Hex(canonicalJson(JSON.parse(JSON.stringify(input, plainNumbers))))

const plainNumbers = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? Number(value) : value)

const WEEKDAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']
const formats = new Map<string, Intl.DateTimeFormat>()

/** Weekday (1 is Monday) and hour at the site, and the name of the shift that is on; empty where the plant file names none. */
const shiftAt = (plant: PlantView, atUs: number): { name: string; weekday: bigint; hour: bigint } => {
  const { timezone = 'UTC', shifts = [] } = plant.plant?.site ?? {}
  const format =
    formats.get(timezone) ??
    new Intl.DateTimeFormat('en-GB', { timeZone: timezone, weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
  formats.set(timezone, format)
  const parts = Object.fromEntries(format.formatToParts(atUs / 1000).map(({ type, value }) => [type, value]))
  const clock = `${parts['hour']}:${parts['minute']}`
  const isOn = ({ from, to }: { readonly from: string; readonly to: string }): boolean =>
    from <= to ? from <= clock && clock < to : from <= clock || clock < to
  return {
    name: shifts.find(isOn)?.name ?? '',
    weekday: BigInt(WEEKDAYS.indexOf(parts['weekday'] ?? '') + 1),
    hour: BigInt(Number(parts['hour'])),
  }
}
