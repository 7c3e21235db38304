// When an asset counts as unmonitored: nothing came for the time of three windows, and for ten seconds. Noticed by partition
// time, which goes on as long as any ingest instance ticks; a pure function of the partition's records.

import type { AssetWindows } from './asset-windows.ts'
import { NEVER_US } from './intervals.ts'
import { isOldData } from './source-clock.ts'
import type { SourceClock } from './source-clock.ts'

/** Windows that have to pass without a row. */
export const WINDOWS_OF_SILENCE = 3
/** Least time without a row: a gateway that connects again, or a process that starts, takes seconds whatever the windows are. */
const LEAST_SILENCE_US = 10_000_000
/** Least time that is added to the usual distance of rows, where windows are counted in rows. */
const LEAST_WAIT_US = 1_000_000

/** How long an asset with windows of this length may be silent. */
export const patienceOfUs = (lengthUs: number): number => Math.max(WINDOWS_OF_SILENCE * lengthUs, LEAST_SILENCE_US)

/** The time without a row, on the clock of the asset's source. */
export interface Silence {
  readonly startUs: number
  readonly endUs: number
  readonly historical: boolean
}

/** Partition time at which the asset is unmonitored; Infinity when nothing is expected of it. */
export const silentFromUs = (asset: AssetWindows): number => {
  const lengthUs = patienceUs(asset)
  return asset.heardUs === NEVER_US || lengthUs === undefined ? Number.POSITIVE_INFINITY : asset.heardUs + 1 + lengthUs
}

/** The silence that is reported. */
export const silenceOf = (asset: AssetWindows): Silence | undefined => {
  const clock = newestOf(asset)
  const lengthUs = patienceUs(asset)
  if (clock === undefined || lengthUs === undefined) return undefined
  const startUs = clock.newestUs + (asset.heardUs - clock.newestReceivedUs) + 1
  return { startUs, endUs: startUs + lengthUs, historical: isOldData(clock) }
}

const newestOf = ({ sources }: AssetWindows): SourceClock | undefined => {
  let newest: SourceClock | undefined
  for (const clock of sources.values()) {
    if (clock.isOneOff || clock.newestUs === NEVER_US) continue
    if (newest === undefined || clock.newestReceivedUs > newest.newestReceivedUs) newest = clock
  }
  return newest
}

const patienceUs = (asset: AssetWindows): number | undefined => {
  const plan = asset.plans[asset.current]
  if (plan === undefined) return undefined
  const { length } = plan.scales[0]!
  if ('us' in length) return patienceOfUs(length.us)
  const distanceUs = usualDistanceUs(asset, length.rows)
  return distanceUs && patienceOfUs(distanceUs + Math.max(plan.latenessUs + plan.graceUs, LEAST_WAIT_US))
}

/** Mean time from row to row over the last window; undefined as long as there is none. */
const usualDistanceUs = ({ lanes, current }: AssetWindows, rows: number): number | undefined => {
  let newest: AssetWindows['lanes'][number] | undefined
  for (const lane of lanes) {
    if (lane.plan !== current || lane.rows < 2 || !lane.endsWindows) continue
    if (newest === undefined || (lane.timesUs[lane.to - 1] as number) > (newest.timesUs[newest.to - 1] as number)) newest = lane
  }
  if (newest === undefined) return undefined
  const count = Math.min(rows, newest.rows)
  return Math.round(((newest.timesUs[newest.to - 1] as number) - (newest.timesUs[newest.to - count] as number)) / (count - 1))
}
