// Model servers that are not ours, as processes: MLServer, KServe and BentoML at pinned versions, each in a virtual environment of its
// own, with one ONNX model that ONNX Runtime runs on one thread. One that cannot be had here says why.

import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { freePorts } from '@andon/platform'
import { type Child, startChild } from '../../packages/platform/src/child.ts'
import { allProcesses, treeOf } from '../bench/process-tree.ts'
import { pythonWith } from './python.ts'

export interface ModelServer {
  readonly name: string
  readonly httpUrl: string
  /** `host:port`; empty where it speaks no gRPC. */
  readonly grpcTarget: string
  /** Of the process that was started; it may have others below it. */
  readonly pid: number
  /** To all its processes. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void
  stop(): Promise<void>
}

export interface ServedModel {
  /** File. */
  readonly onnx: string
  readonly name: string
}

/** Rejects with the reason when it cannot be installed or does not start; `missing` errors are a reason to skip. */
export class ServerMissing extends Error {}

const ONNX_RUNTIME = 'onnxruntime==1.30.0'
const programs = join(import.meta.dirname, 'model-servers')
/** A cold Python with many modules on busy cores. */
const READY_WITHIN_MS = 120_000

interface Launch {
  readonly name: string
  readonly packages: readonly string[]
  readonly ports: number
  /** Files go into `folder`. */
  readonly command: (paths: { readonly python: string; readonly folder: string; readonly ports: readonly number[] }) => {
    readonly command: string
    readonly args: readonly string[]
    readonly env?: NodeJS.ProcessEnv
  }
  readonly readyPath: string
  readonly hasGrpc: boolean
}

const launch = async ({ name, packages, ports: count, command, readyPath, hasGrpc }: Launch): Promise<ModelServer> => {
  const { interpreter, missing } = await pythonWith(packages)
  if (missing !== false) throw new ServerMissing(missing)
  const folder = mkdtempSync(join(tmpdir(), `andon-${name}-`))
  const ports = await freePorts(count)
  const httpUrl = `http://127.0.0.1:${ports[0]}`
  const { env, ...program } = command({ python: interpreter, folder, ports })
  const logFile = join(folder, `${name}.log`)
  const child: Child = startChild({
    name,
    ...program,
    cwd: folder,
    env: { ...process.env, PYTHONPATH: programs, PYTHONUNBUFFERED: '1', OMP_NUM_THREADS: '1', ...env },
    logFile,
    readyWithinMs: READY_WITHIN_MS,
    isReady: () =>
      fetch(`${httpUrl}${readyPath}`).then(
        (answer) => answer.ok,
        () => false,
      ),
  })
  try {
    await child.ready()
  } catch (error) {
    await child.stop()
    throw new Error(`${name} did not start:\n${readFileSync(logFile, 'utf8').slice(-4000)}`, { cause: error })
  }
  return {
    name,
    httpUrl,
    grpcTarget: hasGrpc ? `127.0.0.1:${ports[1]}` : '',
    pid: child.identity.pid,
    signal: (signal) => {
      for (const { pid } of treeOf(child.identity.pid, allProcesses())) process.kill(pid, signal)
    },
    async stop() {
      await child.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** 1.7.1, models in the server's own process. */
export const startMlserver = (model: ServedModel): Promise<ModelServer> =>
  launch({
    name: 'mlserver',
    packages: ['mlserver==1.7.1', ONNX_RUNTIME],
    ports: 3,
    readyPath: `/v2/models/${model.name}/ready`,
    hasGrpc: true,
    command: ({ python, folder, ports }) => {
      mkdirSync(join(folder, model.name))
      const [http_port, grpc_port, metrics_port] = ports
      const settings = { host: '127.0.0.1', http_port, grpc_port, metrics_port, parallel_workers: 0, debug: false }
      writeFileSync(join(folder, 'settings.json'), JSON.stringify(settings))
      const implementation = 'mlserver_onnx.OnnxModel'
      writeFileSync(
        join(folder, model.name, 'model-settings.json'),
        JSON.stringify({ name: model.name, implementation, parameters: { uri: model.onnx } }),
      )
      return { command: join(dirname(python), 'mlserver'), args: ['start', folder] }
    },
  })

/** 0.21.0. Listens on all interfaces: there is no setting for another. */
export const startKserve = (model: ServedModel): Promise<ModelServer> =>
  launch({
    name: 'kserve',
    packages: ['kserve==0.21.0', ONNX_RUNTIME],
    ports: 2,
    readyPath: `/v2/models/${model.name}/ready`,
    hasGrpc: true,
    command: ({ python, ports }) => ({
      command: python,
      args: [join(programs, 'kserve_onnx.py'), model.onnx, model.name, ...ports.map(String)],
    }),
  })

/** 1.4.39: `POST /predict` with `{"<input>": rows}` answers `{"<output>": rows}`. */
export const startBentoml = (model: ServedModel): Promise<ModelServer> =>
  launch({
    name: 'bentoml',
    packages: ['bentoml==1.4.39', ONNX_RUNTIME],
    ports: 1,
    readyPath: '/readyz',
    hasGrpc: false,
    command: ({ python, folder, ports }) => {
      copyFileSync(join(programs, 'bentoml_onnx.py'), join(folder, 'bentoml_onnx.py'))
      return {
        command: join(dirname(python), 'bentoml'),
        args: ['serve', 'bentoml_onnx:Onnx', '--host', '127.0.0.1', '--port', String(ports[0])],
        env: { BENTOML_DO_NOT_TRACK: 'True', BENTOML_HOME: folder, ANDON_ONNX: model.onnx },
      }
    },
  })
