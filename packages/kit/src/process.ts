// The processing loop: one partitioned input, a handler per partition, outputs in order with their lineage, then the
// position. Nothing is skipped: what cannot be decoded is dead-lettered, what may be retried pauses its partition, and
// any other error ends the run. State is restored with the position it stands for whenever the log may have changed
// under us (notes in data-path terms: start, rebalance, out of range, new connection or leader epoch).

import { Standby } from './changelog-view.ts'
import type { Codec } from './codec-port.ts'
import { laneLog, runInTransactions, transactionsOf } from './delivery.ts'
import type { Lane } from './delivery.ts'
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
  const onOtherVersion = (fields: object, message: string): void => deps.logger.warn(fields, message)
  const snapshots = new Snapshots(log, codec, group, { history, standby, onDamage, onOtherVersion })
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
  const transactions = transactionsOf(log, options.transactions)
  const lanes = new Map<number, Lane<T>>()
  /** In transactions each partition's lane writes in its own. */
  const open = (partition: number): Lane<T> => {
    const own = laneLog(log)
    if (!transactions) return { lane: new PartitionLane(context, partition), log: own }
    const rounds = new Snapshots(own, codec, group, { history, standby, onDamage, onOtherVersion, isExclusive: true })
    const ownContext = { ...context, log: own, isTransactional: true, snapshots: () => context.snapshots().then(() => rounds) }
    return { lane: new PartitionLane(ownContext, partition), log: own }
  }
  const assignment = {
    group,
    topics: [options.input],
    onAssigned: async (_topic: string, partition: number, committed: number | undefined) => {
      const opened = open(partition)
      const start = await opened.lane.open(committed)
      lanes.set(partition, opened)
      return start
    },
    onRevoked: async (_topic: string, partition: number, lost: boolean) => {
      const opened = lanes.get(partition)
      lanes.delete(partition)
      meters.lag(partition, undefined)
      await opened?.lane.close(lost)
    },
  }
  const run = transactions
    ? await runInTransactions(log, transactions, assignment, (partition) => lanes.get(partition)!)
    : await log.run({
        ...assignment,
        onHold: async (_topic, partition) => lanes.get(partition)?.lane.roundOff(),
        onDoubt: async (_topic, partition) => lanes.get(partition)?.lane.doubt(),
        onBatch: async (batch) => lanes.get(batch.partition)!.lane.handle(batch),
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
