// Frame readings → telemetry blocks, and the recorder's ticks. One append is outstanding at a time: a tick is computed when it is
// appended, after everything it speaks for; rows that were not acknowledged are sent again under the same numbers.

import { blockId, publish, uuid8, type Codec, type Log, type Logger, type Output } from '@andon/kit'
import type { TelemetryInput } from '@andon/schemas'
import type { FrameReading } from './frame-channels.ts'

export interface FrameTelemetryDeps {
  readonly log: Pick<Log, 'append'>
  readonly codec: Codec
  readonly logger: Logger
  /** Recorder instance, stable over restarts. */
  readonly instance: string
  readonly telemetryPartitions: number
  /** Epoch of the frame counters: start of this process, seconds UTC. */
  readonly epoch: number
  /** Receive time, microseconds UTC; monotone. */
  readonly nowUs: () => number
}

interface Row extends FrameReading {
  readonly seq: number
  readonly atUs: number
}

/** Ten minutes per camera; what is older than that pages nobody anyway. */
const maxRows = 600
const channels = ['motion', 'freezeS']
const units = ['1', 's']

export const sourceIdOf = (cameraId: string): string => `${cameraId}-frames`

/** Rows of consecutive numbers as one block, channel-major, float32. */
export const blockOf = (cameraId: string, epoch: number, rows: readonly Row[]): Output<TelemetryInput> => {
  const samples = Buffer.allocUnsafe(rows.length * 2 * 4)
  const timesUs = Buffer.allocUnsafe(rows.length * 8)
  rows.forEach((row, i) => {
    samples.writeFloatLE(row.motion, i * 4)
    samples.writeFloatLE(row.freezeS, (rows.length + i) * 4)
    timesUs.writeBigInt64LE(BigInt(row.atUs), i * 8)
  })
  const range = { sourceId: sourceIdOf(cameraId), epoch, seqFrom: rows[0]!.seq, seqTo: rows.at(-1)!.seq }
  const receivedUs = rows.at(-1)!.atUs
  const block = { ...range, rows: rows.length, channels, units, dtype: 'f32', width: 1, samples, timesUs, receivedUs }
  return {
    topic: 'telemetry',
    key: cameraId,
    value: { type: 'block', assetId: cameraId, block },
    id: blockId(range),
    type: 'andon.telemetry.block',
    timeUs: rows[0]!.atUs,
  }
}

export const tickOf = (instance: string, partition: number, upToUs: number): Output<TelemetryInput> => ({
  topic: 'telemetry',
  key: null,
  partition,
  value: { type: 'tick', tick: { instance, upToUs } },
  id: uuid8('tick', instance, partition, upToUs),
  type: 'andon.telemetry.tick',
  timeUs: upToUs,
})

export interface FrameTelemetry {
  add(cameraId: string, reading: FrameReading): void
  /** Appends what waits, then one tick per telemetry partition. Called once a second. */
  second(): Promise<void>
  waiting(): number
}

export const frameTelemetry = (deps: FrameTelemetryDeps): FrameTelemetry => {
  const { log, codec, logger, instance, telemetryPartitions, epoch, nowUs } = deps
  const rows = new Map<string, Row[]>()
  const numbers = new Map<string, number>()
  let isAway = false

  const sendRows = async (): Promise<void> => {
    const sent = [...rows].filter(([, waiting]) => waiting.length > 0).map(([cameraId, waiting]) => ({ cameraId, batch: [...waiting] }))
    if (sent.length === 0) return
    const blocks = sent.map(({ cameraId, batch }) => blockOf(cameraId, epoch, batch))
    await publish(log as Log, codec, blocks, `andon/video/${instance}`, { timestampMs: Math.floor(nowUs() / 1000) })
    for (const { cameraId, batch } of sent) {
      const last = batch.at(-1)!.seq
      rows.set(
        cameraId,
        rows.get(cameraId)!.filter((row) => row.seq > last),
      )
    }
  }

  const sendTicks = async (): Promise<void> => {
    const oldestUs = Math.min(...[...rows.values()].map((waiting) => waiting[0]?.atUs ?? Number.POSITIVE_INFINITY))
    const upToUs = Math.min(nowUs(), oldestUs)
    const ticks = Array.from({ length: telemetryPartitions }, (_, partition) => tickOf(instance, partition, upToUs))
    await publish(log as Log, codec, ticks, `andon/video/${instance}`, { timestampMs: Math.floor(nowUs() / 1000) })
  }

  return {
    add(cameraId, reading) {
      const seq = numbers.get(cameraId) ?? 0
      numbers.set(cameraId, seq + 1)
      const waiting = rows.get(cameraId) ?? []
      waiting.push({ ...reading, seq, atUs: nowUs() })
      // The oldest of a long outage go: their numbers stay missing and are reported as lost by the reader.
      if (waiting.length > maxRows) waiting.shift()
      rows.set(cameraId, waiting)
    },
    async second() {
      try {
        await sendRows()
        // Never right after a failure, never caught up: a tick that could not be sent is skipped.
        await sendTicks()
        if (isAway) logger.info('the log takes frame readings again')
        isAway = false
      } catch (error) {
        if (!isAway) logger.warn({ err: error }, 'the log does not take frame readings, keeping them')
        isAway = true
      }
    },
    waiting: () => [...rows.values()].reduce((sum, waiting) => sum + waiting.length, 0),
  }
}
