// An asset without telemetry is watched by nobody: the features service says so by one vector without values, and the next
// vector with values of newer data ends it. Pure but for the watch, which is updated in place.

import { compareOrders } from '@andon/kit'
import type { Order } from '@andon/kit'

export interface TelemetryWatch {
  /** End of the newest window with values; null before the first. */
  lastUs: number | null
  /** Order of the last vector without values: an older or equal one is a repeat. */
  order: Order | null
  silence: { readonly openingVectorId: string; readonly openedUs: number; readonly sinceUs: number } | null
}

export type Silence = NonNullable<TelemetryWatch['silence']>

export const newTelemetryWatch = (): TelemetryWatch => ({ lastUs: null, order: null, silence: null })

interface SilentWindow {
  readonly vectorId: string
  readonly windowStartUs: number
  readonly windowEndUs: number
}

/** The silence that this vector without values begins; undefined when one is known, or data of later windows is there. */
export const beginSilence = (
  watch: TelemetryWatch,
  { vectorId, windowStartUs, windowEndUs }: SilentWindow,
  order: Order,
): Silence | undefined => {
  if (watch.order !== null && compareOrders(order, watch.order) <= 0) return undefined
  watch.order = order
  if (watch.silence !== null || (watch.lastUs !== null && watch.lastUs > windowEndUs)) return undefined
  watch.silence = { openingVectorId: vectorId, openedUs: windowEndUs, sinceUs: windowStartUs }
  return watch.silence
}

/** The silence that this vector with values ends. Old data, as from a file, ends none. */
export const endSilence = (watch: TelemetryWatch, windowEndUs: number): Silence | undefined => {
  if (watch.lastUs !== null && windowEndUs < watch.lastUs) return undefined
  watch.lastUs = windowEndUs
  const { silence } = watch
  watch.silence = null
  return silence ?? undefined
}
