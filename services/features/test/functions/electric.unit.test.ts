import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Series } from '../../src/functions/kernel.ts'
import { close, golden, numberOf, numbersOf, rowsOf } from './signals.ts'
import { noise, seriesOf } from './waveforms.ts'

type Tone = readonly [hz: number, amplitude: number, phase: number]

/** Rows of a waveform, one after the other. */
const mainsOf = (rate: number, width: number, rows: number, tones: readonly Tone[], level = 0, seed = 1): Series => {
  const random = noise(seed)
  const all = Float64Array.from({ length: width * rows }, (_, i) => {
    let x = 0
    for (const [hz, amplitude, phase] of tones) x += amplitude * Math.sin((2 * Math.PI * hz * i) / rate + phase)
    return x + level * random()
  })
  return seriesOf(
    Array.from({ length: rows }, (_, row) => all.subarray(row * width, (row + 1) * width)),
    rate,
  )
}

interface MainsCase {
  readonly rate: number
  readonly width: number
  readonly rows: number
  readonly hz: number
  readonly tones: readonly Tone[]
  readonly noise: number
  readonly seed: number
  readonly expectedHz: number
  readonly thdPct: number
}

test('line frequency and distortion are those of a least-squares fit at the true frequency', () => {
  for (const { rate, width, rows, hz, tones, noise: level, seed, expectedHz, thdPct } of golden<MainsCase[]>('mains')) {
    const found = numbersOf(mainsOf(rate, width, rows, tones, level, seed), ['lineFrequencyHz', 'thdPct'], {
      options: { fundamentalHz: expectedHz },
    })
    close(found['lineFrequencyHz'], hz, 1e-5, 0, `${hz} Hz`)
    assert.ok(Math.abs(found['thdPct']! - thdPct) < 0.02, `${found['thdPct']} is not ${thdPct} %`)
  }
})

test('a known distortion is measured within 0.01 %, at any frequency and phase', () => {
  const random = noise(5)
  for (let i = 0; i < 40; i++) {
    const hz = 50 + 12 * random()
    const tones: Tone[] = [1, 2, 3, 5, 13, 40].map((order, k) => [order * hz, k === 0 ? 100 : 4 + 6 * random(), 6 * random()])
    const thdPct = 100 * Math.hypot(...tones.slice(1).map(([, amplitude]) => amplitude / 100))
    const found = numbersOf(mainsOf(8000, 1600, 2, tones), ['lineFrequencyHz', 'thdPct'])
    assert.ok(Math.abs(found['lineFrequencyHz']! - hz) < 2e-3, `${found['lineFrequencyHz']} is not ${hz} Hz`)
    assert.ok(Math.abs(found['thdPct']! - thdPct) < 0.01, `${found['thdPct']} is not ${thdPct} % at ${hz} Hz`)
  }
})

test('a clean sine has no distortion, a square wave the one of its harmonics', () => {
  assert.ok(numberOf(mainsOf(10_000, 2000, 1, [[50.03, 325, 1]]), 'thdPct') < 1e-3)
  const odd = Array.from({ length: 19 }, (_, k): Tone => [50 * (2 * k + 3), 1 / (2 * k + 3), 0])
  const expected = 100 * Math.hypot(...odd.map(([, amplitude]) => amplitude))
  close(numberOf(mainsOf(10_000, 2000, 1, [[50, 1, 0], ...odd]), 'thdPct'), expected, 1e-5)
})

test('harmonics at half the sample rate and above are left out, however few there are', () => {
  close(
    numberOf(
      mainsOf(700, 700, 1, [
        [50, 10, 0],
        [100, 3, 0],
        [300, 4, 1],
        [350, 4, 1],
      ]),
      'thdPct',
    ),
    50,
    1e-4,
  )
})

