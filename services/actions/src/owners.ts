// Which partitions this process owns. The consumer group `actions` only says who is assigned; reading and deciding are the
// owners' own business, and the log itself, not the group, says who counts.

import { alarmKpis, carriedHolds, fact } from '@andon/decisions'
import type { Facts } from '@andon/decisions'
import type { Log, Logger, Metrics, Part, Run } from '@andon/kit'
import type { Actions } from '@andon/schemas'
import { ACTIONS } from './actions-log.ts'
import type { ActionsLog } from './actions-log.ts'
import type { BreakerChange } from './adapters/executors.ts'
import type { PartitionAuditor } from './audit/auditor.ts'
import type { Board } from './board.ts'
import type { Publisher } from './documents.ts'
import { PartitionOwner } from './owner.ts'
import type { OwnerDeps } from './owner.ts'

const TEND_EVERY_MS = 500
const MEASURE_EVERY_MS = 10_000
/** Key, and so home partition, of mesh-wide holds. */
export const EVERYWHERE = '*'

export interface OwnersOptions {
  readonly log: Log
  readonly actionsLog: ActionsLog
  readonly board: Board
  readonly logger: Logger
  readonly metrics: Metrics
  readonly publisher: Publisher
  readonly owner: Omit<OwnerDeps, 'partition' | 'log' | 'logger' | 'onVoid' | 'onDecided'>
  /** Seals what an owner has decided; without it, or with null, nothing is sealed. */
  readonly auditorOf?: (partition: number) => PartitionAuditor | null
}

export interface OwnersPart extends Part {
  /** Owned partitions with their epoch, and what is wrong with those that decide nothing. */
  status(): { readonly partition: number; readonly epoch: number; readonly problem: string | null }[]
  /** True once every request below an offset of an owned partition has its answer on the log. */
  hasAnswered(partition: number, offset: number): boolean
  /** Puts a breaker's change on its line's partition, if it is owned here. */
  noteBreaker(change: BreakerChange): void
  /** Makes owners look again: documents changed. */
  wake(): void
}

