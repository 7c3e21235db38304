// P14b, P14b-p99: one model, one client, one load, over gRPC: our server against MLServer and KServe, which run the model by ONNX Runtime
// on one thread as we do. The client is ghz, a program in Go that costs the shared cores little; it asks for one row at a time from many
// callers, and each server has all its defaults.

import '../../../services/inference/src/runtime/no-telemetry.ts'
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePorts, repositoryRoot } from '@andon/platform'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { startChild } from '../../../packages/platform/src/child.ts'
import { openInferenceClient } from '../../../services/inference/src/backends/grpc-client.ts'
import { encodeInferRequest } from '../../../services/inference/src/tensors/wire.ts'
import { REFERENCE, mlp, numbers } from '../../../services/inference/test/onnx-models.ts'
import { type Contender, type Cost, PeerMissing, type Race, against, progress, ratio, run } from '../../harness/bench.ts'
import { type Measurement, limit, notMeasured, rounded, skipped } from '../../harness/bench-measurement.ts'
import { median } from '../../harness/bench-statistics.ts'
import { type ModelServer, ServerMissing, startKserve, startMlserver } from '../../harness/model-servers.ts'
import type { Benchmark } from '../benchmark.ts'
import { allProcesses, sum, treeOf } from '../process-tree.ts'

const SAMPLES = 8
const SAMPLE_MS = 1_500
const [CALLERS, CONNECTIONS] = [32, 4]
/** Requests of one round. */
const ROUND = 100
const MODEL = 'reference'
const WORK = `MLP ${REFERENCE.join('-')} float32, requests of one row, raw tensors; ghz with ${CALLERS} callers on ${CONNECTIONS} connections`

const [WIDTH, OUTPUTS] = [REFERENCE[0], REFERENCE.at(-1)!]
const row = numbers(WIDTH, 7)
const request = {
  model: MODEL,
  version: '',
  id: '',
  parameters: {},
  inputs: [{ name: 'x', datatype: 'FP32', shape: [1, WIDTH], bytes: new Uint8Array(row.buffer) }],
  outputs: [],
} as const

const GHZ = 'v0.120.0'
const execute = promisify(execFile)

/** Path of ghz, built once. Throws PeerMissing. */
const ghz = async (): Promise<string> => {
  const folder = join(repositoryRoot, '.andon', 'bench', 'peers', `ghz-${GHZ}`)
  const program = join(folder, 'ghz')
  if (existsSync(program)) return program
  mkdirSync(folder, { recursive: true })
  progress(`building ghz ${GHZ}`)
  try {
    await execute('go', ['install', `github.com/bojand/ghz/cmd/ghz@${GHZ}`], {
      env: { ...process.env, GOBIN: folder, GOTOOLCHAIN: 'local' },
      timeout: 600_000,
    })
  } catch (error) {
    throw new PeerMissing(`ghz, the client, cannot be built: ${(error as Error).message.split('\n').slice(0, 3).join(' ')}`, {
      cause: error,
    })
  }
  return program
}

interface GhzReport {
  readonly count: number
  /** Nanoseconds. */
  readonly total: number
  readonly statusCodeDistribution: Readonly<Record<string, number>>
  readonly latencyDistribution: readonly { readonly percentage: number; readonly latency: number }[]
}

interface Files {
  readonly client: string
  readonly onnx: string
  readonly repository: string
  readonly message: string
  readonly expected: Float32Array
}

const asked = async ({ client, message }: Files, target: string, count: number): Promise<GhzReport> => {
  const protos = join(repositoryRoot, 'schemas', 'proto')
  const { stdout } = await execute(
    client,
    [
      '--insecure',
      `--proto=${join(protos, 'inference/grpc_service.proto')}`,
      `--import-paths=${protos}`,
      '--call=inference.GRPCInferenceService/ModelInfer',
      `--binary-file=${message}`,
      '--format=json',
      '--cpus=1',
      `--concurrency=${CALLERS}`,
      `--connections=${CONNECTIONS}`,
      `--total=${count}`,
      target,
    ],
    { maxBuffer: 256 * 1024 * 1024 },
  )
  const report = JSON.parse(stdout) as GhzReport
  if (report.statusCodeDistribution['OK'] !== count)
    throw new Error(`${target}: ${JSON.stringify(report.statusCodeDistribution)} of ${count}`)
  return report
}

/** Milliseconds, one per sample. */
type Tails = Map<string, number[]>

const contender = async (files: Files, start: () => Promise<ModelServer>, tails: Tails): Promise<Contender> => {
  let server: ModelServer
  try {
    server = await start()
  } catch (error) {
    if (error instanceof ServerMissing) throw new PeerMissing(error.message, { cause: error })
    throw error
  }
  await check(files, server)
  const { name, grpcTarget, pid } = server
  const cpuSeconds = (): number => sum(treeOf(pid, allProcesses()).map((one) => one.cpuSeconds))
  return {
    name,
    async run(rounds): Promise<Cost> {
      const before = cpuSeconds()
      const { count, total, latencyDistribution } = await asked(files, grpcTarget, rounds * ROUND)
      const p99 = latencyDistribution.find(({ percentage }) => percentage === 99)!.latency / 1e6
      tails.set(name, [...(tails.get(name) ?? []), p99])
      return { work: count, wallMs: total / 1e6, cpuUs: (cpuSeconds() - before) * 1e6 }
    },
    close: () => server.stop(),
  }
}

const check = async ({ expected }: Files, { name, grpcTarget }: ModelServer): Promise<void> => {
  const client = openInferenceClient({ target: grpcTarget })
  try {
    const { outputs } = await client.infer(request)
    const found = new Float32Array(new Uint8Array(outputs[0]!.bytes).buffer)
    assert.equal(found.length, OUTPUTS, name)
    for (const [i, value] of expected.entries()) assert.ok(Math.abs(found[i]! - value) <= 1e-5, `${name}: ${found[i]} for ${value}`)
  } finally {
    await client.close()
  }
}

