// The documents in examples/feature-sets, as a reader would try them: each compiles for its machine, and a window of a signal
// whose numbers are known gives those numbers.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parseFeatureSet, parsePlant } from '@andon/schemas'
import { compileFeatureSet } from '../src/feature-set.ts'
import { compute } from '../src/functions/prepare.ts'
import type { Series } from '../src/functions/kernel.ts'
import type { AssetPlan } from '../src/plan.ts'
import { regimeOf } from '../src/regime.ts'

const folder = new URL('../../../examples/feature-sets/', import.meta.url)
const text = (name: string): string => readFileSync(new URL(name, folder), 'utf8')
const plant = parsePlant(text('plant.yaml'))

const planOf = (name: string, assetId: string): AssetPlan => {
  const set = parseFeatureSet(text(`features/${name}.yaml`), { file: name })
  assert.equal(set.name, `features/${name}`)
  return compileFeatureSet(
    set,
    'd',
    plant.assets.find(({ id }) => id === assetId)!,
    'p',
  )
}

/** Rows of single values at these times, or of a waveform; a scale of n rows holds the last n. */
interface Rows {
  readonly timesUs: readonly number[]
  readonly elements: Float64Array | Float32Array
}

const numbersOf = (plan: AssetPlan, rows: Readonly<Record<string, Rows>>, endUs: number): Record<string, number> => {
  const series = (channel: number, scale: number): Series => {
    const { id, sampleRateHz, width } = plan.channels[channel]!
    const { timesUs, elements } = rows[id]!
    const { length } = plan.scales[scale]!
    const from = 'rows' in length ? Math.max(0, timesUs.length - length.rows) : timesUs.findIndex((timeUs) => timeUs >= endUs - length.us)
    const times = Float64Array.from(timesUs.slice(from))
    return { rows: times.length, timesUs: times, elements: elements.subarray(from * width), width, widths: null, sampleRateHz }
  }
  const startUs = Math.min(...Object.values(rows).map(({ timesUs }) => timesUs[0]!))
  const values = new Float64Array(plan.names.length).fill(Number.NaN)
  compute(plan, { startUs, endUs, series }, values)
  const numbers = Object.fromEntries(plan.names.map((name, i) => [name, values[i] as number]))
  return { ...numbers, regime: plan.regimes.indexOf(regimeOf(plan, values)!) }
}

const scalar = (count: number, stepS: number, at: (i: number) => number): Rows => ({
  timesUs: Array.from({ length: count }, (_, i) => i * stepS * 1e6),
  elements: Float64Array.from({ length: count }, (_, i) => at(i)),
})
const near = (numbers: Record<string, number>, expected: Record<string, number>): void => {
  for (const [name, value] of Object.entries(expected)) {
    const found = numbers[name] ?? Number.NaN
    assert.ok(Math.abs(found - value) <= 1e-6 * Math.max(1, Math.abs(value)), `${name}: expected ${value}, found ${found}`)
  }
}

test('process values: level, roughness and step of the last 20 rows, level and trend of the last 100', () => {
  const plan = planOf('process-values', 'heat-exchanger-1')
  const rows = {
    inletC: scalar(100, 1, (i) => 20 + i * 0.1),
    outletC: scalar(100, 1, (i) => 30 + i * 0.2),
    flowM3h: scalar(100, 1, (i) => (i < 90 ? 20 : 30)),
  }
  const numbers = numbersOf(plan, rows, 99e6 + 1)
  assert.equal(plan.hop, 'row')
  assert.equal(plan.names.length, 3 * 5 + 2)
  near(numbers, {
    'inletC.mean@20rows': 20 + 0.1 * 89.5,
    'inletC.mean@100rows': 20 + 0.1 * 49.5,
    'inletC.slope@100rows': 0.1,
    'outletC.slope@100rows': 0.2,
    'inletC.lnDifferenceRms@20rows': Math.log(0.1),
    'flowM3h.step@20rows': 10,
    'exchange.regressionResidual@100rows': 0,
    'exchange.correlation@100rows': 1,
    regime: 2,
  })
  near(numbersOf(plan, { ...rows, flowM3h: scalar(100, 1, () => 0.5) }, 99e6 + 1), { regime: 0 })
})

