// What a backtest adds up while rows pass: episodes, agreement with labels row by row and by interval, and the extremes that plots show.
// Memory depends on episodes, labelled intervals and plotted points, not on rows.

import type { JudgedContribution, JudgedWindow } from '@andon/kit/row-frames'
import type { Scanned } from './tools.ts'

/** A row with what was said of the window that ends at it. */
export interface JudgedRow {
  readonly asset: number
  readonly timeUs: number
  /** As the file has it. */
  readonly time: string
  readonly isLabelled: boolean
  readonly values: Float64Array
  readonly judged: JudgedWindow | undefined
}

export interface Episode {
  readonly asset: number
  readonly startRow: number
  readonly start: string
  readonly startUs: number
  endRow: number
  end: string
  endUs: number
  peak: number
  peakTime: string
  severity: number | null
  faultMode: string
  isOpen: boolean
  labelledRows: number
  isRegime: boolean
  readonly shares: Map<string, number>
  /** Of the highest row. */
  leading: readonly JudgedContribution[]
}

export interface LabelledInterval {
  readonly asset: number
  readonly start: string
  readonly startUs: number
  end: string
  endUs: number
  rows: number
  /** First flagged row, in rows and us after its beginning. */
  found: { readonly rows: number; readonly us: number } | undefined
}

export interface Agreement {
  readonly tp: number
  readonly fp: number
  readonly fn: number
  readonly tn: number
}

export interface PlottedAsset {
  readonly asset: number
  readonly fromUs: number
  readonly toUs: number
  readonly points: number
  /** Per channel: smallest and largest value of a point; NaN where there is none. */
  readonly low: readonly Float32Array[]
  readonly high: readonly Float32Array[]
  readonly score: Float32Array
}

const PLOTTED_ASSETS = 12
const PLOTTED_CHANNELS = 60

export class Tally {
  readonly scan: Scanned
  readonly episodes: Episode[] = []
  readonly intervals: LabelledInterval[] = []
  readonly plots: PlottedAsset[]
  readonly learntUntil: (JudgedRow | undefined)[]
  readonly flaggedRows: number[]
  judgedRows = 0
  labelledWhileLearning = 0
  private readonly counts = { tp: 0, fp: 0, fn: 0, tn: 0 }
  private readonly open: (Episode | undefined)[]
  private readonly openIds: (string | null)[]
  private readonly labelled: (LabelledInterval | undefined)[]
  private readonly rowsOf: number[]

  constructor(scan: Scanned) {
    this.scan = scan
    const { assets, channels } = scan
    const none = assets.map(() => undefined)
    this.open = [...none]
    this.labelled = [...none]
    this.learntUntil = [...none]
    this.openIds = assets.map(() => null)
    this.rowsOf = assets.map(() => 0)
    this.flaggedRows = assets.map(() => 0)
    const shown = Math.min(channels.length, PLOTTED_CHANNELS)
    this.plots = assets.slice(0, PLOTTED_ASSETS).map(({ rows, firstUs, lastUs }, asset) => {
      const points = Math.min(shown <= 16 ? 4000 : 1500, Math.max(1, rows))
      const fill = (): Float32Array => new Float32Array(points).fill(Number.NaN)
      const of = { low: Array.from({ length: shown }, fill), high: Array.from({ length: shown }, fill), score: fill() }
      return { asset, fromUs: firstUs, toUs: Math.max(lastUs, firstUs + 1), points, ...of }
    })
  }

  get agreement(): Agreement {
    return this.counts
  }

  /** Whether the row is one to learn from. */
  add(row: JudgedRow): { readonly isLearning: boolean; readonly isFlagged: boolean; readonly score: number } {
    const { asset, judged, isLabelled } = row
    const number = (this.rowsOf[asset] as number) + 1
    this.rowsOf[asset] = number
    const isLearning = number <= (this.scan.assets[asset]?.learn ?? 0)
    const score = judged?.ratio ?? 0
    const isFlagged = !isLearning && (judged === undefined ? this.open[asset] !== undefined : judged.isOpen)
    this.plot(row, isLearning ? Number.NaN : score)
    if (isLearning) {
      this.learntUntil[asset] = row
      if (isLabelled) this.labelledWhileLearning++
      return { isLearning, isFlagged: false, score: 0 }
    }
    this.judgedRows++
    if (isFlagged) this.flaggedRows[asset] = (this.flaggedRows[asset] as number) + 1
    this.counts[isLabelled ? (isFlagged ? 'tp' : 'fn') : isFlagged ? 'fp' : 'tn']++
    this.label(row, isFlagged)
    this.episode(row, number, score, isFlagged)
    return { isLearning, isFlagged, score }
  }

