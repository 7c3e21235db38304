// Threads on the real runtime: rows come back to whoever asked, threads that die or hang are replaced, and models leave nothing behind.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import type { Batch, Runner, RuntimeModel } from '../../src/runtime/runner.ts'
import { threadRuntime } from '../../src/runtime/thread-runtime.ts'
import type { ThreadRuntime, ThreadRuntimeOptions, Trouble } from '../../src/runtime/thread-runtime.ts'
import { packBytes } from '../../src/tensors/bytes.ts'
import { narrow } from '../../src/tensors/half.ts'
import { REFERENCE, identity, mlp, numbers, sumOfRows } from '../onnx-models.ts'

const model = (bytes: Uint8Array, changes: Partial<RuntimeModel> = {}): RuntimeModel => ({
  label: 'm version 1',
  digest: 'd',
  bytes,
  instances: 1,
  maxBatchRows: 256,
  parameters: {},
  device: 'auto',
  ...changes,
})

interface Opened {
  readonly runtime: ThreadRuntime
  readonly troubles: Trouble[]
  /** Resolves with the next trouble of a kind. */
  readonly trouble: (kind: Trouble['kind']) => Promise<Trouble>
}

const open = (t: TestContext, options: Partial<ThreadRuntimeOptions> = {}): Opened => {
  const troubles: Trouble[] = []
  const waiting: { kind: Trouble['kind']; resolve: (trouble: Trouble) => void }[] = []
  const runtime = threadRuntime({
    workers: 1,
    runTimeoutMs: 60_000,
    onTrouble: (trouble) => {
      troubles.push(trouble)
      for (const { kind, resolve } of waiting) if (kind === trouble.kind) resolve(trouble)
    },
    ...options,
  })
  t.after(() => runtime.close())
  return { runtime, troubles, trouble: (kind) => new Promise((resolve) => waiting.push({ kind, resolve })) }
}

/** Threads, each with a gate: runs stay inside while it is shut. */
const gated = (
  held: 'run' | 'load' = 'run',
): { openWorker: () => Worker; shut: () => void; open: (thread?: number) => void; runsBegun: (count: number) => Promise<void> } => {
  const gates: Int32Array[] = []
  const begun = new Int32Array(new SharedArrayBuffer(4))
  return {
    openWorker: () => {
      const gate = new Int32Array(new SharedArrayBuffer(4))
      gates.push(gate)
      return new Worker(new URL('./gated-worker.ts', import.meta.url), { workerData: { gate, begun, held } })
    },
    /** The gates of the threads that are there now; later ones are open. */
    shut: () => {
      for (const gate of gates) Atomics.store(gate, 0, 1)
    },
    open: (thread) => {
      for (const gate of thread === undefined ? gates : [gates[thread]!]) {
        Atomics.store(gate, 0, 0)
        Atomics.notify(gate, 0)
      }
    },
    runsBegun: async (count) => {
      for (let found = Atomics.load(begun, 0); found < count; found = Atomics.load(begun, 0)) {
        const { async, value } = Atomics.waitAsync(begun, 0, found)
        if (async) await value
      }
    },
  }
}

const floats = (values: Float32Array, columns: number) => ({
  shape: [values.length / columns, columns],
  bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
})
const batchOf = (...inputs: { readonly shape: readonly number[]; readonly bytes: Uint8Array }[]): Batch => ({
  requests: inputs.map((input) => ({ inputs: [input], rows: input.shape[0]! })),
  outputs: ['y'],
  rows: inputs.reduce((sum, { shape }) => sum + shape[0]!, 0),
})
const run = async (runner: Runner, ...inputs: Parameters<typeof batchOf>) => (await runner.run(batchOf(...inputs))).outputs.map(([y]) => y!)

test('each request of a batch gets its own rows, at whatever address its bytes lie', async (t) => {
  const runner = await open(t).runtime.open(model(identity('float', 3)))
  const odd = new Uint8Array(25)
  odd.set(floats(numbers(6, 9), 3).bytes, 1)
  const given = [floats(numbers(3, 1), 3), { shape: [2, 3], bytes: odd.subarray(1) }, floats(numbers(9, 3), 3)]
  const answers = await run(runner, ...given)
  answers.forEach(({ shape, bytes, datatype }, i) => {
    assert.deepEqual([datatype, shape], ['FP32', given[i]!.shape])
    assert.deepEqual(Buffer.from(bytes), Buffer.from(given[i]!.bytes))
  })
  assert.equal(runner.provider, 'CPUExecutionProvider')
})

