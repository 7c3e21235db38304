// The whole service as a process of its own with a folder of models, asked through its HTTP door: the model's process is killed, a run
// does not end, one takes gigabytes, in a process and in a thread. Every request gets one answer, under its own id.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePorts } from '@andon/platform'
import { FOREVER, troubleModel } from '../../../services/inference/test/trouble.ts'
import { startChild, tail } from '../../../packages/platform/src/child.ts'
import { allProcesses, treeOf } from '../../bench/process-tree.ts'
import type { FaultOptions, FaultResult } from '../fault.ts'
import { judged, spinMsOf } from './rig.ts'
import type { Tally } from './rig.ts'

const ROWS = 16
const WIDTH = 8
const ANSWER_MS = 30_000

interface Asked {
  readonly spins?: number
  readonly grows?: number
}

interface Answer {
  readonly status: number
  readonly body: { readonly id?: string; readonly code?: string; readonly outputs?: readonly { readonly data: readonly number[] }[] }
}

const ask = async (url: string, model: string, id: string, row: number, { spins = 8, grows = 1 }: Asked = {}): Promise<Answer> => {
  const x = Array.from({ length: WIDTH }, (_, k) => Math.cos(row * WIDTH + k))
  const inputs = [
    { name: 'x', datatype: 'FP64', shape: [1, WIDTH], data: x },
    { name: 'spins', datatype: 'INT64', shape: [1], data: [spins] },
    { name: 'grows', datatype: 'INT64', shape: [1], data: [grows] },
  ]
  const answer = await fetch(`${url}/v2/models/${model}/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ id, inputs }),
    signal: AbortSignal.timeout(ANSWER_MS),
  })
  return { status: answer.status, body: (await answer.json()) as Answer['body'] }
}

const scoreOf = ({ body }: Answer): string => JSON.stringify(body.outputs?.[0]?.data)

/** Callers of one model; `nextRight` waits for a right score to a request made from now on. */
const callers = (url: string, model: string, expected: readonly string[], count: number) => {
  const tally: Tally = { asked: 0, right: 0, refused: new Map(), problems: [], unanswered: 0, rightAt: [] }
  let isOn = true
  const once = async (): Promise<void> => {
    const i = tally.asked++
    const id = `${model}-${i}`
    const askedMs = performance.now()
    try {
      const answer = await ask(url, model, id, i % ROWS)
      const { status, body } = answer
      if (status === 200 && body.id !== id) tally.problems.push(`request ${id} got the answer to ${body.id}`)
      else if (status === 200 && scoreOf(answer) !== expected[i % ROWS])
        tally.problems.push(`request ${id}: ${scoreOf(answer)}, undisturbed ${expected[i % ROWS]}`)
      else if (status === 200) {
        tally.right++
        tally.rightAt.push({ askedMs, answeredMs: performance.now() })
      } else if (body.code?.startsWith('ANDON_INFERENCE_') === true) tally.refused.set(body.code, (tally.refused.get(body.code) ?? 0) + 1)
      else tally.problems.push(`request ${id}: ${status} without a code of ours`)
    } catch (error) {
      tally.unanswered++
      tally.problems.push(`request ${id}: ${String(error)}`)
    }
  }
  const running = Array.from({ length: count }, async () => {
    while (isOn) await once()
  })
  return {
    tally,
    nextRight: async (): Promise<number> => {
      const sinceMs = performance.now()
      for (const until = sinceMs + 60_000; performance.now() < until;) {
        const found = tally.rightAt.findLast(({ askedMs }) => askedMs >= sinceMs)
        if (found !== undefined) return tally.rightAt.find(({ askedMs }) => askedMs >= sinceMs)!.answeredMs
        await sleep(2)
      }
      throw new Error(`${model} gave no right score for a minute`)
    },
    stop: async (): Promise<Tally> => {
      isOn = false
      await Promise.all(running)
      return tally
    },
  }
}

/** A model in a process, and the same one in a thread. */
const writeModels = (folder: string): void => {
  for (const [model, isolation] of [
    ['isolated', 'process'],
    ['threaded', 'threads'],
  ] as const) {
    mkdirSync(join(folder, model, '1'), { recursive: true })
    writeFileSync(join(folder, model, '1', 'model.onnx'), troubleModel.bytes)
    writeFileSync(
      join(folder, model, 'config.pbtxt'),
      `max_batch_size: 0\nparameters { key: "andon_isolation" value { string_value: "${isolation}" } }\n`,
    )
  }
}

const TIMEOUT_MS = 2500

/** A process that ends with a thread in a run is aborted by the runtime, after it has answered everything. */
const until = async (isSo: () => boolean): Promise<void> => {
  for (const untilMs = performance.now() + 60_000; !isSo(); await sleep(20))
    if (performance.now() > untilMs) throw new Error('a thread did not come back for a minute')
}

export const service = async (options: FaultOptions): Promise<FaultResult> => {
  const folder = mkdtempSync(join(tmpdir(), 'andon-serving-'))
  const models = join(folder, 'models')
  const logFile = join(folder, 'inference.log')
  writeModels(models)
  const [admin, grpc, http, metrics] = await freePorts(4)
  const url = `http://127.0.0.1:${http}`
  const child = startChild({
    name: 'inference',
    command: process.execPath,
    args: [join(import.meta.dirname, '../../../services/inference/src/main.ts')],
    env: {
      PATH: process.env['PATH'],
      INFERENCE_ROLE: 'server',
      INFERENCE_MODEL_REPOSITORY: models,
      INFERENCE_ADMIN_PORT: String(admin),
      INFERENCE_GRPC_PORT: String(grpc),
      INFERENCE_HTTP_PORT: String(http),
      INFERENCE_METRICS_PORT: String(metrics),
      INFERENCE_RUN_TIMEOUT_MS: String(TIMEOUT_MS),
      INFERENCE_PROCESS_MEMORY_BYTES: '500000000',
      ANDON_DATA_DIR: join(folder, 'data'),
      ANDON_BLOB_DIR: join(folder, 'blobs'),
    },
    cwd: folder,
    logFile,
    readyWithinMs: 60_000,
    isReady: () =>
      fetch(`${url}/v2/models/isolated/ready`).then(
        async ({ ok }) => ok && (await fetch(`${url}/v2/models/threaded/ready`)).ok,
        () => false,
      ),
  })
  try {
    await child.ready()
    const expected: string[] = []
    for (let row = 0; row < ROWS; row++) expected.push(scoreOf(await ask(url, 'threaded', '', row)))
    const spinMs = await spinMsOf((asked) => ask(url, 'threaded', '', 0, asked))
    const [isolated, threaded] = [callers(url, 'isolated', expected, 8), callers(url, 'threaded', expected, 2)]
    const recoveries: number[] = []
    const demands: (string | undefined)[] = []
    const refused = async (model: string, asked: Asked, code: string): Promise<void> => {
      const { status, body } = await ask(url, model, 'harm', 0, asked)
      if (body.code !== code) demands.push(`${model} answered ${status} ${body.code}, expected ${code}`)
    }
    const recovered = async (which: typeof isolated): Promise<void> => {
      const harmedMs = performance.now()
      recoveries.push((await which.nextRight()) - harmedMs)
    }
    const isShort = options.scale < 0.5
    for (let round = 0; round < (isShort ? 1 : 5); round++) {
      await Promise.all([isolated.nextRight(), threaded.nextRight()])
      const worker = treeOf(child.identity.pid, allProcesses()).find(({ pid }) => pid !== child.identity.pid)
      process.kill(worker!.pid, 'SIGKILL')
      await recovered(isolated)
      await refused('isolated', { spins: FOREVER }, 'ANDON_INFERENCE_RUN_TIMEOUT')
      await recovered(isolated)
      await refused('isolated', { grows: 600e6 }, 'ANDON_INFERENCE_MEMORY_EXCEEDED')
      await recovered(isolated)
      if (isShort) continue
      // A thread cannot be killed: some seconds of it, after which it comes back and ends.
      await refused('threaded', { spins: Math.round((2 * TIMEOUT_MS) / spinMs) }, 'ANDON_INFERENCE_RUN_TIMEOUT')
      await recovered(threaded)
      await until(() => readFileSync(logFile, 'utf8').split('"kind":"returned"').length > round + 1)
    }
    const tallies = [await isolated.stop(), await threaded.stop()]
    options.note(`longest until a right score ${Math.round(Math.max(...recoveries))} ms, over ${recoveries.length} harms`)
    const { code, signal } = await child.stop()
    if (code !== 0) demands.push(`the service ended with ${signal ?? `code ${code}`}: ${tail(logFile, 4)}`)
    return judged(tallies, recoveries, demands)
  } finally {
    await child.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
