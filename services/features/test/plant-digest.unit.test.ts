// Which plant file a vector names, where an asset is described otherwise for a while: that follows from the documents and the
// time of the window, whatever came when.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseFeatureSet, parsePlant } from '@andon/schemas'
import type { FeatureSet, Features, Plant } from '@andon/schemas'
import { featurePlans } from '../src/feature-plans.ts'
import type { DocumentVersion } from '../src/feature-plans.ts'
import { onTelemetry } from '../src/on-telemetry.ts'
import { newMemory } from '../src/state.ts'
import { SECOND_US, blockOf, blockRecord } from './blocks.ts'
import { inputOf } from './one-asset.ts'

const plantOf = (range: [number, number]): Plant =>
  parsePlant({
    version: 1,
    site: { id: 'works', name: 'Works', timezone: 'UTC' },
    lines: [{ id: 'line-1', name: 'Line 1', area: 'area-1' }],
    assetClasses: [{ id: 'oven', featureSet: 'features/oven' }],
    assets: [
      { id: 'oven-1', name: 'Oven', line: 'line-1', class: 'oven', channels: [{ id: 'temperatureC', unit: 'Cel', kind: 'scalar', range }] },
    ],
  })
const setOf = (more: object): FeatureSet =>
  parseFeatureSet({
    version: 1,
    name: 'features/oven',
    latenessMs: 60_000,
    graceMs: 0,
    features: [{ channel: '*', statistics: ['mean'] }],
    ...more,
  })

/** The asset is described otherwise from 4 to 6 s. */
const versions: DocumentVersion<Plant>[] = [
  { digest: 'first', effectiveFromUs: 0, value: plantOf([0, 300]) },
  { digest: 'meanwhile', effectiveFromUs: 4 * SECOND_US, value: plantOf([0, 400]) },
  { digest: 'back', effectiveFromUs: 6 * SECOND_US, value: plantOf([0, 300]) },
]
const plantAt = (timeUs: number) => versions.findLast(({ effectiveFromUs }) => effectiveFromUs <= timeUs)

/** By end of the window in s and rows in it: the plant files that its last revisions name. */
const namedIn = async (set: FeatureSet, timesS: readonly number[]): Promise<Map<string, string>> => {
  const planAt = featurePlans({ plantAt, featureSetAt: () => ({ digest: 'set', effectiveFromUs: 0, value: set }), onUnusable: assert.fail })
  const counts = { windowsClosed: () => {}, unmonitored: () => {}, rows: () => {}, malformed: () => {} }
  const handle = onTelemetry({ memory: newMemory(), planAt, servicedAt: () => null, settled: async () => {}, gapBound: 16, counts })
  const last = new Map<string, { readonly window: string; readonly plantDigest: string }>()
  for (const [offset, timeS] of timesS.entries()) {
    const value = blockRecord(blockOf([{ seq: offset + 1, timeS, values: [timeS] }]), 'oven-1')
    const inputs = [inputOf(value, offset)]
    for (const { output } of (await handle({ topic: 'telemetry', partition: 0, inputs })).outputs) {
      const { vectorId, supersedes, windowEndUs, plantDigest, ranges } = (output.value as Features).vector!
      if (supersedes) last.delete(supersedes)
      const held = timesS
        .filter((_, at) => ranges.some(({ seqFrom, seqTo }) => seqFrom <= at + 1 && at + 1 <= seqTo))
        .toSorted((a, b) => a - b)
      last.set(vectorId, { window: `${Math.floor(windowEndUs / SECOND_US)}: ${held.join()}`, plantDigest })
    }
  }
  return new Map(
    [...last.values()].map(({ window, plantDigest }) => [window, plantDigest] as const).toSorted(([a], [b]) => (a < b ? -1 : 1)),
  )
}

const tumbling = setOf({ windowMs: 10_000 })

test('a window names the plant file at its end, or where the asset is described otherwise by then, the one that held for its rows', async () => {
  assert.deepEqual(
    [...(await namedIn(tumbling, [1, 5, 7, 12]))],
    [
      ['10: 1,7', 'back'],
      ['10: 5', 'meanwhile'],
    ],
  )
  assert.deepEqual([...(await namedIn(tumbling, [1, 5, 12]))].map(([, digest]) => digest).toSorted(), ['back', 'meanwhile'])
})

for (const [kind, set] of Object.entries({
  tumbling,
  hopping: setOf({ windowMs: 4000, hopMs: 1000 }),
  'at every row': setOf({ windowRows: 3, closes: 'every-row' }),
}))
  test(`windows ${kind}: which plant file they name does not depend on the order in which rows came`, async () => {
    const times = [1, 3, 4, 5, 6, 7, 9]
    const expected = await namedIn(set, [...times, 30])
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(times, { minLength: times.length }), async (shuffled) => {
        assert.deepEqual(await namedIn(set, [...shuffled, 30]), expected)
      }),
      { numRuns: 50 },
    )
  })