test('half precision is widened into the batch and narrowed for each request', async (t) => {
  const { runtime } = open(t)
  for (const [type, datatype] of [
    ['float16', 'FP16'],
    ['bfloat16', 'BF16'],
  ] as const) {
    const runner = await runtime.open(model(identity(type, 2)))
    const given = [1, 2, 300].map((rows) => ({ shape: [rows, 2], bytes: narrow(datatype, numbers(rows * 2, rows)) }))
    const answers = await run(runner, ...given)
    answers.forEach((answer, i) => {
      assert.deepEqual([answer.datatype, answer.shape], [datatype, given[i]!.shape])
      assert.deepEqual(Buffer.from(answer.bytes), Buffer.from(given[i]!.bytes))
    })
  }
})

test('text of any length comes back to the request it is of', async (t) => {
  const runner = await open(t).runtime.open(model(identity('string', 1)))
  const given = [['a'], ['', 'längere Wörter'], ['x'.repeat(3000)]].map((texts) => ({
    shape: [texts.length, 1],
    bytes: packBytes(texts.map((text) => Buffer.from(text))),
  }))
  const answers = await run(runner, ...given)
  answers.forEach(({ bytes }, i) => assert.deepEqual(Buffer.from(bytes), Buffer.from(given[i]!.bytes)))
})

test('an output without a row for each of the batch is refused: nobody gets what may be of others', async (t) => {
  const runner = await open(t).runtime.open(model(sumOfRows(2)))
  await assert.rejects(run(runner, floats(numbers(2, 1), 2), floats(numbers(2, 2), 2)), {
    code: 'ANDON_INFERENCE_RUN_FAILED',
    message: /output y has 1 rows, expected 2/,
  })
})

test('runs of every size come back to whoever asked, whichever way inputs and outputs are carried', async (t) => {
  const runner = await open(t).runtime.open(model(identity('float', 1)))
  // Both in shared memory; inputs there and outputs in a message; both in messages.
  const rows = [1, 20_000, 60_000, 2, 60_000, 20_000, 1, 3]
  for (let i = 0; i < rows.length; i++) {
    const pair = [rows[i]!, rows[(i * 5 + 1) % rows.length]!].map((count, seed) => floats(numbers(count, i * 2 + seed), 1))
    const answers = await Promise.all(pair.map((given) => run(runner, given)))
    for (const [at, [answer]] of answers.entries())
      assert.ok(Buffer.from(answer!.bytes).equals(Buffer.from(pair[at]!.bytes)), `${pair[at]!.shape.join()} in turn ${i}`)
  }
})

test('bytes that do not fit their shape are refused before they reach a thread', async (t) => {
  const runner = await open(t).runtime.open(model(identity('float', 2)))
  await assert.rejects(run(runner, { shape: [1, 2], bytes: new Uint8Array(7) }), {
    code: 'ANDON_INFERENCE_RUN_FAILED',
    message: /input x has 7 bytes, expected 8/,
  })
})

