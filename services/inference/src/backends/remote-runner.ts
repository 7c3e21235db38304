// Models that other servers run, behind a name in this one: `backend: "andon_remote"` in their configuration. What comes back is checked
// like a stranger's bytes: a tensor of another name, datatype or shape, or NaN where the model's policy has none, is an error and never
// a score.

import { AndonError, createBreaker, messageOf } from '@andon/kit'
import type { Breaker, Metrics } from '@andon/kit'
import type { ModelConfig } from '@andon/schemas/inference'
import { modelUnloadable, serverAnswerWrong } from '../errors.ts'
import type { Batch, BatchAnswer, BatchRequest, Room, Runner } from '../runtime/runner.ts'
import type { OutputTensor } from '../serving/servable.ts'
import type { InferAnswer, InferRequest, TensorData } from '../serving/serving.ts'
import { firstNonFinite } from '../tensors/non-finite.ts'
import { elementBytes, elementCount } from '../tensors/tensors.ts'
import type { ModelIo, TensorSpec } from '../tensors/tensors.ts'
import { unpackBytes, packBytes } from '../tensors/bytes.ts'
import type { RemoteClient, RemoteModel } from './client.ts'
import { openInferenceClient } from './grpc-client.ts'
import { openHttpClient } from './http-client.ts'
import { openPlainJsonClient } from './plain-json-client.ts'
import { remoteConfigOf } from './remote-config.ts'
import type { RemoteConfig } from './remote-config.ts'

export const REMOTE_BACKEND = 'andon_remote'

export interface RemoteModelOptions {
  /** Name and version, for messages. */
  readonly label: string
  /**
   * Its tensors are what the other server's metadata is compared with; without any, what the other server says holds. Parameters:
   * `andon_remote_url`, `andon_remote_protocol` (grpc | http | http-binary | bentoml | ray), `andon_remote_model`,
   * `andon_remote_version`, `andon_remote_timeout_ms`, `andon_remote_concurrency`, `andon_remote_path`, `andon_remote_health_path`,
   * `andon_remote_fields`, `andon_non_finite`.
   */
  readonly config: ModelConfig
}

export interface RemoteRunners {
  /** Rejects with ANDON_INFERENCE_MODEL_UNLOADABLE when the other server's model is not the configured one; retriable when it does not answer. */
  open(model: RemoteModelOptions): Promise<Runner>
  close(): Promise<void>
}

export interface RemoteRunnersOptions {
  readonly metrics?: Metrics
  /** How long a server that keeps failing is left alone, ms. Default 5000. */
  readonly resetAfterMs?: number
  readonly onStateChange?: (target: string, state: 'closed' | 'open' | 'half-open', reason: string) => void
}

const MAX_MESSAGE_BYTES = 64 * 1024 * 1024

/** Runners of models on other servers. Models of one server share its breaker: what it does to one it does to all. */
export const remoteRunners = (options: RemoteRunnersOptions = {}): RemoteRunners => {
  const breakers = new Map<string, Breaker<[() => Promise<InferAnswer>], InferAnswer | AndonError>>()
  const open = new Set<Runner>()
  const breakerOf = ({ target }: RemoteConfig): Breaker<[() => Promise<InferAnswer>], InferAnswer | AndonError> => {
    const known = breakers.get(target)
    if (known !== undefined) return known
    const breaker = createBreaker<[() => Promise<InferAnswer>], InferAnswer | AndonError>(
      `inference.${target}`,
      async (_signal, call) => {
        try {
          return await call()
        } catch (error) {
          // A server that says no is well; a request that was wrong here says nothing about it.
          if (error instanceof AndonError && (error.code === 'ANDON_INFERENCE_SERVER_REFUSED' || error.status < 500)) return error
          throw error
        }
      },
      {
        timeoutMs: LONGEST_CALL_MS, // the clients keep their own, shorter times
        resetAfterMs: options.resetAfterMs ?? 5_000,
        ...(options.metrics === undefined ? {} : { metrics: options.metrics }),
        ...(options.onStateChange === undefined ? {} : { onStateChange: (state, reason) => options.onStateChange!(target, state, reason) }),
      },
    )
    breakers.set(target, breaker)
    return breaker
  }
  return {
    async open({ label, config: modelConfig }) {
      const config = remoteConfigOf(label, modelConfig)
      const client = clientOf(config)
      let io: ModelIo
      let provider: string
      try {
        ;({ io, provider } = await agreed(label, config, client))
      } catch (error) {
        await client.close()
        throw error
      }
      const breaker = breakerOf(config)
      const call = async (request: InferRequest): Promise<InferAnswer> => {
        const answer = await breaker.fire(() => client.infer(request))
        if (answer instanceof AndonError) throw answer
        return answer
      }
      const runner = runnerOf({ config, io, provider, call, close: () => client.close() })
      const tracked: Runner = {
        ...runner,
        async close() {
          open.delete(tracked)
          await runner.close()
        },
      }
      open.add(tracked)
      return tracked
    },
    async close() {
      await Promise.all([...open].map((runner) => runner.close()))
      for (const breaker of breakers.values()) breaker.close()
    },
  }
}

