// Prometheus metrics of one service. Names are `andon_…` in base units; labels stay few.

import { createRequire } from 'node:module'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { AndonError } from './errors.ts'

export type { Counter, Gauge, Histogram } from 'prom-client'

export interface Metrics {
  /** Asking twice for one name gives the same metric. */
  counter<L extends string = string>(name: string, help: string, labels?: readonly L[]): Counter<L>
  gauge<L extends string = string>(name: string, help: string, labels?: readonly L[]): Gauge<L>
  /** Buckets in the metric's unit; default suits seconds from 1 ms to 10 s. */
  histogram<L extends string = string>(name: string, help: string, labels?: readonly L[], buckets?: readonly number[]): Histogram<L>
  /** All metrics in Prometheus text form. */
  text(): Promise<string>
  readonly contentType: string
}

type Collect = (registry: Registry, options: { eventLoopMonitoringPrecision: number }) => void

const require = createRequire(import.meta.url)

/** prom-client's process metrics by file, without `gc`: its observer is called at every collection, which a busy loop has hundreds of a second. */
const PROCESS_METRICS = [
  'processCpuTotal',
  'processStartTime',
  'osMemoryHeap',
  'processOpenFileDescriptors',
  'processMaxFileDescriptors',
  'eventLoopLag',
  'processResources',
  'heapSizeAndUsed',
  'heapSpacesSizeAndUsed',
  'version',
] as const

const collectProcess = (registry: Registry): void => {
  // 100 ms: the event-loop probe wakes the process at this rate, and an idle mesh should stay idle.
  for (const name of PROCESS_METRICS)
    (require(`prom-client/lib/metrics/${name}`) as Collect)(registry, { eventLoopMonitoringPrecision: 100 })
}

const secondsBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export interface MetricsOptions {
  /** Also process metrics (CPU, memory, event loop); a running service wants them, a unit test does not. Default false. */
  readonly withProcess?: boolean
}

export const createMetrics = (service: string, options: MetricsOptions = {}): Metrics => {
  const registry = new Registry()
  registry.setDefaultLabels({ service })
  if (options.withProcess === true) collectProcess(registry)

  const once = <T>(name: string, make: () => T): T => {
    if (!/^andon(_[a-z0-9]+)+$/.test(name)) {
      throw new AndonError('ANDON_METRIC_NAME', `Metric names look like andon_features_windows_closed_total, found ${name}`)
    }
    return (registry.getSingleMetric(name) as T | undefined) ?? make()
  }
  const common = <L extends string>(name: string, help: string, labels: readonly L[] = []) => ({
    name,
    help,
    labelNames: [...labels],
    registers: [registry],
  })

  return {
    counter: (name, help, labels) => once(name, () => new Counter(common(name, help, labels))),
    gauge: (name, help, labels) => once(name, () => new Gauge(common(name, help, labels))),
    histogram: (name, help, labels, buckets = secondsBuckets) =>
      once(name, () => new Histogram({ ...common(name, help, labels), buckets: [...buckets] })),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  }
}
