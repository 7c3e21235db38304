// Contender `consume.ts <andon|kafkajs> <broker> <registry> <topic> <records>`: reads a topic of telemetry blocks in a group, from the
// start to the end, into columns; one round = the whole topic once. A partition that has reached its end waits for the next round,
// so nothing is asked of the broker between samples.

import { BlockReader, openCodec, openKafkaLog } from '@andon/kit'
import type { RecordBatch } from '@andon/kit'
import { avroSchemas } from '@andon/schemas'
import type { Telemetry } from '@andon/schemas'
import avsc from 'avsc'
import kafkajs from 'kafkajs'
import { serveContender } from '../../../harness/bench-process.ts'
import { type Check, Columns, type PackedColumns, PARTITIONS, addDecoded, packedColumns } from '../telemetry.ts'

const [who, broker = '', registryUrl = '', topic = '', recordsText] = process.argv.slice(2)
const total = Number(recordsText)
const found: { -readonly [field in keyof Check]: number } = { blocks: 0, samples: 0, sampleSum: 0, seqSum: 0, timeSum: 0 }

/** Rounds that each partition still has to read. */
const left: number[] = Array.from({ length: PARTITIONS }, () => 1)
let done = Promise.withResolvers<void>()
let records = 0
let isChecking = true

/** The columns hold a batch. */
const decoded = (columns: PackedColumns | Columns<Float64Array>): void => {
  if (isChecking) columns.addTo(found)
  records += columns.blocks
  columns.clear()
}

/** True when the partition has reached its end and goes back to its start. */
const isAtEnd = (partition: number, nextOffset: number, highWatermark: number): boolean => {
  if (nextOffset < highWatermark) return false
  left[partition] = (left[partition] ?? 0) - 1
  if (left.every((rounds) => rounds === 0)) done.resolve()
  return true
}

const group = `bench-${who}-${process.pid}`

interface Reading {
  /** Lets the partitions go that wait at their start. */
  readonly begin: () => void
  readonly close: () => Promise<void>
}

const andon = async (): Promise<Reading> => {
  const [log, codec] = await Promise.all([openKafkaLog({ brokers: [broker], clientId: 'bench' }), openCodec({ registryUrl })])
  const blocks = new BlockReader(codec)
  const columns = new Columns(new Float64Array(1 << 16))
  let more = Promise.withResolvers<void>()
  const run = await log.run({
    group,
    topics: [topic],
    maxWaitMs: 100,
    onBatch: async (batch) => {
      while (left[batch.partition] === 0) await more.promise
      // The writer's schema is asked for once.
      if (isChecking) await blocks.readAsync('telemetry', batch.sourceAt(0), batch.valueStartAt(0), batch.valueEndAt(0))
      readInto(columns, blocks, batch)
      decoded(columns)
      return isAtEnd(batch.partition, batch.nextOffset, batch.highWatermark) ? 0 : undefined
    },
  })
  const begin = (): void => {
    more.resolve()
    more = Promise.withResolvers<void>()
  }
  const close = async (): Promise<void> => {
    left.fill(Number.POSITIVE_INFINITY)
    begin()
    await run.stop()
    await log.close()
  }
  return { begin, close }
}

const readInto = (columns: Columns<Float64Array>, blocks: BlockReader, batch: RecordBatch): void => {
  for (let i = 0; i < batch.count; i++) {
    if (!blocks.read('telemetry', batch.sourceAt(i), batch.valueStartAt(i), batch.valueEndAt(i))) continue
    columns.reserve(blocks.sampleCount, blocks.rows)
    columns.seqFrom[columns.blocks++] = blocks.seqFrom
    columns.used = blocks.samplesInto(columns.samples, columns.used)
    columns.times = blocks.timesInto(columns.timesUs, columns.times)
  }
}

const peer = async (): Promise<Reading> => {
  const columns = packedColumns()
  const type = avsc.Type.forSchema(avroSchemas.telemetry as avsc.Schema)
  const { Kafka, logLevel } = kafkajs
  const consumer = new Kafka({ brokers: [broker], logLevel: logLevel.ERROR }).consumer({ groupId: group, maxWaitTimeInMs: 100 })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommitInterval: 1000,
    partitionsConsumedConcurrently: PARTITIONS,
    eachBatch: ({ batch }) => {
      const { partition } = batch
      for (const { value } of batch.messages) {
        const { block } = (type.decode(value as Buffer, 5) as { value: Telemetry }).value
        if (block !== null) addDecoded(columns, block)
      }
      decoded(columns)
      if (isAtEnd(partition, Number(batch.lastOffset()) + 1, Number(batch.highWatermark))) {
        if (left[partition] === 0) consumer.pause([{ topic, partitions: [partition] }])
        else consumer.seek({ topic, partition, offset: '0' })
      }
      return Promise.resolve()
    },
  })
  const begin = (): void => {
    for (let partition = 0; partition < PARTITIONS; partition++) consumer.seek({ topic, partition, offset: '0' })
    consumer.resume([{ topic }])
  }
  return { begin, close: () => consumer.disconnect() }
}

const { begin, close } = await (who === 'andon' ? andon() : peer())
await done.promise
isChecking = false
const samplesPerRecord = found.samples / found.blocks
await serveContender(
  { check: found },
  async (rounds) => {
    records = 0
    done = Promise.withResolvers<void>()
    left.fill(rounds)
    begin()
    await done.promise
    if (records !== rounds * total) throw new Error(`${records} records were read, expected ${rounds * total}`)
    return records * samplesPerRecord
  },
  close,
)
process.exit(0)
