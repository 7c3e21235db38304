// The processing loop: one partitioned input, a handler per partition, outputs in order with their lineage, then the
// position. Nothing is skipped: what cannot be decoded is dead-lettered, what may be retried pauses its partition, and
// any other error ends the run. State is restored with the position it stands for whenever the log may have changed
// under us (notes in data-path terms: start, rebalance, out of range, new connection or leader epoch).

import { Standby } from './changelog-view.ts'
import type { Codec } from './codec-port.ts'
import type { ProcessOptions } from './flow.ts'
import type { Log, Run } from './log/port.ts'
import { deadLetterSpec } from './dead-letters.ts'
import { PartitionLane } from './partition-lane.ts'
import type { LaneContext, ProcessDeps } from './partition-lane.ts'
import { ProcessMeters } from './process-meters.ts'
import { replayOf } from './replay/replay-log.ts'
import { SnapshotHistory } from './snapshot-history.ts'
import { Snapshots, changelogSpec, changelogTopic } from './snapshots.ts'

export type { ProcessDeps } from './partition-lane.ts'

/**
 * Runs a service's process on its input until stopped. `ended` rejects when a handler failed for good: the caller ends
 * the service then. Creates the dead-letter topic and, for a process with state, the changelog.
 */
export const runProcess = async <T>(log: Log, codec: Codec, given: ProcessOptions<T>, deps: ProcessDeps): Promise<Run> => {
  const options = replayOf(log)?.adapt(given) ?? given
  const group = options.group ?? options.service
  const partitions = await log.admin.partitions(options.input)
  await log.admin.ensureTopics([deadLetterSpec(options.input, group, partitions)])
  let changelog: Promise<void> | undefined
  const history = options.history && new SnapshotHistory(log, codec, group, options.input, options.history)
  const standby = options.standby === true ? new Standby(log, codec, changelogTopic(group), options.input) : undefined
  const meters = new ProcessMeters(deps.metrics, options.input)
  const onDamage = (fields: object, message: string): void => {
    deps.logger.warn(fields, message)
    meters.count('damaged', 1)
  }
  const snapshots = new Snapshots(log, codec, group, { history, standby, onDamage })
  const context: LaneContext<T> = {
    log,
    codec,
    options,
    deps,
    group,
    meters,
    snapshots: async () => {
      changelog ??= log.admin.ensureTopics([changelogSpec(group, partitions)]).catch((error: unknown) => {
        changelog = undefined // the next assignment tries again
        throw error
      })
      await changelog
      return snapshots
    },
  }
  if (standby) {
    await context.snapshots()
    await standby.start()
  }
  const lanes = new Map<number, PartitionLane<T>>()
  const run = await log.run({
    group,
    topics: [options.input],
    onAssigned: async (_topic, partition, committed) => {
      const lane = new PartitionLane(context, partition)
      const start = await lane.open(committed)
      lanes.set(partition, lane)
      return start
    },
    onHold: async (_topic, partition) => lanes.get(partition)?.roundOff(),
    onRevoked: async (_topic, partition, lost) => {
      const lane = lanes.get(partition)
      lanes.delete(partition)
      meters.lag(partition, undefined)
      await lane?.close(lost)
    },
    onDoubt: async (_topic, partition) => lanes.get(partition)?.doubt(),
    onBatch: async (batch) => lanes.get(batch.partition)!.handle(batch),
  })
  if (history === undefined && standby === undefined) return run
  const close = async (): Promise<void> => {
    await Promise.all([history?.close(), standby?.stop()])
  }
  const ended = (async () => {
    try {
      await run.ended
    } finally {
      await close()
    }
  })()
  ended.catch(() => undefined) // whoever cares awaits `ended`
  return {
    assigned: () => run.assigned(),
    ended,
    stop: async () => {
      await run.stop()
      await close()
    },
  }
}
