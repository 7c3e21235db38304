// The benchmarks of the inference server, in the order in which `npm run bench -- serving` runs them.

import type { Benchmark } from '../benchmark.ts'
import { peers } from './peers.ts'
import { batching } from './batching.ts'
import { memory, scheduling } from './scheduling.ts'
import { wire } from './wire.ts'

export const SERVING: readonly Benchmark[] = [...wire, batching, scheduling, memory, peers]
