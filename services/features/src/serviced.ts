// When an asset was serviced last: the document `serviced/<asset>` ends the epoch of its baseline.

/** Event time of the service in force at an event time, by the documents; undefined where there is none. */
export type ServicedDocument = (assetId: string, timeUs: number) => number | undefined

/**
 * When the asset was serviced before the end of a window; null where that is not known. Documents say what holds at a time,
 * and before the first of them was in force they give that one: it counts only once its time has come.
 */
export const servicedBefore =
  (documentAt: ServicedDocument) =>
  (assetId: string, endUs: number): number | null => {
    const atUs = documentAt(assetId, endUs - 1)
    return atUs === undefined || atUs >= endUs ? null : atUs
  }
