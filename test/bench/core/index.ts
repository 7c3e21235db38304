// The benchmarks of the stream core, in the order in which `npm run bench -- core` runs them.

import type { Benchmark } from '../benchmark.ts'
import { codec } from './codec.ts'
import { consume, consumeWindows } from './consume.ts'
import { idleService, memory, observability, transactions } from './loop.ts'
import { produce } from './produce.ts'
import { recovery, replay } from './replay.ts'

export const CORE: readonly Benchmark[] = [
  produce,
  consume,
  consumeWindows,
  codec,
  transactions,
  observability,
  idleService,
  memory,
  replay,
  recovery,
]
