// Fault modes of one partition's windows: the class's activated model, what people teach about its modes, and the partition's own part of
// each class. Without a log (a recording that is judged in one go) there is neither model nor teaching, and patterns are told apart all the same.

import type { Input } from '@andon/kit'
import type { Predictions } from '@andon/schemas'
import type { PartitionMemory } from './asset-state.ts'
import type { ClassModels } from './class-models.ts'
import type { ClassState } from './class-summaries.ts'
import {
  type AssetModes,
  type JudgedPlace,
  type Normal,
  type PlacedWindow,
  type ShownMode,
  placeWindow,
  recordWindow,
} from './mode-assignment.ts'
import type { Standing, Teachings } from './teachings.ts'

/** A pattern with what people call it. */
export interface NamedMode extends ShownMode {
  readonly name: string | null
}

export interface FaultModes {
  /** Before a batch: resolves when the models that hold for it are at hand. */
  prepare(inputs: readonly Input<Predictions>[]): Promise<void>
  /** Where a window lies; changes nothing. */
  place(input: Input<Predictions>, values: ArrayLike<number>, normal: Normal | undefined): PlacedWindow | undefined
  /** Takes the window into its class. */
  record(input: Input<Predictions>, modes: AssetModes, placed: PlacedWindow, judged: Omit<JudgedPlace, 'prediction'>): NamedMode | undefined
  /** What people want to hear about the mode of a window. */
  standing(input: Input<Predictions>, placed: PlacedWindow | undefined): Standing
  /** Whether a person has said that the level of this episode is normal now. */
  isNormalNow(input: Input<Predictions>, episodeId: string): boolean
}

export interface FaultModesDeps {
  readonly memory: PartitionMemory
  readonly partition?: number
  /** An asset that the plant does not describe is a class of its own. */
  readonly classOf?: (assetId: string, timeUs: number) => string
  readonly models?: ClassModels
  /** Resolves when what `models` and `actions` say for records of this time has been read. */
  readonly settled?: (recordUs: number) => Promise<void>
  readonly teachings?: () => Teachings
  readonly summarised?: (state: ClassState, hourUs: number) => void
  readonly count?: (outcome: 'mode' | 'novel' | 'no-model') => void
}

export const openFaultModes = (deps: FaultModesDeps): FaultModes => {
  const { memory, partition = 0, classOf = (assetId) => assetId, models, settled, teachings, summarised = () => {}, count } = deps
  return {
    async prepare(inputs) {
      const newestMs = inputs.reduce((newest, { timestampMs }) => Math.max(newest, timestampMs), 0)
      await settled?.(newestMs * 1000)
      if (models === undefined) return
      for (const { value, timestampMs } of inputs) {
        await models.load(classOf(value.assetId, value.windowEndUs), value.windowEndUs, timestampMs * 1000)
      }
    },
    place({ value, timestampMs }, values, normal) {
      const classId = classOf(value.assetId, value.windowEndUs)
      const loaded = models?.at(classId, value.windowEndUs, timestampMs * 1000)
      return placeWindow(classId, value, values, normal, loaded, memory.classes.get(classId)?.space)
    },
    record({ value, timestampMs }, modes, placed, judged) {
      const recording = {
        classes: memory.classes,
        partition,
        summarised: (state: ClassState, hourUs: number): void => {
          memory.changed.add(rowsKey(placed.classId))
          summarised(state, hourUs)
        },
      }
      memory.changed.add(classKey(placed.classId))
      if (judged.isClosing) memory.changed.add(rowsKey(placed.classId))
      const shown = recordWindow(recording, modes, placed, { prediction: value, ...judged })
      count?.(placed.loaded === undefined ? 'no-model' : placed.modeId === null ? 'novel' : 'mode')
      if (shown === undefined) return undefined
      const name = shown.modeId === null ? null : (teachings?.().nameOf(shown.modeId, timestampMs * 1000) ?? null)
      return { ...shown, name }
    },
    isNormalNow: ({ timestampMs }, episodeId) => teachings?.().verdictOf(episodeId, timestampMs * 1000) === 'normal-now',
    standing({ timestampMs }, placed) {
      const modeId = placed?.modeId ?? null
      return modeId === null ? 'fault' : (teachings?.().standingOf(modeId, timestampMs * 1000) ?? 'fault')
    },
  }
}

const CLASS_KEY = '@class/'
const ROWS_KEY = '@rows/'

/** Keys of snapshots: what is exact to the last window, and the rows for fits, which are stored at each full hour and with each closed episode. */
export const classKey = (classId: string): string => CLASS_KEY + classId
export const rowsKey = (classId: string): string => ROWS_KEY + classId

/** The class of a key, and which part of it; undefined for an asset's. */
export const classOfKey = (key: string): { readonly classId: string; readonly isRows: boolean } | undefined => {
  if (key.startsWith(CLASS_KEY)) return { classId: key.slice(CLASS_KEY.length), isRows: false }
  if (key.startsWith(ROWS_KEY)) return { classId: key.slice(ROWS_KEY.length), isRows: true }
  return undefined
}
