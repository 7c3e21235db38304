// All faults by id, in the order in which `core` runs them.

import { effectOnce } from './bounces.ts'
import type { Fault } from './fault.ts'

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
]
