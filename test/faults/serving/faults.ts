// Harm to what runs models: a run that does not end, threads and processes that die, memory, files that are no models, a GPU that is
// not there. Meanwhile callers go on asking.

import { Worker } from 'node:worker_threads'
import { processRuntime } from '../../../services/inference/src/runtime/process-runtime.ts'
import type { ProcessTrouble } from '../../../services/inference/src/runtime/process-runtime.ts'
import { openProviders } from '../../../services/inference/src/runtime/providers.ts'
import type { Runtime, RuntimeModel } from '../../../services/inference/src/runtime/runner.ts'
import { threadRuntime } from '../../../services/inference/src/runtime/thread-runtime.ts'
import type { Trouble } from '../../../services/inference/src/runtime/thread-runtime.ts'
import { FOREVER, troubleModel } from '../../../services/inference/test/trouble.ts'
import type { Fault, FaultOptions, FaultResult } from '../fault.ts'
import { judged, refusedWith, requestOf, servableOver, spinMsOf, startLoad, undisturbed } from './rig.ts'
import type { Load } from './rig.ts'
import { service } from './service.ts'

const TIMEOUT_CODES = ['ANDON_INFERENCE_RUN_TIMEOUT']
/** At a tenth and below: what every test run has time for. */
const isShort = ({ scale }: FaultOptions): boolean => scale < 0.5

/** Some hundred scores between two harms. */
const underWay = async (load: Load): Promise<void> => {
  for (let i = 0; i < 30; i++) await load.nextRight()
}

/** Troubles as they come, with their time. */
const noted = <T extends { readonly kind: string }>() => {
  const seen: { readonly trouble: T; readonly atMs: number }[] = []
  const listeners: (() => void)[] = []
  return {
    seen,
    note: (trouble: T): void => {
      seen.push({ trouble, atMs: performance.now() })
      for (const listener of listeners.splice(0)) listener()
    },
    /** Waits for the first of a kind after so many. */
    next: async (kind: string, after = 0): Promise<{ readonly trouble: T; readonly atMs: number }> => {
      for (;;) {
        const found = seen.slice(after).find(({ trouble }) => trouble.kind === kind)
        if (found !== undefined) return found
        await new Promise<void>((resolve) => listeners.push(resolve))
      }
    },
  }
}

/** An isolated model that never ends a run is killed; another model beside it is scored all the time. */
const hangIsolated = async (options: FaultOptions): Promise<FaultResult> => {
  const expected = await undisturbed()
  const troubles = noted<ProcessTrouble>()
  const runtime = processRuntime({ runTimeoutMs: isShort(options) ? 1500 : 5000, memoryLimitBytes: 2 ** 33, onTrouble: troubles.note })
  try {
    const [hanging, beside] = (await Promise.all([runtime.open(troubleModel), runtime.open({ ...troubleModel, label: 'beside' })])).map(
      (runner) => servableOver(runner),
    )
    const [load, other] = [startLoad(hanging!, expected), startLoad(beside!, expected, 2)]
    await Promise.all([load.nextRight(), other.nextRight()])
    const before = other.tally.right
    const hung = refusedWith(hanging!.run(requestOf(1, { spins: FOREVER })), TIMEOUT_CODES)
    const { atMs } = await troubles.next('timeout')
    const recovery = (await load.nextRight()) - atMs
    const during = other.tally.right - before
    options.note(`killed, right scores again after ${Math.round(recovery)} ms; the model beside it gave ${during} meanwhile`)
    const demand = await hung
    return judged(
      [await load.stop(), await other.stop()],
      [recovery],
      [demand, during < 100 ? `the model beside it gave ${during} scores` : undefined],
      {
        beside: during,
      },
    )
  } finally {
    await runtime.close()
  }
}

/** In a thread nothing can be killed: its requests are answered without it, another thread takes its place. */
const hangThread = async (options: FaultOptions): Promise<FaultResult> => {
  const expected = await undisturbed()
  const troubles = noted<Trouble>()
  const runtime = threadRuntime({ workers: 2, runTimeoutMs: isShort(options) ? 1000 : 5000, onTrouble: troubles.note })
  try {
    const servable = servableOver(await runtime.open({ ...troubleModel, instances: 1 }))
    const spinMs = await spinMsOf((asked) => servable.run(requestOf(0, asked)))
    const load = startLoad(servable, expected)
    await load.nextRight()
    const spins = Math.round((isShort(options) ? 2000 : 9000) / spinMs)
    const hungMs = performance.now()
    const hung = refusedWith(servable.run(requestOf(1, { spins })), TIMEOUT_CODES)
    const { atMs } = await troubles.next('suspect')
    const recovery = (await load.nextRight()) - atMs
    const demand = await hung
    const returned = await troubles.next('returned')
    const ranS = (returned.atMs - hungMs) / 1000
    options.note(`a run of ${ranS.toFixed(1)} s; right scores again ${Math.round(recovery)} ms after it was suspected`)
    return judged([await load.stop()], [recovery], [demand], { ranS: Math.round(ranS * 10) / 10 })
  } finally {
    await runtime.close()
  }
}