test('batch size and row position change no bit of an output', async (t) => {
  const { runtime } = open(t)
  for (const [sizes, by] of [
    [REFERENCE, 'MatMul'],
    [REFERENCE, 'Gemm'],
    [[17, 33, 5, 3], 'MatMul'],
  ] as const) {
    const runner = await runtime.open(model(mlp(sizes, by)))
    const [columns, total] = [sizes[0], 256]
    const given = numbers(total * columns, 7)
    const rowsFrom = (from: number, rows: number) => floats(given.subarray(from * columns, (from + rows) * columns), columns)
    const alone = await Promise.all(Array.from({ length: total }, async (_, i) => (await run(runner, rowsFrom(i, 1)))[0]!))
    for (const rows of [2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 17, 31, 32, 33, 64, 100, 128, 255, 256]) {
      for (let from = 0; from + rows <= total; from += rows) {
        // As one request, and as requests of one row that the batcher has put together.
        const single = (await run(runner, rowsFrom(from, rows)))[0]!
        const width = single.bytes.byteLength / rows
        const many = rows > 33 ? [] : await run(runner, ...Array.from({ length: rows }, (_, i) => rowsFrom(from + i, 1)))
        for (let i = 0; i < rows; i++) {
          const expected = Buffer.from(alone[from + i]!.bytes)
          assert.deepEqual(
            Buffer.from(single.bytes.subarray(i * width, (i + 1) * width)),
            expected,
            `${sizes.join('-')} row ${i} of ${rows}`,
          )
          const own = many[i]
          if (own !== undefined) assert.deepEqual(Buffer.from(own.bytes), expected, `${sizes.join('-')} row ${i} of ${rows}`)
        }
      }
    }
    await runner.close()
  }
})

test('two batches are taken per thread, a third finds no room until one has come back', async (t) => {
  const { openWorker, shut, open: letThrough, runsBegun } = gated()
  const runner = await open(t, { openWorker }).runtime.open(model(identity('float', 1)))
  shut()
  assert.deepEqual([runner.room.hasRoom(), runner.room.isIdle!()], [true, true])
  const first = run(runner, floats(numbers(1, 1), 1))
  await runsBegun(1)
  assert.deepEqual([runner.room.hasRoom(), runner.room.isIdle!()], [true, false])
  const second = run(runner, floats(numbers(1, 2), 1))
  assert.equal(runner.room.hasRoom(), false)
  const room = new Promise<void>((resolve) => runner.room.whenRoom(resolve))
  letThrough()
  await room
  await Promise.all([first, second])
})

test('models that share a thread are told of room in the order in which they asked', async (t) => {
  const { openWorker, shut, open: letThrough } = gated()
  const { runtime } = open(t, { openWorker })
  const [a, b] = await Promise.all([runtime.open(model(identity('float', 1))), runtime.open(model(identity('float', 1)))])
  shut()
  const runs = [run(a, floats(numbers(1, 1), 1)), run(a, floats(numbers(1, 1), 1))]
  const told: string[] = []
  const all = new Promise<void>((resolve) => {
    const tell = (name: string) => (): void => {
      if (told.push(name) === 3) resolve()
    }
    b.room.whenRoom(tell('b'))
    a.room.whenRoom(tell('a'))
    b.room.whenRoom(tell('b again'))
  })
  letThrough()
  await Promise.all(runs)
  await all
  assert.deepEqual(told, ['b', 'a', 'b again'])
})

test('who finds no room keeps its place while others are told', async (t) => {
  const { openWorker, shut, open: letThrough, runsBegun } = gated()
  const { runtime } = open(t, { openWorker, workers: 2 })
  const [a, b] = [await runtime.open(model(identity('float', 1))), await runtime.open(model(identity('float', 1)))]
  shut()
  const fill = (runner: Runner): Promise<unknown>[] => [1, 2].map((seed) => run(runner, floats(numbers(1, seed), 1)))
  const [runsOfA, runsOfB] = [fill(a), fill(b)]
  await runsBegun(2)
  const told: string[] = []
  const toldOf = (runner: Runner, name: string): Promise<void> =>
    new Promise((resolve) => {
      runner.room.whenRoom(() => {
        told.push(name)
        resolve()
      })
    })
  const [first, second] = [toldOf(a, 'a'), toldOf(b, 'b')]
  letThrough(1)
  await Promise.all([second, ...runsOfB])
  assert.deepEqual(told, ['b'])
  letThrough(0)
  await Promise.all([first, ...runsOfA])
})

