// How long a model takes, against the target it declares (`andon_target_p95_ms`, `andon_target_p99_ms`): the gate of a release. Nothing
// is refused at run time; the index and a metric say when a model is over its target.

import type { LatencyTargets } from '../repository/model-config.ts'
import type { WarmUpSample } from './warm-up.ts'

export interface Latency {
  readonly runs: number
  readonly p50Ms: number
  readonly p95Ms: number
  readonly p99Ms: number
  readonly targets: LatencyTargets
  readonly isWithin: boolean
}

export interface MeasureOptions {
  /** Runs that are measured. Default 200. */
  readonly runs?: number
  /** No new run begins after so long. Default 2000 ms. */
  readonly budgetMs?: number
}

/** One run after another, at each of the samples in turn. */
export const measureLatency = async (
  run: (sample: WarmUpSample) => Promise<unknown>,
  samples: readonly WarmUpSample[],
  targets: LatencyTargets,
  { runs = 200, budgetMs = 2_000 }: MeasureOptions = {},
): Promise<Latency> => {
  const timesMs: number[] = []
  const startMs = performance.now()
  for (let i = 0; i < runs && (i < LEAST_RUNS || performance.now() - startMs < budgetMs); i++) {
    const sinceMs = performance.now()
    await run(samples[i % samples.length]!)
    timesMs.push(performance.now() - sinceMs)
  }
  return latencyOf(timesMs, targets)
}

/** Fewer say nothing about one in twenty. */
const LEAST_RUNS = 20

export const latencyOf = (timesMs: readonly number[], targets: LatencyTargets): Latency => {
  const sorted = timesMs.toSorted((a, b) => a - b)
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0
  const [p50Ms, p95Ms, p99Ms] = [at(0.5), at(0.95), at(0.99)]
  const isWithin = p95Ms <= (targets.p95Ms ?? Infinity) && p99Ms <= (targets.p99Ms ?? Infinity)
  return { runs: sorted.length, p50Ms, p95Ms, p99Ms, targets, isWithin }
}

/** One sentence, for the index and the log. */
export const targetText = ({ runs, p95Ms, p99Ms, targets, isWithin }: Latency): string => {
  const part = (name: string, measured: number, target: number | undefined): string[] =>
    target === undefined ? [] : [`${name} ${measured.toFixed(2)} ms of ${target} ms`]
  const parts = [...part('p95', p95Ms, targets.p95Ms), ...part('p99', p99Ms, targets.p99Ms)]
  return `${isWithin ? 'within' : 'over'} its latency target: ${parts.join(', ')} in ${runs} runs`
}
