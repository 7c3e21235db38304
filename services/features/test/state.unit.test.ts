// What is stored of a partition: what assets share of their plans once, and every asset only what it needs.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addBlock, newAsset } from '../src/asset-windows.ts'
import { NEVER_US } from '../src/intervals.ts'
import { keyedState, newMemory, remember } from '../src/state.ts'
import { SECOND_US, blockOf, modelPlan } from './blocks.ts'

const plan = modelPlan({ statistics: { temperatureC: ['mean', 'std', 'min', 'max', 'rms', 'kurtosis', 'crest'] } })

const fleet = (assets: number) => {
  const memory = newMemory()
  for (let at = 0; at < assets; at++) {
    const own = { ...structuredClone(plan), sources: [`plc-${at}`] }
    const asset = newAsset()
    addBlock(asset, blockOf([{ seq: 1, timeS: 1, values: [1] }], { sourceId: `plc-${at}` }), () => own, NEVER_US, 16)
    remember(memory, `press-${at}`, asset)
  }
  return memory
}

test('what assets share of their plans is stored once, and restored for all of them', () => {
  const state = keyedState(fleet(50))
  const stored = [...state.dirty()].map((key) => [key, Uint8Array.from(state.snapshot(key))] as const)
  assert.equal(stored.filter(([key]) => key.startsWith('#plan:')).length, 1)
  for (const [key, bytes] of stored) if (!key.startsWith('#')) assert.ok(!Buffer.from(bytes).includes('kurtosis'), `${key} holds the plan`)
  for (const order of [stored, stored.toReversed()]) {
    const restored = newMemory()
    const into = keyedState(restored)
    for (const [key, bytes] of order) into.restore(key, bytes, into.version)
    assert.equal(restored.assets.size, 50)
    assert.deepEqual(restored.assets.get('press-7')!.plans, [{ ...plan, sources: ['plc-7'] }])
    assert.equal(restored.assets.get('press-7')!.plans[0]!.calls, restored.assets.get('press-8')!.plans[0]!.calls)
  }
})

test('a plan that is stored is not stored again', () => {
  const memory = fleet(3)
  const state = keyedState(memory)
  for (const key of state.dirty()) state.snapshot(key)
  remember(memory, 'press-1', memory.assets.get('press-1')!)
  assert.deepEqual([...state.dirty()], ['press-1'])
})

test('state of another version is refused', () => {
  assert.throws(() => keyedState(newMemory()).restore('press-1', new Uint8Array(12), 1), /has version 1, expected 2/)
})

test('what an asset remembers can be read', () => {
  const memory = fleet(1)
  const said = keyedState(memory).describe!('press-0') as { lanes: unknown[]; nextWindowClosesUs: number }
  assert.deepEqual([said.lanes.length, said.nextWindowClosesUs], [1, 4 * SECOND_US])
  assert.doesNotThrow(() => JSON.stringify(said))
})
