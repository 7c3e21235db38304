// Whether a sensor is to be believed, from the rows of one window: what looks like a fault of the sensor must not reach a
// model as a fault of the machine. Each check looks for something that machines do not do.

import type { Series } from './functions/kernel.ts'
import type { AssetPlan, HealthRules, PlanChannel } from './plan.ts'

export type SensorFlag = 'flat' | 'stuck' | 'saturated' | 'drop-outs' | 'gap' | 'noise'

/** What `good` rows a channel has in the window (the longest scale), and how many rows were bad or not a number. */
export interface ChannelWindow {
  readonly good: Series | undefined
  readonly badRows: number
  /** The window is [startUs, endUs). */
  readonly startUs: number
  readonly endUs: number
  /** In a regime in which the machine is off, what stands still is no fault: `flat` and `stuck` are not looked for. */
  readonly isMachineOff: boolean
}

/**
 * Suspicions against the sensor of a channel of the plan; the same empty list where there are none, so a healthy window
 * allocates nothing. A channel without any row has none: the vector says that it is missing.
 */
export const sensorFlags = (
  plan: Pick<AssetPlan, 'channels' | 'health' | 'machine' | 'hop'>,
  channel: number,
  window: ChannelWindow,
): readonly SensorFlag[] => {
  if (channel === plan.machine.tachoChannel) return none // only the times of its rows count
  const { health } = plan
  const described = plan.channels[channel] as PlanChannel
  const { good, badRows } = window
  let flags = none
  if (hasDropOuts(health, good, badRows)) flags = [...flags, 'drop-outs']
  if (good === undefined) return flags
  if (!window.isMachineOff && isFlat(health, good)) flags = [...flags, 'flat']
  if (!window.isMachineOff && isStuck(health, good)) flags = [...flags, 'stuck']
  if (isSaturated(health, described, good)) flags = [...flags, 'saturated']
  if (hasGap(health, good, window, plan.hop === 'row')) flags = [...flags, 'gap']
  if (isNoiseChanged(health, described, good)) flags = [...flags, 'noise']
  return flags
}

const none: readonly SensorFlag[] = Object.freeze([])

/** At least this share of the rows is bad or not a number. */
const hasDropOuts = ({ dropOutShare }: HealthRules, good: Series | undefined, badRows: number): boolean =>
  dropOutShare !== null && badRows > 0 && badRows >= dropOutShare * ((good?.rows ?? 0) + badRows)

/** No movement in the whole window, which holds two elements or more. */
const isFlat = ({ flat }: HealthRules, { elements }: Series): boolean =>
  flat && elements.length > 1 && equalAtEnd(elements) === elements.length

/** The elements of the last so many rows are equal, and one before them differs. */
const isStuck = ({ stuckRows }: HealthRules, series: Series): boolean => {
  if (stuckRows === null || series.rows <= stuckRows) return false
  const equal = equalAtEnd(series.elements)
  return equal < series.elements.length && equal >= elementsOfLast(stuckRows, series)
}

const elementsOfLast = (rows: number, { widths, width, rows: all }: Series): number => {
  if (widths === null) return rows * width
  let sum = 0
  for (let row = all - rows; row < all; row++) sum += widths[row] as number
  return sum
}

/** How many elements at the end equal the last one; a moving signal answers after one comparison. */
const equalAtEnd = (elements: ArrayLike<number>): number => {
  const last = elements[elements.length - 1] as number
  let at = elements.length - 2
  while (at >= 0 && elements[at] === last) at--
  return elements.length - 1 - at
}

/**
 * At least this share of the elements lies at an end of the range or beyond it. Zero and 100 % are values like any other -
 * a machine at rest, a full tank - so there only what lies beyond counts.
 */
const isSaturated = ({ saturatedShare }: HealthRules, { range, unit }: PlanChannel, { elements }: Series): boolean => {
  if (saturatedShare === null || range === null) return false
  const [low, high] = range
  if (areInside(elements, low, high)) return false
  const isLowValue = low === 0
  const isHighValue = high === 0 || (high === 100 && unit === '%')
  let beyond = 0
  for (let i = 0; i < elements.length; i++) {
    const x = elements[i] as number
    if (x < low || x > high || (x === low && !isLowValue) || (x === high && !isHighValue)) beyond++
  }
  return beyond > 0 && beyond >= saturatedShare * elements.length
}