export const ownersPart = ({ log, actionsLog, board, logger, metrics, publisher, owner: common, auditorOf }: OwnersOptions): OwnersPart => {
  const owners = new Map<number, PartitionOwner>()
  const auditors = new Map<number, PartitionAuditor>()
  const decided = metrics.counter('andon_actions_facts_total', 'Facts written by owners', ['type'])
  const voids = metrics.counter('andon_actions_void_facts_total', 'Facts that count for nobody', ['why'])
  const owned = metrics.gauge('andon_actions_owned_partitions', 'Partitions decided by this process')
  const alarms = metrics.gauge(
    'andon_actions_alarms',
    'Alarms of the owned lines: last_10_min of the worst line; in_flood lines; standing, stale, shelved',
    ['what'],
  )
  let measuredMs = -Infinity
  let run: Run | undefined
  let tending: NodeJS.Timeout | undefined

  const open = (partition: number): PartitionOwner => {
    const auditor = auditorOf?.(partition)
    const owner = new PartitionOwner({
      ...common,
      onCounted: (entry, isLive) => {
        auditor?.note(entry)
        common.onCounted(entry, isLive)
      },
      partition,
      log: actionsLog,
      logger,
      onVoid: (verdict) => voids.inc({ why: verdict }),
      onDecided: (type) => decided.inc({ type }),
    })
    owner.start()
    if (auditor) {
      auditors.set(partition, auditor)
      auditor.start(owner)
    }
    return owner
  }

  /** The home partition's owner brings mesh-wide holds and lifts to every other partition until it has read them there. */
  const carry = async (): Promise<void> => {
    const homePartition = board.partitionOf(EVERYWHERE)
    const home = owners.get(homePartition)
    if (!home || home.epoch === 0) return
    for (let partition = 0; partition < board.partitions; partition += 1) {
      if (partition === homePartition) continue
      const missing: Facts = carriedHolds(home.log.state, board.state(partition), EVERYWHERE, common.clock.nowUs())
      if (missing.length > 0) await actionsLog.append(partition, missing)
    }
  }

  /** Accepted documents that `config` does not have yet are published by the owner of their partition. */
  const publishDocuments = async (): Promise<void> => {
    for (const owner of owners.values()) {
      if (owner.epoch === 0) continue
      for (const document of owner.log.state.documents.values()) await publisher.publish(document)
    }
  }

  /** Writes a change down, unless the log says so already. */
  const noteBreaker = (change: BreakerChange): void => {
    const owner = owners.get(board.partitionOf(change.line))
    owner
      ?.note((atUs) => (knownState(owner, change) === change.state ? [] : [breakerFact(change, atUs)]))
      .catch((error: unknown) => logger.warn({ err: error }, 'breaker change is not on the log'))
  }

  /** A change that met no owner, or whose append failed, is written with the next look. */
  const noteBreakers = (): void => {
    for (const { executor, line, state } of common.executors.states()) {
      const owner = owners.get(board.partitionOf(line))
      if (owner && owner.epoch > 0 && knownState(owner, { executor, line }) !== state)
        noteBreaker({ executor, line, state, reason: 'the log said otherwise' })
    }
  }

  const measureAlarms = (): void => {
    if (common.clock.monoMs() - measuredMs < MEASURE_EVERY_MS) return
    measuredMs = common.clock.monoMs()
    const lines = [...owners.values()].flatMap(({ log: { state } }) => alarmKpis(state, common.clock.nowUs()))
    const sum = (of: (line: (typeof lines)[number]) => number): number => lines.reduce((all, line) => all + of(line), 0)
    alarms.set({ what: 'last_10_min' }, Math.max(0, ...lines.map((line) => line.alarmsLast10Min)))
    alarms.set({ what: 'in_flood' }, lines.filter((line) => line.inFloodSinceUs !== null).length)
    alarms.set(
      { what: 'standing' },
      sum((line) => line.standing),
    )
    alarms.set(
      { what: 'stale' },
      sum((line) => line.stale),
    )
    alarms.set(
      { what: 'shelved' },
      sum((line) => line.shelved),
    )
  }

  const tend = (): void => {
    tending = setTimeout(() => {
      measureAlarms()
      noteBreakers()
      Promise.all([carry(), publishDocuments()])
        .catch((error: unknown) => logger.warn({ err: error }, 'holds or documents are not everywhere yet, trying again'))
        .finally(tend)
    }, TEND_EVERY_MS)
  }

  return {
    name: 'owners',
    async start() {
      run = await log.run({
        group: ACTIONS,
        topics: [ACTIONS],
        onAssigned: (_topic, partition) => {
          owners.set(partition, open(partition))
          owned.set(owners.size)
          return 'latest'
        },
        onRevoked: async (_topic, partition) => {
          const owner = owners.get(partition)
          owners.delete(partition)
          owned.set(owners.size)
          await owner?.stop()
        },
        // the owner reads by itself: a batch only says that there is something to read
        onBatch: async (batch) => owners.get(batch.partition)?.wake(),
      })
      tend()
    },
    ready: () => [...owners.values()].find((owner) => owner.problem !== null && owner.problem !== 'not taken yet')?.problem ?? true,
    ended: () => run?.ended ?? Promise.resolve(),
    async stop() {
      clearTimeout(tending)
      await run?.stop()
      await Promise.all([...auditors.values()].map((auditor) => auditor.stop()))
      await Promise.all([...owners.values()].map((owner) => owner.stop()))
    },
    status: () => [...owners].map(([partition, owner]) => ({ partition, epoch: owner.epoch, problem: owner.problem })),
    hasAnswered(partition, offset) {
      const owner = owners.get(partition)
      return owner !== undefined && owner.epoch > 0 && owner.log.position >= offset && owner.log.state.pending.size === 0
    },
    noteBreaker,
    wake() {
      for (const owner of owners.values()) owner.wake()
    },
  }
}

const knownState = ({ log }: PartitionOwner, { executor, line }: Pick<BreakerChange, 'executor' | 'line'>): string =>
  log.state.breakers.get(`${executor}/${line}`)?.state ?? 'closed'

const breakerFact = ({ executor, line, state, reason }: BreakerChange, atUs: number): Actions =>
  fact('BreakerChanged', line, atUs, [executor, state, atUs], {
    title: `Breaker of ${executor} on ${line} is ${state}`,
    breaker: { executor, state, reason },
  })