const LONGEST_CALL_MS = 10_000_000

const clientOf = (config: RemoteConfig): RemoteClient => {
  const { target, timeoutMs, concurrency, protocol } = config
  const limits = { timeoutMs, maxSockets: concurrency, maxMessageBytes: MAX_MESSAGE_BYTES }
  switch (protocol) {
    case 'grpc':
      return openInferenceClient({ target, tls: config.isTls, timeoutMs, maxInFlight: concurrency, maxMessageBytes: MAX_MESSAGE_BYTES })
    case 'http':
    case 'http-binary':
      return openHttpClient({ url: target, isBinary: protocol === 'http-binary', ...limits })
    case 'bentoml':
    case 'ray': {
      const { path, healthPath, fields } = config
      return openPlainJsonClient({ url: target, server: protocol, path, healthPath, fields, outputs: config.io!.outputs, ...limits })
    }
  }
}

/** What the model takes and gives, where configuration and server say the same. */
const agreed = async (label: string, config: RemoteConfig, client: RemoteClient): Promise<{ io: ModelIo; provider: string }> => {
  const remote = await client.describe(config.model, config.version).catch((error: unknown) => {
    if (error instanceof AndonError && error.retriable) throw error
    throw modelUnloadable(label, messageOf(error))
  })
  if (!(await client.isModelReady(config.model, config.version)))
    throw new AndonError(
      'ANDON_INFERENCE_MODEL_UNLOADABLE',
      `Model ${label} cannot be loaded: ${client.target} says that it is not ready`,
      {
        retriable: true,
        fields: { model: label },
      },
    )
  const { name } = await client.server()
  const provider = name === '' ? client.target : name
  // A server may leave its tensors unsaid, as one does for models that declare none.
  const says = (tensors: readonly TensorSpec[] | undefined): tensors is readonly TensorSpec[] => tensors !== undefined && tensors.length > 0
  if (config.io === undefined) {
    if (remote === undefined || !says(remote.inputs) || !says(remote.outputs))
      throw modelUnloadable(label, `neither the configuration nor ${client.target} says what the model takes and gives`)
    return { io: { inputs: remote.inputs, outputs: remote.outputs }, provider }
  }
  const compared = (what: 'input' | 'output', ours: readonly TensorSpec[], theirs: readonly TensorSpec[]): void => {
    for (const spec of ours) {
      const other = theirs.find((each) => each.name === spec.name)
      const [expected, found] = [specText(spec), other === undefined ? 'none of that name' : specText(other)]
      if (other === undefined || !agree(spec, other))
        throw modelUnloadable(label, `${what} ${spec.name}: expected ${expected}, found ${found} at ${client.target}`)
    }
    const extra = what === 'input' ? theirs.find((other) => !ours.some(({ name: known }) => known === other.name)) : undefined
    if (extra !== undefined && extra.isOptional !== true)
      throw modelUnloadable(label, `input ${extra.name}: ${client.target} wants ${specText(extra)}, the configuration has none`)
  }
  if (says(remote?.inputs)) compared('input', config.io.inputs, remote.inputs)
  if (says(remote?.outputs)) compared('output', config.io.outputs, remote.outputs)
  return { io: config.io, provider }
}

const specText = ({ datatype, shape }: TensorSpec): string => `${datatype} [${shape.join(', ')}]`

/** Servers that leave a shape empty say nothing about it. */
const agree = (ours: TensorSpec, theirs: RemoteModel['inputs'][number]): boolean =>
  ours.datatype === theirs.datatype && (theirs.shape.length === 0 || fits(ours.shape, theirs.shape))

const fits = (one: readonly number[], other: readonly number[]): boolean =>
  one.length === other.length && one.every((size, i) => size === -1 || other[i] === -1 || size === other[i])

interface RunnerParts {
  readonly config: RemoteConfig
  readonly io: ModelIo
  readonly provider: string
  readonly call: (request: InferRequest) => Promise<InferAnswer>
  readonly close: () => Promise<void>
}

