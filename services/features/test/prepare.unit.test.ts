import assert from 'node:assert/strict'
import { test } from 'node:test'
import { statisticNames } from '@andon/schemas'
import type { Kernel, Series, WindowContext } from '../src/functions/kernel.ts'
import { kernels } from '../src/functions/index.ts'
import { compute, computeWith } from '../src/functions/prepare.ts'
import type { WindowView } from '../src/functions/prepare.ts'
import { noHealthRules, plainMachine } from '../src/plan.ts'
import type { AssetPlan, Call, Machine, PlanChannel } from '../src/plan.ts'

const channel = (id: string): PlanChannel => ({ id, unit: '1', kind: 'scalar', range: null, sampleRateHz: null, width: 1 })
const call = (more: Partial<Call>): Call => ({ channels: [0], scale: 0, options: {}, asked: [{ statistic: 'mean', places: [0] }], ...more })
const planOf = (calls: readonly Call[], more: Partial<AssetPlan> = {}): AssetPlan => ({
  featureSet: 'features/test',
  digest: '',
  plantDigest: '',
  scales: [
    { name: '60s', length: { us: 60e6 } },
    { name: '10s', length: { us: 10e6 } },
    { name: '3rows', length: { rows: 3 } },
  ],
  hop: { us: 60e6 },
  latenessUs: 0,
  graceUs: 0,
  sources: [],
  channels: [channel('a'), channel('b'), channel('c')],
  names: calls.flatMap(({ asked }) => asked.flatMap(({ places }) => places.map(String))),
  calls,
  machine: plainMachine,
  regimes: [],
  health: noHealthRules,
  ...more,
})

const seriesOf = (elements: readonly number[], firstUs = 0, stepUs = 1e6): Series => ({
  rows: elements.length,
  timesUs: Float64Array.from(elements, (_, i) => firstUs + i * stepUs),
  elements: Float64Array.from(elements),
  width: 1,
  widths: null,
  sampleRateHz: null,
})
const viewOf = (series: WindowView['series']): WindowView => ({ startUs: 0, endUs: 60e6, series })

/** A kernel of every statistic that hands what it is given to the test. */
const probe = (see: (series: readonly Series[], context: WindowContext, asked: Call['asked']) => number): Kernel => ({
  statistics: statisticNames,
  prepare:
    ({ call: { asked } }) =>
    (series, values, context) => {
      for (const { places } of asked) values[places[0] as number] = see(series, context, asked)
    },
})

test('every statistic of the catalogue has exactly one kernel', () => {
  const counts = new Map(statisticNames.map((name) => [name, 0]))
  for (const { statistics } of kernels) for (const name of statistics) counts.set(name, (counts.get(name) ?? 0) + 1)
  const odd = [...counts].filter(([, count]) => count !== 1)
  assert.deepEqual(odd, [])
})

test('numbers go to their places; those of a channel without a row stay NaN', () => {
  const asked = [
    { statistic: 'mean', places: [2] },
    { statistic: 'max', places: [0] },
  ] as const
  const plan = planOf([call({ asked }), call({ channels: [1], asked: [{ statistic: 'min', places: [1] }] })])
  const values = new Float64Array(3).fill(Number.NaN)
  compute(
    plan,
    viewOf((at) => (at === 0 ? seriesOf([1, 2, 6]) : undefined)),
    values,
  )
  assert.deepEqual([...values], [6, Number.NaN, 3])
})

test('a series is asked for once per window, channel and scale', () => {
  const seen: string[] = []
  const plan = planOf([call({}), call({}), call({ channels: [0, 1] }), call({ channels: [1, 2] }), call({ scale: 1 })])
  const view = viewOf((at, scale) => {
    seen.push(`${at}@${scale}`)
    return at === 2 ? undefined : seriesOf([1])
  })
  const computed: number[] = []
  const kernel = probe((series) => computed.push(series.length))
  const run = computeWith(() => kernel)
  for (let window = 0; window < 2; window++) run(plan, view, new Float64Array(1))
  const once = ['0@0', '1@0', '2@0', '0@1']
  assert.deepEqual(seen, [...once, ...once])
  assert.deepEqual(computed, [1, 1, 2, 1, 1, 1, 2, 1], 'a call of which a channel has no row is left out')
})

