// From times to offsets: what a run over a range would read, from which state it starts, and what it would write.

import { type Codec, type Log, findSnapshot, openHistoryBlobs } from '@andon/kit'
import { AndonError } from '@andon/kit/errors'
import { baseTopic, runOf, runTopic } from '@andon/kit/replay/names'
import { REPLAY_CONTRACT, type ModelPin, type PartitionRange, type ReplayPlan } from '@andon/kit/replay/plan'
import type { Config, Models } from '@andon/schemas'
import type { ReplayContract } from './contract.ts'

const DAY_MS = 86_400_000
const RUN_RETENTION_MS = 30 * DAY_MS
const SAMPLE_RECORDS = 200

/** Where a partition's state comes from. */
export type StartState =
  | { readonly kind: 'none' }
  | { readonly kind: 'beginning'; readonly why?: string }
  | { readonly kind: 'snapshot'; readonly atMs: number }
  | { readonly kind: 'warm-up'; readonly minutes: number; readonly why: string }

export interface PlannedPartition extends PartitionRange {
  readonly state: StartState
}

export interface PlannedHop {
  readonly plan: ReplayPlan
  readonly partitions: readonly PlannedPartition[]
  /** Records of the range, and those before it that only build state. */
  readonly records: number
  readonly before: number
  /** Estimated from the first records of the range: keys and values. */
  readonly bytes: number
  readonly outputs: readonly { readonly topic: string; readonly runTopic: string }[]
  readonly warnings: readonly string[]
}

export interface HopRequest {
  readonly id: string
  readonly service: string
  readonly contract: ReplayContract
  /** Topic to read; the contract's input, or a run's. */
  readonly topic: string
  readonly fromMs: number
  readonly toMs: number
  readonly speed: 'max' | '1x'
  /** Digests of documents that hold for the whole run. */
  readonly configs: readonly string[]
  /** Model versions that hold for the whole run: `name@version`, or `name@off`. */
  readonly models: readonly string[]
  readonly blobDir: string
  readonly nowMs: number
  /** Only what this key's state needs, told instead of written. */
  readonly describe?: { readonly key: string; readonly partition: number; readonly file: string }
}

/** Plans a hop; nothing is written. Throws ANDON_REPLAY_INPUT, ANDON_REPLAY_CONFIG. */
export const planHop = async (log: Log, codec: Codec, request: HopRequest): Promise<PlannedHop> => {
  const { contract, topic, service, id, fromMs, toMs } = request
  if (baseTopic(topic) !== contract.input)
    throw new AndonError('ANDON_REPLAY_INPUT', `ANDON_REPLAY_INPUT: ${service} reads ${contract.input}, not ${topic}.`)
  if (!(await log.admin.topics()).some(({ name }) => name === topic))
    throw new AndonError('ANDON_REPLAY_INPUT', `ANDON_REPLAY_INPUT: there is no topic ${topic}. See \`andon topics list\`.`)
  if (fromMs >= toMs && request.describe === undefined)
    throw new AndonError('ANDON_REPLAY_INPUT', 'ANDON_REPLAY_INPUT: --from is not before --to.')
  const all = await Promise.all(
    (await log.admin.watermarks(topic))
      .filter(({ partition }) => request.describe === undefined || request.describe.partition === partition)
      .map((marks) => planPartition(log, codec, request, marks)),
  )
  const partitions = all.filter(({ start, from, to }) => (request.describe ? start < to : from < to))
  const plan: ReplayPlan = {
    contract: REPLAY_CONTRACT,
    id,
    service,
    input: { topic: contract.input, from: topic },
    partitions: partitions.map(({ state: _state, ...range }) => range),
    writes: contract.writes,
    fromMs,
    // records keep their old timestamps: retention has to reach back to them
    retentionMs: Math.max(0, request.nowMs - fromMs) + RUN_RETENTION_MS,
    speed: request.speed,
    pins: await pinsOf(log, codec, request.configs),
    models: await modelPinsOf(log, codec, request.models),
    ...(request.describe ? { describe: { key: request.describe.key, file: request.describe.file } } : {}),
  }
  const sum = (of: (range: PartitionRange) => number): number => partitions.reduce((total, range) => total + of(range), 0)
  const records = sum(({ from, to }) => to - from)
  return {
    plan,
    partitions,
    records,
    before: sum(({ start, from }) => from - start),
    bytes: Math.round(records * (await bytesPerRecord(log, topic, partitions))),
    outputs: contract.writes.map((each) => ({ topic: each, runTopic: runTopic(each, id) })),
    warnings: warningsOf(partitions),
  }
}

/** One sentence per reason, with the partitions that it is true of. */
const warningsOf = (partitions: readonly PlannedPartition[]): string[] => {
  const found = new Map<string, number[]>()
  for (const { partition, state } of partitions) {
    if (!('why' in state)) continue
    const what =
      state.kind === 'beginning'
        ? `begin with empty state: ${state.why}; the first findings may differ from the live ones`
        : `warm up for ${state.minutes} min of record time: ${state.why}`
    found.set(what, [...(found.get(what) ?? []), partition])
  }
  return [...found].map(([what, numbers]) => `Partitions ${numbers.toSorted((a, b) => a - b).join(', ')} ${what}.`)
}