const runnerOf = ({ config, io, provider, call, close }: RunnerParts): Runner => {
  const { room, enter, leave } = roomOf(config.concurrency)
  return {
    io,
    provider,
    room,
    async run(batch) {
      const startedMs = performance.now()
      enter()
      try {
        const request = requestOf(config, io, batch, startedMs + config.timeoutMs)
        const sentMs = performance.now()
        const answer = await call(request)
        const backMs = performance.now()
        const outputs = batch.outputs.map((name) => checkedOutput(config, io, batch, answer, name))
        const each = handedOut(batch.requests, outputs)
        return {
          outputs: each,
          inputUs: (sentMs - startedMs) * 1000,
          runUs: (backMs - sentMs) * 1000,
          outputUs: (performance.now() - backMs) * 1000,
        } satisfies BatchAnswer
      } finally {
        leave()
      }
    },
    close,
  }
}

const roomOf = (size: number): { room: Room; enter: () => void; leave: () => void } => {
  let taken = 0
  const listeners: (() => void)[] = []
  return {
    room: {
      hasRoom: () => taken < size,
      isIdle: () => taken < size,
      whenRoom: (listener) => {
        if (taken < size) listener()
        else listeners.push(listener)
      },
    },
    enter: () => void taken++,
    leave: () => {
      taken--
      listeners.shift()?.()
    },
  }
}

/** One request of all rows: the requests of a batch have the same shapes but for their number. */
const requestOf = ({ model, version }: RemoteConfig, io: ModelIo, { requests, outputs }: Batch, deadlineMs: number): InferRequest => ({
  model,
  version,
  id: '',
  parameters: {},
  inputs: io.inputs.flatMap(({ name, datatype }, i): TensorData[] => {
    const first = requests[0]!.inputs[i]
    if (first === undefined) return []
    if (requests.length === 1) return [{ name, datatype, shape: first.shape, bytes: first.bytes }]
    const rows = requests.reduce((sum, { inputs }) => sum + inputs[i]!.shape[0]!, 0)
    return [
      { name, datatype, shape: [rows, ...first.shape.slice(1)], bytes: Buffer.concat(requests.map(({ inputs }) => inputs[i]!.bytes)) },
    ]
  }),
  outputs: outputs.map((name) => ({ name, classes: 0 })),
  deadlineMs,
})

const checkedOutput = (config: RemoteConfig, io: ModelIo, { rows }: Batch, answer: InferAnswer, name: string): OutputTensor => {
  const { target } = config
  const spec = io.outputs.find((each) => each.name === name)!
  const output = answer.outputs.find((each) => each.name === name)
  const wrong = (expected: string, got: string): Error => serverAnswerWrong(target, `output ${name}: expected ${expected}, got ${got}`)
  if (output === undefined)
    throw wrong('one', answer.outputs.length === 0 ? 'no output' : `only ${answer.outputs.map((each) => each.name).join(', ')}`)
  if (output.datatype !== spec.datatype) throw wrong(spec.datatype, output.datatype)
  const expected = config.isBatched ? [rows, ...spec.shape.slice(1)] : spec.shape
  if (!fits(expected, output.shape)) throw wrong(`the shape [${expected.join(', ')}]`, `[${output.shape.join(', ')}]`)
  const notFinite = config.allowsNonFinite ? undefined : firstNonFinite(output.datatype, output.bytes)
  if (notFinite !== undefined) throw wrong('finite numbers', `NaN or infinity at element ${notFinite}`)
  return { ...spec, shape: output.shape, bytes: output.bytes }
}

/** Each request's rows of every output. */
const handedOut = (requests: readonly BatchRequest[], outputs: readonly OutputTensor[]): readonly (readonly OutputTensor[])[] => {
  if (requests.length === 1) return [outputs]
  let from = 0
  return requests.map(({ rows }) => {
    const start = from
    from += rows
    return outputs.map((output) => rowsOf(output, start, rows))
  })
}

const rowsOf = (output: OutputTensor, from: number, rows: number): OutputTensor => {
  const shape = [rows, ...output.shape.slice(1)]
  const perRow = elementCount(shape.slice(1))
  const size = elementBytes(output.datatype)
  const bytes =
    size === undefined
      ? packBytes(unpackBytes(output.bytes).slice(from * perRow, (from + rows) * perRow))
      : output.bytes.subarray(from * perRow * size, (from + rows) * perRow * size)
  return { ...output, shape, bytes }
}
