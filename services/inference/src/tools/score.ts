// `andon models score`: vectors of a range of the log, or those that come in on stdin, through one model version and the scoring of the
// event path. It only reads; predictions go to stdout as frames. The range is read as it is scored: memory holds a few chunks.

import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { AndonError, createLogger, createMetrics, followTopic, localCodec, openCodec, openKafkaLog, partitionOf } from '@andon/kit'
import { messageOf } from '@andon/kit/errors'
import { FRAME, frameOf, framesOf } from '@andon/kit/pipe-frames'
import type { Codec, Log } from '@andon/kit'
import type { Features, Models, Vector } from '@andon/schemas'
import { loadConfig } from '../config.ts'
import { modelUnknown } from '../errors.ts'
import { ModelRegistry } from '../models/model-registry.ts'
import { idleReason, predict } from '../on-features.ts'
import { ownRuntime } from '../parts/own-runtime.ts'
import { openProviders } from '../runtime/providers.ts'
import { gathered } from '../scoring/gathered.ts'
import { runHere } from '../scoring/run-here.ts'

/** What to score; JSON in --plan. */
export interface ScorePlan {
  /** `name`, `name@role`, `name@3` or `name/3`. */
  readonly model: string
  /** Default `features`; the topic of a run has vectors as well. */
  readonly topic?: string
  /** Offsets of it, end exclusive; none: frames with records of `features` on stdin. */
  readonly ranges?: readonly { readonly partition: number; readonly from: number; readonly to: number }[]
  /** Default: the model's own asset. */
  readonly assets?: readonly string[]
}

/** What came of it; the last frame. */
export interface ScoreSummary {
  readonly model: string
  readonly version: number
  readonly digest: string
  readonly role: string
  readonly vectors: number
  readonly scored: number
  readonly idle: number
  readonly failed: number
  readonly otherAssets: number
  readonly otherSets: number
  readonly repeated: number
  readonly undecodable: number
  readonly wallMs: number
}

/** Vectors on their way at once. */
const CHUNK = 512
const PROGRESS_MS = 1_000

/** The version that is meant; its role is that of its last activation. */
export const chosen = (registry: ModelRegistry, text: string): Models => {
  const [, model = text, which] = /^(.+?)(?:[@/]([^@/]+))?$/.exec(text) ?? []
  const found =
    which === undefined
      ? registry.find(model)
      : /^\d+$/.test(which)
        ? (registry.activationOf(model, Number(which)) ?? registry.find(model, Number(which)))
        : registry.inRole(model, which)
  if (found !== undefined) return found
  if (which === undefined || /^\d+$/.test(which)) throw modelUnknown(model, which ?? '')
  const reason = registry.find(model) === undefined ? 'it is not registered' : `\`andon models show ${model}\` lists what is`
  throw new AndonError('ANDON_INFERENCE_MODEL_UNKNOWN', `There is no model ${model} in force as ${which}: ${reason}`, {
    status: 404,
    fields: { model, role: which },
  })
}

type Ranges = NonNullable<ScorePlan['ranges']>

/** Vectors of an asset lie in the partition of its key. */
const itsPartitions = async (log: Log, topic: string, ranges: Ranges, assets: ReadonlySet<string>): Promise<Ranges> => {
  const count = await log.admin.partitions(topic)
  const wanted = new Set([...assets].map((asset) => partitionOf(asset, count)))
  return ranges.filter(({ partition }) => wanted.has(partition))
}

async function* fromLog(log: Log, codec: Codec, topic: string, ranges: Ranges, assets: ReadonlySet<string>) {
  for (const { partition, from, to } of ranges) {
    if (from >= to) continue
    for await (const batch of log.read({ topic, partition, from, to }))
      for (let i = 0; i < batch.count; i++) {
        const value = batch.valueAt(i)
        // Others' vectors are counted by their key, undecoded.
        if (value !== null) yield { isMine: assets.has(batch.keyAt(i) ?? ''), decode: () => codec.decodeAsync<Features>(topic, value) }
      }
  }
}

async function* fromPipe(codec: Codec) {
  for await (const { body } of framesOf(process.stdin)) yield { isMine: true, decode: async () => codec.decode<Features>('features', body) }
}

const write = async (frame: Buffer): Promise<void> => {
  if (!process.stdout.write(frame)) await once(process.stdout, 'drain')
}