test('a row of three cycles is enough', () => {
  for (const phase of [0, 1, 2, 3]) {
    const found = numbersOf(
      mainsOf(10_000, 600, 1, [
        [50, 10, phase],
        [250, 1, 1],
      ]),
      ['lineFrequencyHz', 'thdPct'],
    )
    assert.ok(Math.abs(found['lineFrequencyHz']! - 50) < 0.05, `${found['lineFrequencyHz']} Hz`)
    assert.ok(Math.abs(found['thdPct']! - 10) < 0.1, `${found['thdPct']} %`)
  }
})

test('without a fundamental near the expected frequency there is neither a frequency nor a distortion', () => {
  const off = [
    mainsOf(10_000, 2000, 2, [], 0.1), // noise
    mainsOf(10_000, 2000, 2, [[150, 10, 0]]),
    mainsOf(10_000, 500, 4, [[50, 10, 0]]), // 2.5 cycles in a row
    mainsOf(80, 800, 1, [[20, 1, 0]]), // half of the rate is below the expected frequency
    seriesOf([new Float64Array(2000).fill(3.3)], 10_000),
  ]
  for (const series of off)
    for (const [name, value] of Object.entries(numbersOf(series, ['lineFrequencyHz', 'thdPct'])))
      assert.ok(Number.isNaN(value), `${name} ${value}`)
})

test('a bias and floats change nothing of what is measured', () => {
  const series = mainsOf(10_000, 2000, 2, [
    [50.1, 10, 0.4],
    [250.5, 1, 2],
  ])
  const found = numbersOf(series, ['lineFrequencyHz', 'thdPct'])
  const biased = { ...series, elements: Float32Array.from(series.elements, (x) => x + 8) }
  const again = numbersOf(biased, ['lineFrequencyHz', 'thdPct'])
  close(found['thdPct'], 10, 1e-4)
  for (const [name, value] of Object.entries(found)) close(again[name], value, 1e-5, 0, name)
})

test('the imbalance of three phases is the furthest of them from their mean', () => {
  const single = (level: number) => rowsOf([level - 1, level + 1])
  close(numberOf([single(220), single(230), single(240)], 'phaseImbalancePct'), 100 / 23)
  assert.equal(numberOf([single(230), single(230), single(230)], 'phaseImbalancePct'), 0)
  assert.ok(Number.isNaN(numberOf([rowsOf([0]), rowsOf([0]), rowsOf([0])], 'phaseImbalancePct')), 'the mains are off')
  assert.ok(Number.isNaN(numberOf([rowsOf([1]), rowsOf([-1]), rowsOf([0])], 'phaseImbalancePct')), 'no share of a mean of 0')
  const wave = (amplitude: number, phase: number) => mainsOf(10_000, 2000, 2, [[50, amplitude, phase]])
  close(numberOf([wave(9, 0), wave(10, 2), wave(11, 4)], 'phaseImbalancePct'), 10, 1e-9)
})

const third = (2 * Math.PI) / 3

test('the negative sequence is what turns the other way round', () => {
  const phases = (positive: number, negative: number, zero: number) =>
    [0, 1, 2].map((k) =>
      mainsOf(10_000, 2000, 3, [
        [50.2, positive, 0.3 - k * third],
        [50.2, negative, 1.1 + k * third],
        [50.2, zero, 0.7],
      ]),
    )
  close(numberOf(phases(230, 4.6, 0), 'negativeSequencePct'), 2, 1e-5)
  close(numberOf(phases(230, 0, 30), 'negativeSequencePct'), 0, 1e-4, 1)
  close(numberOf(phases(1, 100, 0), 'negativeSequencePct'), 10_000, 1e-3)
  const [a, b, c] = phases(230, 4.6, 0) as [Series, Series, Series]
  const later = { ...b, timesUs: b.timesUs.map((timeUs) => timeUs + 100) }
  assert.ok(Number.isNaN(numberOf([a, later, c], 'negativeSequencePct')), 'phases of different times say nothing together')
})
