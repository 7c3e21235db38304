// The press as two numbered sources, and what injections do to them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPress } from '../src/press.ts'
import { openPressFeed, type PressInjections } from '../src/press-feed.ts'
import type { Reading } from '../src/reading.ts'

const startUs = 1_700_000_000_000_000
const calm: PressInjections = { driveOn: true, bearingWear: false, stuck: undefined }
const open = () => openPressFeed(createPress({ seed: 4 }), startUs)
const samplesOf = (reading: Reading) => {
  const bytes = Buffer.from(reading.waveform!.f32, 'base64')
  return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(i * 4))
}
const spread = (values: number[]) => Math.max(...values) - Math.min(...values)

test('four snippets and five rows a second, numbered from 0 without holes, whatever the calls look like', () => {
  const oneCall = open().due(startUs + 3e6, calm)
  const feed = open()
  const manyCalls = { vibration: [] as Reading[], process: [] as Reading[] }
  for (let us = 0; us <= 3e6; us += 70_000) {
    const part = feed.due(startUs + Math.min(us, 3e6), calm)
    manyCalls.vibration.push(...part.vibration)
    manyCalls.process.push(...part.process)
  }
  const rest = feed.due(startUs + 3e6, calm)
  manyCalls.vibration.push(...rest.vibration)
  manyCalls.process.push(...rest.process)
  assert.deepEqual(manyCalls, oneCall)
  assert.deepEqual(
    oneCall.vibration.map((r) => [r.seq, r.timeUs - startUs]),
    Array.from({ length: 12 }, (_, seq) => [seq, seq * 250_000]),
  )
  assert.deepEqual(
    oneCall.process.map((r) => [r.seq, r.timeUs - startUs]),
    Array.from({ length: 16 }, (_, seq) => [seq, seq * 200_000]),
  )
  assert.equal(samplesOf(oneCall.vibration[0]!).length, 2048)
})

test('no reading is handed out before it was measured', () => {
  const { vibration, process } = open().due(startUs + 1_249_999, calm)
  assert.equal(vibration.length, 4)
  assert.ok(process.every((r) => r.timeUs <= startUs + 1_249_999))
})

test('injected wear is full after 25 s and stays until the repair', () => {
  const feed = open()
  feed.due(startUs + 10e6, { ...calm, bearingWear: true })
  assert.ok(Math.abs(feed.wear() - 0.4) < 0.01)
  feed.due(startUs + 40e6, { ...calm, bearingWear: true })
  assert.equal(feed.wear(), 1)
  feed.due(startUs + 41e6, calm)
  assert.equal(feed.wear(), 1)
  feed.repair()
  assert.equal(feed.wear(), 0)
})

test('a stuck sensor repeats one value exactly, the others live on, and it recovers', () => {
  const feed = open()
  feed.due(startUs + 1e6, calm)
  const stuck = feed.due(startUs + 4e6, { ...calm, stuck: 'pressureBar' }).process
  assert.equal(spread(stuck.map((r) => r.values!['pressureBar']!)), 0)
  assert.ok(spread(stuck.map((r) => r.values!['temperatureC']!)) > 0)
  const wave = feed
    .due(startUs + 6e6, { ...calm, stuck: 'vibrationG' })
    .vibration.flatMap(samplesOf)
    .slice(2048)
  assert.equal(spread(wave), 0)
  const after = feed.due(startUs + 9e6, calm)
  assert.ok(spread(after.process.map((r) => r.values!['pressureBar']!)) > 50)
  assert.ok(spread(samplesOf(after.vibration.at(-1)!)) > 0)
})
