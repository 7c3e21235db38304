import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { SpectrumOptions } from '@andon/schemas'
import fc from 'fast-check'
import { bandPower, lineHz, linePower, spectrumOf, sumOf } from '../../src/functions/spectrum.ts'
import { made, noise, seriesOf, sine } from './waveforms.ts'
import type { Recipe } from './waveforms.ts'

const golden = <T>(name: string): T => JSON.parse(readFileSync(join(import.meta.dirname, '..', 'golden', name), 'utf8')) as T

const spectrum = (rows: readonly ArrayLike<number>[], rate: number, options: SpectrumOptions = {}) => {
  const found = spectrumOf(options)(seriesOf(rows, rate))
  assert.ok(found !== undefined)
  return { ...found, power: found.power.slice() }
}

const close = (actual: number, expected: number, relative: number, what = ''): void =>
  assert.ok(Math.abs(actual - expected) <= relative * Math.abs(expected) + 1e-15, `${what} ${actual} is not ${expected}`)

test('spectra equal those of scipy.signal.welch, for every window function and detrending', () => {
  const cases = golden<{ options: SpectrumOptions; signal: Recipe; power: [number, number][] }[]>('vibration-spectra.json')
  assert.deepEqual(
    [new Set(cases.map(({ options }) => options.window)).size, new Set(cases.map(({ options }) => options.detrend)).size],
    [5, 3],
  )
  for (const { options, signal, power } of cases) {
    const found = spectrum([made(signal)], signal.rate, options)
    for (const [bin, expected] of power) close(found.power[bin] as number, expected, 1e-8, `${JSON.stringify(options)}, bin ${bin}:`)
  }
})

/** The definition: Hann window, discrete Fourier transform term by term, Parseval's scaling. */
const byDefinition = (x: Float64Array): number[] => {
  const n = x.length
  const weights = Array.from({ length: n }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / n))
  const energy = weights.reduce((sum, w) => sum + w * w, 0)
  const mean = x.reduce((a, b) => a + b, 0) / n
  return Array.from({ length: n / 2 + 1 }, (_, k) => {
    let re = 0
    let im = 0
    for (let i = 0; i < n; i++) {
      const angle = (-2 * Math.PI * k * i) / n
      re += ((x[i] as number) - mean) * (weights[i] as number) * Math.cos(angle)
      im += ((x[i] as number) - mean) * (weights[i] as number) * Math.sin(angle)
    }
    return ((re * re + im * im) * (k === 0 || k === n / 2 ? 1 : 2)) / (n * energy)
  })
}

test('the spectrum equals the discrete Fourier transform term by term', () => {
  const length = fc.constantFrom(4, 8, 32, 128)
  const signal = length.chain((n) => fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: n, maxLength: n }))
  fc.assert(
    fc.property(signal, (values) => {
      const x = Float64Array.from(values)
      const expected = byDefinition(x)
      spectrum([x], 1000).power.forEach((power, k) => assert.ok(Math.abs(power - (expected[k] as number)) < 1e-9))
    }),
    { numRuns: 60 },
  )
})

test('without weights and overlap, the bins of any signal add up to its mean square', () => {
  const rows = fc.array(fc.array(fc.double({ min: -1e3, max: 1e3, noNaN: true }), { minLength: 64, maxLength: 64 }), {
    minLength: 1,
    maxLength: 5,
  })
  fc.assert(
    fc.property(rows, (signal) => {
      const { power } = spectrum(signal, 1000, { window: 'rectangular', detrend: 'none', overlap: 0, segment: 32 })
      const all = signal.flat()
      close(sumOf(power, 0, power.length), all.reduce((sum, x) => sum + x * x, 0) / all.length, 1e-9)
    }),
  )
})

test('neighbouring bands add up to the band that they make', () => {
  const found = spectrum([made({ rate: 8192, length: 2048, tones: [], noise: 1, bias: 0, trend: 0, impulses: null, seed: 3 })], 8192)
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 4095 }), { minLength: 1, maxLength: 8 }), (cuts) => {
      const edges = [0, ...cuts.toSorted((a, b) => a - b), 4097]
      const sum = edges.slice(1).reduce((total, high, i) => total + bandPower(found, edges[i] as number, high), 0)
      close(sum, sumOf(found.power, 0, found.power.length), 1e-9)
    }),
  )
})

test('the power of a signal that is c times as large is c squared times as large; its sign and bias change nothing', () => {
  const random = noise(5)
  const x = Float64Array.from({ length: 512 }, random)
  const plain = spectrum([x], 1000).power
  for (const c of [-1, 3, 1e-6]) {
    const scaled = spectrum([x.map((value) => c * value + 7)], 1000).power
    scaled.forEach((power, k) => k > 0 && close(power, c * c * (plain[k] as number), 1e-4, `bin ${k}:`))
  }
})

test('a tone has its mean square and frequency wherever it lies between two bins, whatever its phase', () => {
  for (const window of ['hann', 'hamming', 'blackman', 'flattop'] as const)
    fc.assert(
      fc.property(fc.double({ min: 100, max: 400, noNaN: true }), fc.double({ min: 0, max: 6.28, noNaN: true }), (hz, phase) => {
        const found = spectrum([sine(1024, 1024, hz, 2, phase)], 1024, { window })
        const bin = Math.round(hz)
        close(linePower(found, bin), 2, 0.02, `${window}, ${hz} Hz:`)
        if (window === 'hann') assert.ok(Math.abs(lineHz(found, bin) - hz) < 0.06, `${lineHz(found, bin)} is not ${hz} Hz`)
      }),
      { numRuns: 40 },
    )
})

test('segments cover a row to its end, and a row counts by its segments', () => {
  const short = sine(8192, 3000, 1000)
  assert.equal(spectrum([short], 8192).length, 2048)
  // Something at the very end of the row is seen although no whole step fits there.
  const late = new Float64Array(3000)
  late.set(sine(8192, 400, 1000), 2600)
  assert.ok(bandPower(spectrum([late], 8192), 900, 1100) > 1e-3)
  const [a, b] = [sine(8192, 2048, 1000, 1), sine(8192, 2048, 1000, 3)]
  close(bandPower(spectrum([a, b], 8192), 900, 1100), (0.5 + 4.5) / 2, 1e-3)
})

test('rows of different widths share the longest segment that fits all; those too short for a given one are left out', () => {
  const [long, short] = [sine(8192, 4096, 1000, 1), sine(8192, 1500, 1000, 1)]
  assert.equal(spectrum([long, short], 8192).length, 1024)
  assert.equal(spectrum([short, long], 8192).length, 1024)
  const given = spectrum([long, new Float64Array(1500)], 8192, { segment: 2048 })
  close(bandPower(given, 900, 1100), 0.5, 1e-3)
  assert.equal(spectrumOf({ segment: 8192 })(seriesOf([long, short], 8192)), undefined)
})

test('floats and doubles give the same spectrum', () => {
  const x = Float32Array.from({ length: 1024 }, noise(9))
  const doubles = spectrum([x], 1000).power
  const floats = spectrumOf()(seriesOf([x], 1000, true))?.power
  assert.deepEqual(floats, doubles)
})

test('without a sample rate, or with rows of one element, there is no spectrum', () => {
  assert.equal(spectrumOf()({ ...seriesOf([sine(100, 64, 10)], 100), sampleRateHz: null }), undefined)
  assert.equal(spectrumOf()(seriesOf([[1], [2]], 100)), undefined)
})
