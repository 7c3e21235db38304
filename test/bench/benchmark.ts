// What `npm run bench` can run: a name, the figures it gives, and what does the measuring.

import type { Measurement } from '../harness/bench-measurement.ts'

export interface BenchmarkOptions {
  /** Samples per contender, in place of the benchmark's own number: for a quick look. */
  readonly samples?: number
  /** Records of benchmarks that work through a given amount, in place of their own number. */
  readonly records?: number
}

export interface Benchmark {
  readonly name: string
  /** Ids of all figures that `run` returns. */
  readonly ids: readonly string[]
  readonly run: (options: BenchmarkOptions) => Promise<Measurement[]>
}
