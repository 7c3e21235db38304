import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseFeatureSet, parsePlant } from '@andon/schemas'
import { namesFedBy } from '../src/fed-names.ts'
import { compileFeatureSet } from '../src/feature-set.ts'
import type { Series } from '../src/functions/kernel.ts'
import { compute } from '../src/functions/prepare.ts'
import type { AssetPlan } from '../src/plan.ts'

const planOf = (machine: object, envelopeBandHz?: [number, number]): AssetPlan => {
  const scalars = ['temperatureC', 'speedRpm', 'tachoV'].map((id) => ({ id, unit: '1', kind: 'scalar' }))
  const channels = [{ id: 'vibrationG', unit: 'g', kind: 'waveform', sampleRateHz: 8192, width: 8192 }, ...scalars]
  const bearing = { name: '6205', balls: 9, ballDiameterMm: 7.94, pitchDiameterMm: 39.04 }
  const asset = { id: 'gearbox-1', name: 'Gearbox', line: 'line-1', class: 'gearbox', channels, bearing, gears: [{ name: 'a', teeth: 23 }] }
  const { assets } = parsePlant({
    version: 1,
    site: { id: 'works', name: 'Works', timezone: 'UTC' },
    lines: [{ id: 'line-1', name: 'Line 1', area: 'area-1' }],
    assetClasses: [{ id: 'gearbox', featureSet: 'features/test' }],
    assets: [{ ...asset, ...machine }],
  })
  const features = [
    { channel: 'vibrationG', statistics: ['rms', 'velocityRmsMmS', 'gearMeshRms'] },
    { channel: 'vibrationG', statistics: ['envelopeRms', 'envelopeBpfo'], ...(envelopeBandHz && { envelopeBandHz }) },
    { channel: 'vibrationG', orders: [1], statistics: ['orderRms'] },
    { channels: ['temperatureC', 'speedRpm'], as: 'trend', statistics: ['correlation'] },
    { channel: 'temperatureC', statistics: ['mean'] },
    { channel: 'speedRpm', statistics: ['mean'] },
  ]
  const set = parseFeatureSet({ version: 1, name: 'features/test', windowMs: 1000, latenessMs: 0, graceMs: 0, features })
  return compileFeatureSet(set, 'digest', assets[0]!, 'plant-digest')
}

const bySpeed = { speedChannel: 'speedRpm' }
const byTacho = { tacho: { channel: 'tachoV', pulsesPerRev: 1 } }

const envelopes = ['vibrationG.envelopeRms', 'vibrationG.envelopeBpfo']
const meshes = ['vibrationG.gearMeshRms', ...envelopes]

test('a channel feeds what is made of it, whatever a rule calls it', () => {
  const plan = planOf(bySpeed)
  const fed = (id: string) =>
    namesFedBy(
      plan,
      plan.channels.findIndex((channel) => channel.id === id),
    )
  assert.deepEqual(fed('temperatureC'), ['trend.correlation', 'temperatureC.mean'])
  assert.deepEqual(fed('vibrationG'), ['vibrationG.rms', 'vibrationG.velocityRmsMmS', ...meshes, 'vibrationG.order1Rms'])
  assert.equal(fed('temperatureC'), fed('temperatureC'), 'found once per plan')
})

test('the sensor of the speed feeds the numbers that look where the speed puts them', () => {
  const fed = (plan: AssetPlan, id: string) =>
    namesFedBy(
      plan,
      plan.channels.findIndex((channel) => channel.id === id),
    )
  const own = ['trend.correlation', 'speedRpm.mean']
  assert.deepEqual(fed(planOf(bySpeed), 'speedRpm'), [...meshes, 'vibrationG.order1Rms', ...own])
  assert.deepEqual(fed(planOf({ ...bySpeed, ...byTacho }), 'speedRpm'), [...meshes, ...own], 'orders are those of the tacho')
  assert.deepEqual(fed(planOf(byTacho), 'tachoV'), [...meshes, 'vibrationG.order1Rms'])
  assert.deepEqual(
    fed(planOf(bySpeed, [2000, 4000]), 'speedRpm'),
    ['vibrationG.gearMeshRms', 'vibrationG.envelopeBpfo', 'vibrationG.order1Rms', ...own],
    'a band that is given does not depend on the speed',
  )
})

/** A window in which one channel says something else. */
const windowOf =
  (plan: AssetPlan, changed: string) =>
  (channel: number): Series => {
    const { id, width, sampleRateHz } = plan.channels[channel]!
    const other = id === changed
    const rpm = other ? 14_800 : 1480
    const rows = sampleRateHz !== null ? 1 : id === 'tachoV' ? Math.floor(rpm / 60) : 10
    const elements = Float64Array.from({ length: rows * width }, (_, i) => {
      if (id === 'speedRpm') return rpm + (i % 3)
      if (sampleRateHz === null) return other ? i : i * i
      return Math.sin(i * 0.7) * (1 + 5 * Number(i % 91 === 0)) + ((i * (other ? 7919 : 104_729)) % 101) / 50
    })
    const timesUs = Float64Array.from({ length: rows }, (_, i) => (i * 1e6) / rows)
    return { rows, timesUs, elements, width, widths: null, sampleRateHz }
  }

test('a number that changes with a channel is one that the channel feeds, on machines with a speed, a tacho and both', () => {
  for (const plan of [planOf(bySpeed), planOf(byTacho), planOf({ ...bySpeed, ...byTacho }), planOf(bySpeed, [2000, 4000])]) {
    const numbersOf = (changed: string): Float64Array => {
      const values = new Float64Array(plan.names.length).fill(Number.NaN)
      compute(plan, { startUs: 0, endUs: 1_000_000, series: windowOf(plan, changed) }, values)
      return values
    }
    const before = numbersOf('')
    plan.channels.forEach(({ id }, channel) => {
      const fed = namesFedBy(plan, channel)
      const after = numbersOf(id)
      const moved = plan.names.filter((_, place) => !Object.is(before[place], after[place]))
      assert.ok(moved.length > 0, id)
      assert.deepEqual(
        moved.filter((name) => !fed.includes(name)),
        [],
        id,
      )
    })
  }
})
