// What a replay run does, as data: written by `andon replay`, read by the service that is started with ANDON_REPLAY_PLAN.

import { readFileSync } from 'node:fs'
import { AndonError, messageOf } from '../errors.ts'

/** Version of the contract between `andon replay` and a service. */
export const REPLAY_CONTRACT = 1

/** One partition's range. `start <= from <= to`; records in [start, from) only build state and give no output. */
export interface PartitionRange {
  readonly partition: number
  /** First offset read. */
  readonly start: number
  /** First offset whose outputs are written. */
  readonly from: number
  /** End, exclusive. */
  readonly to: number
  /** Retained snapshot that the state comes from: the uri of its manifest in the history store. It stands before `start`. */
  readonly snapshot?: string
}

/** A registered version of a model, in force from the beginning of time; offset -1: the model does not take part. */
export interface ModelPin {
  readonly model: string
  readonly version: number
  /** Of its registration on `models`. */
  readonly offset: number
  /** champion, advisory, canary or shadow. */
  readonly role: string
}

export interface ReplayPlan {
  readonly contract: typeof REPLAY_CONTRACT
  readonly id: string
  readonly service: string
  /** Topic that the service asks for, and the topic that is read in its place (the same one, or another run's). */
  readonly input: { readonly topic: string; readonly from: string }
  /** Partitions with something to do. */
  readonly partitions: readonly PartitionRange[]
  /** Topics that the service writes; each goes to the run's own. */
  readonly writes: readonly string[]
  /** Record time from which outputs are written, ms UTC: the clock of `1x` starts here. */
  readonly fromMs: number
  /** Retention of the run's topics: records keep their old timestamps, so it covers their age. */
  readonly retentionMs: number
  readonly speed: 'max' | '1x'
  /** Documents of `config` that hold for the whole run instead of those of the time: their record's offset. */
  readonly pins: readonly { readonly name: string; readonly offset: number }[]
  /** Model versions that hold for the whole run, in place of what held for their models at the time. */
  readonly models: readonly ModelPin[]
  /** Instead of outputs: the state of this key at the range's end, written as JSON to `file`. */
  readonly describe?: { readonly key: string; readonly file: string }
}

/** Reads a plan; throws ANDON_REPLAY_PLAN_INVALID when there is none or this build does not know its contract. */
export const readPlan = (file: string): ReplayPlan => {
  const invalid = (reason: string, cause?: unknown): AndonError =>
    new AndonError('ANDON_REPLAY_PLAN_INVALID', `ANDON_REPLAY_PLAN: ${file} ${reason}. Write it with \`andon replay run\`.`, { cause })
  let plan: ReplayPlan
  try {
    plan = JSON.parse(readFileSync(file, 'utf8')) as ReplayPlan
  } catch (error) {
    throw invalid(`cannot be read: ${messageOf(error)}`, error)
  }
  const found: number = plan.contract
  if (found !== REPLAY_CONTRACT) throw invalid(`has contract ${found}, this build knows ${REPLAY_CONTRACT}`)
  for (const { partition, start, from, to } of plan.partitions)
    if (!(start <= from && from <= to)) throw invalid(`has a range of partition ${partition} that runs backwards`)
  return plan
}
