// Recordings are shipped as published, and the replay keeps their order while its own clock never steps back.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { readMachineTemperature, readSteelEnergy, type Recording } from '../src/recordings.ts'
import { rowAt, startReplay } from '../src/replay.ts'

const file = (path: string) => readFileSync(new URL(`../recordings/${path}`, import.meta.url))
const us = (iso: string) => Date.parse(`${iso}Z`) * 1000

test('the machine temperature has 22,695 rows and one step back of 3,300 s', () => {
  const { rows } = readMachineTemperature(file('nab/machine_temperature_system_failure.csv.gz'))
  assert.equal(rows.length, 22_695)
  assert.deepEqual(rows[0], { recordedUs: us('2013-12-02T21:15:00'), values: { temperatureF: 73.96732207 } })
  const backwards = rows.flatMap((row, i) =>
    i > 0 && row.recordedUs <= rows[i - 1]!.recordedUs ? [row.recordedUs - rows[i - 1]!.recordedUs] : [],
  )
  assert.deepEqual(backwards, [-3300e6])
})

test('the energy rows rise by 15 minutes throughout: 00:00 is read as the end of its day', () => {
  const { rows } = readSteelEnergy(file('steel-energy/steel_rows_1-28000.csv.gz'))
  assert.equal(rows.length, 28_000)
  for (let i = 1; i < rows.length; i++) assert.equal(rows[i]!.recordedUs - rows[i - 1]!.recordedUs, 900e6)
  assert.deepEqual(rows[0]!.values, {
    usageKwh: 3.17,
    laggingReactiveKvarh: 2.95,
    leadingReactiveKvarh: 0,
    co2T: 0,
    laggingPowerFactorPct: 73.21,
    leadingPowerFactorPct: 100,
  })
})

const tiny: Recording = { stepUs: 300e6, rows: [0, 300e6, 600e6, 300e6, 600e6].map((recordedUs, i) => ({ recordedUs, values: { x: i } })) }
const startUs = 1_700_000_000_000_000

test('source time is start + recorded time / speed, rises over a step back, and the recorded time stays', () => {
  const replay = startReplay({ source: 's', asset: 'a', recording: tiny, speed: 300 }, startUs)
  const readings = replay.due(startUs + 4e6)
  assert.deepEqual(
    readings.map((r) => [r.seq, (r.timeUs - startUs) / 1e6, r.recordedUs]),
    [
      [0, 0, 0],
      [1, 1, 300e6],
      [2, 2, 600e6],
      [3, 3, 300e6],
      [4, 4, 600e6],
    ],
  )
  assert.deepEqual(replay.due(startUs + 4e6), [])
})

test('at the end it starts again under a higher epoch, numbered from 0', () => {
  const replay = startReplay({ source: 's', asset: 'a', recording: tiny, speed: 300, fromRow: 3 }, startUs)
  const readings = replay.due(startUs + 7e6)
  assert.deepEqual(
    readings.map((r) => [r.epoch - 1_700_000_000, r.seq, r.values?.['x']]),
    [
      [0, 0, 3],
      [0, 1, 4],
      [2, 0, 0],
      [2, 1, 1],
      [2, 2, 2],
      [2, 3, 3],
      [2, 4, 4],
      [7, 0, 0],
    ],
  )
  const times = readings.map((r) => r.timeUs)
  assert.deepEqual(new Set(times).size, times.length)
})

test('a very fast replay still numbers its rounds with rising epochs', () => {
  const replay = startReplay({ source: 's', asset: 'a', recording: tiny, speed: 1e5 }, startUs)
  const epochs = replay.due(startUs + 100_000).map((r) => r.epoch)
  assert.deepEqual(
    epochs.toSorted((a, b) => a - b),
    epochs,
  )
  assert.ok(new Set(epochs).size > 5)
})

test('the shipped start point reaches the labelled failure after 40 s', () => {
  const recording = readMachineTemperature(file('nab/machine_temperature_system_failure.csv.gz'))
  const labels = JSON.parse(file('nab/labels.json').toString()) as { windows: string[][] }
  const fromUs = us('2013-12-14T01:50:00')
  const replay = startReplay({ source: 's', asset: 'a', recording, speed: 3600, fromRow: rowAt(recording, fromUs) }, startUs)
  const labelledUs = us(labels.windows[1]![0]!.replace(' ', 'T'))
  const first = replay.due(startUs + 60e6).find((r) => r.recordedUs! >= labelledUs)!
  assert.ok(Math.abs((first.timeUs - startUs) / 1e6 - 40) < 0.2, `${(first.timeUs - startUs) / 1e6}`)
  assert.equal(replay.positionUs(), fromUs + 60 * 3600 * 1e6)
})
