// The benchmarks of clustering, in the order in which `npm run bench -- clustering` runs them.

import type { Benchmark } from '../benchmark.ts'
import { density } from './density.ts'
import { drift } from './drift.ts'
import { handler } from './handler.ts'
import { microClusters } from './micro-clusters.ts'

export const CLUSTERING: readonly Benchmark[] = [density, microClusters, drift, handler]