test('a model that does not come back from its load is refused, and the thread that holds it up is replaced', async (t) => {
  const { openWorker, shut, open: letThrough } = gated('load')
  const { runtime, trouble } = open(t, { openWorker, loadTimeoutMs: 2500 })
  const runner = await runtime.open(model(identity('float', 1)))
  shut()
  const opening = runtime.open(model(identity('float', 1), { label: 'slow' }))
  await Promise.resolve()
  assert.equal(runner.room.hasRoom(), false) // nothing is sent behind a load
  await assert.rejects(opening, { code: 'ANDON_INFERENCE_MODEL_UNLOADABLE' })
  if (!runner.room.hasRoom()) await new Promise<void>((resolve) => runner.room.whenRoom(resolve))
  assert.equal((await run(runner, floats(numbers(1, 1), 1))).length, 1)
  const returned = trouble('returned')
  letThrough()
  await returned
})

test('a model that ends every thread that loads it is given up, the others get their thread back', async (t) => {
  const dying = `const { parentPort } = require('node:worker_threads')
    parentPort.on('message', ({ id, op, source }) => {
      if (op === 'load' && source.bytes.length === 3) process.exit(3)
      if (op === 'load') parentPort.postMessage({ id, op: 'loaded', io: { inputs: [], outputs: [] }, provider: 'fake' })
      if (op === 'unload') parentPort.postMessage({ id, op: 'unloaded' })
      if (op === 'close') parentPort.close()
    })`
  let threads = 0
  const openWorker = (): Worker => {
    threads++
    return new Worker(dying, { eval: true })
  }
  const { runtime } = open(t, { openWorker })
  const runner = await runtime.open(model(Buffer.from('good')))
  await assert.rejects(runtime.open(model(Buffer.from('bad'))), { code: 'ANDON_INFERENCE_MODEL_UNLOADABLE' })
  if (!runner.room.hasRoom()) await new Promise<void>((resolve) => runner.room.whenRoom(resolve))
  assert.deepEqual([threads, runtime.isReady(), runner.room.hasRoom()], [4, true, true])
})

test('a model has as many threads as it has instances', async (t) => {
  const { openWorker, shut, open: letThrough, runsBegun } = gated()
  const { runtime } = open(t, { openWorker, workers: 2 })
  const [one, two] = [await runtime.open(model(identity('float', 1))), await runtime.open(model(identity('float', 1), { instances: 8 }))]
  shut()
  const runs = [one, one].map((runner) => run(runner, floats(numbers(1, 1), 1)))
  await runsBegun(1)
  assert.equal(one.room.hasRoom(), false)
  assert.equal(two.room.isIdle!(), true) // the other thread
  letThrough()
  await Promise.all(runs)
})

test('a run that does not come back: its callers are told in time, another thread takes over, and the late answer is nobody’s', async (t) => {
  const { openWorker, shut, open: letThrough, runsBegun } = gated()
  const { runtime, trouble } = open(t, { openWorker, runTimeoutMs: 800 })
  const runner = await runtime.open(model(identity('float', 1)))
  shut()
  const suspected = trouble('suspect')
  const hanging = run(runner, floats(numbers(1, 1), 1))
  const behind = run(runner, floats(numbers(1, 2), 1))
  await assert.rejects(hanging, { code: 'ANDON_INFERENCE_RUN_TIMEOUT', retriable: true })
  await assert.rejects(behind, { code: 'ANDON_INFERENCE_WORKER_LOST', retriable: true })
  await suspected
  await runsBegun(1)
  assert.deepEqual([runtime.suspects, runtime.isReady()], [1, true])
  // The one that hangs stays inside; the new one goes through.
  if (!runner.room.hasRoom()) await new Promise<void>((resolve) => runner.room.whenRoom(resolve))
  const [again] = await run(runner, floats(numbers(1, 3), 1))
  assert.deepEqual(Buffer.from(again!.bytes), Buffer.from(floats(numbers(1, 3), 1).bytes))
  assert.equal(runtime.suspects, 1)
  const returned = trouble('returned')
  letThrough()
  await returned
  assert.deepEqual([runtime.suspects, runtime.isReady()], [0, true])
})

