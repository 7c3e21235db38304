// A window's rows → the numbers of its vector, by plan. Rows are put in one order first (time, source, epoch, number),
// so that the sums, and with them every bit of the result, do not depend on how the rows arrived.

import { roomOf } from './chunk.ts'
import type { Chunk, Samples } from './chunk.ts'
import { supersededOf } from './corrections.ts'
import type { CorrectedRange } from './corrections.ts'
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
  readonly timesUs: Float64Array
  /** Elements of all rows, one row after the other. */
  readonly elements: Samples
  /** Elements per row, in the same order. */
  readonly widths: readonly number[] | number
  readonly sampleRateHz: number | null
}

/** `corrections` of the asset, in log order: what they supersede is left out. */
export const summarise = (plan: AssetPlan, chunks: readonly Chunk[], corrections: readonly CorrectedRange[] = []): Summary => {
  const values = new Float64Array(plan.computations.length).fill(Number.NaN)
  const missing: string[] = []
  for (const channel of plan.channels) {
    const series = seriesOf(chunks, channel, corrections)
    if (series.timesUs.length === 0) {
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

const seriesOf = (chunks: readonly Chunk[], channel: string, corrections: readonly CorrectedRange[]): Series => {
  const holding = chunks.filter(({ channels }) => channels.includes(channel))
  const sampleRateHz = holding.findLast((chunk) => chunk.sampleRateHz !== null)?.sampleRateHz ?? null
  const [only] = holding
  if (holding.length === 1 && only !== undefined && corrections.length === 0 && isPlain(only, channel)) {
    const { rows, timesUs, width } = only
    return { timesUs: timesUs.subarray(0, rows), elements: elementsOf(only, channel, 0, rows), widths: width, sampleRateHz }
  }
  return { ...sortedRows(holding, channel, corrections), sampleRateHz }
}

/** Elements of a channel's rows `from` to `to` - 1, as they lie there. */
const elementsOf = (chunk: Chunk, channel: string, from: number, to: number): Samples => {
  const start = chunk.channels.indexOf(channel) * roomOf(chunk)
  return chunk.samples.subarray((start + from) * chunk.width, (start + to) * chunk.width)
}

/** The ordinary case: every row is good, and they lie in their order already. */
const isPlain = (chunk: Chunk, channel: string): boolean => {
  const { rows, qualities, timesUs } = chunk
  for (let row = 0; row < rows; row++) if ((qualities[row] ?? 0) >= BAD) return false
  for (let row = 1; row < rows; row++) if ((timesUs[row] as number) < (timesUs[row - 1] as number)) return false
  return areFinite(elementsOf(chunk, channel, 0, rows))
}

const areFinite = (elements: Samples): boolean => {
  for (let i = 0; i < elements.length; i++) {
    const x = elements[i] as number
    if (x - x !== 0) return false // NaN for infinities and NaN alike
  }
  return true
}

const sortedRows = (chunks: readonly Chunk[], channel: string, corrections: readonly CorrectedRange[]): Omit<Series, 'sampleRateHz'> => {
  const found: { timeUs: number; chunk: Chunk; seq: number; snippet: Samples }[] = []
  for (const chunk of chunks) {
    const isSuperseded = supersededOf(corrections, chunk.sourceId, channel)
    for (let row = 0; row < chunk.rows; row++) {
      if ((chunk.qualities[row] ?? 0) >= BAD || isSuperseded?.(chunk.timesUs[row] as number) === true) continue
      const snippet = elementsOf(chunk, channel, row, row + 1)
      if (areFinite(snippet)) found.push({ timeUs: chunk.timesUs[row] as number, chunk, seq: chunk.seqs[row] as number, snippet })
    }
  }
  found.sort(
    (a, b) =>
      a.timeUs - b.timeUs ||
      (a.chunk.sourceId < b.chunk.sourceId ? -1 : a.chunk.sourceId > b.chunk.sourceId ? 1 : 0) ||
      a.chunk.epoch - b.chunk.epoch ||
      a.seq - b.seq,
  )
  return {
    timesUs: Float64Array.from(found, ({ timeUs }) => timeUs),
    elements: joined(found.map(({ snippet }) => snippet)),
    widths: found.map(({ snippet }) => snippet.length),
  }
}

const joined = (snippets: readonly Samples[]): Float64Array => {
  const all = new Float64Array(snippets.reduce((sum, snippet) => sum + snippet.length, 0))
  let at = 0
  for (const snippet of snippets) {
    all.set(snippet, at)
    at += snippet.length
  }
  return all
}

/** The elements of each row. */
const snippetsOf = ({ elements, widths, timesUs }: Series): Samples[] => {
  let at = 0
  return Array.from(timesUs, (_, row) => {
    const width = typeof widths === 'number' ? widths : (widths[row] as number)
    return elements.subarray(at, (at += width))
  })
}

/** The figures of a channel; the spectrum and the centred signal are made at most once. */
const channelFigures = (series: Series): ((computation: Computation) => number) => {
  const { elements, timesUs, sampleRateHz } = series
  let centred: Float64Array | undefined
  let power: Float64Array | undefined
  const signal = () => (centred ??= withoutMean([elements]))
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
        return slope(elements, timesUs)
      case 'rms':
        return rms(signal())
      case 'kurtosis':
        return kurtosis(signal())
      case 'crest':
        return crest(signal())
      case 'peak':
        return peak(signal())
      case 'bandRms': {
        const snippets = snippetsOf(series)
        const width = snippets.reduce((least, snippet) => Math.min(least, snippet.length), Number.POSITIVE_INFINITY)
        if (band === undefined || sampleRateHz === null || width < 2) return Number.NaN
        power ??= powerSpectrum(snippets, segmentLength(width))
        return bandRms(power, sampleRateHz, band)
      }
    }
  }
}
