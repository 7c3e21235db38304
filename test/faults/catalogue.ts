// All faults by id, in the order in which `core` runs them.

import { actionsKills } from './actions/kills.ts'
import { actionsZombie } from './actions/zombie.ts'
import { effectOnce, effectOnceTransactional, transactions } from './bounces.ts'
import { leaderKilled, leaderPaused, rollingRestart } from './brokers.ts'
import { poison, registryDown } from './codec-faults.ts'
import { damage } from './damage.ts'
import type { Fault } from './fault.ts'
import { featuresKills } from './features/kills.ts'
import { ingestKills } from './ingest/kills.ts'
import { ingestMixed } from './ingest/mixed.ts'
import { network } from './network.ts'
import { instanceZombie, rebalanceStorm, serviceKilled, transactionZombie, zombie, zombieTransactional } from './members.ts'
import { powerLoss } from './power-loss.ts'
import { servingFaults } from './serving/faults.ts'

/** One node and three, each with both clients. */
const EVERYWHERE: Fault['variants'] = ([1, 3] as const).flatMap((nodes) =>
  (['kafkajs', 'platformatic'] as const).map((client) => ({ nodes, client })),
)

/** Three nodes, each client: who leads changes. */
const CLUSTER: Fault['variants'] = [
  { nodes: 3, client: 'kafkajs' },
  { nodes: 3, client: 'platformatic' },
]

/** One node, each client. */
const EACH_CLIENT: Fault['variants'] = [
  { nodes: 1, client: 'kafkajs' },
  { nodes: 1, client: 'platformatic' },
]

export const FAULTS: readonly Fault[] = [
  {
    id: 'transactions',
    title: "Kafka's transaction system test: brokers and clients bounced, hard and clean, while numbers are copied in transactions of 750",
    ciScale: 0.1,
    variants: EVERYWHERE,
    run: transactions,
  },
  {
    id: 'effect-once',
    title: 'brokers and services bounced, hard and clean: every number counted once, in order, though no transaction is used',
    ciScale: 0.1,
    variants: EVERYWHERE,
    run: effectOnce,
  },
  {
    id: 'effect-once-transactional',
    title: 'the same for the loop in transactions: every number counted once, in order, and no reader sees one twice',
    ciScale: 0.1,
    variants: EVERYWHERE,
    run: effectOnceTransactional,
  },
  {
    id: 'zombie',
    title: 'a service stands still past its session, others take over, it goes on: no second effect, no stale state',
    ciScale: 0.1,
    variants: EACH_CLIENT,
    run: zombie,
  },
  {
    id: 'zombie-transactional',
    title: 'the same for the loop in transactions: fenced, and no reader sees a record twice',
    variants: EACH_CLIENT,
    run: zombieTransactional,
  },
  {
    id: 'transaction-zombie',
    title: 'the same in the middle of a transaction: it is rolled back, no reader sees a record twice',
    variants: EACH_CLIENT,
    run: transactionZombie,
  },
  {
    id: 'instance-zombie',
    title: 'a service stands still, another one is started under its name: it takes over at once, the first ends fenced',
    ciScale: 0.1,
    variants: EACH_CLIENT,
    run: instanceZombie,
  },
  {
    id: 'rebalance-storm',
    title: 'a member joins or leaves every 3 s: work goes on, nothing is counted twice',
    run: rebalanceStorm,
  },
  {
    id: 'service-killed',
    title: 'P22: a service killed under load has its state again and has caught up within 15 s',
    run: serviceKilled,
  },
  {
    id: 'leader-killed',
    title: 'the leader of a partition is killed while it is written to: nothing acknowledged is lost, nothing hangs',
    variants: CLUSTER,
    run: leaderKilled,
  },
  {
    id: 'leader-paused',
    title: 'the leader stands still until others have taken over, and comes back: nothing acknowledged is lost',
    variants: CLUSTER,
    run: leaderPaused,
  },
  {
    id: 'rolling-restart',
    title: 'all brokers restarted one after another under load',
    variants: CLUSTER,
    run: rollingRestart,
  },
  {
    id: 'network',
    title: 'late, reset, torn, slow, silent and half-open connections: no hang beyond the deadline, nothing lost or doubled',
    ciScale: 0.1,
    variants: EACH_CLIENT,
    run: network,
  },
  {
    id: 'registry-down',
    title: 'no schema registry: running services go on, a start says what is missing, an unknown schema id waits',
    ciScale: 0.2,
    run: registryDown,
  },
  {
    id: 'poison',
    title: 'undecodable records of every kind: each dead-lettered once, nothing valid lost beside it, memory and time bounded',
    ciScale: 0.1,
    run: poison,
  },
  {
    id: 'power-loss',
    title: 'one host loses power: the unflushed tail of the log is gone, ingest sends it again from its spool, in order',
    ciScale: 0.1,
    run: powerLoss,
  },
  {
    id: 'damage',
    title: 'snapshots torn by a power loss, single bits flipped in stored state: always noticed, never used',
    run: damage,
  },
  {
    id: 'features-kills',
    title: 'features killed three times and rebalanced twice under load, in both modes of delivery: equal to a replay, record by record',
    ciScale: 0.03,
    run: featuresKills,
  },
  {
    id: 'ingest-kills',
    title: 'kill -9 of ingest, of Kafka and of both, at random, with every door under load: what was acknowledged is on the log, once',
    ciScale: 0.15,
    run: ingestKills,
  },
  {
    id: 'ingest-mixed',
    title: 'a million records of every kind: in = accepted + quarantined + duplicates, to the record, and the topics hold exactly that',
    ciScale: 0.02,
    run: ingestMixed,
  },
  {
    id: 'actions-kills',
    title:
      'kill -9 of actions at every point of the executor protocol: at most one effect a step, none without approval, nothing left unknown',
    ciScale: 0.02,
    run: actionsKills,
  },
  {
    id: 'actions-zombie',
    title: 'an owner of actions stands still past its session in the middle of a command: settled in time by its heir, one effect at most',
    run: actionsZombie,
  },
  ...servingFaults,
]
