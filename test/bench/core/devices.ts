// Telemetry as a field sends it: every device sends its next block when the one before was acknowledged, so what lies in one request is
// what happened to arrive together; and ingest's promise, each second of device time, that nothing older will come.

import { publish } from '@andon/kit'
import type { Codec, Log, Output } from '@andon/kit'
import type { TelemetryInput } from '@andon/schemas'
import { randomFrom } from '../../harness/bench-statistics.ts'
import { type BlockShape, START_OF_TIME_US, STEP_US, telemetryBlock } from './telemetry.ts'

export const DEVICES = 32
const SHAPE: BlockShape = { channels: 5, rows: 10, width: 1 }
const BLOCK_US = SHAPE.rows * STEP_US
const SECOND_US = 1_000_000
/** Payloads made beforehand: making them up is no work of the field's. */
const PAYLOADS = 256

export const deviceId = (device: number): string => `press-${device}`

/** Windows of one second that this many blocks of a device give. */
export const windowsOf = (blocks: number): number => Math.ceil((blocks * BLOCK_US) / SECOND_US)

/** Appends `blocks` blocks of each device to `telemetry`, and in the end ticks that close every window. */
export const sendTelemetry = async (log: Log, codec: Codec, blocks: number): Promise<void> => {
  const random = randomFrom(29)
  const payloads = Array.from({ length: PAYLOADS }, (_, i) => telemetryBlock(i, SHAPE, random))
  const sent = Array.from({ length: DEVICES }, () => 0)
  const partitions = await log.admin.partitions('telemetry')
  let ticked = START_OF_TIME_US
  const tick = async (upToUs: number): Promise<void> => {
    ticked = upToUs
    const value: TelemetryInput = { type: 'tick', tick: { instance: 'bench', upToUs } }
    const output = { topic: 'telemetry', key: null, value, id: `tick/${upToUs}`, type: 'tick', timeUs: upToUs }
    await publish(
      log,
      codec,
      Array.from({ length: partitions }, (_, partition) => ({ ...output, partition })),
      'bench',
    )
  }
  const device = async (number: number): Promise<void> => {
    for (let n = 0; n < blocks; n++) {
      await publish(log, codec, [blockOf(number, n, payloads[(number + n) % PAYLOADS] as TelemetryInput)], 'bench')
      sent[number] = n + 1
      const upToUs = START_OF_TIME_US + Math.min(...sent) * BLOCK_US
      if (upToUs >= ticked + SECOND_US) await tick(upToUs)
    }
  }
  await Promise.all(Array.from({ length: DEVICES }, (_, number) => device(number)))
  await tick(START_OF_TIME_US + blocks * BLOCK_US + 60 * SECOND_US)
}

const blockOf = (device: number, n: number, { block }: TelemetryInput): Output => {
  const assetId = deviceId(device)
  const startUs = START_OF_TIME_US + n * BLOCK_US
  const timesUs = Buffer.alloc(SHAPE.rows * 8)
  for (let row = 0; row < SHAPE.rows; row++) timesUs.writeBigInt64LE(BigInt(startUs + row * STEP_US), row * 8)
  const sourceId = `${assetId}-plc`
  const [seqFrom, seqTo] = [n * SHAPE.rows, (n + 1) * SHAPE.rows - 1]
  const value = { type: 'block', assetId, block: { ...block, sourceId, seqFrom, seqTo, timesUs, receivedUs: startUs + BLOCK_US } }
  return { topic: 'telemetry', key: assetId, value, id: `${sourceId}/3/${seqFrom}`, type: 'block', timeUs: startUs }
}
