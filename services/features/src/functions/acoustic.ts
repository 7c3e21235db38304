// Sound and vibration levels in decibels: overall, A-weighted, and per octave or third octave.
//
// Bands are summed from the lines of the power spectrum, each line standing for the width of one bin; a line at an edge is
// divided between both bands, so the bands of a signal add up to its power. That is no filter of class 1: a tone within two
// lines of an edge shows in both bands.

import { octaveCentres } from '@andon/schemas'
import type { PlanChannel } from '../plan.ts'
import type { Compute, Kernel } from './kernel.ts'
import { leastLevel, rmsOf } from './moments.ts'
import { firstBin, spectrumOf } from './spectrum.ts'
import type { Spectrum } from './spectrum.ts'

/** 20 uPa for sound, ISO 1683; for any other unit 1 of it. */
const referenceOf = ({ unit }: PlanChannel): number => (unit === 'Pa' ? 20e-6 : 1)

const decibels = (power: number, reference: number): number => 10 * Math.log10(Math.max(power, leastLevel ** 2) / reference ** 2)

/** [low, high) of the band whose nominal centre this is: IEC 61260-1, G = 10^(3/10) with 1 kHz as reference. */
export const octaveEdgesHz = (nominalHz: number, fraction: 1 | 3): [number, number] => {
  const octave = 10 ** 0.3
  const steps = Math.round((fraction * Math.log(nominalHz / 1000)) / Math.log(octave))
  const centreHz = 1000 * octave ** (steps / fraction)
  const half = octave ** (1 / (2 * fraction))
  return [centreHz / half, centreHz * half]
}

/** Power between two frequencies; bin k covers half a bin on each side of it. NaN where the spectrum ends before, or no line lies between. */
const powerBetween = (spectrum: Spectrum, lowHz: number, highHz: number): number => {
  const { power, binHz } = spectrum
  if (highHz > (power.length - 1) * binHz || firstBin(spectrum, lowHz) >= firstBin(spectrum, highHz)) return Number.NaN
  const low = lowHz / binHz + 0.5
  const high = highHz / binHz + 0.5
  const from = Math.floor(low)
  const to = Math.floor(high)
  if (from === to) return (power[from] as number) * (high - low)
  let sum = (power[from] as number) * (from + 1 - low) + (power[to] as number) * (high - to)
  for (let k = from + 1; k < to; k++) sum += power[k] as number
  return sum
}

/** A weighting as a factor of power, 1 at 1 kHz: IEC 61672-1, annex E. */
export const aWeight = (hz: number): number => {
  const response = (f2: number): number =>
    (12_194 ** 2 * f2 * f2) / ((f2 + 20.6 ** 2) * Math.sqrt((f2 + 107.7 ** 2) * (f2 + 737.9 ** 2)) * (f2 + 12_194 ** 2))
  return (response(hz * hz) / response(1000 ** 2)) ** 2
}

/** Per length and rate of a spectrum, since both rarely change. */
const aWeighting = () => {
  let weights = new Float64Array(0)
  let widthHz = Number.NaN
  return ({ power, binHz }: Spectrum): number => {
    if (weights.length !== power.length || widthHz !== binHz) {
      weights = Float64Array.from(power, (_, k) => aWeight(k * binHz))
      widthHz = binHz
    }
    let sum = 0
    for (let k = 1; k < power.length; k++) sum += (power[k] as number) * (weights[k] as number)
    return sum
  }
}

export const acoustic: Kernel = {
  statistics: ['octaveDb', 'levelDb', 'levelDbA'],
  prepare: ({ call: { asked, options }, channels }): Compute => {
    const reference = referenceOf(channels[0]!)
    const edges = octaveCentres(options).map((hz) => octaveEdgesHz(hz, options.octaveFraction ?? 1))
    const placesOf = (wanted: string) => asked.find(({ statistic }) => statistic === wanted)?.places ?? []
    const [octaves, level, levelA] = [placesOf('octaveDb'), placesOf('levelDb')[0], placesOf('levelDbA')[0]]
    const makeSpectrum = octaves.length > 0 || levelA !== undefined ? spectrumOf(options.spectrum) : undefined
    const weighted = aWeighting()
    return ([series], values) => {
      if (level !== undefined) values[level] = decibels(rmsOf(series!) ** 2, reference)
      const spectrum = makeSpectrum?.(series!)
      if (spectrum === undefined) return
      if (levelA !== undefined) values[levelA] = decibels(weighted(spectrum), reference)
      for (let i = 0; i < octaves.length; i++) {
        const [lowHz, highHz] = edges[i]!
        const power = powerBetween(spectrum, lowHz, highHz)
        if (!Number.isNaN(power)) values[octaves[i] as number] = decibels(power, reference)
      }
    }
  },
}
