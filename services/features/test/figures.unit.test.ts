import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import * as statistics from '../src/statistics.ts'
import { bandRms, crest, kurtosis, peak, powerSpectrum, rms, segmentLength, withoutMean } from '../src/vibration.ts'

const finite = fc.double({ min: -1e6, max: 1e6, noNaN: true })
const near = (actual: number, expected: number, scale = 1) =>
  assert.ok(Math.abs(actual - expected) <= 1e-9 * Math.max(scale, Math.abs(expected)), `${actual} is not ${expected}`)

test('statistics equal their textbook formulas', () => {
  fc.assert(
    fc.property(fc.array(finite, { minLength: 1, maxLength: 60 }), (values) => {
      const n = values.length
      const mean = values.reduce((a, b) => a + b, 0) / n
      near(statistics.mean(values), mean, 1e6)
      near(statistics.std(values) ** 2, values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / n, 1e12)
      assert.equal(statistics.min(values), values.toSorted((a, b) => a - b)[0])
      assert.equal(statistics.max(values), values.toSorted((a, b) => b - a)[0])
    }),
  )
})

test('the slope of a line is its rise per second, however far from 1970', () => {
  fc.assert(
    fc.property(fc.double({ min: -100, max: 100, noNaN: true }), fc.integer({ min: 2, max: 40 }), (perSecond, n) => {
      const timesUs = Array.from({ length: n }, (_, i) => 1.8e15 + i * 37_000)
      const values = timesUs.map((timeUs) => 5 + (perSecond * (timeUs - 1.8e15)) / 1e6)
      near(statistics.slope(values, timesUs), perSecond, 100)
    }),
  )
  assert.equal(statistics.slope([3], [7]), 0)
  assert.equal(statistics.slope([3, 4], [7, 7]), 0)
})

const sine = (n: number, cycles: number, amplitude = 1) =>
  Float64Array.from({ length: n }, (_, i) => amplitude * Math.sin((2 * Math.PI * cycles * i) / n + 0.3))

test('a sine has rms 1/√2, crest √2 and kurtosis 1.5; its bias does not count', () => {
  const signal = withoutMean([sine(4096, 64, 2).map((x) => x + 9.81)])
  near(rms(signal), Math.SQRT2, 1e3)
  near(kurtosis(signal), 1.5, 1e3)
  assert.ok(Math.abs(crest(signal) - Math.SQRT2) < 1e-3)
  assert.ok(Math.abs(peak(signal) - 2) < 1e-2)
})

test('a constant signal has no level, no crest and no kurtosis', () => {
  const signal = withoutMean([new Float64Array(64).fill(3.5)])
  assert.deepEqual([rms(signal), peak(signal), crest(signal), kurtosis(signal)], [0, 0, 0, 0])
})

/** The definition: Hann window, discrete Fourier transform term by term, Parseval's scaling. */
const spectrumByDefinition = (x: Float64Array): number[] => {
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
      const expected = spectrumByDefinition(x)
      powerSpectrum([x], x.length).forEach((power, k) => near(power, expected[k] as number, 100))
    }),
    { numRuns: 60 },
  )
})

test('the bands of white noise add up to its mean square', () => {
  let seed = 12345
  const random = () => (seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648 - 0.5
  const snippets = Array.from({ length: 40 }, () => Float32Array.from({ length: 2048 }, random))
  const power = powerSpectrum(snippets, 2048)
  const edges = [0, 500, 1500, 2500, 4097]
  const inBands = edges.slice(1).reduce((sum, highHz, i) => sum + bandRms(power, 8192, { lowHz: edges[i] as number, highHz }) ** 2, 0)
  const meanSquare = rms(withoutMean(snippets)) ** 2
  assert.ok(Math.abs(inBands / meanSquare - 1) < 0.02, `${inBands} of ${meanSquare}`)
})

test('a tone appears with its rms in its own band only', () => {
  const tone = Float64Array.from({ length: 2048 }, (_, i) => 3 * Math.sin((2 * Math.PI * 2500 * i) / 8192))
  const power = powerSpectrum([tone], 2048)
  assert.ok(Math.abs(bandRms(power, 8192, { lowHz: 2000, highHz: 3000 }) - 3 / Math.SQRT2) < 1e-6)
  assert.ok(bandRms(power, 8192, { lowHz: 1000, highHz: 2000 }) < 1e-3)
})

test('a snippet that is no power of two is covered by overlapping segments', () => {
  assert.equal(segmentLength(2048), 2048)
  assert.equal(segmentLength(3000), 2048)
  const tone = Float64Array.from({ length: 3000 }, (_, i) => Math.sin((2 * Math.PI * 1000 * i) / 8192))
  const power = powerSpectrum([tone], 2048)
  assert.ok(Math.abs(bandRms(power, 8192, { lowHz: 900, highHz: 1100 }) - Math.SQRT1_2) < 1e-3)
})
