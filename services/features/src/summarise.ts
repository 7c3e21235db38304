// A window's rows → the numbers of its vector, by plan. Rows are put in one order first (time, source, epoch, number),
// so that the sums, and with them every bit of the result, do not depend on how the rows arrived.

import type { Chunk } from './chunk.ts'
import type { AssetPlan, Computation } from './feature-set.ts'
import { max, mean, min, slope, std } from './statistics.ts'
import { bandRms, crest, kurtosis, peak, powerSpectrum, rms, segmentLength, withoutMean } from './vibration.ts'

/** Quality from which a row is not used: bad. */
const BAD = 2

export interface Summary {
  /** One per computation; NaN = could not be computed. */
  readonly values: Float64Array
  /** Channels without a good sample. */
  readonly missing: string[]
}

/** Good rows of one channel in one order: an element each, or a snippet each. */
interface Series {
  readonly timesUs: number[]
  readonly snippets: (Float32Array | Float64Array)[]
  readonly sampleRateHz: number | null
}

export const summarise = (plan: AssetPlan, chunks: readonly Chunk[]): Summary => {
  const values = new Float64Array(plan.computations.length).fill(Number.NaN)
  const missing: string[] = []
  for (const channel of plan.channels) {
    const series = seriesOf(chunks, channel)
    if (series.snippets.length === 0) {
      missing.push(channel)
      continue
    }
    const channelValues = channelFigures(series)
    plan.computations.forEach((computation, i) => {
      if (computation.channel === channel) values[i] = channelValues(computation)
    })
  }
  return { values, missing }
}

const seriesOf = (chunks: readonly Chunk[], channel: string): Series => {
  const rows: { timeUs: number; chunk: Chunk; seq: number; snippet: Float32Array | Float64Array }[] = []
  let sampleRateHz: number | null = null
  for (const chunk of chunks) {
    const at = chunk.channels.indexOf(channel)
    if (at < 0) continue
    sampleRateHz = chunk.sampleRateHz ?? sampleRateHz
    const count = chunk.seqs.length
    for (let row = 0; row < count; row++) {
      if ((chunk.qualities[row] ?? 0) >= BAD) continue
      const from = (at * count + row) * chunk.width
      const snippet = chunk.samples.subarray(from, from + chunk.width)
      if (snippet.every(Number.isFinite))
        rows.push({ timeUs: chunk.timesUs[row] as number, chunk, seq: chunk.seqs[row] as number, snippet })
    }
  }
  rows.sort(
    (a, b) =>
      a.timeUs - b.timeUs ||
      (a.chunk.sourceId < b.chunk.sourceId ? -1 : a.chunk.sourceId > b.chunk.sourceId ? 1 : 0) ||
      a.chunk.epoch - b.chunk.epoch ||
      a.seq - b.seq,
  )
  return { timesUs: rows.map(({ timeUs }) => timeUs), snippets: rows.map(({ snippet }) => snippet), sampleRateHz }
}

/** The figures of a channel; the spectrum and the centred signal are made at most once. */
const channelFigures = (series: Series): ((computation: Computation) => number) => {
  const elements = flatten(series.snippets)
  let centred: Float64Array | undefined
  let power: Float64Array | undefined
  const signal = () => (centred ??= withoutMean(series.snippets))
  return ({ statistic, band }) => {
    switch (statistic) {
      case 'mean':
        return mean(elements)
      case 'std':
        return std(elements)
      case 'min':
        return min(elements)
      case 'max':
        return max(elements)
      case 'slope':
        return slope(elements, series.timesUs)
      case 'rms':
        return rms(signal())
      case 'kurtosis':
        return kurtosis(signal())
      case 'crest':
        return crest(signal())
      case 'peak':
        return peak(signal())
      case 'bandRms': {
        const width = Math.min(...series.snippets.map((snippet) => snippet.length))
        if (band === undefined || series.sampleRateHz === null || width < 2) return Number.NaN
        power ??= powerSpectrum(series.snippets, segmentLength(width))
        return bandRms(power, series.sampleRateHz, band)
      }
    }
  }
}

const flatten = (snippets: readonly ArrayLike<number>[]): Float64Array => {
  const flat = new Float64Array(snippets.reduce((sum, snippet) => sum + snippet.length, 0))
  let at = 0
  for (const snippet of snippets) {
    flat.set(snippet, at)
    at += snippet.length
  }
  return flat
}
