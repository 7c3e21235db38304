// A correction supersedes a range of samples: windows it touches are computed anew, and nothing on the log is rewritten.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addBlock, advance, newAsset } from '../src/asset-windows.ts'
import type { AssetWindows, Closing } from '../src/asset-windows.ts'
import { NEVER_US } from '../src/intervals.ts'
import { keyedState, newMemory, remember } from '../src/state.ts'
import { summarise } from '../src/summarise.ts'
import { SECOND_US, blockOf, modelPlan } from './blocks.ts'
import type { Row } from './blocks.ts'

const plan = modelPlan()

const send = (asset: AssetWindows, rows: readonly Row[], overrides: Parameters<typeof blockOf>[1] = {}): readonly Closing[] =>
  addBlock(asset, blockOf(rows, overrides), () => plan, NEVER_US, 256).closings

const correction = (id: string, fromS: number, toS: number, channels: readonly string[] = ['temperatureC']) => ({
  sourceId: `correction:${id}`,
  epoch: 0,
  correction: { id, fromUs: fromS * SECOND_US, toUs: toS * SECOND_US, channels: [...channels], reason: 'wrong sensor', by: 'p-operator' },
})

const row = (seq: number, timeS: number, value: number): Row => ({ seq, timeS, values: [value] })

/** Window start in s → revision and mean, of what a step published. */
const publishedOf = (asset: AssetWindows) => (closings: readonly Closing[]) =>
  closings.flatMap((closing) => {
    if (closing.kind !== 'vector') return []
    const { startUs, revision, values } = summarise(asset, closing, null)!
    return [[startUs / SECOND_US, revision, values[0]]]
  })

test('a closed window gets a further revision, computed from what the correction brought', () => {
  const asset = newAsset()
  const published = publishedOf(asset)
  assert.deepEqual(published(send(asset, [row(1, 0, 10), row(2, 1, 90), row(3, 4, 10)])), [[0, 2, 50]])
  assert.deepEqual(published(send(asset, [row(1, 1, 12)], correction('a', 1, 2))), [[0, 4, 11]])
})

test('samples outside the range, of other channels, and of later times stay', () => {
  const asset = newAsset()
  const published = publishedOf(asset)
  send(asset, [row(1, 0, 10), row(2, 1, 90), row(3, 4, 30)])
  assert.deepEqual(published(send(asset, [row(1, 1, 5)], correction('a', 1, 2, ['pressureBar']))), [[0, 4, 35]])
  assert.deepEqual(published(send(asset, [row(4, 9, 30)])), [[4, 1, 30]])
})

test('a correction without samples takes the range out, and counts as an input', () => {
  const asset = newAsset()
  const published = publishedOf(asset)
  send(asset, [row(1, 0, 10), row(2, 1, 90), row(3, 4, 30)])
  const gone = { ...correction('a', 1, 2), seqFrom: 1, seqTo: 1, withheld: [1], receivedUs: 5 * SECOND_US }
  assert.deepEqual(published(send(asset, [], gone)), [[0, 3, 10]])
  assert.deepEqual(published(send(asset, [], gone)), [], 'sent again it changes nothing')
})

test('of two corrections the later one holds, whatever the order of their names', () => {
  const asset = newAsset()
  const published = publishedOf(asset)
  send(asset, [row(1, 0, 10), row(2, 1, 90), row(3, 4, 30)])
  send(asset, [row(1, 1, 20)], correction('b', 1, 2))
  assert.deepEqual(published(send(asset, [row(1, 1, 40)], correction('a', 1, 2))), [[0, 6, 25]])
})

test('a late sample of the range is superseded too, also after a restart', () => {
  const asset = newAsset()
  send(asset, [row(1, 0, 10), row(3, 4, 30)])
  send(asset, [row(1, 1, 20)], correction('a', 1, 2))
  const memory = newMemory()
  remember(memory, 'press-1', asset)
  const saved = keyedState(memory)
  const restored = newMemory()
  const into = keyedState(restored)
  for (const key of saved.dirty()) into.restore(key, saved.snapshot(key), saved.version)
  const again = restored.assets.get('press-1')!
  assert.deepEqual(publishedOf(again)(send(again, [row(4, 1.5, 1000)])).at(-1), [0, 4, 15])
})

test('what is final already is reported late', () => {
  const asset = newAsset()
  send(asset, [row(1, 0, 10), row(2, 30, 30)])
  advance(asset, 60 * SECOND_US)
  const gone = { ...correction('a', 1, 2), seqFrom: 1, seqTo: 1, withheld: [1], receivedUs: 60 * SECOND_US }
  const late = (closings: readonly Closing[]) =>
    closings.flatMap((each) => (each.kind === 'late' ? [[each.windowStartUs, each.ranges[0]?.sourceId]] : []))
  assert.deepEqual(late(send(asset, [], gone)), [[0, 'correction:a']])
  assert.deepEqual(late(send(asset, [row(1, 1, 5)], correction('b', 1, 2))), [[0, 'correction:b']])
  assert.deepEqual(asset.corrections, [])
})

test('a hundred releases into one window count once each, however often they are sent', () => {
  const asset = newAsset()
  const published = publishedOf(asset)
  send(asset, [row(1, 0, 10), row(2, 4, 30)])
  const releases = Array.from({ length: 100 }, (_, at) => ({ sourceId: `release:${at}`, epoch: 0 }))
  const all = () => releases.flatMap((each) => published(send(asset, [row(1, 1, 10)], each)))
  assert.deepEqual(all().at(-1), [0, 101, 10])
  assert.deepEqual(all(), [])
  advance(asset, 60 * SECOND_US)
  for (let at = 0; at < 64; at++) send(asset, [row(1, 60, 10)], { sourceId: `release:later-${at}`, epoch: 0 })
  assert.ok(asset.sources.size <= 65, 'what no kept window holds is forgotten')
})
