// Isolated models in real processes: the same numbers as in a thread, and what happens when one hangs, grows, crashes or lies.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { writeOnnx } from '../src/learning/onnx-writer.ts'
import { processRuntime } from '../src/runtime/process-runtime.ts'
import type { ProcessRuntime, ProcessRuntimeOptions, ProcessTrouble } from '../src/runtime/process-runtime.ts'
import type { Batch, Runner, Runtime, RuntimeModel } from '../src/runtime/runner.ts'
import { threadRuntime } from '../src/runtime/thread-runtime.ts'
import { packBytes } from '../src/tensors/bytes.ts'
import { narrow } from '../src/tensors/half.ts'
import { pack } from '../src/tensors/tensors.ts'
import { FOREVER, troubleBatch, troubleModel } from './trouble.ts'

const open = (t: TestContext, options: Partial<ProcessRuntimeOptions> = {}): { runtime: ProcessRuntime; troubles: ProcessTrouble[] } => {
  const troubles: ProcessTrouble[] = []
  const runtime = processRuntime({
    runTimeoutMs: 30_000,
    memoryLimitBytes: 2 ** 33,
    onTrouble: (trouble) => troubles.push(trouble),
    ...options,
  })
  t.after(() => runtime.close())
  return { runtime, troubles }
}

const whenRoom = async ({ room }: Runner): Promise<void> => {
  while (!room.hasRoom()) await new Promise<void>((resolve) => room.whenRoom(resolve))
}
const bytesOf = async (runner: Runner, batch: Batch): Promise<string> =>
  JSON.stringify(
    (await runner.run(batch)).outputs.map((outputs) => outputs.map(({ shape, bytes }) => [shape, Buffer.from(bytes).toString('hex')])),
  )

/** What an undisturbed run gives. */
const reference = async (t: TestContext, model: RuntimeModel): Promise<Runner> => {
  const threads: Runtime = threadRuntime({ workers: 1, runTimeoutMs: 30_000 })
  t.after(() => threads.close())
  return threads.open(model)
}

test('every kind of tensor comes back bit for bit as from a thread, alone and in a batch', async (t) => {
  const types = ['double', 'float', 'float16', 'int64', 'uint8', 'bool', 'string'] as const
  const model: RuntimeModel = {
    ...troubleModel,
    maxBatchRows: 8,
    bytes: writeOnnx({
      name: 'same',
      nodes: types.map((type) => ({ op: 'Identity', inputs: [`in_${type}`], outputs: [`out_${type}`] })),
      initializers: [],
      inputs: types.map((type) => ({ name: `in_${type}`, type, dims: ['N', 3] })),
      outputs: types.map((type) => ({ name: `out_${type}`, type, dims: ['N', 3] })),
    }),
  }
  const inputs = (rows: number, from: number) => {
    const numbers = Array.from({ length: rows * 3 }, (_, i) => Math.sin(from + i))
    return [
      pack('FP64', numbers),
      pack('FP32', numbers),
      narrow('FP16', Float32Array.from(numbers)),
      pack(
        'INT64',
        numbers.map((_, i) => BigInt(from + i) - 2n),
      ),
      pack(
        'UINT8',
        numbers.map((_, i) => from + i),
      ),
      pack(
        'BOOL',
        numbers.map((value) => value > 0),
      ),
      packBytes(numbers.map((value) => Buffer.from(`é${value}`))),
    ].map((bytes) => ({ shape: [rows, 3], bytes }))
  }
  const outputs = types.map((type) => `out_${type}`)
  const batch: Batch = { requests: [1, 3, 2].map((rows, i) => ({ rows, inputs: inputs(rows, 10 * i) })), outputs, rows: 6 }
  const isolated = await open(t).runtime.open(model)
  const thread = await reference(t, model)
  assert.deepEqual(isolated.io, thread.io)
  assert.equal(isolated.provider, 'CPUExecutionProvider')
  assert.equal(await bytesOf(isolated, batch), await bytesOf(thread, batch))
  const none: Batch = { requests: [{ rows: 0, inputs: inputs(0, 0) }], outputs, rows: 0 }
  assert.equal(await bytesOf(isolated, none), await bytesOf(thread, none))
})

test('a run that does not end is killed: its request is told so, the one behind it may be tried again, the next is scored', async (t) => {
  const { runtime, troubles } = open(t, { runTimeoutMs: 1500 })
  const runner = await runtime.open(troubleModel)
  const expected = await bytesOf(await reference(t, troubleModel), troubleBatch(1))
  const [hung, behind] = [runner.run(troubleBatch(1, { spins: FOREVER })), runner.run(troubleBatch(1))]
  assert.equal(runner.room.hasRoom(), false)
  await Promise.all([
    assert.rejects(hung, { code: 'ANDON_INFERENCE_RUN_TIMEOUT', retriable: true }),
    assert.rejects(behind, { code: 'ANDON_INFERENCE_WORKER_LOST', retriable: true }),
  ])
  await whenRoom(runner)
  assert.equal(await bytesOf(runner, troubleBatch(1)), expected)
  assert.deepEqual(
    troubles.map(({ kind }) => kind),
    ['timeout'],
  )
})

