// Counters and states across windows that follow each other: nothing is lost at a seam, however the rows came.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Telemetry, Vector } from '@andon/schemas'
import { readDoubles } from '@andon/schemas/packed'
import { recompute } from '../src/tools/recompute.ts'
import { SECOND_US, blockOf, blockRecord, modelPlan, tickRecord } from './blocks.ts'
import type { Row } from './blocks.ts'
import { run } from './one-asset.ts'

const ASSET = 'press-1-process'
/** Windows of 10 s; 2 s late is not too late. */
const plan = modelPlan({
  windowUs: 10 * SECOND_US,
  latenessUs: 2 * SECOND_US,
  graceUs: SECOND_US,
  statistics: { parts: ['increase', 'increasePerS'], state: ['stateDurationS', 'stateChanges'] },
  options: { states: [1, 2] },
})

const sent = (channel: 'parts' | 'state', rows: readonly (readonly [seq: number, timeS: number, value: number])[]): Telemetry =>
  blockRecord(
    blockOf(
      rows.map(([seq, timeS, value]): Row => ({ seq, timeS, values: [value] })),
      { channels: [channel] },
    ),
  )

const number = (vector: Vector, name: string): number => readDoubles(vector.values)[vector.names.indexOf(name)]!
const numbers = (kept: ReadonlyMap<number, Vector>, name: string): number[] =>
  [...kept.values()].toSorted((a, b) => a.windowEndUs - b.windowEndUs).map((vector) => number(vector, name))
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

/** A part every 1.5 s over 100 s, a row each; the counter is reset where the fourth window begins. */
const parts = Array.from({ length: 66 }, (_, i) => [i + 1, 1 + i * 1.5, i < 26 ? 500 + i : i - 25] as const)

test('the parts of ten windows that follow each other are the parts made', async () => {
  const { kept } = await run(plan, [sent('parts', parts), tickRecord('t', 120)])
  const increases = numbers(kept, 'parts.increase')
  assert.equal(sum(increases), parts.length - 1)
  assert.ok(sum(numbers(kept, 'parts.increasePerS').slice(1)) * 10 - sum(increases.slice(1)) < 1e-9, 'and so are their rates')
})

test('a row that comes late, at the end of a closed window, moves its part there and revises the window after it', async () => {
  const late = parts.findIndex(([, timeS]) => timeS === 19)
  const seam = parts[late]!
  const records = [
    sent('parts', parts.slice(0, late)),
    tickRecord('t', 17.5),
    sent('parts', [[100, 19.5, 512]]), // its own number, so that nothing waits for the one that is late
    sent('parts', [[101, 20.5, 513]]),
    sent('parts', [[seam[0], seam[1], seam[2]]]),
  ]
  const { kept, outputs } = await run(plan, [...records, tickRecord('t', 60)])
  assert.equal(sum(numbers(kept, 'parts.increase')), 513 - 500)
  assert.ok(outputs.length > kept.size, 'a window was revised')
})

test('a restart from a snapshot at every record loses no step', async () => {
  const records = parts.map((row) => sent('parts', [row]))
  const { kept, outputs } = await run(plan, [...records, tickRecord('t', 120)], true)
  assert.equal(sum(numbers(kept, 'parts.increase')), parts.length - 1)
  assert.deepEqual(outputs, (await run(plan, [...records, tickRecord('t', 120)])).outputs)
})

test('a state that was reported once lasts, into windows without any row too, until the asset is unmonitored', async () => {
  const { kept } = await run(plan, [sent('state', [[1, 4, 1]]), tickRecord('t', 5), tickRecord('t', 26), tickRecord('t', 80)])
  assert.deepEqual(numbers(kept, 'state.state1S'), [6, 10, 10])
  assert.deepEqual(numbers(kept, 'state.stateChanges'), [0, 0, 0])
})

test('a state that was reported long ago lasts while other channels tell that the asset lives', async () => {
  const counted = Array.from({ length: 20 }, (_, i) => [i + 2, 10 + i * 5, i] as const)
  const { kept } = await run(plan, [sent('state', [[1, 4, 2]]), sent('parts', counted), tickRecord('t', 120)])
  const durations = numbers(kept, 'state.state2S')
  assert.deepEqual(durations.slice(0, 11), [6, ...Array.from({ length: 10 }, () => 10)])
  const last = [...kept.values()].find(({ windowEndUs }) => windowEndUs === 100 * SECOND_US)!
  assert.deepEqual([last.missing, last.complete], [[], true])
})

test('what was known before a service is not carried over it', async () => {
  const serviced = (_: string, endUs: number): number | null => (endUs > 30 * SECOND_US ? 30 * SECOND_US : null)
  const records = [sent('state', [[1, 4, 1]]), sent('parts', [[2, 12, 5], [3, 22, 6], [4, 32, 9], [5, 38, 10]]), tickRecord('t', 60)] // prettier-ignore
  const { kept } = await run(plan, records, false, serviced)
  assert.deepEqual(numbers(kept, 'parts.increase').slice(0, 4), [Number.NaN, 0, 1, 1])
  assert.deepEqual(numbers(kept, 'state.state1S').slice(0, 4), [6, 10, 10, Number.NaN])
})

test('a window names the rows that were carried into it, and they give its numbers again', async () => {
  const blocks = [sent('state', [[1, 4, 1]]), sent('parts', [[2, 5, 7], [3, 41, 9], [4, 43, 10]])] // prettier-ignore
  const { kept } = await run(plan, [...blocks, tickRecord('t', 90)])
  for (const endS of [10, 20, 50, 60]) {
    const vector = kept.get(endS * SECOND_US)!
    const again = await recompute(
      ASSET,
      vector,
      plan,
      blocks.map(({ block }) => block!),
    )
    for (const { name, inVector, again: found, isEqual } of again.numbers)
      assert.ok(isEqual, `${endS} s, ${name}: ${inVector}, again ${found}`)
    for (const { field, isEqual } of again.fields) assert.ok(isEqual, `${endS} s, ${field}`)
  }
  assert.deepEqual(kept.get(50 * SECOND_US)!.ranges.map(({ seqFrom, seqTo }) => [seqFrom, seqTo]), [[1, 4]]) // prettier-ignore
  assert.equal(kept.has(40 * SECOND_US), false, 'by then it was unmonitored')
})

test('what a correction supersedes is carried no further', async () => {
  const corrected = blockRecord(
    blockOf([{ seq: 1, timeS: 10.5, values: [2] }], {
      sourceId: 'correction:1',
      channels: ['state'],
      correction: { id: '1', fromUs: 3 * SECOND_US, toUs: 11 * SECOND_US, channels: ['state'], reason: 'wrong wiring', by: 'p-operator' },
    }),
  )
  const before = [sent('state', [[1, 4, 1]]), sent('parts', [[2, 12, 5], [3, 20.5, 6]])] // prettier-ignore
  for (const restarts of [false, true]) {
    const { kept } = await run(plan, [...before, corrected, sent('parts', [[4, 31, 7]]), tickRecord('t', 60)], restarts)
    assert.deepEqual(numbers(kept, 'state.state1S').slice(0, 3), [6, 0, 0])
    assert.deepEqual(numbers(kept, 'state.state2S').slice(0, 3), [0, 9.5, 10])
    assert.deepEqual(
      [...kept.values()].slice(0, 3).map(({ revision }) => revision),
      [2, 4, 2], // 1, the rows from 2 s before each on, and the correction where it touches these
    )
  }
})