const planPartition = async (
  log: Log,
  codec: Codec,
  request: HopRequest,
  { partition, low, high }: { partition: number; low: number; high: number },
): Promise<PlannedPartition> => {
  const { topic, contract, fromMs, toMs } = request
  const within = (offset: number): number => Math.min(high, Math.max(low, offset))
  const to = within(await log.admin.offsetAt(topic, partition, toMs))
  const from = request.describe ? to : Math.min(to, within(await log.admin.offsetAt(topic, partition, fromMs)))
  const range = { partition, from, to }
  if (contract.stateVersion === undefined) return { ...range, start: from, state: { kind: 'none' } }
  const isLive = runOf(topic) === undefined
  let why = isLive ? 'no retained snapshot stands before the range' : 'no state is retained for the records of a run'
  if (isLive && from > low) {
    const blobs = await openHistoryBlobs(request.blobDir)
    const found = await findSnapshot(log, codec, blobs, { group: contract.group, topic, partition, before: from })
    const unreadable = found?.versions.filter((version) => version !== contract.stateVersion) ?? []
    if (found && unreadable.length === 0 && found.input.offset + 1 >= low)
      return { ...range, start: found.input.offset + 1, snapshot: found.uri, state: { kind: 'snapshot', atMs: found.input.timestampMs } }
    if (unreadable.length > 0) why = `its snapshots have state version ${unreadable.join(', ')}, this code reads ${contract.stateVersion}`
    else if (found) why = 'records after its newest snapshot have been removed by retention'
  }
  const start = Math.min(from, within(await log.admin.offsetAt(topic, partition, fromMs - contract.warmUpMinutes * 60_000)))
  if (start === 0) {
    return { ...range, start, state: { kind: 'beginning', ...(isLive ? {} : { why }) } }
  }
  return { ...range, start, state: { kind: 'warm-up', minutes: contract.warmUpMinutes, why } }
}

/** The newest record on `config` with each digest. */
const pinsOf = async (log: Log, codec: Codec, digests: readonly string[]): Promise<ReplayPlan['pins']> => {
  if (digests.length === 0) return []
  const found = new Map<string, { name: string; offset: number }>()
  for await (const batch of log.read({ topic: 'config', partition: 0, from: 'earliest', to: 'latest' }))
    for (const record of batch.records) {
      if (record.value === null) continue
      const { digest, name } = await codec.decodeAsync<Config>('config', record.value)
      const wanted = digests.find((each) => each.length >= 8 && digest.startsWith(each))
      if (wanted !== undefined) found.set(wanted, { name, offset: record.offset })
    }
  return digests.map((digest) => {
    const pin = found.get(digest)
    if (pin === undefined)
      throw new AndonError(
        'ANDON_REPLAY_CONFIG',
        `ANDON_REPLAY_CONFIG: no document on config has the digest ${digest} (at least 8 digits). \`andon topics tail config\` shows them.`,
      )
    return pin
  })
}

/** The first registration of each version, in its latest role. */
const modelPinsOf = async (log: Log, codec: Codec, wanted: readonly string[]): Promise<ModelPin[]> => {
  if (wanted.length === 0) return []
  const known = new Map<string, ModelPin>()
  for await (const batch of log.read({ topic: 'models', partition: 0, from: 'earliest', to: 'latest' }))
    for (const { value, offset } of batch.records) {
      if (value === null) continue
      const { type, model, version, role } = await codec.decodeAsync<Models>('models', value)
      const name = `${model}@${version}`
      const pin = known.get(name)
      if (type === 'ModelRegistered' && pin === undefined) known.set(name, { model, version, offset, role })
      // A shadow has no verdict in predictions; who pins one wants to see it there.
      else if (type === 'ModelActivated' && pin) known.set(name, { ...pin, role: role === 'shadow' ? 'advisory' : role })
    }
  return wanted.map((name) => {
    const pin = known.get(name)
    if (pin) return pin
    const model = name.slice(0, name.lastIndexOf('@'))
    const versions = [...known.values()].filter((each) => each.model === model).map(({ version }) => version)
    if (name.endsWith('@off') && versions.length > 0) return { model, version: 0, offset: -1, role: 'shadow' }
    const hint =
      versions.length === 0 ? 'no such model is registered' : `versions ${versions.join(', ')} are registered; @off leaves it out`
    throw new AndonError('ANDON_REPLAY_MODEL', `ANDON_REPLAY_MODEL: --model: expected <name>@<version>, found ${name}: ${hint}.`)
  })
}

const bytesPerRecord = async (log: Log, topic: string, partitions: readonly PartitionRange[]): Promise<number> => {
  let [bytes, records] = [0, 0]
  for (const { partition, from, to } of partitions) {
    if (records >= SAMPLE_RECORDS) break
    for await (const batch of log.read({ topic, partition, from, to: Math.min(to, from + SAMPLE_RECORDS) }))
      for (let i = 0; i < batch.count; i++) {
        bytes += (batch.valueAt(i)?.length ?? 0) + (batch.keyAt(i)?.length ?? 0)
        records++
      }
  }
  return records === 0 ? 0 : bytes / records
}
