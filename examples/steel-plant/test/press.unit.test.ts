// The press earns its name: defect lines in the envelope spectrum when worn, none when healthy, and the same plant for the same seed.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPress, loadAt, type PressInput } from '../src/press.ts'

const sampleRateHz = 8192
const healthy: PressInput = { driveOn: true, wear: 0 }
const worn: PressInput = { driveOn: true, wear: 1 }

/** Amplitude of one frequency in a signal (a single Goertzel-like bin with a Hann window). */
const amplitudeAt = (signal: Float64Array, frequencyHz: number): number => {
  let re = 0
  let im = 0
  signal.forEach((x, i) => {
    const hann = 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / signal.length)
    re += x * hann * Math.cos((2 * Math.PI * frequencyHz * i) / sampleRateHz)
    im -= x * hann * Math.sin((2 * Math.PI * frequencyHz * i) / sampleRateHz)
  })
  return (4 * Math.hypot(re, im)) / signal.length
}

/** Envelope around the resonance: shift 2.4 kHz to zero, smooth over 1 ms, magnitude, mean removed. */
const envelope = (signal: Float32Array): Float64Array => {
  const width = 8
  const re = new Float64Array(signal.length)
  const im = new Float64Array(signal.length)
  signal.forEach((x, i) => {
    const angle = (2 * Math.PI * 2400 * i) / sampleRateHz
    re[i] = x * Math.cos(angle)
    im[i] = -x * Math.sin(angle)
  })
  const out = new Float64Array(signal.length - width)
  for (let i = 0; i < out.length; i++) {
    let a = 0
    let b = 0
    for (let j = 0; j < width; j++) {
      a += re[i + j]!
      b += im[i + j]!
    }
    out[i] = Math.hypot(a, b) / width
  }
  const mean = out.reduce((sum, x) => sum + x, 0) / out.length
  return out.map((x) => x - mean)
}

/** Strongest line within ±3 % of the frequency, against the median of the spectrum around it. */
const lineRatio = (signal: Float64Array, frequencyHz: number): number => {
  const around = (from: number, to: number, step: number) => {
    const found: number[] = []
    for (let f = from; f <= to; f += step) found.push(amplitudeAt(signal, f))
    return found
  }
  const peak = Math.max(...around(frequencyHz * 0.97, frequencyHz * 1.03, 0.25))
  const floor = around(frequencyHz * 0.7, frequencyHz * 1.3, 1.3).toSorted((a, b) => a - b)
  return peak / floor[Math.floor(floor.length / 2)]!
}

const rms = (signal: Float32Array) => Math.sqrt(signal.reduce((sum, x) => sum + x * x, 0) / signal.length)
const record = (input: PressInput, seconds: number, seed = 7) => {
  const press = createPress({ seed })
  press.vibration(sampleRateHz, input)
  return press.vibration(sampleRateHz * seconds, input)
}

test('the envelope spectrum shows BPFO when the bearing is worn and nothing there when it is healthy', () => {
  const bpfoHz = 3.585 * 25
  const wornRatio = lineRatio(envelope(record(worn, 4)), bpfoHz)
  const healthyRatio = lineRatio(envelope(record(healthy, 4)), bpfoHz)
  assert.ok(wornRatio > 12, `worn ${wornRatio}`)
  assert.ok(healthyRatio < 6, `healthy ${healthyRatio}`)
})

test('wear raises level and impulsiveness, step by step', () => {
  const kurtosis = (x: Float32Array) => x.reduce((sum, v) => sum + v ** 4, 0) / x.length / rms(x) ** 4
  const levels = [0, 0.3, 0.6, 1].map((wear) => rms(record({ driveOn: true, wear }, 2)))
  assert.deepEqual(
    levels.toSorted((a, b) => a - b),
    levels,
  )
  assert.ok(levels[3]! > 4 * levels[0]!, levels.join(' '))
  assert.ok(kurtosis(record(worn, 2)) > 1.5 * kurtosis(record(healthy, 2)))
})

test('switched off, the shaft runs down and the vibration falls to the sensor floor', () => {
  const press = createPress({ seed: 3 })
  press.vibration(sampleRateHz, worn)
  press.vibration(sampleRateHz * 8, { driveOn: false, wear: 1 })
  assert.ok(press.process().speedRpm < 5)
  assert.ok(rms(press.vibration(2048, { driveOn: false, wear: 1 })) < 0.01)
  press.vibration(sampleRateHz * 3, healthy)
  assert.ok(Math.abs(press.process().speedRpm - 1500) < 60)
})

test('the same seed gives the same samples, another seed others', () => {
  assert.deepEqual(record(worn, 1, 5), record(worn, 1, 5))
  assert.notDeepEqual(record(worn, 1, 5), record(worn, 1, 6))
})

test('the load zone carries on the load line and not opposite to it', () => {
  assert.equal(loadAt(0), 1)
  assert.equal(loadAt(0.5), 0)
  assert.ok(loadAt(0.1) > loadAt(0.2))
})

test('process values follow the stroke and stay inside the ranges of the plant file', () => {
  const press = createPress({ seed: 2 })
  const values = Array.from({ length: 200 }, () => {
    press.vibration(sampleRateHz / 5, healthy)
    return press.process()
  })
  const pressures = values.map((v) => v.pressureBar)
  assert.ok(Math.max(...pressures) - Math.min(...pressures) > 100)
  for (const v of values) {
    assert.ok(v.temperatureC > 20 && v.temperatureC < 80 && v.pressureBar >= 0 && v.pressureBar < 400, JSON.stringify(v))
    assert.ok(Math.abs(v.speedRpm - 1500) < 90)
  }
})
