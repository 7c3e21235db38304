// The benchmarks of the inference server, in the order in which `npm run bench -- serving` runs them.

import type { Benchmark } from '../benchmark.ts'
import { peers } from './peers.ts'
import { batching } from './batching.ts'

export const SERVING: readonly Benchmark[] = [batching, peers]