/** kill -9 of an isolated model's process, again and again under load. */
const processesDie = async (options: FaultOptions): Promise<FaultResult> => {
  const expected = await undisturbed()
  const runtime = processRuntime({ runTimeoutMs: 30_000, memoryLimitBytes: 2 ** 33 })
  try {
    const servable = servableOver(await runtime.open(troubleModel))
    const load = startLoad(servable, expected)
    const recoveries: number[] = []
    for (let kill = 0; kill < (isShort(options) ? 2 : 6); kill++) {
      await underWay(load)
      const killedMs = performance.now()
      process.kill(runtime.pids[0]!, 'SIGKILL')
      recoveries.push((await load.nextRight()) - killedMs)
      options.note(`killed, right scores again after ${Math.round(recoveries.at(-1)!)} ms`)
    }
    return judged([await load.stop()], recoveries, [])
  } finally {
    await runtime.close()
  }
}

/** Threads that end by themselves between two runs, as one does after an error outside of a run. */
const threadsDie = async (options: FaultOptions): Promise<FaultResult> => {
  const expected = await undisturbed()
  const workers: Worker[] = []
  const worker = new URL('../../../services/inference/src/runtime/session-worker.ts', import.meta.url).href
  const mortal = `require('node:worker_threads').parentPort.on('message', ({ op }) => { if (op === 'die') process.exit(3) }); import(${JSON.stringify(worker)})`
  const openWorker = (): Worker => {
    const opened = new Worker(mortal, { eval: true })
    workers.push(opened)
    return opened
  }
  const runtime = threadRuntime({ workers: 2, runTimeoutMs: 30_000, openWorker })
  try {
    const servable = servableOver(await runtime.open({ ...troubleModel, instances: 2 }))
    const load = startLoad(servable, expected)
    const recoveries: number[] = []
    for (let round = 0; round < (isShort(options) ? 2 : 10); round++) {
      await underWay(load)
      const diedMs = performance.now()
      for (const each of workers.splice(0)) each.postMessage({ op: 'die' })
      recoveries.push((await load.nextRight()) - diedMs)
    }
    const tally = await load.stop()
    const lost = tally.refused.get('ANDON_INFERENCE_WORKER_LOST') ?? 0
    options.note(
      `${recoveries.length} times every thread, longest until a right score ${Math.round(Math.max(...recoveries))} ms, ${lost} requests lost their thread`,
    )
    return judged([tally], recoveries, [])
  } finally {
    await runtime.close()
  }
}

/** An isolated model takes gigabytes on one request. */
const memory = async (options: FaultOptions): Promise<FaultResult> => {
  const expected = await undisturbed()
  const troubles = noted<ProcessTrouble>()
  const runtime = processRuntime({ runTimeoutMs: 30_000, memoryLimitBytes: 500e6, onTrouble: troubles.note })
  try {
    const servable = servableOver(await runtime.open(troubleModel))
    const load = startLoad(servable, expected, 4)
    const recoveries: number[] = []
    const demands: (string | undefined)[] = []
    for (let round = 0; round < (isShort(options) ? 1 : 3); round++) {
      await underWay(load)
      const seen = troubles.seen.length
      const greedy = refusedWith(servable.run(requestOf(2, { grows: 600e6 })), ['ANDON_INFERENCE_MEMORY_EXCEEDED'])
      const { trouble, atMs } = await troubles.next('memory', seen)
      recoveries.push((await load.nextRight()) - atMs)
      options.note(`${trouble.reason}; right scores again after ${Math.round(recoveries.at(-1)!)} ms`)
      demands.push(await greedy)
    }
    return judged([await load.stop()], recoveries, demands)
  } finally {
    await runtime.close()
  }
}

/** Files that are no models, cut or changed anywhere, opened in threads while a healthy model is scored there. */
const corrupt = async (options: FaultOptions): Promise<FaultResult> => {
  const expected = await undisturbed()
  const runtime = threadRuntime({ workers: 2, runTimeoutMs: 2000 })
  try {
    const load = startLoad(servableOver(await runtime.open({ ...troubleModel, instances: 2 })), expected, 4)
    let state = options.seed
    const random = (below: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return Math.floor((state / 2 ** 32) * below)
    }
    const problems: string[] = []
    let [refused, opened] = [0, 0]
    for (let i = 0; i < Math.max(20, Math.round(1500 * options.scale)); i++) {
      const bytes = Buffer.from(troubleModel.bytes)
      const isCut = i % 3 === 0
      for (let edits = 1 + random(4); edits > 0 && !isCut; edits--) bytes[random(bytes.byteLength)] = random(256)
      const model: RuntimeModel = {
        ...troubleModel,
        label: `corrupt ${i}`,
        bytes: isCut ? bytes.subarray(0, random(bytes.byteLength)) : bytes,
      }
      try {
        await (await runtime.open(model)).close()
        opened++
      } catch (error) {
        if ((error as { code?: string }).code !== 'ANDON_INFERENCE_MODEL_UNLOADABLE') problems.push(`model ${i}: ${String(error)}`)
        refused++
      }
    }
    const recovery = performance.now()
    const backMs = await load.nextRight()
    options.note(`${refused} refused, ${opened} could be opened all the same`)
    return judged([await load.stop()], [backMs - recovery], [...problems, refused === 0 ? 'nothing was refused' : undefined], {
      refused,
      opened,
    })
  } finally {
    await runtime.close()
  }
}

