// Remaining life as models give it, window by window → when it is told: once answers agree that an end is near, again when it moves
// materially, and over when it is far or nobody answers any more. Pure; bounded; never from historical data.

import type { RemainingLife } from '@andon/schemas'

/** Answers whose median counts: one that jumps is not heard. */
const ANSWERS = 5
/** An end that is further ahead is no news. */
const HORIZON_US = 90 * 86_400_000_000
/** It is told until it is this many times further ahead than the horizon. */
const FAR = 2
/** Share of the remaining time by which an expected end has to move to be told again; as for trends. */
const MATERIAL = 0.25

export interface ToldLife {
  readonly openingVectorId: string
  readonly openedUs: number
  readonly endUs: number
}

export interface LifeState {
  /** Artefact that answered. */
  readonly digest: string
  /** Ends expected by the newest answers, oldest first. */
  readonly endsUs: readonly number[]
  readonly told: ToldLife | null
}

export interface LifeTransition {
  readonly kind: 'opened' | 'updated' | 'closed'
  readonly told: ToldLife
  /** Absent of one that is over. */
  readonly remaining: RemainingLife | undefined
}

export interface LifeWindow {
  readonly atUs: number
  readonly vectorId: string
  /** The model's answer to the window; undefined: none. */
  readonly remaining: RemainingLife | undefined
}

export interface LifeStep {
  readonly state: LifeState | undefined
  readonly transition: LifeTransition | undefined
}

/** One window of one model. A model that says nothing, or is another version now, ends what was told of it. */
export const lifeAfter = (state: LifeState | undefined, { atUs, vectorId, remaining }: LifeWindow): LifeStep => {
  const told = state?.told ?? null
  if (remaining === undefined || (state !== undefined && state.digest !== remaining.digest))
    return { state: undefined, transition: told === null ? undefined : { kind: 'closed', told, remaining: undefined } }
  const endsUs = [...(state?.endsUs ?? []), atUs + remaining.medianUs].slice(-ANSWERS)
  const next = { digest: remaining.digest, endsUs, told }
  if (endsUs.length < ANSWERS) return { state: next, transition: undefined }
  const endUs = endsUs.toSorted((a, b) => a - b)[ANSWERS >> 1] as number
  const leftUs = Math.max(0, endUs - atUs)
  if (told === null) {
    if (leftUs > HORIZON_US) return { state: next, transition: undefined }
    return toldNow(next, 'opened', { openingVectorId: vectorId, openedUs: atUs, endUs }, remaining)
  }
  if (leftUs > FAR * HORIZON_US) return { state: { ...next, told: null }, transition: { kind: 'closed', told, remaining: undefined } }
  const isMaterial = Math.abs(endUs - told.endUs) > MATERIAL * Math.max(told.endUs - atUs, leftUs)
  return isMaterial ? toldNow(next, 'updated', { ...told, endUs }, remaining) : { state: next, transition: undefined }
}

const toldNow = (state: LifeState, kind: 'opened' | 'updated', told: ToldLife, remaining: RemainingLife): LifeStep => ({
  state: { ...state, told },
  transition: { kind, told, remaining },
})
