// Metrics of one message → readings of the assets they feed. Pure. What no source file maps is left out; a metric that is mapped and
// cannot be used is refused alone, with its number, so that nobody waits for it.

import type { RawReading } from '../reading.ts'
import { refusal } from '../reading.ts'
import type { NodeState, Part } from './node-state.ts'
import type { Metric } from './payload.ts'
import { numberOf } from './values.ts'

/** What becomes of the metrics of a node or device: one source of one asset. */
export interface Feed {
  readonly source: string
  readonly asset: string
  /** Metric name → channel. */
  readonly channels: ReadonlyMap<string, FedChannel>
  /** Channel → unit as the node has it (UCUM), where it is not the plant's. */
  readonly units: Readonly<Record<string, string>> | undefined
}

export interface FedChannel {
  readonly channel: string
  readonly scale: number
  readonly offset: number
}

export interface MessageOfMetrics {
  readonly metrics: readonly Metric[]
  readonly timestampMs: number | undefined
  /** A birth says what holds at its own time, whenever it was measured; historical metrics keep theirs. */
  readonly isBirth: boolean
  /** The whole payload, for quarantine. */
  readonly bytes: Buffer
}

export interface Rows {
  readonly readings: RawReading[]
  /** Metrics no birth has announced. */
  readonly unknown: readonly Metric[]
}

export const metricCode = 'ANDON_INGEST_SPARKPLUG_METRIC'

/** Readings of a message for its feeds. Metrics with the same time and quality share a reading. */
export const rowsOf = (state: NodeState, part: Part, message: MessageOfMetrics, feeds: readonly Feed[]): Rows => {
  const readings: RawReading[] = []
  const unknown: Metric[] = []
  const named = message.metrics.map((metric) => ({ metric, definition: state.definitionOf(part, metric) }))
  for (const { metric, definition } of named) if (definition === undefined && metric.name !== 'bdSeq') unknown.push(metric)
  for (const feed of feeds) {
    const { source, asset } = feed
    const open = new Map<string, Record<string, number | null>>()
    const refuse = (why: string) => {
      const [epoch, seq] = [state.epoch, state.number(source)]
      readings.push({
        value: undefined,
        bytes: () => message.bytes,
        refused: refusal(metricCode, why, { source, asset, epoch, seq }),
      })
    }
    for (const { metric, definition } of named) {
      const fed = definition === undefined ? undefined : feed.channels.get(definition.name)
      if (definition === undefined || fed === undefined) continue
      const sent = numberOf(metric, definition.type)
      const isOfNow = message.isBirth && !metric.isHistorical
      const timeMs = isOfNow ? message.timestampMs : (metric.timestampMs ?? message.timestampMs)
      if (typeof sent === 'string') refuse(`${definition.name}: ${sent}`)
      else if (timeMs === undefined || Number.isNaN(timeMs)) refuse(`${definition.name}: found no time, expected milliseconds since 1970`)
      else {
        const key = `${timeMs} ${metric.quality}`
        const value = sent === null ? null : sent * fed.scale + fed.offset
        const values = open.get(key)
        // A metric twice at one time: both are kept, in readings of their own.
        if (values !== undefined && !(fed.channel in values)) {
          values[fed.channel] = value
          continue
        }
        const started = { [fed.channel]: value }
        open.set(key, started)
        readings.push(reading(state, feed, { timeMs, quality: metric.quality, values: started }))
      }
    }
  }
  return { readings, unknown }
}

/** One reading that says that nothing is known of the feeds' channels any more: every channel that was announced, without a value, bad. */
export const staleRows = (state: NodeState, part: Part, feeds: readonly Feed[], timeMs: number): RawReading[] =>
  feeds.flatMap((feed) => {
    const channels = [...feed.channels].filter(([metric]) => part.metrics.has(metric)).map(([, { channel }]) => channel)
    if (channels.length === 0) return []
    const values = Object.fromEntries(channels.map((channel) => [channel, null]))
    return [reading(state, feed, { timeMs, quality: 2, values })]
  })

interface Row {
  readonly timeMs: number
  readonly quality: 0 | 1 | 2
  readonly values: Record<string, number | null>
}

const reading = (state: NodeState, { source, asset, units }: Feed, row: Row): RawReading => {
  const value = {
    source,
    asset,
    epoch: state.epoch,
    seq: state.number(source),
    timeUs: row.timeMs * 1000,
    quality: row.quality,
    values: row.values,
    ...(units && { units }),
  }
  return { value, bytes: () => Buffer.from(JSON.stringify(value)) }
}
