import assert from 'node:assert/strict'
import { test } from 'node:test'
import FFT from 'fft.js'
import { fftOf, realFftOf } from '../../src/functions/fft.ts'
import { noise } from './waveforms.ts'

const near = (actual: ArrayLike<number>, expected: ArrayLike<number>, within: number, what: string): void => {
  for (let i = 0; i < expected.length; i++)
    assert.ok(Math.abs((actual[i] as number) - (expected[i] as number)) <= within, `${what}, ${i}: ${actual[i]} is not ${expected[i]}`)
}

test('a transform equals its definition, term by term', () => {
  for (const length of [1, 2, 4, 8, 16, 32, 64, 128]) {
    const random = noise(length)
    const input = Float64Array.from({ length: 2 * length }, random)
    const expected = new Float64Array(2 * length)
    for (let k = 0; k < length; k++)
      for (let i = 0; i < length; i++) {
        const [cos, sin] = [Math.cos((2 * Math.PI * i * k) / length), -Math.sin((2 * Math.PI * i * k) / length)]
        const [re, im] = [input[2 * i] as number, input[2 * i + 1] as number]
        expected[2 * k] = (expected[2 * k] as number) + re * cos - im * sin
        expected[2 * k + 1] = (expected[2 * k + 1] as number) + re * sin + im * cos
      }
    const out = new Float64Array(2 * length)
    fftOf(length).complex(input, out)
    near(out, expected, 1e-12, `length ${length}`)
  }
})

test('transforms of real and of complex signals equal those of an independent library, for every power of two', () => {
  for (let length = 2; length <= 1 << 15; length *= 2) {
    const random = noise(length)
    const peer = new FFT(length)
    const real = Float64Array.from({ length }, random)
    const expected = peer.createComplexArray()
    peer.realTransform(expected, real)
    const bins = new Float64Array(length + 2)
    realFftOf(length).real(real, bins)
    near(bins, expected.slice(0, length + 2), 1e-15 * length * 4, `real, length ${length}`)
    const complex = Float64Array.from({ length: 2 * length }, random)
    peer.transform(expected, complex)
    const out = new Float64Array(2 * length)
    fftOf(length).complex(complex, out)
    near(out, expected, 1e-15 * length * 4, `complex, length ${length}`)
  }
})

test('a length that is no power of two is refused', () => {
  for (const length of [0, 3, 12, 1000, 2.5]) assert.throws(() => fftOf(length), RangeError)
  assert.throws(() => realFftOf(1), RangeError)
})
