import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseFeatureSet, parsePlant } from '@andon/schemas'
import type { FeatureSet, Plant } from '@andon/schemas'
import { featurePlans } from '../src/feature-plans.ts'
import type { DocumentVersion } from '../src/feature-plans.ts'

interface Description {
  readonly id?: string
  readonly name?: string
  readonly sources?: readonly string[]
  readonly range?: readonly [number, number]
}

const plantOf = (...assets: readonly Description[]): Plant =>
  parsePlant({
    version: 1,
    site: { id: 'works', name: 'Works', timezone: 'UTC' },
    lines: [{ id: 'line-1', name: 'Line 1', area: 'area-1' }],
    assetClasses: [{ id: 'oven', featureSet: 'features/oven' }],
    assets: assets.map(({ id = 'oven-1', name = 'Oven', sources = [], range = [0, 300] }) => ({
      id,
      name,
      sources,
      line: 'line-1',
      class: 'oven',
      channels: [{ id: 'temperatureC', unit: 'Cel', kind: 'scalar', range }],
    })),
  })
const setOf = (statistic: string): FeatureSet =>
  parseFeatureSet({
    version: 1,
    name: 'features/oven',
    windowMs: 1000,
    latenessMs: 0,
    graceMs: 0,
    features: [{ channel: '*', statistics: [statistic] }],
  })

/** Versions in the order of the log: what holds is the last one from its time on, or the first where none is in force. */
const at =
  <T>(versions: readonly DocumentVersion<T>[]) =>
  (timeUs: number) =>
    versions.findLast((each) => each.effectiveFromUs <= timeUs) ?? versions[0]

const plansOf = (plants: readonly DocumentVersion<Plant>[], sets: readonly DocumentVersion<FeatureSet>[]) => {
  const unusable: string[] = []
  const setAt = at(sets)
  const planAt = featurePlans({
    plantAt: at(plants),
    featureSetAt: (_, timeUs) => setAt(timeUs),
    onUnusable: (assetId, featureSet, reason) => unusable.push(`${assetId} ${featureSet}: ${reason}`),
  })
  return { planAt, unusable }
}
const version = <T>(digest: string, effectiveFromUs: number, value: T): DocumentVersion<T> => ({ digest, effectiveFromUs, value })
const plain = plantOf({})
const meanSet = [version('set', 0, setOf('mean'))]

test('a new plant file that describes the asset as before gives the identical plan, named after the first such file', () => {
  const plants = [
    version('p1', 100, plantOf({})),
    version('p2', 200, plantOf({ name: 'Oven by the door' }, { id: 'oven-2' })),
    version('p3', 300, plantOf({ range: [0, 400] })),
    version('p4', 400, plantOf({})),
  ]
  const { planAt } = plansOf(plants, meanSet)
  const digests = [150, 250, 350, 450].map((timeUs) => planAt('oven-1', timeUs)?.plantDigest)
  assert.deepEqual(digests, ['p1', 'p1', 'p3', 'p4'])
  assert.equal(planAt('oven-1', 250), planAt('oven-1', 150))
  assert.equal(planAt('oven-2', 250)?.plantDigest, 'p2')
})

test('which plan holds does not depend on what was asked before', () => {
  const plants = [version('p1', 100, plantOf({})), version('p2', 200, plantOf({ name: 'New name' })), version('p3', 300, plantOf({}))]
  const forwards = plansOf(plants, meanSet)
  const backwards = plansOf(plants, meanSet)
  const times = [50, 150, 250, 350]
  const first = times.map((timeUs) => forwards.planAt('oven-1', timeUs))
  const last = times.toReversed().map((timeUs) => backwards.planAt('oven-1', timeUs))
  assert.deepEqual(last.toReversed(), first)
  assert.deepEqual(
    first.map((plan) => plan?.plantDigest),
    ['p1', 'p1', 'p1', 'p1'],
  )
})

test('a plant with a long history is read without a deep stack', () => {
  const plants = Array.from({ length: 20_000 }, (_, i) => version(`p${i}`, i, i === 10_000 ? plantOf({ range: [0, 400] }) : plain))
  const plantAt = (timeUs: number) => plants[Math.min(timeUs, plants.length - 1)]
  const planAt = featurePlans({ plantAt, featureSetAt: () => meanSet[0], onUnusable: () => {} })
  assert.equal(planAt('oven-1', 30_000)?.plantDigest, 'p10001')
  assert.equal(planAt('oven-1', 5000)?.plantDigest, 'p0')
})

test('a feature set holds from its time on, and equal documents give the identical plan', () => {
  const { planAt } = plansOf([version('p1', 0, plantOf({}))], [...meanSet, version('set-2', 500, setOf('max'))])
  assert.deepEqual([planAt('oven-1', 499)?.names, planAt('oven-1', 500)?.names], [['temperatureC.mean'], ['temperatureC.max']])
  assert.equal(planAt('oven-1', 0), planAt('oven-1', 499))
})

test('assets that differ in their sources alone share names and calls', () => {
  const { planAt } = plansOf([version('p1', 0, plantOf({ sources: ['a'] }, { id: 'oven-2', sources: ['b'] }))], meanSet)
  const [one, two] = [planAt('oven-1', 0)!, planAt('oven-2', 0)!]
  assert.deepEqual([one.sources, two.sources], [['a'], ['b']])
  assert.equal(one.names, two.names)
  assert.equal(one.calls, two.calls)
})

test('a set that does not fit is reported once, and gives no plan', () => {
  const { planAt, unusable } = plansOf([version('p1', 0, plantOf({}))], [version('set', 0, setOf('centroidHz'))])
  assert.equal(planAt('oven-1', 0), undefined)
  assert.equal(planAt('oven-1', 1), undefined)
  assert.deepEqual(unusable, [
    'oven-1 features/oven: features/oven for oven-1: centroidHz of temperatureC needs a waveform, found single values',
  ])
  assert.equal(planAt('oven-9', 0), undefined)
})
