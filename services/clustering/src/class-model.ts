// The fitted fault modes of an asset class: the artefact of kind `clusters` that an activation on `models` names. Plain data; the same text
// gives the same assignments everywhere. Pure.

import type { Precedent } from '@andon/schemas'
import type { ClassSpace } from './class-summaries.ts'
import type { ModeRegistry, Transition } from './modes/identity.ts'
import type { FittedModes } from './modes/members.ts'
import { fromPackedJson, toPackedJson } from './modes/packed.ts'
import type { RefitMeasures } from './modes/refit-gate.ts'

export interface ModeFacts {
  readonly modeId: string
  /** Share of the class's windows, older ones faded, and of them how many were in episodes. */
  readonly share: number
  readonly anomalousShare: number
  /** Mostly seen in episodes, at this fit or an earlier one: a fault mode. Else a way of running. */
  readonly isFault: boolean
  /** Rows of the sample by asset, most first. */
  readonly assets: readonly { readonly assetId: string; readonly rows: number }[]
  /** Vectors where the mode is densest. */
  readonly exemplars: readonly string[]
  /** Episodes of it, and what became of them; null while there is none. */
  readonly failures: (Precedent & { readonly hasPrecededFailures: boolean }) | null
}

/** A transition, and the fit and the full hour at which it was seen. */
export type PastTransition = Transition & { readonly fitId: string; readonly hourUs: number }

export interface ClassModel {
  readonly version: 1
  readonly classId: string
  readonly space: ClassSpace
  readonly fitId: string
  /** Full hour of the summaries. */
  readonly hourUs: number
  /** Digest of the model that it was fitted after; null: the first. */
  readonly basedOn: string | null
  readonly windows: number
  readonly registry: ModeRegistry
  readonly model: FittedModes
  readonly measures: RefitMeasures
  /** Of episodes that people gave a verdict, by mode against verdict; null without. */
  readonly agreement: { readonly episodes: number; readonly purity: number; readonly vMeasure: number } | null
  readonly modes: readonly ModeFacts[]
  /** Of this fit. */
  readonly transitions: readonly Transition[]
  /** Modes that are fault modes since this fit: an event each. */
  readonly discovered: readonly string[]
  /** Oldest first, this fit's at the end; bounded. */
  readonly history: readonly PastTransition[]
}

export const toArtefact = (model: ClassModel): Buffer => Buffer.from(toPackedJson(model))

export const readArtefact = (bytes: Buffer): ClassModel => {
  const model = fromPackedJson(bytes.toString('utf8')) as ClassModel
  if (model.version !== 1) throw new RangeError(`a class model of version ${String(model.version)}, expected 1`)
  return model
}

export const modelName = (classId: string): string => `modes.${classId}`
