// Execution providers: which of them really run here, which one a model gets, and what happens when a GPU was asked for and is not
// there. ONNX Runtime drops names it does not know and runs on the CPU instead, so a provider counts only after its own profile of a run
// has named it.

import './no-telemetry.ts'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { providerMissing } from '../errors.ts'
import type { RuntimeModel } from './runner.ts'

export type GpuPolicy = 'require' | 'prefer' | 'off'

/** Names as onnxruntime-node takes them; no other is ever passed on. */
export type ProviderName = 'cpu' | 'cuda' | 'tensorrt' | 'webgpu'
export type GpuProvider = Exclude<ProviderName, 'cpu'>

/** As profiles, metrics and answers name them. */
export const executionProvider: Readonly<Record<ProviderName, string>> = {
  cpu: 'CPUExecutionProvider',
  cuda: 'CUDAExecutionProvider',
  tensorrt: 'TensorrtExecutionProvider',
  webgpu: 'WebGpuExecutionProvider',
}

const GPU_PROVIDERS: readonly GpuProvider[] = ['cuda', 'tensorrt', 'webgpu']
const isGpuProvider = (name: string): name is GpuProvider => (GPU_PROVIDERS as readonly string[]).includes(name)

/** What was found about one provider. */
export interface Probe {
  readonly provider: GpuProvider
  readonly isUsable: boolean
  /** Why not, in the runtime's words; empty when it is usable. */
  readonly reason: string
}

export interface Placement {
  readonly provider: ProviderName
  readonly deviceId: number
}

export interface Providers {
  readonly probes: readonly Probe[]
  /** What a model gets that says nothing about it. */
  readonly standard: ProviderName
  /** Throws ANDON_INFERENCE_PROVIDER_MISSING where a GPU is required and none can be used. */
  placement(model: Pick<RuntimeModel, 'label' | 'device' | 'parameters'>): Placement
}

export interface ProviderOptions {
  readonly gpu: GpuPolicy
  /** The GPU's provider where a model does not name one with the parameter `andon_execution_provider`. */
  readonly gpuProvider: GpuProvider
  /** A model that would rather run on a GPU runs on the CPU. */
  readonly onFallback?: (fallback: { readonly model: string; readonly wanted: string; readonly reason: string }) => void
  readonly probe?: (provider: GpuProvider) => Promise<Probe>
}

/** Tries what the setting allows, once. With `require`, rejects when the GPU cannot be used: the service does not start then. */
export const openProviders = async ({ gpu, gpuProvider, onFallback, probe = probeProvider }: ProviderOptions): Promise<Providers> => {
  const wanted: readonly GpuProvider[] = gpu === 'off' ? [] : gpuProvider === 'cuda' ? ['cuda', 'tensorrt'] : [gpuProvider]
  const probes: Probe[] = []
  for (const provider of wanted) probes.push(await probe(provider)) // one after another: each takes the GPU for itself
  const reasonAgainst = (provider: GpuProvider): string | undefined => {
    if (gpu === 'off') return 'INFERENCE_GPU is off'
    const found = probes.find((each) => each.provider === provider)
    if (found === undefined) return `${provider} was not tried, since INFERENCE_GPU_PROVIDER is ${gpuProvider}`
    return found.isUsable ? undefined : found.reason
  }
  const against = reasonAgainst(gpuProvider)
  if (gpu === 'require' && against !== undefined) throw providerMissing(undefined, against)
  return {
    probes,
    standard: against === undefined ? gpuProvider : 'cpu',
    placement({ label, device, parameters }) {
      const provider = namedProvider(label, parameters) ?? gpuProvider
      const deviceId = deviceOf(label, parameters)
      if (device === 'cpu' || (device === 'auto' && gpu === 'off')) return { provider: 'cpu', deviceId: 0 }
      const reason = reasonAgainst(provider)
      if (reason === undefined) return { provider, deviceId }
      if (device === 'gpu' || gpu === 'require') throw providerMissing(label, reason)
      onFallback?.({ model: label, wanted: executionProvider[provider], reason })
      return { provider: 'cpu', deviceId: 0 }
    },
  }
}

const namedProvider = (label: string, parameters: RuntimeModel['parameters']): GpuProvider | undefined => {
  const name = parameters['andon_execution_provider']
  if (name === undefined) return undefined
  if (!isGpuProvider(name))
    throw providerMissing(label, `parameter andon_execution_provider: expected ${GPU_PROVIDERS.join(', ')}, got ${JSON.stringify(name)}`)
  return name
}

const deviceOf = (label: string, parameters: RuntimeModel['parameters']): number => {
  const text = parameters['andon_gpu'] ?? '0'
  if (!/^\d{1,3}$/.test(text)) throw providerMissing(label, `parameter andon_gpu: expected a number of a GPU, got ${JSON.stringify(text)}`)
  return Number(text)
}

/** A model for a GPU may have to be compiled by the driver first. */
const PROBE_TIMEOUT_MS = 120_000

/** Files that onnxruntime-node does not bring along: docs/how-to/gpu.md. */
const LIBRARIES: Partial<Record<GpuProvider, readonly string[]>> = {
  cuda: ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'],
  tensorrt: ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_tensorrt.so'],
}

/** Runs one matrix product on it, in a process of its own. Never rejects. */
export const probeProvider = async (provider: GpuProvider): Promise<Probe> => {
  const missing = missingLibrary(provider)
  if (missing !== undefined)
    return { provider, isUsable: false, reason: `${missing} is not there (docs/how-to/gpu.md says where it comes from)` }
  const said = await runProbe(provider)
  const expected = executionProvider[provider]
  if ('reason' in said) return { provider, isUsable: false, reason: said.reason.trim() }
  const isUsable = said.ran.includes(expected)
  return { provider, isUsable, reason: isUsable ? '' : `the run was on ${said.ran.join(', ') || 'nothing'}, not on ${expected}` }
}

const missingLibrary = (provider: GpuProvider): string | undefined => {
  const package_ = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'))
  const folder = join(package_, 'bin', 'napi-v6', process.platform, process.arch)
  return LIBRARIES[provider]?.map((file) => join(folder, file)).find((file) => !existsSync(file))
}

type Said = { readonly ran: readonly string[] } | { readonly reason: string }

const runProbe = (provider: GpuProvider): Promise<Said> =>
  new Promise((resolve) => {
    const program = fileURLToPath(new URL('./provider-worker.ts', import.meta.url))
    execFile(process.execPath, [program, provider], { timeout: PROBE_TIMEOUT_MS, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      // What it wrote counts, not how it ended: the runtime has been seen to abort on its way out.
      const line = stdout.split('\n').findLast((each) => each.startsWith('{'))
      if (line !== undefined) return resolve(withLibrary(JSON.parse(line) as Said, stderr))
      const end =
        error === null
          ? 'ended'
          : error.killed === true
            ? `did not end in ${PROBE_TIMEOUT_MS} ms`
            : `ended with ${error.signal ?? `code ${error.code}`}`
      resolve({ reason: `the process that tried it ${end} and said: ${stderr.trim().slice(-300) || 'nothing'}` })
    })
  })

/** The error says that a library could not be loaded, the log which one. */
const withLibrary = (said: Said, log: string): Said => {
  const library = /with error: (.+)/.exec(log)?.[1]
  return 'reason' in said && library !== undefined ? { reason: `${said.reason.trim()}: ${library.trim()}` } : said
}
