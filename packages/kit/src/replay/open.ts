// A service that is started with ANDON_REPLAY_PLAN comes to its log through here: the plan is read, retained snapshots lie
// ready, and progress goes to a file beside the plan, where `andon replay status` reads it.

import { renameSync, writeFileSync } from 'node:fs'
import type { Codec } from '../codec-port.ts'
import type { Log } from '../log/port.ts'
import { watermarksOf } from '../marks.ts'
import { loadSnapshot, openHistoryBlobs } from '../snapshot-history.ts'
import { Snapshots, changelogTopic } from '../snapshots.ts'
import type { Blobs } from '../blobs.ts'
import { readPlan } from './plan.ts'
import { openReplayLog } from './replay-log.ts'
import type { ReplayOptions } from './replay-log.ts'

/** Where a run whose plan lies in `planFile` says how far it has come. */
export const progressFile = (planFile: string): string => planFile.replace(/(\.json)?$/, '.progress.json')

/** The log of the run that the plan describes. Rejects with ANDON_REPLAY_PLAN_INVALID when the plan cannot be read. */
export const openReplay = async (log: Log, codec: Codec, planFile: string, blobDir: string): Promise<Log> => {
  const plan = readPlan(planFile)
  return openReplayLog(log, codec, plan, {
    seed: seedFrom(await openHistoryBlobs(blobDir), codec),
    onProgress: (progress) => writeWhole(progressFile(planFile), { ...progress, pid: process.pid, atMs: Date.now() }),
    onDescribed: (state) => {
      if (plan.describe) writeWhole(plan.describe.file, state)
    },
  })
}

/**
 * Puts the retained snapshot of a partition into the run's changelog as its first round, without outputs: those of the live
 * service are none of the run's. From there on state is restored as in any other process.
 */
export const seedFrom =
  (blobs: Blobs, codec: Codec): NonNullable<ReplayOptions['seed']> =>
  async (log, group, { partition, snapshot }) => {
    if (snapshot === undefined) return
    const { high } = await watermarksOf(log, changelogTopic(group), partition)
    if (high > 0) return // seeded, or beyond
    const { input, dedupe, keys } = await loadSnapshot(blobs, snapshot)
    await new Snapshots(log, codec, group).write({ input, output: undefined, kit: { dedupe, outputs: [] }, keys })
  }

const writeWhole = (file: string, value: unknown): void => {
  writeFileSync(
    `${file}.tmp`,
    JSON.stringify(value, (_key, each: unknown) => (each instanceof Map ? Object.fromEntries(each) : each)),
  )
  renameSync(`${file}.tmp`, file)
}