/** True where all elements clearly are: one comparison each, and what lies near an end is looked at again. */
const areInside = (elements: ArrayLike<number>, low: number, high: number): boolean => {
  const middle = (low + high) / 2
  const reach = ((high - low) / 2) * 0.999_999
  for (let i = 0; i < elements.length; i++) if (Math.abs((elements[i] as number) - middle) > reach) return false
  return true
}

/** Rows from which a usual distance can be told. */
const ROWS_OF_A_RHYTHM = 8

/**
 * A pause of more than so many usual distances between rows; at the ends of a time window too. Only where rows come in a
 * rhythm: what is sent on change has no usual distance.
 */
const hasGap = ({ gapPeriods }: HealthRules, { rows, timesUs }: Series, window: ChannelWindow, isByRow: boolean): boolean => {
  if (gapPeriods === null || rows < ROWS_OF_A_RHYTHM) return false
  const firstUs = timesUs[0] as number
  const lastUs = timesUs[rows - 1] as number
  const atEndsUs = isByRow ? 0 : Math.max(firstUs - window.startUs, window.endUs - lastUs)
  const usualUs = (longestUs: number): number => (lastUs - firstUs - longestUs) / (rows - 2)
  // Strides of some rows bound the distances inside them: where even these are short enough, and they mostly are, it is done.
  const strideUs = longest(timesUs, rows, Math.max(1, Math.ceil(gapPeriods) - 1))
  if (Math.max(strideUs, atEndsUs) <= gapPeriods * usualUs(strideUs)) return false
  const longestUs = longest(timesUs, rows, 1)
  const usual = usualUs(longestUs)
  return Math.max(longestUs, atEndsUs) > gapPeriods * usual && isRhythm(timesUs, rows, usual)
}

/** The longest time from a row to the one that is a stride later, or the last one; every row lies in a stride. */
const longest = (timesUs: Float64Array, rows: number, stride: number): number => {
  let found = (timesUs[rows - 1] as number) - (timesUs[Math.max(0, rows - 1 - stride)] as number)
  for (let row = stride; row < rows; row += stride) {
    const distanceUs = (timesUs[row] as number) - (timesUs[row - stride] as number)
    if (distanceUs > found) found = distanceUs
  }
  return found
}

/** Three of four distances lie within half of the usual one. */
const isRhythm = (timesUs: Float64Array, rows: number, usualUs: number): boolean => {
  let near = 0
  for (let row = 1; row < rows; row++) {
    const distanceUs = (timesUs[row] as number) - (timesUs[row - 1] as number)
    if (Math.abs(distanceUs - usualUs) <= usualUs / 2) near++
  }
  return near >= 0.75 * (rows - 1)
}

/** Rows in a half of a window from which its noise can be told. */
const ROWS_OF_NOISE = 16

/**
 * Differences between neighbours are larger, or smaller, in the later half than in the earlier by this factor. Of single
 * values only: a waveform that grows rougher is what machines are watched for. The largest difference of each half is left
 * out, so that a step of the level is none.
 */
const isNoiseChanged = ({ noiseFactor }: HealthRules, { kind }: PlanChannel, { rows, elements }: Series): boolean => {
  if (noiseFactor === null || kind !== 'scalar' || rows < 2 * ROWS_OF_NOISE) return false
  const middle = rows >> 1
  const earlier = usualStep(elements, 0, middle)
  const later = usualStep(elements, middle, rows)
  return earlier > 0 && later > 0 && (later > noiseFactor * earlier || earlier > noiseFactor * later)
}

/** Mean absolute difference between neighbours in [from, to), without the largest one. */
const usualStep = (elements: ArrayLike<number>, from: number, to: number): number => {
  let sum = 0
  let largest = 0
  for (let i = from + 1; i < to; i++) {
    const step = Math.abs((elements[i] as number) - (elements[i - 1] as number))
    sum += step
    if (step > largest) largest = step
  }
  return (sum - largest) / (to - from - 2)
}
