// Many features are tested at once: the share of false ones among those reported is bounded (Benjamini and Hochberg 1995).

/** Adjusted p-values: those at or below a rate are the features reported at that false discovery rate. */
export const adjusted = (pValues: ArrayLike<number>): Float64Array => {
  const count = pValues.length
  const order = Array.from({ length: count }, (_, i) => i).sort((a, b) => (pValues[a] as number) - (pValues[b] as number) || a - b)
  const out = new Float64Array(count)
  let least = 1
  for (let rank = count; rank >= 1; rank--) {
    const at = order[rank - 1] as number
    least = Math.min(least, ((pValues[at] as number) * count) / rank)
    out[at] = least
  }
  return out
}
