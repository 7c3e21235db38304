// A kernel computes some statistics together, since they share their passes over the window. Kernels are pure: equal
// series give equal bits, so sums run in a fixed order and nothing is kept from one window to the next but scratch memory.

import type { Statistic } from '@andon/schemas'
import type { Call, Machine, PlanChannel } from '../plan.ts'

/** Good rows of one channel over one window, ascending by (time, source, epoch, number). A view: valid during the call only. */
export interface Series {
  /** Rows. */
  readonly rows: number
  /** Event time per row, microseconds UTC. */
  readonly timesUs: Float64Array
  /** Elements, row after row: `rows * width` of them, all finite. */
  readonly elements: Float32Array | Float64Array
  /** Elements per row; 0 = rows differ, and `widths` says how. */
  readonly width: number
  readonly widths: readonly number[] | null
  /** Of the rows themselves; null for single values. */
  readonly sampleRateHz: number | null
  /** The newest good row from before a window (or scale) of time, for statistics that it is carried into; null where there is none. */
  readonly before?: Before | null
}

/** What a channel showed when a window began. */
export interface Before {
  readonly timeUs: number
  readonly value: number
}

/** What else is known of the window. */
export interface WindowContext {
  /** The window is [startUs, endUs). */
  readonly startUs: number
  readonly endUs: number
  /** Shaft frequency: mean of the speed channel over the window, else of the tacho, else the nominal one; NaN where none is known, or at rest. */
  readonly shaftHz: () => number
  /** Pulses of the tacho in the window; undefined without one. */
  readonly tacho: () => Series | undefined
}

/**
 * Writes the numbers of one window to their places in `values` (which holds NaN before). Called with one series per
 * channel of the call; a series has at least one row, but where all that is asked for carries values in (`carriesIn`): there
 * it may have none, and `before`. What cannot be computed stays NaN.
 */
export type Compute = (series: readonly Series[], values: Float64Array, context: WindowContext) => void

/** What is known when a plan is compiled, so that windows of transforms and band edges are found once. */
export interface Preparation {
  readonly call: Call
  /** The channels of the call. */
  readonly channels: readonly PlanChannel[]
  readonly machine: Machine
}

export interface Kernel {
  readonly statistics: readonly Statistic[]
  /** `call.asked` names statistics of this kernel only: all of them carry values in, or none does. */
  readonly prepare: (given: Preparation) => Compute
}
