// Shared memory between the thread that asks and the one that runs: what is asked is what is read, in the order in which it was asked.

import assert from 'node:assert/strict'
import test from 'node:test'
import type { Batch } from '../../src/runtime/runner.ts'
import { Slab } from '../../src/runtime/slab.ts'
import type { ModelIo } from '../../src/tensors/tensors.ts'

const io: ModelIo = {
  inputs: [
    { name: 'a', datatype: 'FP32', shape: [-1, 2] },
    { name: 'left out', datatype: 'FP32', shape: [-1, 2], isOptional: true },
    { name: 'h', datatype: 'FP16', shape: [-1, 1] },
  ],
  outputs: [
    { name: 'y', datatype: 'FP32', shape: [-1, 2] },
    { name: 'z', datatype: 'INT64', shape: [-1] },
  ],
}

const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer)
const bytesOf = ({ buffer, byteOffset = 0, byteLength }: { buffer: ArrayBuffer; byteOffset?: number; byteLength?: number }): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength)

/** A request of one row per number; halves are 1.0. */
const request = (...values: number[]): Batch['requests'][number] => ({
  rows: values.length,
  inputs: [
    { shape: [values.length, 2], bytes: floats(...values.flatMap((value) => [value, -value])) },
    undefined,
    { shape: [values.length, 1], bytes: new Uint8Array(Uint16Array.from(values, () => 0x3c00).buffer) },
  ],
})
const batch = (...requests: Batch['requests']): Batch => ({
  requests,
  outputs: ['z', 'y'],
  rows: requests.reduce((sum, { rows }) => sum + rows, 0),
})

/** Both ends of one slab. */
const both = (): { asker: Slab; runner: Slab } => {
  const asker = new Slab()
  return { asker, runner: new Slab(asker.shared) }
}

test('a batch arrives as it was asked, and its outputs come back under their names', () => {
  const { asker, runner } = both()
  const slot = asker.ask(7, 3, io, batch(request(1, 2), request(3)))!
  assert.deepEqual(runner.first(), { slot, id: 7, model: 3 })
  const { inputs, outputs } = runner.read(slot, io)
  assert.deepEqual(outputs, ['z', 'y'])
  assert.deepEqual(
    inputs.map(({ name, datatype, shape }) => [name, datatype, shape]),
    [
      ['a', 'FP32', [3, 2]],
      ['h', 'FP32', [3, 1]],
    ],
  )
  assert.deepEqual(bytesOf(inputs[0]!), Buffer.from(floats(1, -1, 2, -2, 3, -3)))
  assert.deepEqual(bytesOf(inputs[1]!), Buffer.from(floats(1, 1, 1)))
  assert.equal(asker.take(slot, io, outputs), undefined) // not yet
  const z = { name: 'z', datatype: 'INT64', shape: [3], bytes: new Uint8Array(24).fill(9) } as const
  const y = { name: 'y', datatype: 'FP32', shape: [3, 2], bytes: floats(6, 5, 4, 3, 2, 1) } as const
  assert.equal(runner.answer(slot, [z, y], 12.5), true)
  assert.equal(runner.first(), undefined)
  const answer = asker.take(slot, io, outputs)!
  assert.equal(answer.runUs, 12.5)
  for (const [i, expected] of [z, y].entries()) {
    const { name, datatype, shape } = answer.outputs[i]!
    assert.deepEqual([name, datatype, shape], [expected.name, expected.datatype, expected.shape])
    assert.deepEqual(bytesOf(answer.outputs[i]!), Buffer.from(expected.bytes))
  }
})

test('runs are found in the order in which they were asked, whichever slot they are in', () => {
  const { asker, runner } = both()
  const first = asker.ask(1, 1, io, batch(request(1)))!
  const second = asker.ask(2, 1, io, batch(request(2)))!
  assert.equal(asker.ask(3, 1, io, batch(request(3))), undefined) // both slots are in use: it goes as a message
  assert.equal(runner.first()!.slot, first)
  asker.free(first)
  assert.equal(asker.ask(4, 1, io, batch(request(4))), first)
  assert.equal(runner.first()!.slot, second)
})

test('what an answer was taken from can be written again without changing it', () => {
  const { asker, runner } = both()
  const outputs = (value: number) => [{ name: 'y', datatype: 'FP32', shape: [1, 2], bytes: floats(value, value) }] as const
  const only = { ...batch(request(1)), outputs: ['y'] }
  const slot = asker.ask(1, 1, io, only)!
  runner.answer(slot, outputs(1), 1)
  const taken = asker.take(slot, io, ['y'])!
  assert.equal(asker.ask(2, 1, io, only), slot)
  runner.answer(slot, outputs(2), 1)
  assert.deepEqual(bytesOf(taken.outputs[0]!), Buffer.from(floats(1, 1)))
})

test('what does not fit is not taken, and leaves the slot free', () => {
  const { asker, runner } = both()
  const large = batch(request(...new Float32Array(20_000)))
  assert.equal(asker.ask(1, 1, io, large), undefined)
  const deep: Batch = {
    requests: [{ rows: 1, inputs: [{ shape: Array.from({ length: 200 }, () => 1), bytes: floats(1) }, undefined, undefined] }],
    outputs: ['y'],
    rows: 1,
  }
  assert.equal(asker.ask(1, 1, io, deep), undefined)
  assert.equal(asker.ask(1, 1, io, { ...batch(request(1)), outputs: ['unknown'] }), undefined)
  const huge = { rows: 1, inputs: [{ shape: [0, 2 ** 40], bytes: new Uint8Array() }, undefined, undefined] }
  assert.equal(asker.ask(1, 1, io, { requests: [huge], outputs: ['y'], rows: 0 }), undefined)
  assert.equal(runner.first(), undefined)
  const slot = asker.ask(2, 1, io, batch(request(1)))!
  const outputs = [{ name: 'y', datatype: 'FP32', shape: [50_000, 2], bytes: new Uint8Array(400_000) }] as const
  assert.equal(runner.answer(slot, outputs, 1), false)
  assert.equal(asker.take(slot, io, ['y']), undefined)
})

test('bytes that do not agree with their shape are refused before anything is asked', () => {
  const { asker, runner } = both()
  const wrong = { rows: 1, inputs: [{ shape: [1, 2], bytes: floats(1, 2, 3) }, undefined, undefined] }
  assert.throws(() => asker.ask(1, 1, io, { requests: [wrong], outputs: ['y'], rows: 1 }), /input a has 12 bytes, expected 8/)
  assert.equal(runner.first(), undefined)
})

test('who waits for answers is woken by each, and goes when told', async () => {
  const { asker, runner } = both()
  let calls = 0
  let isOver = false
  let woken = (): void => {}
  const ended = asker.whenAnswered(() => {
    calls++
    woken()
    return !isOver
  })
  assert.equal(calls, 1)
  const slot = asker.ask(1, 1, io, { ...batch(request(1)), outputs: [] })!
  const again = new Promise<void>((resolve) => (woken = resolve))
  runner.answer(slot, [], 1)
  await again
  isOver = true
  asker.wakeAsker()
  await ended
  assert.equal(calls, 3)
})
