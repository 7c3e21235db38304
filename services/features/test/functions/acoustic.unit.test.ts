import assert from 'node:assert/strict'
import { test } from 'node:test'
import { octaveCentresHz, outputNames, thirdOctaveCentresHz } from '@andon/schemas'
import { aWeight, octaveEdgesHz } from '../../src/functions/acoustic.ts'
import { spectrumOf } from '../../src/functions/spectrum.ts'
import { close, golden, numberOf, numbersOf, signalOf } from './signals.ts'
import type { SignalRecipe } from './signals.ts'
import { noise, seriesOf, sine } from './waveforms.ts'

const Pa = { unit: 'Pa' }

interface OctaveCase {
  readonly rate: number
  readonly signal: SignalRecipe
  readonly octaveFraction: 1 | 3
  readonly octaveRangeHz: [number, number]
  readonly figures: Record<string, number>
}

test('octave bands equal those integrated from the density that scipy gives', () => {
  for (const { rate, signal, octaveFraction, octaveRangeHz, figures } of golden<OctaveCase[]>('octaves')) {
    const found = numbersOf(seriesOf([signalOf(signal)], rate), ['octaveDb'], { ...Pa, options: { octaveFraction, octaveRangeHz } })
    assert.deepEqual(Object.keys(found).toSorted(), Object.keys(figures).toSorted())
    for (const [name, expected] of Object.entries(figures))
      assert.ok(Math.abs(found[name]! - expected) < 1e-6, `${name} ${found[name]} ${expected}`)
  }
})

test('the exact centre lies beside its nominal one, and each band begins where the one before ends', () => {
  for (const [centres, fraction] of [
    [octaveCentresHz, 1],
    [thirdOctaveCentresHz, 3],
  ] as const) {
    let end: number | undefined
    for (const nominal of centres) {
      const [low, high] = octaveEdgesHz(nominal, fraction)
      close(Math.sqrt(low * high), nominal, 0.02)
      close(high / low, 10 ** (0.3 / fraction))
      if (end !== undefined) close(low, end)
      end = high
    }
  }
  // IEC 61260-1, table of third octaves: 1 kHz from 891.25 to 1122.02 Hz.
  const [low, high] = octaveEdgesHz(1000, 3)
  close(low, 891.25, 1e-5)
  close(high, 1122.02, 1e-5)
})

test('a tone of 1 Pa is 94 dB less 3 for its rms, in its own band', () => {
  const rate = 48_000
  const options = { octaveFraction: 3, octaveRangeHz: [100, 10_000] } as const
  for (const hz of thirdOctaveCentresHz.filter((each) => each >= 100 && each <= 10_000)) {
    const tone = seriesOf([sine(rate, 16_384, hz)], rate)
    const found = numbersOf(tone, ['octaveDb', 'levelDb'], { ...Pa, options })
    const own = outputNames('octaveDb', { octaveFraction: 3, octaveRangeHz: [hz, hz] })[0]!
    const expected = 20 * Math.log10(Math.SQRT1_2 / 20e-6)
    assert.ok(Math.abs(found[own]! - expected) < 0.02, `${own} ${found[own]}`)
    assert.ok(Math.abs(found['levelDb']! - expected) < 0.03) // no whole number of cycles
    for (const [name, level] of Object.entries(found))
      if (name !== own && name !== 'levelDb') assert.ok(level < expected - 30, `${hz} Hz in ${name}: ${level}`)
  }
})

/** Paul Kellet's filter: 1/f within 0.05 dB. */
const pink = (random: () => number) => {
  const [poles, gains] = [
    [0.99886, 0.99332, 0.969, 0.8665, 0.55, -0.7616],
    [0.0555179, 0.0750759, 0.153852, 0.3104856, 0.5329522, -0.016898],
  ]
  const state = new Float64Array(6)
  let before = 0
  return () => {
    const white = random()
    let sum = before + white * 0.5362
    for (let k = 0; k < 6; k++) sum += state[k] = poles![k]! * state[k]! + white * gains![k]!
    before = white * 0.115926
    return sum
  }
}

