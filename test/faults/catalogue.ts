// All faults by id, in the order in which `core` runs them.

import { effectOnce } from './bounces.ts'
import type { Fault } from './fault.ts'
import { rebalanceStorm, serviceKilled, zombie } from './members.ts'

/** One node and three, each with both clients. */
const EVERYWHERE: Fault['variants'] = ([1, 3] as const).flatMap((nodes) =>
  (['kafkajs', 'platformatic'] as const).map((client) => ({ nodes, client })),
)

export const FAULTS: readonly Fault[] = [
  {
    id: 'effect-once',
    title: 'brokers and services bounced, hard and clean: every number counted once, in order, though no transaction is used',
    ciScale: 0.1,
    variants: EVERYWHERE,
    run: effectOnce,
  },
  {
    id: 'zombie',
    title: 'a service stands still past its session, others take over, it goes on: no second effect, no stale state',
    ciScale: 0.1,
    run: zombie,
  },
  {
    id: 'rebalance-storm',
    title: 'a member joins or leaves every 3 s: work goes on, nothing is counted twice',
    ciScale: 0.1,
    run: rebalanceStorm,
  },
  {
    id: 'service-killed',
    title: 'P22: a service killed under load has its state again and has caught up within 15 s',
    ciScale: 0.1,
    run: serviceKilled,
  },
]
