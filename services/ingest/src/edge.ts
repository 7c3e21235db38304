// The edge of the log: spool, lanes and pump behind one door, `keep`. What an earlier process left in the spool is in its lanes before
// anything new, and what its disk damaged goes to quarantine as bytes.

import { setTimeout as pause } from 'node:timers/promises'
import type { Log, Logger } from '@andon/kit'
import type { Disk } from './adapters/disk.ts'
import { openSpool } from './adapters/spool.ts'
import type { Spool, SpoolLimits, SpoolRef } from './adapters/spool.ts'
import type { SeenJournal } from './adapters/seen-journal.ts'
import type { Clock } from './clock.ts'
import { Held } from './held.ts'
import type { HeldEntry } from './held.ts'
import { keeper } from './keeper.ts'
import type { AcknowledgeWhen } from './keeper.ts'
import type { IngestMetrics } from './metrics.ts'
import { fromEntry } from './outgoing.ts'
import type { Outgoing } from './outgoing.ts'
import { Pump } from './pump.ts'
import { damageRecord } from './records.ts'
import type { RecordShape } from './records.ts'

export interface EdgeDeps {
  readonly acknowledge: AcknowledgeWhen
  readonly shape: RecordShape
  readonly log: Pick<Log, 'append' | 'appender' | 'latest'>
  readonly disk: Disk
  readonly limits: SpoolLimits
  readonly journal: Pick<SeenJournal, 'note'>
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: IngestMetrics
  /** Receive time of the oldest row that is not kept yet, by partition as of now; Infinity when there is none. */
  readonly oldestWaitingUs: () => (partition: number) => number
  /** Each second, whether the broker answers or not. */
  readonly onSecond: () => void
  /** Records kept in memory until they are sent; others are read back. Default 32 MiB. */
  readonly cachedMaxBytes?: number
  /** For tests that are the clock. */
  readonly sleep?: (ms: number) => Promise<void>
}

export interface Edge {
  /** As Keeper.keep. */
  readonly keep: (record: Outgoing) => Promise<void>
  readonly spool: Spool
  readonly held: Held
  readonly pump: Pump
  /** Identities of readings that the spool still held. */
  readonly restored: readonly string[]
  /**
   * Sends what it can within `sendMs` and, where `drainMs` is more, waits so long for an empty spool; then lets go of the disk.
   * What is not sent is sent by the next process.
   */
  readonly stop: (sendMs: number, drainMs?: number) => Promise<void>
}

const defaultCachedBytes = 32 * 1024 * 1024
const gatherMs = 20

export const openEdge = async (deps: EdgeDeps): Promise<Edge> => {
  const { shape, log, disk, limits, journal, clock, logger, metrics } = deps
  const held = new Held(deps.cachedMaxBytes ?? defaultCachedBytes)
  const restored: string[] = []
  const damages: { ref: SpoolRef; bytes: Buffer; segment: string }[] = []
  const { spool, tornBytes } = await openSpool(disk, limits, clock.monotonicMs, {
    found: (ref, body) => {
      const record = fromEntry(body)
      held.push(record, ref)
      for (const identity of record.identities) restored.push(identity)
    },
    damaged: (ref, bytes, segment) => damages.push({ ref, bytes: Buffer.from(bytes), segment }),
  })
  if (tornBytes > 0) logger.warn({ tornBytes }, 'cut a torn tail off the spool; nobody had been told that it was safe')
  const { held: records } = held.counts()
  if (records > 0) logger.info({ records }, 'the spool is sent again')

  const sleeper = newSleeper()
  const keep = keeper({ held, spool, acknowledgeWhen: deps.acknowledge, wake: sleeper.wake })

  // The bytes stay where they are until quarantine has them; when that fails, the next start tries again.
  const quarantine = (ref: SpoolRef, bytes: Buffer, where: string) => {
    metrics.damaged()
    logger.error({ where, bytes: bytes.length }, 'the disk of the spool damaged acknowledged readings; what it has goes to quarantine')
    keep.keep(damageRecord(shape, bytes, where, clock.nowUs())).then(
      () => spool.drop(ref),
      (error: unknown) => logger.error({ where, err: error }, 'damaged bytes of the spool could not be quarantined'),
    )
  }

  let lettingGo: Promise<unknown> = Promise.resolve()

  // Identities move to the journal before the spool forgets them.
  const letGo = async (entries: readonly HeldEntry[]) => {
    const identities = entries.flatMap((entry) => entry.identities)
    try {
      if (identities.length > 0) await journal.note(identities)
    } catch (error) {
      logger.warn({ err: error, identities: identities.length }, 'a restart will not know repeats of these readings')
    }
    for (const { ref } of entries) spool.drop(ref)
  }

  const pump = new Pump({
    log,
    held,
    keeper: keep,
    shape,
    clock,
    oldestWaitingUs: deps.oldestWaitingUs,
    onSafe: (entries) => {
      lettingGo = Promise.all([lettingGo, letGo(entries)])
    },
    onDamaged: ({ ref }) => void spool.raw(ref).then((bytes) => quarantine(ref, bytes, 'read back')),
    onDoubt: (why, partitions, error) => {
      metrics.doubt()
      logger.warn({ why, partitions, held: held.counts().held, err: error }, 'everything held for these partitions is sent again')
    },
    onPublished: metrics.published,
    onSecond: () => {
      if (spool.failure() !== undefined) void spool.probe() // its outcome is kept in failure()
      deps.onSecond()
    },
    gatherMs: deps.acknowledge === 'spooled' ? gatherMs : 0,
    sleep: deps.sleep ?? sleeper.sleep,
    backOff: deps.sleep ?? sleeper.backOff,
    wakeAll: sleeper.wakeAll,
  })
  // An entry leaves 15 s after the brokers answered it, so this takes at least as long.
  const drained = async (withinMs: number) => {
    const until = clock.monotonicMs() + withinMs
    while (held.counts().held > 0 && clock.monotonicMs() < until) await pause(20)
    return held.counts()
  }

  const closed = async () => {
    await lettingGo
    await spool.close()
  }

  for (const { ref, bytes, segment } of damages) quarantine(ref, bytes, `${segment} at ${ref.at}`)

  return {
    keep: (record) => keep.keep(record),
    spool,
    held,
    pump,
    restored,
    stop: async (sendMs, drainMs = 0) => {
      const { held: left } = await drained(drainMs)
      if (drainMs > 0) {
        if (left === 0) logger.info('the spool is empty')
        else logger.warn({ records: left }, 'the spool is not empty: start this instance again before its disk goes')
      }
      await pump.stop(left === 0 ? 0 : sendMs)
      await Promise.race([closed(), pause(sendMs, undefined, { ref: false })]) // a disk that hangs does not keep the process
    },
  }
}

/** Sleeps that anybody can end early, and pauses that only `wakeAll` ends. */
const newSleeper = () => {
  const napping = new Set<() => void>()
  const resting = new Set<() => void>()
  const sleepIn = (sleeping: Set<() => void>) => (ms: number) =>
    new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer)
        sleeping.delete(end)
        resolve()
      }
      const timer = setTimeout(end, ms)
      sleeping.add(end)
    })
  const wake = () => {
    for (const end of napping) end()
  }
  const wakeAll = () => {
    wake()
    for (const end of resting) end()
  }
  return { sleep: sleepIn(napping), backOff: sleepIn(resting), wake, wakeAll }
}