test('a model that grows beyond its limit is killed and says by how much', async (t) => {
  const { runtime, troubles } = open(t, { memoryLimitBytes: 400e6 })
  const runner = await runtime.open(troubleModel)
  const expected = await bytesOf(runner, troubleBatch(2))
  await assert.rejects(runner.run(troubleBatch(2, { grows: 500e6 })), {
    code: 'ANDON_INFERENCE_MEMORY_EXCEEDED',
    retriable: false,
    message: /took \d+ MB of memory, more than the 400 MB/,
  })
  await whenRoom(runner)
  assert.equal(await bytesOf(runner, troubleBatch(2)), expected)
  assert.deepEqual(
    troubles.map(({ kind }) => kind),
    ['memory'],
  )
})

test('a process killed again and again under load: every request is answered once, with its score or an error', async (t) => {
  const { runtime, troubles } = open(t)
  const runner = await runtime.open({ ...troubleModel, instances: 2 })
  const undisturbed = await reference(t, troubleModel)
  const expected: string[] = []
  for (let i = 0; i < 20; i++) expected.push(await bytesOf(undisturbed, troubleBatch(i)))
  const answered = { score: 0, error: 0 }
  const ask = async (i: number): Promise<void> => {
    await whenRoom(runner)
    try {
      assert.equal(await bytesOf(runner, troubleBatch(i % 20)), expected[i % 20])
      answered.score++
    } catch (error) {
      const { code } = error as { code?: string }
      assert.ok(code === 'ANDON_INFERENCE_WORKER_LOST' || code === 'ANDON_INFERENCE_NO_WORKER', String(error))
      answered.error++
    }
  }
  for (let round = 0; round < 3; round++) {
    const asked = Array.from({ length: 40 }, (_, i) => ask(i))
    process.kill(runtime.pids[0]!, 'SIGKILL')
    await Promise.all(asked)
  }
  await whenRoom(runner)
  assert.equal(answered.score + answered.error, 120)
  assert.ok(answered.score > 0)
  assert.equal(await bytesOf(runner, troubleBatch(3)), expected[3])
  // One that is killed while it starts has not replaced another.
  assert.ok(troubles.every(({ kind }) => kind === 'lost' || kind === 'not-replaced'))
})

test('a model that crashes on a request fails that request, and may have been lost to those beside it', async (t) => {
  const { runtime } = open(t)
  const runner = await runtime.open(troubleModel)
  const [crashing, behind] = [runner.run(troubleBatch(0, { spins: FOREVER })), runner.run(troubleBatch(0))]
  process.kill(runtime.pids[0]!, 'SIGSEGV')
  await Promise.all([
    assert.rejects(crashing, { code: 'ANDON_INFERENCE_RUN_FAILED', retriable: false, message: /SIGSEGV/ }),
    assert.rejects(behind, { code: 'ANDON_INFERENCE_WORKER_LOST', retriable: true }),
  ])
})

test('a process that does not come up in time is killed', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'andon-slow-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const program = join(folder, 'slow.mjs')
  writeFileSync(program, 'setInterval(() => {}, 1000)')
  const { runtime } = open(t, { program, openTimeoutMs: 300 })
  await assert.rejects(runtime.open(troubleModel), { code: 'ANDON_INFERENCE_MODEL_UNLOADABLE', message: /did not load in 300 ms/ })
  assert.deepEqual(runtime.pids, [])
})

test('the process gets nothing of the service but what a GPU needs', async (t) => {
  process.env['ANDON_TEST_SECRET'] = 'secret'
  t.after(() => delete process.env['ANDON_TEST_SECRET'])
  const { runtime } = open(t)
  await runtime.open(troubleModel)
  const environment = readFileSync(`/proc/${runtime.pids[0]!}/environ`, 'utf8')
  assert.doesNotMatch(environment, /secret|ANDON|HOME|TOKEN|NODE_OPTIONS/)
  assert.equal(readFileSync(`/proc/${runtime.pids[0]!}/oom_score_adj`, 'utf8').trim(), '1000')
})

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]![0] !== 'Z'
  } catch {
    return false
  }
}

test('when the service is killed, its processes end, even in the middle of a run', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'andon-orphan-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const program = join(folder, 'service.mjs')
  const from = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href)
  writeFileSync(
    program,
    `import { processRuntime } from ${from('../src/runtime/process-runtime.ts')}
     import { FOREVER, troubleBatch, troubleModel } from ${from('./trouble.ts')}
     const runtime = processRuntime({ runTimeoutMs: 1e9, memoryLimitBytes: 1e12 })
     const runner = await runtime.open(troubleModel)
     await runner.run(troubleBatch(0))
     runner.run(troubleBatch(0, { spins: FOREVER })).catch(() => {})
     setTimeout(() => console.log(runtime.pids[0]), 50)`,
  )
  const service = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(service.stdout, 'data')) as [Buffer]
  const pid = Number(line.toString())
  assert.equal(isAlive(pid), true)
  service.kill('SIGKILL')
  await once(service, 'exit')
  while (isAlive(pid)) await sleep(10)
})

