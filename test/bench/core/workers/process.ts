// Contender `process.ts <observed|plain|stateful> <broker> <registry>`: runProcess from telemetry to features, as a service runs it: a block in,
// the mean of each channel out, with headers and lineage. One round = 1 000 outputs acknowledged. `observed` has the metrics of
// a service and a span per batch, `plain` has neither; `stateful` keeps a count per asset in snapshots and is started with --expose-gc.

import { createLogger, createMetrics, emitter, newTraceparent, openCodec, openKafkaLog, runProcess, uuid8 } from '@andon/kit'
import type { KeyedState, PartitionProcess, ProcessDeps } from '@andon/kit'
import type { Block, FeaturesInput, Telemetry } from '@andon/schemas'
import { packDoubles } from '@andon/schemas/packed'
import { serveContender } from '../../../harness/bench-process.ts'
import { Meter, endless, metered } from '../endless.ts'

const [variant, broker = '', registryUrl = ''] = process.argv.slice(2)
const PER_ROUND = 1000

const SPANS_PER_EXPORT = 512

/** A span per batch, sampled and made ready for export in bulk, as a tracer does it. */
const tracer = (): NonNullable<ProcessDeps['trace']> => {
  let spans: unknown[] = []
  return (batch) => {
    const span = { traceparent: newTraceparent(), name: `${batch.topic} process`, startMs: performance.now(), attributes: { ...batch } }
    return (error) => {
      spans.push({ ...span, endMs: performance.now(), isFailed: error !== undefined })
      if (spans.length < SPANS_PER_EXPORT) return
      Buffer.from(JSON.stringify(spans))
      spans = []
    }
  }
}

const deps = (): ProcessDeps => {
  if (variant !== 'plain')
    return {
      logger: createLogger({ service: 'bench', level: 'warn' }),
      metrics: createMetrics('bench', { withProcess: true }),
      trace: tracer(),
    }
  const nothing = (): void => {}
  return { logger: { info: nothing, warn: nothing }, metrics: { counter: () => ({ inc: nothing }) } }
}

const meansOf = ({ channels, rows, width, samples }: Block): Float64Array => {
  const view = new DataView(samples.buffer, samples.byteOffset, samples.byteLength)
  const count = rows * width
  return Float64Array.from(channels, (_, channel) => {
    let sum = 0
    for (let i = 0; i < count; i++) sum += view.getFloat32((channel * count + i) * 4, true)
    return sum / count
  })
}

const featuresOf = (assetId: string, block: Block, id: string): FeaturesInput => ({
  type: 'vector',
  assetId,
  vector: {
    vectorId: id,
    featureSet: 'features/bench',
    featureSetDigest: '',
    windowStartUs: block.receivedUs,
    windowEndUs: block.receivedUs,
    revision: 1,
    names: block.channels,
    values: packDoubles(meansOf(block)),
    ranges: [{ sourceId: block.sourceId, epoch: block.epoch, seqFrom: block.seqFrom, seqTo: block.seqTo }],
    complete: true,
  },
})

const open = (): PartitionProcess<Telemetry> => {
  const counts = new Map<string, number>()
  const dirty = new Set<string>()
  const state: KeyedState = {
    version: 1,
    dirty: () => dirty,
    snapshot: (key) => {
      dirty.delete(key)
      return new Uint8Array(new Float64Array([counts.get(key) ?? 0]).buffer)
    },
    restore: (key, bytes) => void counts.set(key, new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0, true)),
  }
  const handle: PartitionProcess<Telemetry>['handle'] = (batch) => {
    const out = emitter()
    for (const input of batch.inputs) {
      const { assetId, block } = input.value
      if (block === null) continue
      if (variant === 'stateful') {
        counts.set(assetId, (counts.get(assetId) ?? 0) + 1)
        dirty.add(assetId)
      }
      const id = uuid8('bench', assetId, block.seqFrom)
      const value = featuresOf(assetId, block, id)
      out.emit(input, {
        topic: 'features',
        key: assetId,
        value,
        id,
        type: 'vector',
        subject: assetId,
        timeUs: block.receivedUs,
        order: 'own',
      })
    }
    return out
  }
  return variant === 'stateful' ? { handle, state } : { handle }
}

const meter = new Meter()
const [log, codec] = await Promise.all([openKafkaLog({ brokers: [broker], clientId: 'bench' }), openCodec({ registryUrl })])
const service = `bench-${variant}-${process.pid}`
const run = await runProcess<Telemetry>(metered(endless(log), meter), codec, { service, input: 'telemetry', open }, deps())
run.ended.catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
await serveContender(
  {},
  (rounds) => meter.advance(rounds * PER_ROUND),
  async () => {
    meter.release()
    await run.stop()
    await log.close()
  },
)
process.exit(0)
