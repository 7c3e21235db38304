// One model version, opened: its configuration is checked against its graph, a runner gets its bytes, golden vectors and warm-up
// requests are run, and only then does it take requests. What runs where: worker threads, a process of its own, another server.

import type { Logger } from '@andon/kit'
import { messageOf } from '@andon/kit'
import type { ModelConfig } from '@andon/schemas/inference'
import { modelUnloadable } from '../errors.ts'
import { batchSizeOf, completeConfig } from '../repository/complete-config.ts'
import type { CompleteConfig } from '../repository/complete-config.ts'
import type { ConfigDefaults, DeclaredConfig } from '../repository/model-config.ts'
import { checkGolden, readGolden } from '../runtime/golden.ts'
import type { GoldenVectors } from '../runtime/golden.ts'
import { ioOf, isOrtFormat, readOnnx } from '../runtime/onnx-graph.ts'
import { withCircuit } from '../runtime/circuit.ts'
import type { CircuitOptions } from '../runtime/circuit.ts'
import type { Runner, Runtime } from '../runtime/runner.ts'
import type { ModelIo } from '../tensors/tensors.ts'
import { measureLatency, targetText } from './latency.ts'
import { reshapedRunner } from './reshape.ts'
import type { ResponseCache } from './response-cache.ts'
import { scheduled } from './scheduled.ts'
import type { QueueLimit } from './scheduler.ts'
import type { Servable } from './servable.ts'
import { statisticsOf } from './statistics.ts'
import { measuredSamples, runWarmUp, warmUpSamples } from './warm-up.ts'
import type { WarmUpSample } from './warm-up.ts'

/** All that a version is made of. */
export interface ModelVersion {
  readonly name: string
  readonly version: number
  /** SHA-256 (hex) of what it is made of. */
  readonly digest: string
  readonly declared: DeclaredConfig
  /** Empty for a model that another server runs. */
  readonly bytes: Uint8Array
  /** Files the graph refers to, by the path it uses. */
  readonly externalData?: ReadonlyMap<string, Uint8Array>
  /** Recorded runs that it has to repeat. */
  readonly golden?: { readonly source: string; readonly text: string }
  /** Inputs of warm-up requests, by file name. */
  readonly warmUpFiles?: ReadonlyMap<string, Uint8Array>
}

/** Rejects with the reason a version cannot be scored. */
export type OpenModel = (version: ModelVersion) => Promise<Servable>

export interface OpenerOptions {
  readonly threads: Runtime
  /** For models with `andon_isolation: process`. */
  readonly processes?: Runtime
  /** Where models run that do not say. Default: threads. */
  readonly isolation?: 'threads' | 'process'
  readonly openRemote?: (model: { readonly label: string; readonly config: ModelConfig }) => Promise<Runner>
  readonly defaults: ConfigDefaults
  /** For models with `response_cache`. */
  readonly cache?: ResponseCache
  readonly limit?: QueueLimit
  /** Wall clock. */
  readonly nowMs: () => number
  readonly logger?: Pick<Logger, 'warn'>
}

export const modelOpener =
  (options: OpenerOptions): OpenModel =>
  async (version) => {
    const { name, declared, digest } = version
    const label = `${name} version ${version.version}`
    const { runner, complete } = await openRunner(options, version, label)
    try {
      const outer = reshapedRunner(declared.kind === 'remote' ? runner : withCircuit(runner, circuitOf(label, options)), complete)
      if (version.golden !== undefined) await checkGolden(label, outer, goldenOf(label, version.golden))
      const samples = warmUpSamples(declared.text, complete, version.warmUpFiles ?? new Map())
      await runWarmUp(outer, samples, complete)
      const statistics = statisticsOf(name, String(version.version), options.nowMs)
      const isCached = complete.config.responseCache?.enable === true && options.cache !== undefined
      const servable = scheduled({
        name,
        version: version.version,
        digest,
        config: complete.config,
        policy: complete.policy,
        runner: outer,
        io: complete,
        statistics,
        ...(isCached ? { cache: options.cache! } : {}),
        ...(options.limit === undefined ? {} : { limit: options.limit }),
      })
      for (const warning of declared.warnings)
        options.logger?.warn({ model: name, version: version.version }, `${declared.text.file}: ${warning}`)
      const { targets } = declared
      const measured = targets.p95Ms === undefined && targets.p99Ms === undefined ? [] : measuredSamples(samples, complete)
      const outputs = complete.outputs.map((output) => output.name)
      // On the runner: what is measured here is in no statistics.
      const run = ({ inputs, rows }: WarmUpSample): Promise<unknown> => outer.run({ requests: [{ inputs, rows }], outputs, rows })
      const latency = measured.length > 0 ? await measureLatency(run, measured, targets) : undefined
      if (latency?.isWithin === false) options.logger?.warn({ model: name, version: version.version }, targetText(latency))
      return latency === undefined ? servable : Object.assign(servable, { latency })
    } catch (error) {
      await runner.close()
      throw error
    }
  }

const circuitOf = (label: string, { logger }: OpenerOptions): CircuitOptions => ({
  label,
  onChange: ({ isOpen, coolOffMs }) => {
    if (isOpen) logger?.warn({ model: label, coolOffMs }, 'a model hangs again and again: its requests are refused for a while')
    else logger?.warn({ model: label }, 'a model that hung comes back from its runs again')
  },
})

const goldenOf = (label: string, { source, text }: NonNullable<ModelVersion['golden']>): GoldenVectors => {
  try {
    return readGolden(source, text)
  } catch (error) {
    throw modelUnloadable(label, error)
  }
}

const openRunner = async (
  options: OpenerOptions,
  version: ModelVersion,
  label: string,
): Promise<{ runner: Runner; complete: CompleteConfig }> => {
  const { declared, bytes, digest, externalData } = version
  if (declared.kind === 'remote') {
    if (options.openRemote === undefined) throw modelUnloadable(label, 'backend andon_remote is not there')
    const runner = await options.openRemote({ label, config: declared.config })
    return { runner, complete: await completed(runner, declared, options.defaults) }
  }
  const isolation = declared.isolation === 'auto' ? (options.isolation ?? 'threads') : declared.isolation
  const runtime = isolation === 'process' ? options.processes : options.threads
  if (runtime === undefined) throw modelUnloadable(label, 'isolation in a process is not there')
  const open = (maxBatchRows: number): Promise<Runner> =>
    runtime.open({
      label,
      digest,
      bytes,
      ...(externalData === undefined ? {} : { externalData }),
      instances: declared.instances,
      maxBatchRows,
      parameters: declared.parameters,
      device: declared.device,
    })
  const guess = batchSizeOf(declared, graphIo(label, bytes), options.defaults)
  const runner = await open(guess)
  const complete = await completed(runner, declared, options.defaults)
  const rows = complete.policy.maxBatchRows
  if (rows === guess) return { runner, complete }
  await runner.close() // the runtime worked out shapes that the file does not say
  return { runner: await open(rows), complete }
}

const completed = async (runner: Runner, declared: DeclaredConfig, defaults: ConfigDefaults): Promise<CompleteConfig> => {
  try {
    return completeConfig(declared, runner.io, defaults)
  } catch (error) {
    await runner.close()
    throw error
  }
}

/** What the file says about itself; nothing where it is in the runtime's own format. */
const graphIo = (label: string, bytes: Uint8Array): ModelIo => {
  if (isOrtFormat(bytes)) return { inputs: [], outputs: [] }
  try {
    return ioOf(readOnnx(bytes))
  } catch (error) {
    throw modelUnloadable(label, messageOf(error))
  }
}
