// What Triton's and KServe's dashboards read, under their names, for what exists here. Written by hand: the kit's registry takes only
// names of our own.

import type { StatisticDuration } from '@andon/schemas/inference'
import type { Servable } from './servable.ts'
import type { FailureReason } from './statistics.ts'

type Labels = Readonly<Record<string, string>>

/** Prometheus text form, one family after the other. */
class Exposition {
  readonly #lines: string[] = []

  family(
    name: string,
    type: 'counter' | 'gauge' | 'histogram',
    help: string,
  ): (labels: Labels, value: number | bigint, suffix?: string) => void {
    this.#lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
    return (labels, value, suffix = '') => {
      const written = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`)
      this.#lines.push(`${name}${suffix}{${written.join(',')}} ${value}`)
    }
  }

  text(): string {
    return `${this.#lines.join('\n')}\n`
  }
}

const escaped = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')

const reasons: readonly FailureReason[] = ['REJECTED', 'CANCELED', 'BACKEND', 'OTHER']

/** Triton's counters from the statistics of every loaded model version. */
export const tritonText = (servables: readonly Servable[]): string => {
  const read = servables.map((servable) => {
    const { name, version } = servable
    const statistics = servable.statistics()
    return { servable, statistics, of: statistics.inferenceStats, labels: { model: name, version: String(version) } }
  })
  type Read = (typeof read)[number]
  const out = new Exposition()
  const counter = (name: string, help: string, value: (one: Read) => number | bigint | undefined): void => {
    const add = out.family(name, 'counter', help)
    for (const one of read) add(one.labels, value(one) ?? 0)
  }
  const countOf = (duration: StatisticDuration | undefined): bigint => duration?.count ?? 0n
  const microsecondsOf = (duration: StatisticDuration | undefined): bigint => (duration?.ns ?? 0n) / 1000n

  counter('nv_inference_request_success', 'Requests answered', ({ of }) => countOf(of?.success))
  const failure = out.family('nv_inference_request_failure', 'counter', 'Requests that failed, by reason')
  for (const { servable, of, labels } of read) {
    const failures = servable.failures?.() ?? { REJECTED: 0, CANCELED: 0, BACKEND: 0, OTHER: Number(countOf(of?.fail)) }
    for (const reason of reasons) failure({ ...labels, reason }, failures[reason])
  }
  counter('nv_inference_count', 'Rows scored', ({ statistics }) => statistics.inferenceCount)
  counter('nv_inference_exec_count', 'Batches run', ({ statistics }) => statistics.executionCount)
  counter('nv_inference_request_duration_us', 'Time from request to answer, microseconds, sum', ({ of }) => microsecondsOf(of?.success))
  counter('nv_inference_queue_duration_us', 'Time in the queue, microseconds, sum', ({ of }) => microsecondsOf(of?.queue))
  counter('nv_inference_compute_input_duration_us', 'Time copying inputs, microseconds, sum', ({ of }) => microsecondsOf(of?.computeInput))
  counter('nv_inference_compute_infer_duration_us', 'Time running the model, microseconds, sum', ({ of }) =>
    microsecondsOf(of?.computeInfer),
  )
  counter('nv_inference_compute_output_duration_us', 'Time handing out outputs, microseconds, sum', ({ of }) =>
    microsecondsOf(of?.computeOutput),
  )
  counter('nv_cache_num_hits_per_model', 'Requests answered from the response cache', ({ of }) => countOf(of?.cacheHit))
  counter('nv_cache_num_misses_per_model', 'Requests that the response cache did not know', ({ of }) => countOf(of?.cacheMiss))
  counter('nv_cache_hit_duration_per_model', 'Time looking up answers that were known, microseconds, sum', ({ of }) =>
    microsecondsOf(of?.cacheHit),
  )
  counter('nv_cache_miss_duration_per_model', 'Time looking up and keeping others, microseconds, sum', ({ of }) =>
    microsecondsOf(of?.cacheMiss),
  )
  const pending = out.family('nv_inference_pending_request_count', 'gauge', 'Requests that wait to be run')
  for (const { servable, labels } of read) pending(labels, servable.waiting ?? 0)
  const info = out.family('andon_inference_model_info', 'gauge', 'Always 1: which artefact a version is, and where it runs')
  for (const { servable, labels } of read) info({ ...labels, digest: servable.digest, provider: servable.provider }, 1)
  const measured = read.flatMap(({ servable: { latency }, labels }) => (latency === undefined ? [] : [{ latency, labels }]))
  const seconds = out.family(
    'andon_inference_model_latency_seconds',
    'gauge',
    'Time of a run when the model was loaded, where it declares a target',
  )
  for (const { latency, labels } of measured) {
    seconds({ ...labels, quantile: '0.5' }, latency.p50Ms / 1000)
    seconds({ ...labels, quantile: '0.95' }, latency.p95Ms / 1000)
    seconds({ ...labels, quantile: '0.99' }, latency.p99Ms / 1000)
  }
  const within = out.family('andon_inference_model_within_target', 'gauge', '1: within its latency target, 0: over it')
  for (const { latency, labels } of measured) within(labels, latency.isWithin ? 1 : 0)
  return out.text()
}

/** Where the time of a request went, as KServe's model servers measure it. */
export interface RequestTimes {
  /** From the whole body to a request that is checked. */
  readonly preprocessS: number
  /** Queue and run. */
  readonly predictS: number
  readonly postprocessS: number
}

const families = {
  request_preprocess_seconds: ['preprocessS', 'Time to read a request'],
  request_predict_seconds: ['predictS', 'Time in queue and model'],
  request_postprocess_seconds: ['postprocessS', 'Time to write the answer'],
} as const

/** prometheus_client's, which KServe uses, and finer ones below: small models take less than its first. */
const bounds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

interface Series {
  /** Requests per bucket; the last one has no bound. */
  readonly counts: Float64Array
  sum: number
}

/** KServe's histograms by model. */
export class RequestHistograms {
  readonly #models = new Map<string, Readonly<Record<keyof RequestTimes, Series>>>()

  observe(model: string, times: RequestTimes): void {
    let series = this.#models.get(model)
    if (series === undefined) this.#models.set(model, (series = { preprocessS: empty(), predictS: empty(), postprocessS: empty() }))
    add(series.preprocessS, times.preprocessS)
    add(series.predictS, times.predictS)
    add(series.postprocessS, times.postprocessS)
  }

  text(): string {
    const out = new Exposition()
    for (const [family, [field, help]] of Object.entries(families)) {
      const line = out.family(family, 'histogram', help)
      for (const [model_name, series] of this.#models) {
        const { counts, sum } = series[field]
        let total = 0
        counts.forEach((count, i) => line({ model_name, le: i < bounds.length ? String(bounds[i]) : '+Inf' }, (total += count), '_bucket'))
        line({ model_name }, sum, '_sum')
        line({ model_name }, total, '_count')
      }
    }
    return out.text()
  }
}

const empty = (): Series => ({ counts: new Float64Array(bounds.length + 1), sum: 0 })

const add = (series: Series, seconds: number): void => {
  let bucket = 0
  while (bucket < bounds.length && seconds > bounds[bucket]!) bucket++
  series.counts[bucket]!++
  series.sum += seconds
}
