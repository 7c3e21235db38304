// The known name that somebody probably meant.

/** The candidate with the fewest edits; the first of equals; `none` where there is no candidate. */
export const nearest = (word: string, candidates: readonly string[]): string =>
  candidates.reduce((best, candidate) => (edits(word, candidate) < edits(word, best) ? candidate : best), candidates[0] ?? 'none')

/** Levenshtein distance, letter case ignored. */
const edits = (left: string, right: string): number => {
  const a = left.toLowerCase()
  const b = right.toLowerCase()
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(change, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}
