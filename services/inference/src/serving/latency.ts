// How long a model takes, against the target it declares (`andon_target_p95_ms`, `andon_target_p99_ms`): the gate of a release. Nothing
// is refused at run time; the index and a metric say when a model is over its target.

import type { CompleteConfig, LatencyTargets } from '../repository/model-config.ts'
import type { Runner } from '../runtime/runner.ts'
import { zeroSample } from './warm-up.ts'
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

/** One run after another at the model's warm-up inputs (zeros where it has none); undefined where there is nothing to run it on. */
export const measureLatency = async (
  runner: Runner,
  complete: CompleteConfig,
  samples: readonly WarmUpSample[],
  targets: LatencyTargets,
  { runs = 200, budgetMs = 2_000 }: MeasureOptions = {},
): Promise<Latency | undefined> => {
  const zeros = samples.length === 0 ? zeroSample(complete) : undefined
  const inputs = zeros === undefined ? samples : [zeros]
  if (inputs.length === 0) return undefined
  const outputs = complete.outputs.map(({ name }) => name)
  const timesMs: number[] = []
  const startMs = performance.now()
  for (let run = 0; run < runs && (run < LEAST_RUNS || performance.now() - startMs < budgetMs); run++) {
    const sample = inputs[run % inputs.length]!
    const sinceMs = performance.now()
    await runner.run({ requests: [{ inputs: sample.inputs, rows: sample.rows }], outputs, rows: sample.rows })
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
