// What a refit tells people, on anomalies: fault modes that emerged, split, merged, disappeared or drifted. For review, never an alarm.
// Ids follow from the mode, the change and the fit: whoever tells it again says the same.

import { uuid8 } from '@andon/kit/ids'
import type { AnomaliesInput, FindingInput } from '@andon/schemas'
import type { Output } from '@andon/kit'
import type { ClassModel } from '../class-model.ts'
import type { Transition } from '../modes/identity.ts'

const TYPES = {
  emerged: 'FaultModeDiscovered',
  split: 'FaultModeSplit',
  absorbed: 'FaultModeMerged',
  disappeared: 'FaultModeDisappeared',
  drifted: 'FaultModeDrifted',
} as const

const REVIEW_SEVERITY = 4

type Change = keyof typeof TYPES

interface Told {
  readonly change: Change
  readonly modeId: string
  readonly fromModeIds: readonly string[]
  readonly toModeIds: readonly string[]
  readonly distance: number
  readonly words: string
}

/** `before`: the model that it was fitted after, which knows what is gone. `nameOf`: what people call a mode. */
export const modeEvents = (
  model: ClassModel,
  digest: string,
  before: ClassModel | undefined,
  nameOf: (modeId: string) => string | null,
): Output<AnomaliesInput>[] => {
  const { classId, fitId, hourUs } = model
  const facts = new Map([...(before?.modes ?? []), ...model.modes].map((mode) => [mode.modeId, mode]))
  const isFault = (modeId: string): boolean => facts.get(modeId)?.isFault === true
  const called = (modeId: string): string => nameOf(modeId) ?? modeId
  const discovered = model.discovered.map((modeId): Told => {
    const words = `new fault mode ${called(modeId)}`
    return { change: 'emerged', modeId, fromModeIds: [], toModeIds: [modeId], distance: 0, words }
  })
  const told = [...discovered, ...model.transitions.flatMap((transition) => toldOf(transition, isFault, called))]
  return told.map(({ change, modeId, fromModeIds, toModeIds, distance, words }) => {
    const mode = facts.get(modeId)
    // Where most of it was seen; a mode that nobody shows any more is the class's.
    const assetId = mode?.assets[0]?.assetId ?? model.modes.find(({ assets }) => assets.length > 0)?.assets[0]?.assetId ?? classId
    const type = TYPES[change]
    const id = uuid8('fault-mode-change', classId, fitId, change, modeId)
    const detail = `${classId}: ${words}`
    return {
      topic: 'anomalies',
      key: assetId,
      id,
      type,
      subject: assetId,
      timeUs: hourUs,
      value: {
        type,
        assetId,
        finding: reviewFinding(id, assetId, modeId, nameOf(modeId), digest, hourUs, detail),
        faultMode: {
          classId,
          modeId,
          change,
          fromModeIds: [...fromModeIds],
          toModeIds: [...toModeIds],
          share: mode?.share ?? 0,
          distance,
          modelDigest: digest,
          name: nameOf(modeId),
        },
        detail,
      },
    }
  })
}

/** For review: whoever wants work to follow from it says so in a policy. No window caused it. */
const reviewFinding = (
  id: string,
  assetId: string,
  modeId: string,
  name: string | null,
  digest: string,
  atUs: number,
  title: string,
): FindingInput => ({
  findingId: id,
  episodeId: id,
  assetId,
  transition: 'opened',
  severity: REVIEW_SEVERITY,
  ratio: 1,
  peakRatio: 1,
  openedUs: atUs,
  atUs,
  openingVectorId: '',
  vectorId: '',
  predictionId: '',
  model: '',
  modelVersion: 0,
  modelDigest: digest,
  modelRole: '',
  detectorSet: '',
  contributions: [],
  clusterId: null,
  clusterIsNovel: false,
  faultMode: name,
  faultModeId: modeId,
  doubts: [],
  historical: false,
  recordedUs: null,
  title,
  about: 'machine',
})

const toldOf = (transition: Transition, isFault: (modeId: string) => boolean, called: (modeId: string) => string): Told[] => {
  const { modeId } = transition
  if (transition.type === 'survived' || transition.type === 'emerged') return [] // a new mode is told when it is a fault's
  const base = { modeId, fromModeIds: [modeId], distance: 0 }
  if (transition.type === 'split') {
    const toModeIds = [modeId, ...transition.children.map((child) => child.modeId)]
    return toModeIds.some(isFault)
      ? [{ ...base, change: 'split', toModeIds, words: `fault mode ${called(modeId)} has split in ${toModeIds.length}` }]
      : []
  }
  if (!isFault(modeId) && !(transition.type === 'absorbed' && isFault(transition.intoId))) return []
  if (transition.type === 'absorbed') {
    const { intoId } = transition
    return [{ ...base, change: 'absorbed', toModeIds: [intoId], words: `fault mode ${called(modeId)} is part of ${called(intoId)} now` }]
  }
  if (transition.type === 'drifted') {
    const { moved } = transition
    const words = `fault mode ${called(modeId)} has moved by ${moved.toFixed(1)} of its standard deviations`
    return [{ ...base, change: 'drifted', toModeIds: [modeId], distance: moved, words }]
  }
  return [{ ...base, change: 'disappeared', toModeIds: [], words: `fault mode ${called(modeId)} is gone` }]
}
