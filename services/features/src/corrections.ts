// Corrections of an asset: ranges whose samples a person has superseded. The samples stay where they are; what is computed leaves them out.
// Of two corrections the later one on the log holds. Pure.

/** One correction. Its own samples come from `sourceId`. */
export interface CorrectedRange {
  readonly sourceId: string
  /** Event times, [fromUs, toUs). */
  readonly fromUs: number
  readonly toUs: number
  readonly channels: readonly string[]
}

/** Which event times of a channel do not count for samples of this source; undefined when all do. `corrections` in log order. */
export const supersededOf = (
  corrections: readonly CorrectedRange[],
  sourceId: string,
  channel: string,
): ((timeUs: number) => boolean) | undefined => {
  if (corrections.length === 0) return undefined
  const own = corrections.findIndex((each) => each.sourceId === sourceId)
  const later = corrections.filter((each, index) => index > own && each.channels.includes(channel))
  return later.length === 0 ? undefined : (timeUs) => later.some(({ fromUs, toUs }) => timeUs >= fromUs && timeUs < toUs)
}
