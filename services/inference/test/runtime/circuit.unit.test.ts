// A model that hangs: how often it is run, and when it is run again.

import assert from 'node:assert/strict'
import test from 'node:test'
import { runFailed, runTimeout } from '../../src/errors.ts'
import { withCircuit } from '../../src/runtime/circuit.ts'
import type { Batch, BatchAnswer, Runner } from '../../src/runtime/runner.ts'

const batch: Batch = { requests: [], outputs: [], rows: 1 }
const answer: BatchAnswer = { outputs: [], inputUs: 0, runUs: 0, outputUs: 0 }

type Outcome = 'hangs' | 'fails' | 'answers'

const circuit = ({ mayHang = (): boolean => true } = {}) => {
  let nowMs = 0
  let outcome: Outcome = 'answers'
  let runs = 0
  const changes: boolean[] = []
  let gate: Promise<void> | undefined
  const inner: Runner = {
    io: { inputs: [], outputs: [] },
    provider: 'test',
    room: { hasRoom: () => true, isIdle: () => true, whenRoom: (listener) => listener() },
    run: async () => {
      runs++
      await gate
      if (outcome === 'hangs') throw runTimeout('m', 1)
      if (outcome === 'fails') throw runFailed('m', 'this input')
      return answer
    },
    mayHang,
    close: async () => {},
  }
  const runner = withCircuit(inner, { label: 'm', nowMs: () => nowMs, coolOffMs: 100, onChange: ({ isOpen }) => changes.push(isOpen) })
  const code = (): Promise<string> =>
    runner.run(batch).then(
      () => 'answered',
      (error: unknown) => (error as { code: string }).code.replace('ANDON_INFERENCE_', ''),
    )
  return {
    runner,
    code,
    changes,
    runs: () => runs,
    will: (next: Outcome) => (outcome = next),
    pass: (ms: number) => (nowMs += ms),
    hold: (): (() => void) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      gate = promise
      return resolve
    },
  }
}

test('the third hang in a row opens the circuit: requests are refused without a run, then one is let in', async () => {
  const { code, will, pass, runs, changes } = circuit()
  will('hangs')
  assert.deepEqual([await code(), await code(), await code()], ['RUN_TIMEOUT', 'RUN_TIMEOUT', 'RUN_TIMEOUT'])
  assert.deepEqual([await code(), await code(), runs()], ['MODEL_SUSPENDED', 'MODEL_SUSPENDED', 3])
  pass(100)
  assert.deepEqual([await code(), await code(), runs()], ['RUN_TIMEOUT', 'MODEL_SUSPENDED', 4])
  pass(100) // twice as long after a try that hung
  assert.equal(await code(), 'MODEL_SUSPENDED')
  pass(100)
  will('answers')
  assert.deepEqual([await code(), await code()], ['answered', 'answered'])
  assert.deepEqual(changes, [true, true, false])
})

test('hangs that are far apart, and failures, leave the circuit closed', async () => {
  const { code, will, pass } = circuit()
  for (let i = 0; i < 10; i++) {
    will('hangs')
    assert.equal(await code(), 'RUN_TIMEOUT')
    will('fails')
    assert.equal(await code(), 'RUN_FAILED')
    pass(31_000)
  }
})

test('six hangs in a minute open the circuit as well, whatever comes back in between', async () => {
  const { code, will } = circuit()
  for (let i = 0; i < 6; i++) {
    will('hangs')
    assert.equal(await code(), 'RUN_TIMEOUT')
    will('answers')
    assert.equal(await code(), i === 5 ? 'MODEL_SUSPENDED' : 'answered')
  }
})

test('no run is begun that could leave the runtime without a thread', async () => {
  let mayHang = true
  const { code, will, pass, runs } = circuit({ mayHang: () => mayHang })
  will('hangs')
  assert.equal(await code(), 'RUN_TIMEOUT')
  mayHang = false
  pass(3_600_000)
  assert.deepEqual([await code(), runs()], ['MODEL_SUSPENDED', 1])
  mayHang = true
  will('answers')
  assert.equal(await code(), 'answered')
})

test('after a hang batches are let in one by one until one ends well', async () => {
  const { runner, code, will, hold } = circuit()
  will('hangs')
  await code()
  will('answers')
  const letThrough = hold()
  const first = code()
  assert.equal(runner.room.hasRoom(), false)
  let isTold = false
  runner.room.whenRoom(() => (isTold = true))
  assert.equal(isTold, false)
  letThrough()
  assert.equal(await first, 'answered')
  assert.deepEqual([isTold, runner.room.hasRoom()], [true, true])
})