export const score = async (plan: ScorePlan): Promise<ScoreSummary> => {
  const config = loadConfig({ ...process.env, ANDON_LOG_LEVEL: process.env['ANDON_LOG_LEVEL'] ?? 'warn' })
  const logger = createLogger({ service: 'inference', level: config.logLevel })
  const surroundings = { config, logger, metrics: createMetrics('inference'), opened: { providers: await openProviders(config) } }
  const { kafkaBrokers: brokers, namespace, registryUrl } = config
  const log = await openKafkaLog({ brokers, clientId: 'inference-score', namespace })
  const codec = await openCodec({ registryUrl, namespace, autoRegister: false, readsAnyTopic: true })
  const runtime = await ownRuntime(surroundings, Math.max(1, config.workers))
  const own = localCodec()
  try {
    const registry = new ModelRegistry()
    const follow = await followTopic<Models>(log, codec, 'models', ({ value }) => registry.apply(value))
    await follow.caughtUp()
    await follow.stop()
    const model = chosen(registry, plan.model)
    await runtime.servableOf(model) // what cannot be loaded fails here, once
    const scorer = gathered(runHere(runtime.servableOf), { mostRows: 2 * CHUNK, mostTogether: config.maxBatchRows })
    const assets = new Set(plan.assets ?? [model.assetId])
    const startedMs = performance.now()
    const counts = { vectors: 0, scored: 0, idle: 0, failed: 0, otherAssets: 0, otherSets: 0, repeated: 0, undecodable: 0 }
    const topic = plan.topic ?? 'features'
    const ranges = plan.ranges && (await itsPartitions(log, topic, plan.ranges, assets))
    const total = ranges?.reduce((sum, { from, to }) => sum + Math.max(0, to - from), 0)
    const seen = new Map<string, string>()
    let read = 0
    let toldMs = startedMs
    let chunk: { assetId: string; vector: Vector }[] = []
    let written: Promise<void> = Promise.resolve()

    const answer = async (some: typeof chunk): Promise<void> => {
      const predictions = await Promise.all(
        some.map(async ({ assetId, vector }) => {
          const idle = idleReason(vector)
          return predict(scorer, assetId, vector, idle === undefined ? [model] : [], idle)
        }),
      )
      for (const prediction of predictions) {
        if (prediction.verdicts.length === 0 && prediction.embeddings.length === 0) counts.idle++
        else if (prediction.verdicts.some(({ error }) => error !== null)) counts.failed++
        else counts.scored++
        await write(frameOf(FRAME.record, own.encode('predictions', prediction)))
      }
    }
    /** The next chunk is read and scored while this one is written; no third one begins. */
    const handOn = async (): Promise<void> => {
      const scored = answer.bind(undefined, chunk)
      chunk = []
      const before = written
      written = before.then(scored)
      written.catch(() => {}) // awaited with the next chunk, and at the end
      await before
    }
    const source = ranges === undefined ? fromPipe(own) : fromLog(log, codec, topic, ranges ?? [], assets)
    for await (const { isMine, decode } of source) {
      read++
      if (performance.now() - toldMs > PROGRESS_MS) {
        toldMs = performance.now()
        await write(frameOf(FRAME.about, Buffer.from(JSON.stringify({ read, total }))))
      }
      if (!isMine) {
        counts.otherAssets++
        continue
      }
      let value: Features
      try {
        value = await decode()
      } catch (error) {
        if (error instanceof AndonError && error.retriable) throw error
        counts.undecodable++
        continue
      }
      const { assetId, vector } = value
      if (vector === null) continue
      if (plan.assets === undefined ? assetId !== model.assetId : !assets.has(assetId)) counts.otherAssets++
      else if (vector.featureSetDigest !== model.featureSetDigest) counts.otherSets++
      else if (seen.get(assetId) === vector.vectorId) counts.repeated++
      else {
        seen.set(assetId, vector.vectorId)
        counts.vectors++
        chunk.push({ assetId, vector })
        if (chunk.length >= CHUNK) await handOn()
      }
    }
    await handOn()
    await written
    const { version, digest, role } = model
    return { model: model.model, version, digest, role, ...counts, wallMs: Math.round(performance.now() - startedMs) }
  } finally {
    await runtime.close()
    await log.close()
  }
}

if (import.meta.main) {
  try {
    const { values } = parseArgs({ options: { plan: { type: 'string' } } })
    const summary = await score(JSON.parse(values.plan ?? '{}') as ScorePlan)
    await write(frameOf(FRAME.about, Buffer.from(JSON.stringify({ summary }))))
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`)
    process.exitCode = 1
  }
}
