// The tables of a backtest: scores.csv with a line for every row of the recording, in its order; episodes.csv; and the result lines of
// Amazon Lookout for Equipment.

import { type WriteStream, createWriteStream } from 'node:fs'
import { once } from 'node:events'
import { type Episode, type JudgedRow, partsOf } from './tally.ts'
import type { JudgedContribution } from '@andon/kit/row-frames'
import type { Scanned } from './tools.ts'

export const field = (text: string): string => (/[",\r\n]/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text)

/** As few digits as tell the number, six at most. */
export const digits = (value: number): string => String(Number(value.toPrecision(6)))

/** A number that is a row itself is called like its channel. */
export const shownName = (name: string, { featureSet }: Pick<Scanned, 'featureSet'>): string =>
  featureSet === 'backtest/rows' && name.endsWith('.last') ? name.slice(0, -5) : name

const partsText = (parts: readonly Pick<JudgedContribution, 'name' | 'share'>[], scan: Scanned): string =>
  parts.map(({ name, share }) => `${shownName(name, scan)}:${share.toFixed(3)}`).join(';')

/** Lines into a file, some thousand at a time. */
export class Lines {
  private readonly stream: WriteStream
  private waiting: string[] = []
  private failure: Error | undefined

  constructor(path: string) {
    this.stream = createWriteStream(path)
    this.stream.on('error', (error) => (this.failure = error))
  }

  add(line: string): void {
    this.waiting.push(line)
  }

  async flush(least = 2000): Promise<void> {
    if (this.failure !== undefined) throw this.failure
    if (this.waiting.length < least) return
    const text = this.waiting.join('')
    this.waiting = []
    if (!this.stream.write(text)) await once(this.stream, 'drain')
  }

  async close(): Promise<void> {
    await this.flush(1)
    await new Promise<void>((resolve, reject) => {
      this.stream.once('error', reject)
      this.stream.end(resolve)
    })
  }
}

export const scoresHead = ({ timeColumn, hasAssets }: Scanned): string =>
  `${[field(timeColumn ?? 'row'), ...(hasAssets ? ['asset'] : []), 'score', 'pValue', 'flag', 'faultMode', 'contributions'].join(',')}\n`

export const scoreLine = (row: JudgedRow, score: number, isFlagged: boolean, isLearning: boolean, scan: Scanned): string => {
  const { time, asset, judged } = row
  const pValue = isLearning ? 1 : (judged?.pValue ?? 1)
  const told = isLearning ? [] : (judged?.contributions ?? [])
  const cells = [
    field(time),
    ...(scan.hasAssets ? [field(scan.assets[asset]?.id ?? '')] : []),
    digits(score),
    digits(pValue),
    isFlagged ? '1' : '0',
    field(isFlagged ? (judged?.faultMode ?? '') : ''),
    field(partsText(told, scan)),
  ]
  return `${cells.join(',')}\n`
}

export const episodesText = (episodes: readonly Episode[], scan: Scanned): string => {
  const head = [
    'asset',
    'start',
    'end',
    'startRow',
    'endRow',
    'rows',
    'severity',
    'peakScore',
    'peakTime',
    'faultMode',
    'contributions',
    'closed',
    ...(scan.hasLabels ? ['labelledRows'] : []),
  ]
  const lines = episodes.map((episode) =>
    [
      scan.assets[episode.asset]?.id ?? '',
      episode.start,
      episode.end,
      String(episode.startRow),
      String(episode.endRow),
      String(episode.endRow - episode.startRow + 1),
      episode.severity === null ? '' : String(episode.severity),
      digits(episode.peak),
      episode.peakTime,
      episode.faultMode,
      partsText(partsOf(episode), scan),
      episode.isOpen ? '0' : '1',
      ...(scan.hasLabels ? [String(episode.labelledRows)] : []),
    ]
      .map(field)
      .join(','),
  )
  return `${[head.join(','), ...lines].join('\n')}\n`
}

/** One line of Lookout's results; the score is squeezed between 0 and 1 with the line at 0.5, diagnostics sum to 1. */
export const lookoutLine = ({ timeUs, judged }: JudgedRow, score: number, isFlagged: boolean, scan: Scanned): string => {
  const us = ((timeUs % 1e6) + 1e6) % 1e6
  const timestamp = `${new Date(Math.floor(timeUs / 1e6) * 1000).toISOString().slice(0, 19)}.${String(us).padStart(6, '0')}`
  const shares = new Map((judged?.contributions ?? []).map(({ name, share }) => [shownName(name, scan), share]))
  return `${JSON.stringify({
    timestamp,
    prediction: isFlagged ? 1 : 0,
    prediction_reason: judged?.outcome === 'machine-off' ? 'MACHINE_OFF' : isFlagged ? 'ANOMALY_DETECTED' : 'NO_ANOMALY_DETECTED',
    anomaly_score: Number((score / (1 + score)).toFixed(5)),
    ...(isFlagged ? { diagnostics: scan.channels.map(({ name }) => ({ name, value: Number((shares.get(name) ?? 0).toFixed(5)) })) } : {}),
  })}\n`
}