test('a plan is prepared once, also for an asset that shares its calls, and anew when what it says of the machine differs', () => {
  let prepared = 0
  const kernel: Kernel = { statistics: statisticNames, prepare: () => (prepared++, () => {}) }
  const run = computeWith(() => kernel)
  const view = viewOf(() => seriesOf([1]))
  const plan = planOf([call({})])
  for (const each of [plan, plan, { ...plan, sources: ['s'] }]) run(each, view, new Float64Array(1))
  assert.equal(prepared, 1)
  run({ ...plan, machine: { ...plainMachine, nominalSpeedRpm: 3000 } }, view, new Float64Array(1))
  assert.equal(prepared, 2)
})

test('a call that asks for what several kernels compute is prepared once for each, with its own part', () => {
  const parts: string[][] = []
  const kernel = (statistics: Kernel['statistics']): Kernel => ({
    statistics,
    prepare: (given) => (parts.push(given.call.asked.map(({ statistic }) => statistic)), () => {}),
  })
  const [left, right] = [kernel(['mean', 'min']), kernel(['max'])]
  const asked = [
    { statistic: 'mean', places: [0] },
    { statistic: 'max', places: [1] },
    { statistic: 'min', places: [2] },
  ] as const
  computeWith((statistic) => (statistic === 'max' ? right : left))(
    planOf([call({ asked })]),
    viewOf(() => seriesOf([1])),
    new Float64Array(3),
  )
  assert.deepEqual(parts, [['mean', 'min'], ['max']])
})

test('a kernel sees the bounds of the scale it works at: by time from the end, by rows from the oldest of them', () => {
  const bounds: number[][] = []
  const kernel = probe((_, { startUs, endUs }) => bounds.push([startUs / 1e6, endUs / 1e6]))
  const plan = planOf([call({}), call({ scale: 1 }), call({ scale: 2 })])
  computeWith(() => kernel)(
    plan,
    viewOf(() => seriesOf([1, 2, 3], 55e6)),
    new Float64Array(1),
  )
  assert.deepEqual(bounds, [
    [0, 60],
    [50, 60],
    [55, 60],
  ])
})

const shaftHz = (more: Partial<Machine>, view: WindowView, scale = 0): number => {
  const plan = planOf([call({ scale })], { machine: { ...plainMachine, ...more } })
  const values = new Float64Array(1)
  computeWith(() => probe((_, context) => context.shaftHz()))(plan, view, values)
  return values[0] as number
}

test('the shaft frequency is the mean of the speed channel, else that of the tacho pulses, else the nominal one', () => {
  const speeds = viewOf((at) => (at === 2 ? undefined : seriesOf(at === 1 ? [1200, 1800] : [0])))
  const pulses = viewOf((at) => (at === 1 ? undefined : seriesOf([1, 1, 1], 0, 20_000)))
  const known = { speedChannel: 1, tachoChannel: 2, tachoPulsesPerRev: 2, nominalSpeedRpm: 3000 }
  assert.equal(shaftHz(known, speeds), 25)
  assert.equal(shaftHz(known, pulses), 25)
  assert.equal(
    shaftHz(
      known,
      viewOf((at) => (at === 0 ? seriesOf([1]) : undefined)),
    ),
    50,
  )
  assert.ok(Number.isNaN(shaftHz({}, speeds)))
})

test('a shaft at rest has no frequency, and the speed is that of the scale', () => {
  const still = viewOf(() => seriesOf([0, 0]))
  assert.ok(Number.isNaN(shaftHz({ speedChannel: 1, nominalSpeedRpm: 3000 }, still)))
  const faster = viewOf((at, scale) => seriesOf(at === 1 ? [scale === 1 ? 3000 : 600] : [1]))
  assert.equal(shaftHz({ speedChannel: 1 }, faster, 0), 10)
  assert.equal(shaftHz({ speedChannel: 1 }, faster, 1), 50)
})
