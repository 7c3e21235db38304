// The Numenta score: reward by how early in a window a detection is, a cost for each false one that grows away from windows, one
// threshold for the whole corpus; 0 for a detector that says nothing, 100 for a perfect one.

export interface ScoredSeries {
  /** Score per row; rows before `probation` are not looked at. */
  readonly scores: ArrayLike<number>
  readonly probation: number
  readonly windows: readonly (readonly [number, number])[]
}

export interface NabProfile {
  readonly tp: number
  readonly fp: number
  readonly fn: number
}

export const nabProfiles = {
  standard: { tp: 1, fp: 0.11, fn: 1 },
  lowFP: { tp: 1, fp: 0.22, fn: 1 },
  lowFN: { tp: 1, fp: 0.11, fn: 2 },
} as const satisfies Record<string, NabProfile>

/** 15 % of the rows, at most 750. */
export const probationOf = (rows: number): number => Math.min(Math.floor(0.15 * rows), 750)

const sigmoid = (x: number): number => 2 / (1 + Math.exp(5 * x)) - 1

/** Per row: the window it lies in, or -1, and what a detection there is worth. */
export const worthOf = (rows: number, windows: ScoredSeries['windows']): { window: Int32Array; worth: Float64Array } => {
  const window = new Int32Array(rows).fill(-1)
  const worth = new Float64Array(rows).fill(-1)
  windows.forEach(([from, to], k) => {
    const length = to - from + 1
    for (let i = from; i <= to; i++) {
      window[i] = k
      worth[i] = sigmoid(-(to - i + 1) / length)
    }
  })
  let last: readonly [number, number] | undefined
  for (let i = 0; i < rows; i++) {
    const at = window[i] as number
    if (at >= 0) last = windows[at]
    else if (last !== undefined) {
      const length = last[1] - last[0] + 1
      const position = length > 1 ? Math.abs(i - last[1]) / (length - 1) : 4
      worth[i] = position > 3 ? -1 : sigmoid(position)
    }
  }
  return { window, worth }
}

interface Detection {
  readonly score: number
  /** Window of the corpus, or -1. */
  readonly window: number
  readonly worth: number
}

const detectionsOf = (series: readonly ScoredSeries[]): { detections: Detection[]; windows: number } => {
  const detections: Detection[] = []
  let windows = 0
  for (const one of series) {
    const { window, worth } = worthOf(one.scores.length, one.windows)
    for (let i = one.probation; i < one.scores.length; i++) {
      const at = window[i] as number
      detections.push({ score: one.scores[i] as number, window: at < 0 ? -1 : windows + at, worth: worth[i] as number })
    }
    windows += one.windows.length
  }
  return { detections: detections.toSorted((a, b) => b.score - a.score), windows }
}

export interface NabScore {
  readonly score: number
  readonly threshold: number
}

/** The score of every row at or above the threshold; without one, the best there is. */
export const nabScore = (series: readonly ScoredSeries[], { tp, fp, fn }: NabProfile, threshold?: number): NabScore => {
  const { detections, windows } = detectionsOf(series)
  const best = new Map<number, number>()
  let raw = -fn * windows
  let chosen = { raw, threshold: threshold ?? Number.POSITIVE_INFINITY }
  detections.forEach(({ score, window, worth }, i) => {
    if (threshold !== undefined && !(score >= threshold)) return
    if (window < 0) raw += fp * worth
    else {
      const before = best.get(window)
      if (before === undefined) raw += fn + tp * worth
      else if (worth > before) raw += tp * (worth - before)
      if (before === undefined || worth > before) best.set(window, worth)
    }
    const isLast = detections[i + 1]?.score !== score
    if (isLast && (threshold !== undefined || raw > chosen.raw)) chosen = { raw, threshold: threshold ?? score }
  })
  return { score: (100 * (chosen.raw + fn * windows)) / ((tp + fn) * windows), threshold: chosen.threshold }
}

/** Windows with a detection, and detections outside them. */
export const nabCounts = (series: readonly ScoredSeries[], threshold: number): { hit: number; windows: number; false: number } => {
  const { detections, windows } = detectionsOf(series)
  const over = detections.filter(({ score }) => score >= threshold)
  return {
    hit: new Set(over.map(({ window }) => window).filter((window) => window >= 0)).size,
    windows,
    false: over.filter(({ window }) => window < 0).length,
  }
}