/** A GPU is asked for where there is none: a refusal with the reason, or the CPU and a word about it; never a silent one. */
const provider = async (options: FaultOptions): Promise<FaultResult> => {
  const expected = await undisturbed()
  const reason = 'libcudart.so.12: cannot open shared object file'
  const probe = async (name: 'cuda' | 'tensorrt' | 'webgpu') => ({ provider: name, isUsable: false, reason })
  const said: string[] = []
  const prefer = await openProviders({
    gpu: 'prefer',
    gpuProvider: 'cuda',
    probe,
    onFallback: ({ model, reason: why }) => said.push(`${model}: ${why}`),
  })
  const runtime: Runtime = threadRuntime({ workers: 2, runTimeoutMs: 5000, placement: (model) => prefer.placement(model) })
  // A probe that is wrong: the library was there then and is not now.
  const blind = threadRuntime({ workers: 1, runTimeoutMs: 5000, placement: () => ({ provider: 'cuda', deviceId: 0 }) })
  try {
    const runner = await runtime.open(troubleModel)
    const load = startLoad(servableOver(runner), expected)
    await load.nextRight()
    const demands = [
      await refusedWith(openProviders({ gpu: 'require', gpuProvider: 'cuda', probe }), ['ANDON_INFERENCE_PROVIDER_MISSING']),
      await refusedWith(runtime.open({ ...troubleModel, label: 'on a GPU', device: 'gpu' }), ['ANDON_INFERENCE_PROVIDER_MISSING']),
      await refusedWith(runtime.open({ ...troubleModel, parameters: { andon_execution_provider: 'xnnpack' } }), [
        'ANDON_INFERENCE_PROVIDER_MISSING',
      ]),
      await refusedWith(blind.open(troubleModel), ['ANDON_INFERENCE_MODEL_UNLOADABLE']),
      runner.provider === 'CPUExecutionProvider' ? undefined : `the model on the CPU says ${runner.provider}`,
      said.length === 1 && said[0]!.includes(reason) ? undefined : `the fallback said ${JSON.stringify(said)}`,
    ]
    await load.nextRight()
    options.note(`fallback: ${said.join()}`)
    return judged([await load.stop()], [], demands)
  } finally {
    await Promise.all([runtime.close(), blind.close()])
  }
}

/** Neither a broker nor a client takes part. */
const variants: Fault['variants'] = [{ nodes: 1, client: 'kafkajs' }]

export const servingFaults: readonly Fault[] = [
  {
    id: 'serving-service',
    title: "the whole service through its HTTP door: a model's process killed, runs without end, gigabytes; in a process and in a thread",
    ciScale: 0.1,
    variants,
    run: service,
  },
  {
    id: 'serving-hang',
    title: 'an isolated model hangs in a run: killed, its requests told so, right scores within 5 s, the model beside it undisturbed',
    ciScale: 0.1,
    variants,
    run: hangIsolated,
  },
  {
    id: 'serving-thread-hang',
    title: 'a model in a thread runs for 8 s: its requests are answered without it, another thread takes its place',
    ciScale: 0.1,
    variants,
    run: hangThread,
  },
  {
    id: 'serving-kills',
    title: 'kill -9 of an isolated model under load: every request answered, each score that of an undisturbed run',
    ciScale: 0.1,
    variants,
    run: processesDie,
  },
  {
    id: 'serving-thread-dies',
    title: 'every thread dies under load, again and again: the same',
    ciScale: 0.1,
    variants,
    run: threadsDie,
  },
  {
    id: 'serving-memory',
    title: 'an isolated model takes gigabytes: killed at its limit, said so, right scores within 5 s',
    ciScale: 0.1,
    variants,
    run: memory,
  },
  {
    id: 'serving-corrupt',
    title: 'damaged model files are refused with their reason while a healthy model is scored',
    ciScale: 0.02,
    variants,
    run: corrupt,
  },
  {
    id: 'serving-provider',
    title: 'a GPU is asked for and not there: refused, or the CPU and a word about it',
    ciScale: 0.1,
    variants,
    run: provider,
  },
]