test('a process that answers what it was not asked, or what cannot be, is not believed', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'andon-liar-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const io = {
    inputs: [
      { name: 'x', datatype: 'FP64', shape: [1, 8] },
      { name: 'spins', datatype: 'INT64', shape: [1] },
      { name: 'grows', datatype: 'INT64', shape: [1] },
    ],
    outputs: [{ name: 'y', datatype: 'FP64', shape: [1, 2] }],
  }
  const y = { name: 'y', datatype: 'FP64', shape: [1, 2], at: 0, bytes: 16 }
  const lies: readonly (readonly [unknown, string])[] = [
    [{ op: 'ran', outputs: [{ ...y, shape: [1, 3] }] }, 'ANDON_INFERENCE_RUN_FAILED'],
    [{ op: 'ran', outputs: [{ ...y, bytes: 2 ** 40 }] }, 'ANDON_INFERENCE_RUN_FAILED'],
    [{ op: 'ran', outputs: [{ ...y, at: -8 }] }, 'ANDON_INFERENCE_RUN_FAILED'],
    [{ op: 'ran', outputs: [{ ...y, datatype: 'FP32' }] }, 'ANDON_INFERENCE_RUN_FAILED'],
    [{ op: 'ran', outputs: [{ ...y, name: 'z' }] }, 'ANDON_INFERENCE_RUN_FAILED'],
    [{ op: 'ran', outputs: [] }, 'ANDON_INFERENCE_RUN_FAILED'],
    [{ op: 'ran', outputs: [y] }, 'ANDON_INFERENCE_RUN_FAILED'], // nothing was written
    [{ op: 'ran' }, 'ANDON_INFERENCE_RUN_FAILED'],
    [{ op: 'ran', id: 999, outputs: [y] }, 'ANDON_INFERENCE_WORKER_LOST'],
    ['no frame', 'ANDON_INFERENCE_WORKER_LOST'],
    [null, 'ANDON_INFERENCE_WORKER_LOST'],
  ]
  for (const [i, [lie, code]] of lies.entries()) {
    const program = join(folder, `liar-${i}.mjs`)
    writeFileSync(
      program,
      `import { readSync, writeSync } from 'node:fs'
       const read = (bytes) => { const b = Buffer.alloc(bytes); let at = 0; while (at < bytes) { const n = readSync(3, b, at, bytes - at); if (n === 0) process.exit(); at += n } return b }
       const send = (value) => { const b = Buffer.from(JSON.stringify(value)); const n = Buffer.alloc(4); n.writeUInt32LE(b.length); writeSync(3, Buffer.concat([n, b])) }
       for (;;) {
         const { op, id } = JSON.parse(read(read(4).readUInt32LE()))
         const lie = ${JSON.stringify(lie)}
         send(op === 'open' ? { op: 'opened', id, io: ${JSON.stringify(io)}, provider: 'CPUExecutionProvider' } : lie?.op === undefined ? lie : { id, ...lie })
       }`,
    )
    const { runtime } = open(t, { program })
    const runner = await runtime.open(troubleModel)
    await assert.rejects(runner.run(troubleBatch(0)), { code }, JSON.stringify(lie))
    await runtime.close()
  }
})

test('what is no model is refused with the reason, and leaves no process behind', async (t) => {
  const { runtime } = open(t)
  await assert.rejects(runtime.open({ ...troubleModel, bytes: Buffer.from('no model') }), {
    code: 'ANDON_INFERENCE_MODEL_UNLOADABLE',
    message: /it is no ONNX model/,
  })
  assert.deepEqual(runtime.pids, [])
})

test('a process that cannot be had again does not keep requests waiting for ever', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'andon-once-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const program = join(folder, 'once.mjs')
  const worker = new URL('../src/runtime/process-worker.ts', import.meta.url).href
  const mark = JSON.stringify(join(folder, 'started'))
  writeFileSync(
    program,
    `import { existsSync, writeFileSync } from 'node:fs'
     if (existsSync(${mark})) process.exit(7)
     writeFileSync(${mark}, '')
     await import(${JSON.stringify(worker)})`,
  )
  const { runtime, troubles } = open(t, { program })
  const runner = await runtime.open(troubleModel)
  process.kill(runtime.pids[0]!, 'SIGKILL')
  await assert.rejects(runner.run(troubleBatch(0)), { code: 'ANDON_INFERENCE_WORKER_LOST' })
  await whenRoom(runner)
  await assert.rejects(runner.run(troubleBatch(0)), { code: 'ANDON_INFERENCE_NO_WORKER', retriable: true })
  assert.match(troubles.find(({ kind }) => kind === 'not-replaced')!.reason, /code 7/)
})

test('closing ends every process', async (t) => {
  const { runtime } = open(t)
  const [first, second] = await Promise.all([runtime.open({ ...troubleModel, instances: 2 }), runtime.open(troubleModel)])
  const { pids } = runtime
  assert.equal(pids.length, 3)
  await first.close()
  assert.equal(runtime.pids.length, 1)
  assert.equal((await second.run(troubleBatch(0))).outputs.length, 1)
  await runtime.close()
  assert.deepEqual(pids.filter(isAlive), [])
})
