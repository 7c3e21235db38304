// What a processing loop reports: metrics bound once and counted per batch, never per record, and one span per batch.

/** The kit's metrics fit; without a gauge no lag is reported. */
export interface ProcessMetrics {
  counter(name: string, help: string, labelNames?: readonly string[]): Counter
  gauge?(name: string, help: string, labelNames?: readonly string[]): { set(labels: Record<string, string>, value: number): void }
}

interface Counter {
  inc(labels: Record<string, string>, value?: number): void
}

/** A batch that a process is about to handle. */
export interface BatchInfo {
  readonly service: string
  readonly topic: string
  readonly partition: number
  readonly firstOffset: number
  readonly records: number
}

/** Opens a span per batch; what it returns is called at its end, with the error if the batch failed. */
export type TraceBatch = (batch: BatchInfo) => (error?: unknown) => void

type Counted = 'inputs' | 'outputs' | 'repeats' | 'deadLetters' | 'damaged'

export class ProcessMeters {
  private readonly labels: Record<string, string>
  private readonly counters: Record<Counted, Counter>
  private readonly lagGauge: ReturnType<NonNullable<ProcessMetrics['gauge']>> | undefined
  private readonly lags = new Map<number, number>()
  private totalLag = 0

  constructor(metrics: ProcessMetrics, topic: string) {
    this.labels = { topic }
    const counter = (name: string, help: string): Counter => metrics.counter(name, help, ['topic'])
    this.counters = {
      inputs: counter('andon_kit_inputs_total', 'Input records handled'),
      outputs: counter('andon_kit_outputs_total', 'Records appended by the processing loop'),
      repeats: counter('andon_kit_repeats_total', 'Input records dropped as repeats'),
      damaged: counter('andon_kit_damaged_state_total', 'Times that damaged or incomplete state was passed over'),
      deadLetters: counter('andon_kit_dead_letters_total', 'Input records that could not be decoded'),
    }
    this.lagGauge = metrics.gauge?.('andon_kit_lag_records', 'Input records not handled yet, of the partitions assigned here', ['topic'])
  }

  count(what: Counted, records: number): void {
    if (records > 0) this.counters[what].inc(this.labels, records)
  }

  /** What a partition has left, as of its last fetch; undefined when it is no longer ours. */
  lag(partition: number, records: number | undefined): void {
    this.totalLag += (records ?? 0) - (this.lags.get(partition) ?? 0)
    if (records === undefined) this.lags.delete(partition)
    else this.lags.set(partition, records)
    this.lagGauge?.set(this.labels, this.totalLag)
  }
}