test('when too many threads hang the service is not ready, and it is again when one comes back', async (t) => {
  const { openWorker, shut, open: letThrough } = gated()
  const { runtime, trouble } = open(t, { openWorker, runTimeoutMs: 800, maxSuspects: 1 })
  const runner = await runtime.open(model(identity('float', 1)))
  for (let i = 0; i < 2; i++) {
    shut()
    if (!runner.room.hasRoom()) await new Promise<void>((resolve) => runner.room.whenRoom(resolve))
    await assert.rejects(run(runner, floats(numbers(1, 1), 1)), { code: 'ANDON_INFERENCE_RUN_TIMEOUT' })
  }
  assert.deepEqual([runtime.suspects, runtime.isReady()], [2, false])
  assert.equal(runner.room.hasRoom(), true) // refused at once rather than waiting for ever
  await assert.rejects(run(runner, floats(numbers(1, 1), 1)), { code: 'ANDON_INFERENCE_NO_WORKER', retriable: true })
  const returned = trouble('returned')
  letThrough()
  await returned
  assert.equal(runtime.isReady(), true)
  if (!runner.room.hasRoom()) await new Promise<void>((resolve) => runner.room.whenRoom(resolve))
  await run(runner, floats(numbers(1, 1), 1))
})

test('a thread that dies is replaced and gets every model again', async (t) => {
  const workers: Worker[] = []
  const openWorker = (): Worker => {
    const worker = new Worker(new URL('../../src/runtime/session-worker.ts', import.meta.url))
    workers.push(worker)
    return worker
  }
  const { runtime, trouble } = open(t, { openWorker })
  const runners = [await runtime.open(model(identity('float', 1))), await runtime.open(model(mlp([2, 3, 1])))]
  const lost = trouble('lost')
  void workers[0]!.terminate() // idle: nothing runs in it
  await lost
  for (const [i, runner] of runners.entries()) {
    if (!runner.room.hasRoom()) await new Promise<void>((resolve) => runner.room.whenRoom(resolve))
    assert.equal((await run(runner, floats(numbers(i + 1, 1), i + 1))).length, 1)
  }
  assert.equal(workers.length, 2)
})

test('a model that cannot be loaded says why and leaves the others working', async (t) => {
  const { runtime } = open(t)
  const runner = await runtime.open(model(identity('float', 1)))
  await assert.rejects(runtime.open(model(Buffer.from('no model'))), { code: 'ANDON_INFERENCE_MODEL_UNLOADABLE' })
  assert.equal((await run(runner, floats(numbers(1, 1), 1))).length, 1)
})

test('a model is unloaded after what runs, and is asked in vain afterwards', async (t) => {
  const { openWorker, shut, open: letThrough, runsBegun } = gated()
  const { runtime } = open(t, { openWorker })
  const runner = await runtime.open(model(identity('float', 1)))
  shut()
  const last = run(runner, floats(numbers(1, 1), 1))
  await runsBegun(1)
  const closed = runner.close()
  letThrough()
  assert.equal((await last).length, 1)
  await closed
  await assert.rejects(run(runner, floats(numbers(1, 1), 1)), { code: 'ANDON_INFERENCE_NO_WORKER' })
})

test('closing waits for a thread that is in a run, since the process must not end before', async (t) => {
  const { openWorker, shut, open: letThrough } = gated()
  const { runtime, trouble } = open(t, { openWorker, runTimeoutMs: 800 })
  const runner = await runtime.open(model(identity('float', 1)))
  shut()
  await assert.rejects(run(runner, floats(numbers(1, 1), 1)), { code: 'ANDON_INFERENCE_RUN_TIMEOUT' })
  const order: string[] = []
  const returned = trouble('returned').then(() => order.push('returned'))
  const closed = runtime.close().then(() => order.push('closed'))
  letThrough()
  await Promise.all([returned, closed])
  assert.deepEqual(order, ['returned', 'closed'])
})

test('closing ends every thread', async () => {
  const workers: Worker[] = []
  const openWorker = (): Worker => {
    const worker = new Worker(new URL('../../src/runtime/session-worker.ts', import.meta.url))
    workers.push(worker)
    return worker
  }
  const runtime = threadRuntime({ workers: 2, runTimeoutMs: 1000, openWorker })
  const exits = workers.map((worker) => once(worker, 'exit'))
  await runtime.open(model(identity('float', 1), { instances: 2 }))
  await runtime.close()
  await Promise.all(exits)
  assert.equal(runtime.isReady(), false)
})
