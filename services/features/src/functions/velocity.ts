// Velocity of the vibration, which ISO 20816 judges, from the spectrum of an accelerometer, a velocity pick-up or a
// displacement probe: each bin is integrated, or differentiated, by its frequency.

import { motionUnit } from '@andon/schemas/motion-units'
import type { MotionUnit } from '@andon/schemas/motion-units'
import type { FigureOf } from './figure.ts'
import { firstBin } from './spectrum.ts'
import type { Spectrum } from './spectrum.ts'

/** ISO 20816-1: broad-band vibration of machines that turn faster than 600 per minute. */
const BAND_HZ = [10, 1000] as const

/** mm/s RMS in [lowHz, highHz). */
export const velocityRms = (spectrum: Spectrum, { derivatives, scale }: MotionUnit, lowHz: number, highHz: number): number => {
  const { power, binHz } = spectrum
  const to = firstBin(spectrum, highHz)
  let sum = 0
  for (let k = Math.max(1, firstBin(spectrum, lowHz)); k < to; k++) {
    const turn = 2 * Math.PI * k * binHz
    sum += (power[k] as number) * (derivatives === 2 ? 1 / (turn * turn) : derivatives === 1 ? 1 : turn * turn)
  }
  return 1000 * scale * Math.sqrt(sum)
}

/** 1 to 4 for zones A to D; a limit belongs to the better zone. NaN without a velocity. */
export const zoneOf = (velocityMmS: number, limitsMmS: readonly [number, number, number]): number =>
  Number.isNaN(velocityMmS) ? Number.NaN : 1 + limitsMmS.filter((limit) => velocityMmS > limit).length

const velocityOf = ({ call, channels }: Parameters<FigureOf>[0]): ((spectrum: Spectrum) => number) => {
  const unit = motionUnit(channels[0]?.unit ?? '')
  const [lowHz, highHz] = call.options.velocityBandHz ?? BAND_HZ
  return (spectrum) => (unit === undefined ? Number.NaN : velocityRms(spectrum, unit, lowHz, highHz))
}

const velocityRmsMmS: FigureOf = (given, [place = -1]) => {
  const velocity = velocityOf(given)
  return (spectrum, values) => {
    values[place] = velocity(spectrum)
  }
}

const isoZone: FigureOf = (given, [place = -1]) => {
  const velocity = velocityOf(given)
  const { zoneLimitsMmS } = given.machine
  return (spectrum, values) => {
    if (zoneLimitsMmS !== null) values[place] = zoneOf(velocity(spectrum), zoneLimitsMmS)
  }
}

export const velocityFigures = { velocityRmsMmS, isoZone }
