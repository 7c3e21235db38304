// The counters that Triton's dashboards read, under Triton's names (nv_inference_…), for what exists here. Written by hand: the
// kit's registry takes only names of our own.

import type { BatchReport } from '../runtime/session-pool.ts'

const families = {
  nv_inference_request_success: 'Requests answered',
  nv_inference_request_failure: 'Requests that failed',
  nv_inference_count: 'Rows scored',
  nv_inference_exec_count: 'Batches run',
  nv_inference_request_duration_us: 'Time from request to answer, microseconds, sum',
  nv_inference_queue_duration_us: 'Time in the queue, microseconds, sum',
  nv_inference_compute_input_duration_us: 'Time copying inputs, microseconds, sum',
  nv_inference_compute_infer_duration_us: 'Time running the model, microseconds, sum',
  nv_inference_compute_output_duration_us: 'Time handing out outputs, microseconds, sum',
} as const

type Family = keyof typeof families

export class TritonMetrics {
  readonly #values = new Map<Family, Map<string, number>>()
  readonly #pending: () => number

  /** `pending` tells how many requests wait or run. */
  constructor(pending: () => number) {
    this.#pending = pending
    for (const family of Object.keys(families) as Family[]) this.#values.set(family, new Map())
  }

  /** One request through a door, or one vector of the event path. */
  request(model: string, version: number, isSuccess: boolean, durationUs: number): void {
    this.#add(isSuccess ? 'nv_inference_request_success' : 'nv_inference_request_failure', model, version, 1)
    if (isSuccess) this.#add('nv_inference_request_duration_us', model, version, durationUs)
  }

  batch(model: string, version: number, report: BatchReport): void {
    this.#add('nv_inference_count', model, version, report.rows)
    this.#add('nv_inference_exec_count', model, version, 1)
    this.#add('nv_inference_queue_duration_us', model, version, report.queueUs)
    this.#add('nv_inference_compute_input_duration_us', model, version, report.inputUs)
    this.#add('nv_inference_compute_infer_duration_us', model, version, report.runUs)
    this.#add('nv_inference_compute_output_duration_us', model, version, report.outputUs)
  }

  /** Prometheus text form. */
  text(): string {
    const lines: string[] = []
    for (const [family, series] of this.#values) {
      lines.push(`# HELP ${family} ${families[family]}`, `# TYPE ${family} counter`)
      for (const [labels, value] of series) lines.push(`${family}{${labels}} ${Math.round(value)}`)
    }
    lines.push('# HELP nv_inference_pending_request_count Requests that wait or run now', '# TYPE nv_inference_pending_request_count gauge')
    lines.push(`nv_inference_pending_request_count ${this.#pending()}`)
    return `${lines.join('\n')}\n`
  }

  #add(family: Family, model: string, version: number, amount: number): void {
    const series = this.#values.get(family)!
    const labels = `model="${model.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}",version="${version}"`
    series.set(labels, (series.get(labels) ?? 0) + amount)
  }
}
