// P11, P11s: our client and server over one stream against ONNX Runtime in a process of its own. P14: raw against typed tensors through
// the door. P14g: one row after another, asked by a client of grpcio, against a server of grpcio that runs the model in its handler.
// Client and server share the cores; the peer of P11 has one of them to itself.

import '../../../services/inference/src/runtime/no-telemetry.ts'
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { sessionOptions } from '../../../services/inference/src/runtime/session-options.ts'
import { REFERENCE, mlp, numbers } from '../../../services/inference/test/onnx-models.ts'
import { type Contender, PeerMissing, ratio, run } from '../../harness/bench.ts'
import { processContender } from '../../harness/bench-process.ts'
import { pythonWith } from '../../harness/python.ts'
import { type Measurement, rounded } from '../../harness/bench-measurement.ts'
import type { Benchmark } from '../benchmark.ts'

const SAMPLES = 20
const WORKERS = `${import.meta.dirname}/workers`
const MODEL = `MLP ${REFERENCE.join('-')} float32`
const [COLUMNS, OUTPUTS] = [REFERENCE[0], REFERENCE.at(-1)!]

/** What 256 rows cost at least: less than that, and the figure would be about messages and not about serving models. */
const LEAST_RUN_MS = 0.5
const WIDTHS = { from: REFERENCE[1], to: 1024, step: 32 }
const RUNS = 300

interface Sized {
  readonly sizes: readonly number[]
  /** Of the quickest run of 256 rows on one thread here. */
  readonly runMs: number
}

let sized: Promise<Sized> | undefined
/** The reference model, its two inner layers so wide that 256 rows cost enough on this machine: the quickest of many runs decides. */
const heavyEnough = (): Promise<Sized> =>
  (sized ??= (async () => {
    const values = new Tensor('float32', numbers(256 * COLUMNS, 3), [256, COLUMNS])
    for (let width = WIDTHS.from; ; width += WIDTHS.step) {
      const sizes = [COLUMNS, width, width, OUTPUTS]
      const session = await InferenceSession.create(mlp(sizes), sessionOptions)
      let runMs = Infinity
      for (let i = 0; i < RUNS; i++) {
        const startedMs = performance.now()
        await session.run({ x: values })
        runMs = Math.min(runMs, performance.now() - startedMs)
      }
      await session.release()
      if (runMs >= LEAST_RUN_MS || width >= WIDTHS.to) return { sizes, runMs }
    }
  })())

/** A repository with a model under the name of the reference; ended by `remove`. */
const repository = (sizes: readonly number[] = REFERENCE): { folder: string; model: string; remove: () => void } => {
  const folder = mkdtempSync(join(tmpdir(), 'andon-serving-'))
  const model = join(folder, 'reference', '1', 'model.onnx')
  mkdirSync(join(folder, 'reference', '1'), { recursive: true })
  writeFileSync(model, mlp(sizes))
  const tensor = (name: string, columns: number): string => `[ { name: "${name}" data_type: TYPE_FP32 dims: [ ${columns} ] } ]`
  writeFileSync(
    join(folder, 'reference', 'config.pbtxt'),
    `name: "reference"\nplatform: "onnxruntime_onnx"\nmax_batch_size: 256\ninput ${tensor('x', COLUMNS)}\noutput ${tensor('y', OUTPUTS)}\ndynamic_batching { }\n`,
  )
  return { folder, model, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

const worker = (name: string, file: string, ...args: string[]): Promise<Contender> =>
  processContender({ name, command: [process.execPath, join(WORKERS, file), ...args] })

const streamed = async (id: string, rows: number, required: number, samples: number): Promise<Measurement> => {
  const { sizes, runMs } = await heavyEnough()
  const { folder, remove } = repository(sizes)
  try {
    const race = await run({
      id,
      judge: 'wall',
      sampleMs: 300,
      samples,
      warmUps: 3,
      ours: () => worker('stream', 'stream-caller.ts', folder, String(rows)),
      peers: { 'in-process': () => worker('in-process', 'in-process.ts', folder, String(rows)) },
    })
    const measured = `MLP ${sizes.join('-')} float32, as wide as it takes for 256 rows to cost ${LEAST_RUN_MS} ms in-process (quickest ${rounded(runMs)} ms); messages of ${rows} rows, ${rows < 256 ? 24 : 8} on their way, put together up to 256 rows; client, door and one model thread on the same cores`
    return ratio(race, { id, peer: 'in-process', required, unit: 'x rows/s of in-process session.run', detail: { measured } })
  } finally {
    remove()
  }
}

const TYPED_ROWS = 256

const typed = async (samples: number): Promise<Measurement> => {
  const race = await run({
    id: 'P14',
    judge: 'wall',
    sampleMs: 300,
    samples,
    warmUps: 3,
    ours: () => worker('raw', 'typed-caller.ts', 'raw', String(TYPED_ROWS)),
    peers: { typed: () => worker('typed', 'typed-caller.ts', 'typed', String(TYPED_ROWS)) },
  })
  const measured = `requests of ${TYPED_ROWS} rows x ${COLUMNS} float32 by the generated client through the door, no model behind it`
  return ratio(race, { id: 'P14', peer: 'typed', required: 3.5, unit: 'x requests/s of typed tensors', detail: { measured } })
}

const PYTHON = ['grpcio==1.85.1', 'numpy==2.4.6', 'onnxruntime==1.31.1', 'tritonclient[grpc]==2.73.0']

const sequential = async (samples: number): Promise<Measurement> => {
  const { interpreter, missing } = await pythonWith(PYTHON)
  const { folder, model, remove } = repository()
  const caller =
    (name: string, ...server: string[]) =>
    (): Promise<Contender> => {
      if (missing !== false) throw new PeerMissing(missing)
      return processContender({ name, command: [interpreter, join(WORKERS, 'grpcio_caller.py'), String(COLUMNS), ...server] })
    }
  try {
    const race = await run({
      id: 'P14g',
      judge: 'wall',
      sampleMs: 300,
      samples,
      warmUps: 3,
      ours: caller('andon', process.execPath, join(WORKERS, 'served-model.ts'), folder),
      peers: { grpcio: caller('grpcio', interpreter, join(WORKERS, 'grpcio_server.py'), model) },
    })
    const measured = `${MODEL}, one row at a time, one after another, asked by a Python client of grpcio`
    return ratio(race, { id: 'P14g', peer: 'grpcio', required: 1.5, unit: 'x requests/s of a grpcio server', detail: { measured } })
  } finally {
    remove()
  }
}

const benchmark = (name: string, id: string, measure: (samples: number) => Promise<Measurement>): Benchmark => ({
  name,
  ids: [id],
  run: async ({ samples = SAMPLES }) => [await measure(samples)],
})

export const wire: readonly Benchmark[] = [
  benchmark('serving-stream', 'P11', (samples) => streamed('P11', 256, 0.85, samples)),
  benchmark('serving-stream-small', 'P11s', (samples) => streamed('P11s', 32, 0.6, samples)),
  benchmark('serving-typed', 'P14', typed),
  benchmark('serving-sequential', 'P14g', sequential),
]