test('a gearbox: the zone of its velocity, impacts of the outer race, orders of the shaft, the mesh of its teeth', () => {
  const plan = planOf('gearbox', 'gearbox-1')
  const [rateHz, width, shaftHz] = [25_600, 16_384, 25]
  let random = 1
  const noise = () => (random = (random * 1_103_515_245 + 12_345) % 2_147_483_648) / 1_073_741_824 - 1
  const impactsPerS = 3.5848 * shaftHz
  const waveform = (isDamaged: boolean) =>
    Float32Array.from({ length: width * 3 }, (_, i) => {
      const s = i / rateHz
      const sinceS = (s * impactsPerS - Math.floor(s * impactsPerS)) / impactsPerS
      const ringing = isDamaged ? 60 * Math.exp(-sinceS * 900) * Math.sin(2 * Math.PI * 4000 * sinceS) : 0
      // 0.5 m/s2 at 25 Hz is a velocity of 2.25 mm/s RMS: zone B for group 2 on a rigid support.
      return 0.5 * Math.sin(2 * Math.PI * shaftHz * s) + 2 * Math.sin(2 * Math.PI * 23 * shaftHz * s) + noise() + ringing
    })
  const rows = (isDamaged: boolean) => ({
    vibrationMs2: { timesUs: [0, 1, 2].map((s) => s * 1e6), elements: waveform(isDamaged) },
    speedRpm: scalar(20, 0.5, () => shaftHz * 60),
    oilC: scalar(20, 0.5, (i) => 60 + i),
  })
  const healthy = numbersOf(plan, rows(false), 10e6)
  const damaged = numbersOf(plan, rows(true), 10e6)
  for (const [name, value] of Object.entries(healthy)) assert.ok(Number.isFinite(value), name)
  assert.equal(healthy['vibrationMs2.isoZone'], 2)
  assert.equal(healthy['regime'], 3)
  assert.ok(Math.abs(healthy['vibrationMs2.order1Rms']! - 0.5 / Math.SQRT2) < 0.02)
  assert.ok(Math.abs(healthy['vibrationMs2.gearMeshRms']! - 2 / Math.SQRT2) < 0.1)
  assert.ok(damaged['vibrationMs2.envelopeBpfo']! > 5 * healthy['vibrationMs2.envelopeBpfo']!)
  // The third harmonic of the outer race lies 2 Hz beside the second of the inner one: it shows there too, but less.
  for (const other of ['Bpfi', 'Bsf', 'Ftf'])
    assert.ok(damaged['vibrationMs2.envelopeBpfo']! > 1.5 * damaged[`vibrationMs2.envelope${other}`]!, other)
  assert.ok(damaged['vibrationMs2.kurtosis']! > 2 * healthy['vibrationMs2.kurtosis']!)
  near(damaged, { 'speedRpm.mean': 1500, 'speedRpm.std': 0, 'oilC.slope': 2 })
})

test('a production line: throughput, cycle time, scrap, times in its states, fill level, balance of its supply', () => {
  const plan = planOf('production-line', 'filler-1')
  const count = 900
  const rows = {
    bottleCount: scalar(count, 1, (i) => 1000 + Math.floor(i / 3)), // a bottle every 3 s
    scrapCount: scalar(count, 1, (i) => Math.floor(i / 150)),
    stateCode: scalar(count, 1, (i) => (i < 600 ? 2 : i < 840 ? 1 : 3)),
    fillMl: scalar(count, 1, (i) => 990 + (i % 21)),
    currentL1A: scalar(count, 1, () => 10),
    currentL2A: scalar(count, 1, () => 10),
    currentL3A: scalar(count, 1, () => 13),
  }
  const numbers = numbersOf(plan, rows, 900e6)
  assert.deepEqual(plan.hop, { us: 60e6 })
  near(numbers, {
    'throughput.increase': 299,
    'bottle.cycleTimeS': 3,
    'scrap.increaseRatio': 5 / 299,
    'line.state0S': 0,
    'line.state1S': 240,
    'line.state2S': 600,
    'line.state3S': 60,
    'line.stateChanges': 2,
    'fill.p50': 1000,
    'supply.phaseImbalancePct': (100 * 2) / 11,
    regime: 2,
  })
  assert.ok(Math.abs(numbers['throughput.increasePerS']! - 1 / 3) < 0.001)
  assert.ok(Math.abs(numbers['fill.timeInBandPct']! - (100 * 15) / 21) < 0.5)
})