/** The service as it is deployed, with nothing but the folder. */
const startOurs = async (repository: string): Promise<ModelServer> => {
  const [http, grpc, metrics, admin] = (await freePorts(4)) as [number, number, number, number]
  const folder = mkdtempSync(join(tmpdir(), 'andon-ours-'))
  const httpUrl = `http://127.0.0.1:${http}`
  const logFile = join(folder, 'inference.log')
  const { ANDON_KAFKA_BROKERS: _brokers, ...env } = process.env
  const child = startChild({
    name: 'andon',
    command: process.execPath,
    args: [join(repositoryRoot, 'services/inference/src/main.ts')],
    cwd: folder,
    env: {
      ...env,
      INFERENCE_ROLE: 'server',
      INFERENCE_MODEL_REPOSITORY: repository,
      INFERENCE_HTTP_PORT: String(http),
      INFERENCE_GRPC_PORT: String(grpc),
      INFERENCE_METRICS_PORT: String(metrics),
      INFERENCE_ADMIN_PORT: String(admin),
      ANDON_HOME: join(folder, '.andon'),
    },
    logFile,
    readyWithinMs: 60_000,
    isReady: () =>
      fetch(`${httpUrl}/v2/models/${MODEL}/ready`).then(
        (answer) => answer.ok,
        () => false,
      ),
  })
  try {
    await child.ready()
  } catch (error) {
    await child.stop()
    throw new Error(`the service did not start:\n${readFileSync(logFile, 'utf8').slice(-3000)}`, { cause: error })
  }
  return {
    name: 'andon',
    httpUrl,
    grpcTarget: `127.0.0.1:${grpc}`,
    pid: child.identity.pid,
    signal: (signal) => void process.kill(child.identity.pid, signal),
    async stop() {
      await child.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const withFiles = async <T>(use: (files: Files) => Promise<T>): Promise<T> => {
  const client = await ghz()
  const folder = mkdtempSync(join(tmpdir(), 'andon-p14b-'))
  try {
    const repository = join(folder, 'models')
    const onnx = join(repository, MODEL, '1', 'model.onnx')
    mkdirSync(join(repository, MODEL, '1'), { recursive: true })
    const graph = mlp(REFERENCE)
    writeFileSync(onnx, graph)
    const message = join(folder, 'request.bin')
    writeFileSync(message, encodeInferRequest(request))
    const session = await InferenceSession.create(graph, { intraOpNumThreads: 1 })
    const { y } = await session.run({ x: new Tensor('float32', row, [1, WIDTH]) })
    return await use({ client, onnx, repository, message, expected: y!.data as Float32Array })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const PEERS = ['mlserver', 'kserve'] as const
const RATE = { id: 'P14b', required: 3, unit: 'x the req/s of the better of MLServer and KServe' } as const
const TAIL = { id: 'P14b-p99', required: 1, unit: 'of the p99 of the better one', isLimit: true } as const

/** The peer that we are least ahead of. */
const better = (race: Race): (typeof PEERS)[number] | undefined =>
  PEERS.filter((peer) => against(race, peer) !== undefined).sort(
    (one, other) => against(race, one)!.ofMinima - against(race, other)!.ofMinima,
  )[0]

export const peers: Benchmark = {
  name: 'serving-peers',
  ids: [RATE.id, TAIL.id],
  run: async ({ samples = SAMPLES }): Promise<Measurement[]> => {
    try {
      return await withFiles((files) => measured(files, samples))
    } catch (error) {
      if (!(error instanceof PeerMissing)) throw error
      return [skipped(RATE, error.message), skipped(TAIL, error.message)]
    }
  },
}

const measured = async (files: Files, samples: number): Promise<Measurement[]> => {
  const tails: Tails = new Map()
  const model = { onnx: files.onnx, name: MODEL }
  const race = await run({
    id: 'serving-peers',
    judge: 'wall',
    sampleMs: SAMPLE_MS,
    samples,
    warmUps: 3,
    ours: () => contender(files, () => startOurs(files.repository), tails),
    peers: {
      mlserver: () => contender(files, () => startMlserver(model), tails),
      kserve: () => contender(files, () => startKserve(model), tails),
    },
  })
  const peer = better(race)
  if (peer === undefined) {
    const why = [...race.peers.values()].map((each) => (each instanceof PeerMissing ? each.message : '')).join('; ')
    return [skipped(RATE, why), skipped(TAIL, why)]
  }
  // The last samples of each, after calibration and warm-up; ours and its control together.
  const p99 = (name: string, count: number): number => median((tails.get(name) ?? []).slice(-count))
  const [ours, theirs] = [p99('andon', 2 * samples), p99(peer, samples)]
  const p99Ms = Object.fromEntries([...tails.keys()].map((name) => [name, rounded(p99(name, samples))]))
  const timesOfEach = Object.fromEntries(PEERS.map((name) => [name, rounded(against(race, name)?.ofMinima ?? Number.NaN)]))
  const cpuOfEach = Object.fromEntries(PEERS.map((name) => [name, rounded(against(race, name, 'cpu')?.ofMinima ?? Number.NaN)]))
  return [
    ratio(race, { ...RATE, peer, detail: { work: WORK, better: peer, timesOfEach, lessCpuThanEach: cpuOfEach, p99Ms } }),
    Number.isFinite(ours / theirs)
      ? limit(TAIL.id, ours / theirs, TAIL.required, TAIL.unit, 3 * samples, { p99Ms })
      : notMeasured(TAIL, 'no latencies'),
  ]
}
