// Levels in bands of a spectrum, and what sums up its form: centroid, entropy, highest line.

import type { StatisticOptions } from '@andon/schemas'
import type { Figure, FigureOf } from './figure.ts'
import { firstBin, lineHz, sumOf, totalPower } from './spectrum.ts'
import type { Spectrum } from './spectrum.ts'

/** Shares below this are rounding of the transform: their logarithm would be noise, or minus infinity. */
const LEAST_SHARE = 1e-12

type BandHz = readonly [number, number]

/** Edges of bands of equal width on a logarithmic axis. */
export const logBandsHz = ({ count, lowHz, highHz }: NonNullable<StatisticOptions['logBands']>): BandHz[] => {
  const edge = (i: number): number => (i === 0 ? lowHz : i === count ? highHz : lowHz * (highHz / lowHz) ** (i / count))
  return Array.from({ length: count }, (_, i) => [edge(i), edge(i + 1)])
}

/** Bins of the edges of each band, from and to; found again only when the form of the spectrum changes. */
const binsOf = (bands: readonly BandHz[]): ((spectrum: Spectrum) => Int32Array) => {
  const bins = new Int32Array(2 * bands.length)
  let [length, binHz] = [0, 0]
  return (spectrum) => {
    if (spectrum.length === length && spectrum.binHz === binHz) return bins
    length = spectrum.length
    binHz = spectrum.binHz
    bands.forEach(([lowHz, highHz], i) => {
      bins[2 * i] = firstBin(spectrum, lowHz)
      bins[2 * i + 1] = firstBin(spectrum, highHz)
    })
    return bins
  }
}

const bandsRms = (bands: readonly BandHz[], places: readonly number[]): Figure => {
  const binsIn = binsOf(bands)
  return (spectrum, values) => {
    const bins = binsIn(spectrum)
    for (let i = 0; i < places.length; i++)
      values[places[i] as number] = Math.sqrt(sumOf(spectrum.power, bins[2 * i] as number, bins[2 * i + 1] as number))
  }
}

const bandsLnShare = (bands: readonly BandHz[], places: readonly number[]): Figure => {
  const binsIn = binsOf(bands)
  return (spectrum, values) => {
    const total = totalPower(spectrum)
    if (!(total > 0)) return
    const bins = binsIn(spectrum)
    for (let i = 0; i < places.length; i++) {
      const [from, to] = [bins[2 * i] as number, bins[2 * i + 1] as number]
      if (from < to) values[places[i] as number] = Math.log(Math.max(LEAST_SHARE, sumOf(spectrum.power, from, to) / total))
    }
  }
}

const bandRms: FigureOf = ({ call }, places) => bandsRms(call.options.bandsHz ?? [], places)

const bandLnShare: FigureOf = ({ call }, places) => bandsLnShare(call.options.bandsHz ?? [], places)

const logBandsOf = ({ logBands }: StatisticOptions): BandHz[] => (logBands === undefined ? [] : logBandsHz(logBands))

const logBandRms: FigureOf = ({ call }, places) => bandsRms(logBandsOf(call.options), places)

const logBandLnShare: FigureOf = ({ call }, places) => bandsLnShare(logBandsOf(call.options), places)

const centroidHz: FigureOf =
  (_given, [place = -1]) =>
  ({ power, binHz }, values) => {
    let moment = 0
    let total = 0
    for (let k = 1; k < power.length; k++) {
      moment += k * (power[k] as number)
      total += power[k] as number
    }
    if (total > 0) values[place] = (moment / total) * binHz
  }

const spectralEntropy: FigureOf =
  (_given, [place = -1]) =>
  (spectrum, values) => {
    const { power } = spectrum
    const total = totalPower(spectrum)
    if (!(total > 0) || power.length < 3) return
    let sum = 0
    for (let k = 1; k < power.length; k++) {
      const share = (power[k] as number) / total
      if (share > 0) sum -= share * Math.log(share)
    }
    values[place] = sum / Math.log(power.length - 1)
  }

const dominantHz: FigureOf =
  (_given, [place = -1]) =>
  (spectrum, values) => {
    const { power } = spectrum
    let highest = 1
    for (let k = 2; k < power.length; k++) if ((power[k] as number) > (power[highest] as number)) highest = k
    if ((power[highest] as number) > 0) values[place] = lineHz(spectrum, highest)
  }

export const bandFigures = { bandRms, bandLnShare, logBandRms, logBandLnShare, centroidHz, spectralEntropy, dominantHz }
