// andon backtest: a recording through the code that runs live, and what would have come of it. Needs no mesh; writes scores.csv,
// episodes.csv, report.html and summary.json into a folder.

import { mkdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { RowChunk } from '@andon/kit/row-frames'
import { Lines, digits, episodesText, lookoutLine, scoreLine, scoresHead, shownName } from '../backtest/files.ts'
import { reportHtml } from '../backtest/report.ts'
import { type Episode, type JudgedRow, type Metrics, Tally, metricsOf, partsOf } from '../backtest/tally.ts'
import type { JudgedWindow } from '@andon/kit/row-frames'
import { type BacktestPlan, type Scanned, runTools } from '../backtest/tools.ts'
import { CommandError } from '../context.ts'
import { EXIT } from '../exit.ts'
import { duration, print, table, wholeNumber } from '../output.ts'

export interface BacktestOptions {
  readonly json?: boolean
  readonly input: string
  readonly time?: string
  readonly zone?: string
  readonly asset?: string
  readonly assetColumn?: string
  readonly trainRows?: string
  readonly trainUntil?: string
  readonly set?: string
  readonly labels?: string
  readonly labelColumn?: string
  readonly channels?: string
  readonly exclude?: string
  readonly lookout?: boolean
  readonly out: string
}

/** Rows in the order of the file, each until its window was judged. */
class Rows {
  private readonly waiting: JudgedRowSlot[] = []
  private head = 0
  private readonly ofAsset: { slots: JudgedRowSlot[]; next: number }[]
  private readonly placeOf: ReadonlyMap<string, number>

  constructor({ assets }: Scanned) {
    this.ofAsset = assets.map(() => ({ slots: [], next: 0 }))
    this.placeOf = new Map(assets.map(({ id }, at) => [id, at]))
  }

  add({ rows, width, asset, timesUs, labels, values, times }: RowChunk): void {
    for (let i = 0; i < rows; i++) {
      const slot: JudgedRowSlot = {
        asset: asset[i] as number,
        timeUs: timesUs[i] as number,
        time: times[i] as string,
        isLabelled: labels[i] === 1,
        values: values.subarray(i * width, (i + 1) * width),
        judged: undefined,
        isDone: false,
      }
      this.waiting.push(slot)
      this.ofAsset[slot.asset]?.slots.push(slot)
    }
  }

  /** A window ends one microsecond after its row; rows that were passed over have none. */
  judged(window: JudgedWindow): void {
    const queue = this.ofAsset[this.placeOf.get(window.assetId) as number]
    if (queue === undefined) return
    for (; queue.next < queue.slots.length; queue.next++) {
      const slot = queue.slots[queue.next] as JudgedRowSlot
      if (slot.timeUs + 1 > window.windowEndUs) break
      if (slot.timeUs + 1 === window.windowEndUs) slot.judged = window
      slot.isDone = true
    }
    if (queue.next > 10_000) {
      queue.slots.splice(0, queue.next)
      queue.next = 0
    }
  }

  *done(isEnd = false): Generator<JudgedRow> {
    while (this.head < this.waiting.length && (isEnd || (this.waiting[this.head] as JudgedRowSlot).isDone))
      yield this.waiting[this.head++] as JudgedRowSlot
    if (this.head > 10_000) {
      this.waiting.splice(0, this.head)
      this.head = 0
    }
  }
}

interface JudgedRowSlot extends JudgedRow {
  judged: JudgedWindow | undefined
  isDone: boolean
}

const BAR = 28

/** A bar on a terminal; nothing elsewhere. */
const progressBar = () => {
  const isShown = process.stderr.isTTY
  const startedMs = performance.now()
  let phaseMs = startedMs
  let last = ''
  return {
    show: (phase: string, share: number): void => {
      if (!isShown) return
      if (phase !== last) phaseMs = performance.now()
      last = phase
      const full = Math.round(BAR * share)
      const leftMs = share > 0.02 ? ((performance.now() - phaseMs) * (1 - share)) / share : 0
      const left = leftMs > 2000 ? `  about ${duration(leftMs)} left` : ''
      process.stderr.write(
        `\r${phase.padEnd(8)} ${'█'.repeat(full)}${'░'.repeat(BAR - full)} ${String(Math.round(100 * share)).padStart(3)} %${left}\u001B[K`,
      )
    },
    end: (): void => void (isShown && process.stderr.write('\r\u001B[K')),
    elapsedMs: (): number => performance.now() - startedMs,
  }
}

export interface BacktestSummary {
  readonly input: string
  readonly out: string
  readonly rows: number
  readonly judgedRows: number
  readonly flaggedRows: number
  readonly episodes: number
  readonly assets: readonly { readonly id: string; readonly rows: number; readonly learnedRows: number; readonly flaggedRows: number }[]
  readonly learned: string
  readonly labels: Metrics | null
  readonly notes: readonly string[]
  readonly files: readonly string[]
  readonly wallMs: number
}

export const runBacktest = async (options: BacktestOptions): Promise<void> => {
  const { json = false, input, out, lookout = false } = options
  if (options.trainRows !== undefined && options.trainUntil !== undefined)
    throw new CommandError(EXIT.usage, 'Either --train-rows or --train-until.')
  if (options.labels !== undefined && options.labelColumn !== undefined)
    throw new CommandError(EXIT.usage, 'Either --labels or --label-column.')
  const listed = (text: string | undefined): string[] | undefined => text?.split(',').map((each) => each.trim())
  const plan: BacktestPlan = {
    file: input,
    time: options.time,
    zone: options.zone,
    asset: options.asset,
    assetColumn: options.assetColumn,
    labels: options.labels,
    labelColumn: options.labelColumn,
    channels: listed(options.channels),
    exclude: listed(options.exclude),
    set: options.set,
    trainRows: options.trainRows === undefined ? undefined : wholeNumber('--train-rows', options.trainRows),
    trainUntil: options.trainUntil,
  }
  const bar = progressBar()
  let scan: Scanned | undefined
  let tally: Tally | undefined
  let rows: Rows | undefined
  let scores: Lines | undefined
  let results: Lines | undefined
  const write = async (isEnd: boolean): Promise<void> => {
    if (rows === undefined || tally === undefined || scan === undefined) return
    for (const row of rows.done(isEnd)) {
      const { isLearning, isFlagged, score } = tally.add(row)
      scores?.add(scoreLine(row, score, isFlagged, isLearning, scan))
      if (!isLearning) results?.add(lookoutLine(row, score, isFlagged, scan))
      await scores?.flush()
      await results?.flush()
    }
  }
  try {
    await runTools(plan, {
      onScan(found) {
        scan = found
        tally = new Tally(found)
        rows = new Rows(found)
        mkdirSync(out, { recursive: true })
        scores = new Lines(join(out, 'scores.csv'))
        scores.add(scoresHead(found))
        if (lookout) results = new Lines(join(out, 'results.jsonl'))
      },
      onRows: (chunk) => rows?.add(chunk),
      async onJudged(windows) {
        for (const window of windows) rows?.judged(window)
        await write(false)
      },
      onProgress: bar.show,
    })
  } finally {
    bar.end()
  }
  await write(true)
  await scores?.close()
  await results?.close()
  if (scan === undefined || tally === undefined) throw new CommandError(EXIT.failed, 'The recording could not be read.')
  writeFileSync(join(out, 'episodes.csv'), episodesText(tally.episodes, scan))
  const labels = scan.hasLabels ? metricsOf(tally) : null
  const notes = [
    ...scan.notes,
    ...(tally.labelledWhileLearning > 0
      ? [`${tally.labelledWhileLearning} of the rows that were learned from are labelled abnormal.`]
      : []),
  ]
  const files = ['scores.csv', 'episodes.csv', ...(lookout ? ['results.jsonl'] : []), 'report.html', 'summary.json']
  const summary: BacktestSummary = {
    input,
    out,
    rows: scan.rows,
    judgedRows: tally.judgedRows,
    flaggedRows: tally.flaggedRows.reduce((sum, count) => sum + count, 0),
    episodes: tally.episodes.length,
    assets: scan.assets.map(({ id, rows: count, learn }, at) => ({
      id,
      rows: count,
      learnedRows: learn,
      flaggedRows: tally?.flaggedRows[at] ?? 0,
    })),
    learned: scan.learnt,
    labels,
    notes,
    files,
    wallMs: Math.round(bar.elapsedMs()),
  }
  writeFileSync(join(out, 'report.html'), reportHtml(basename(input), tally, labels, notes))
  writeFileSync(join(out, 'summary.json'), `${JSON.stringify(summary, undefined, 2)}\n`)
  print(json, summary, () => told(summary, tally as Tally))
}

const MOST_LISTED = 12

const percent = (value: number | null): string => (value === null ? '-' : `${digits(Number((100 * value).toPrecision(3)))} %`)

const told = (summary: BacktestSummary, { episodes, scan }: Tally): string => {
  const { labels } = summary
  const worst = episodes.toSorted((a, b) => (a.severity ?? 9) - (b.severity ?? 9) || b.peak - a.peak).slice(0, MOST_LISTED)
  const shown = worst.toSorted((a, b) => a.startUs - b.startUs)
  return [
    `${summary.rows} rows of ${scan.channels.length} ${scan.channels.length === 1 ? 'channel' : 'channels'}${scan.hasAssets ? ` and ${scan.assets.length} assets` : ''}. Learned from ${summary.learned}; judged ${summary.judgedRows} in ${duration(summary.wallMs)}.`,
    ...summary.notes,
    '',
    episodes.length === 0
      ? 'No episode: nothing was far from what was learned.'
      : `${episodes.length} ${episodes.length === 1 ? 'episode' : 'episodes'}, ${percent(summary.judgedRows === 0 ? null : summary.flaggedRows / summary.judgedRows)} of the judged rows.`,
    ...(shown.length === 0
      ? []
      : [
          table([
            [...(scan.hasAssets ? ['ASSET'] : []), 'START', 'END', 'ROWS', 'PEAK', 'MOSTLY'],
            ...shown.map((episode) => line(episode, scan)),
          ]),
        ]),
    ...(episodes.length > MOST_LISTED ? [`The ${MOST_LISTED} gravest of ${episodes.length}; episodes.csv has all.`] : []),
    ...(labels === null
      ? []
      : [
          '',
          `Against the labels, row by row: precision ${percent(labels.precision)}, recall ${percent(labels.recall)}, F1 ${labels.f1 === null ? '-' : labels.f1.toFixed(3)}, false alarms ${percent(labels.far)}, missed ${percent(labels.mar)}.`,
          `Found ${labels.detectedIntervals} of ${labels.intervals} labelled intervals; ${labels.falseEpisodes} of ${episodes.length} episodes have no labelled row.`,
        ]),
    '',
    `Wrote ${summary.files.join(', ')} in ${summary.out}.`,
  ].join('\n')
}

const line = (episode: Episode, scan: Scanned): string[] => [
  ...(scan.hasAssets ? [scan.assets[episode.asset]?.id ?? ''] : []),
  episode.start,
  episode.isOpen ? 'still open' : episode.end,
  String(episode.endRow - episode.startRow + 1),
  digits(Number(episode.peak.toPrecision(3))),
  partsOf(episode)
    .slice(0, 2)
    .map(({ name }) => shownName(name, scan))
    .join(', '),
]