test('white noise rises by 3 dB per octave, pink noise has equal bands', () => {
  const rate = 48_000
  const options = { octaveRangeHz: [125, 8000] as [number, number], spectrum: { segment: 4096 } }
  const steps = (next: () => number) => {
    const series = seriesOf([Float64Array.from({ length: 1 << 18 }, next)], rate)
    const levels = Object.values(numbersOf(series, ['octaveDb'], { options }))
    return levels.slice(1).map((level, i) => level - levels[i]!)
  }
  const white = noise(7)
  const warm = pink(noise(8))
  for (let i = 0; i < 5000; i++) warm()
  for (const step of steps(white)) assert.ok(Math.abs(step - 3) < 0.8, `white ${step}`)
  for (const step of steps(warm)) assert.ok(Math.abs(step) < 0.8, `pink ${step}`)
})

test('bands that cover the spectrum add up to its level', () => {
  const rate = 16_000
  const random = noise(9)
  const series = seriesOf([Float64Array.from({ length: 16_384 }, random)], rate)
  const options = { octaveFraction: 3, octaveRangeHz: [12.5, 6300] } as const
  const found = Object.values(numbersOf(series, ['octaveDb'], { options }))
  const share = found.reduce((sum, level) => sum + 10 ** (level / 10), 0) / numberOf(series, 'rms') ** 2
  const [[low], [, high]] = [octaveEdgesHz(12.5, 3), octaveEdgesHz(6300, 3)]
  close(share, (high - low) / (rate / 2), 0.03)
})

test('a band beyond half the sample rate, or without a line of the spectrum, is not a number', () => {
  const series = seriesOf([sine(2000, 128, 100)], 2000)
  const found = numbersOf(series, ['octaveDb'], { options: { octaveFraction: 3, octaveRangeHz: [12.5, 1000] } })
  assert.ok(Number.isNaN(found['octave12_5HzDb']) && Number.isNaN(found['octave1000HzDb']))
  assert.ok(Number.isFinite(found['octave100HzDb']) && Number.isFinite(found['octave800HzDb']))
})

test('a band within the width of one line has its part of that line', () => {
  const series = seriesOf([Float64Array.from({ length: 128 }, noise(3))], 2000)
  const line = spectrumOf()(series)!.power[2]!
  const [low, high] = octaveEdgesHz(31.5, 3)
  const found = numberOf(series, 'octaveDb', { options: { octaveFraction: 3, octaveRangeHz: [31.5, 31.5] } })
  close(10 ** (found / 10), (line * (high - low)) / (2000 / 128), 1e-9)
})

test('A weighting is the one of IEC 61672-1, and weighs tones by it', () => {
  // Table 3 of the standard at nominal frequencies; the exact ones lie beside them.
  const table = { 31.5: -39.4, 63: -26.2, 125: -16.1, 250: -8.6, 500: -3.2, 1000: 0, 2000: 1.2, 4000: 1, 8000: -1.1, 16_000: -6.6 }
  for (const [nominal, expected] of Object.entries(table)) {
    const exact = 1000 * 10 ** (0.3 * Math.round(Math.log10(Number(nominal) / 1000) / 0.3))
    assert.ok(Math.abs(10 * Math.log10(aWeight(exact)) - expected) <= 0.051, `${nominal} Hz`)
    if (Number(nominal) < 100) continue
    const tone = numbersOf(seriesOf([sine(48_000, 8192, exact)], 48_000), ['levelDb', 'levelDbA'], Pa)
    assert.ok(Math.abs(tone['levelDbA']! - tone['levelDb']! - expected) < 0.1, `${nominal} Hz ${tone['levelDbA']! - tone['levelDb']!}`)
  }
})

test('silence has the level of the floor, in decibels that are numbers', () => {
  const found = numbersOf(seriesOf([new Float64Array(4096)], 48_000), ['levelDb', 'levelDbA', 'octaveDb'], Pa)
  for (const [name, level] of Object.entries(found)) close(level, 20 * Math.log10(1e-12 / 20e-6), 1e-9, 0, name)
})