  private episode(row: JudgedRow, number: number, score: number, isFlagged: boolean): void {
    const { asset, time, timeUs, judged, isLabelled } = row
    let episode = this.open[asset]
    const id = judged?.episodeId ?? this.openIds[asset] ?? null
    if (episode !== undefined && (!isFlagged || id !== this.openIds[asset])) {
      episode.isOpen = false
      if (judged?.isNewRegime === true) episode.isRegime = true
      this.open[asset] = episode = undefined
    }
    if (!isFlagged) return
    if (episode === undefined) {
      episode = {
        asset,
        startRow: number,
        start: time,
        startUs: timeUs,
        endRow: number,
        end: time,
        endUs: timeUs,
        peak: 0,
        peakTime: time,
        severity: null,
        faultMode: '',
        isOpen: true,
        labelledRows: 0,
        isRegime: false,
        shares: new Map(),
        leading: [],
      }
      this.episodes.push(episode)
      this.open[asset] = episode
      this.openIds[asset] = id
    }
    episode.endRow = number
    episode.end = time
    episode.endUs = timeUs
    if (isLabelled) episode.labelledRows++
    if (judged === undefined) return
    if (judged.severity !== null) episode.severity = Math.min(episode.severity ?? 9, judged.severity)
    if (judged.faultMode !== null) episode.faultMode = judged.faultMode
    for (const { name, share } of judged.contributions) episode.shares.set(name, (episode.shares.get(name) ?? 0) + share)
    if (score <= episode.peak) return
    episode.peak = score
    episode.peakTime = time
    if (judged.contributions.length > 0) episode.leading = judged.contributions
  }

  private label({ asset, time, timeUs, isLabelled }: JudgedRow, isFlagged: boolean): void {
    let interval = this.labelled[asset]
    if (!isLabelled) {
      this.labelled[asset] = undefined
      return
    }
    if (interval === undefined) {
      interval = { asset, start: time, startUs: timeUs, end: time, endUs: timeUs, rows: 0, found: undefined }
      this.intervals.push(interval)
      this.labelled[asset] = interval
    }
    if (isFlagged) interval.found ??= { rows: interval.rows, us: timeUs - interval.startUs }
    interval.rows++
    interval.end = time
    interval.endUs = timeUs
  }

  private plot({ asset, timeUs, values }: JudgedRow, score: number): void {
    const plot = this.plots[asset]
    if (plot === undefined) return
    const { fromUs, toUs, points, low, high } = plot
    const at = Math.min(points - 1, Math.max(0, Math.floor(((timeUs - fromUs) / (toUs - fromUs)) * points)))
    for (let j = 0; j < low.length; j++) {
      const value = values[j] as number
      if (value !== value) continue
      const [down, up] = [low[j] as Float32Array, high[j] as Float32Array]
      if (!((down[at] as number) <= value)) down[at] = value
      if (!((up[at] as number) >= value)) up[at] = value
    }
    if (score === score && !((plot.score[at] as number) >= score)) plot.score[at] = score
  }
}

export interface Metrics {
  readonly precision: number | null
  readonly recall: number | null
  readonly f1: number | null
  /** Share of unlabelled rows that are flagged, and of labelled rows that are not. */
  readonly far: number | null
  readonly mar: number | null
  readonly intervals: number
  readonly detectedIntervals: number
  /** Episodes without a labelled row. */
  readonly falseEpisodes: number
}

const share = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole)

/** Row by row over the rows after those that were learned from; nothing is adjusted. */
export const metricsOf = ({ agreement: { tp, fp, fn, tn }, intervals, episodes }: Tally): Metrics => ({
  precision: share(tp, tp + fp),
  recall: share(tp, tp + fn),
  f1: share(2 * tp, 2 * tp + fp + fn),
  far: share(fp, fp + tn),
  mar: share(fn, fn + tp),
  intervals: intervals.length,
  detectedIntervals: intervals.filter(({ found }) => found !== undefined).length,
  falseEpisodes: episodes.filter(({ labelledRows }) => labelledRows === 0).length,
})

/** Channels of an episode by their part in it, largest first; shares sum to 1 at most. */
export const partsOf = ({ shares, startRow, endRow }: Episode): { name: string; share: number }[] =>
  [...shares]
    .map(([name, sum]) => ({ name, share: sum / (endRow - startRow + 1) }))
    .toSorted((a, b) => b.share - a.share)
    .slice(0, 5)
