// The edge of the log with a disk that damages what it holds: everything around the damage is sent, and its bytes are in quarantine.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLogger, createMetrics, encodeHeaders, openMemoryLog } from '@andon/kit'
import type { MemoryLog } from '@andon/kit'
import { frameHeadBytes } from '../src/adapters/spool-frames.ts'
import { openEdge } from '../src/edge.ts'
import { ingestMetrics } from '../src/metrics.ts'
import { quarantineTopic, telemetryTopic } from '../src/records.ts'
import { limits, logged, ManualClock, MemoryDisk, openRig, plainCodec, reading, rowsOf } from './rig.ts'

const away = (log: MemoryLog) => log.failAppends(() => ({ error: new Error('away') }))

const damagesOn = async (log: MemoryLog) => {
  const damages: { code: string | undefined; bytes: Buffer }[] = []
  for await (const { records } of log.read({ topic: quarantineTopic, partition: 0, from: 'earliest', to: 'latest' }))
    for (const record of records) damages.push({ code: record.header('andon-quarantine-code'), bytes: Buffer.from(record.value!) })
  return damages
}

test('a bit that flipped while the process was away costs one entry: the others are sent, its bytes are in quarantine, once', async () => {
  const first = await openRig()
  const { log } = first
  await first.pump()
  away(log)
  for (const seq of [1, 2, 3]) {
    const sent = first.send({ readings: reading(seq) })
    await first.flush()
    await sent
  }
  const disk = first.disk.afterPowerLoss(0)
  const [name] = await disk.list()
  const file = disk.files.get(name!)!
  // In the middle of the second of three equal entries.
  const at = Math.floor(file.bytes.length / 2)
  const length = Math.floor((file.bytes.length - 12) / 3)
  file.bytes[at]! ^= 8
  log.failAppends(undefined)
  const second = await openRig({ log, disk })
  await second.flush()
  await second.second()
  await second.second()
  assert.deepEqual(rowsOf(await logged(log)), [1, 3])
  const [damage, ...more] = await damagesOn(log)
  assert.deepEqual([damage?.code, more], ['ANDON_INGEST_SPOOL_DAMAGED', []])
  assert.ok(
    Math.abs(damage!.bytes.length - length) <= 2 &&
      damage!.bytes.equals(file.bytes.subarray(12 + length, 12 + length + damage!.bytes.length)),
  )
  for (let count = 0; count < 40; count++) {
    await second.second()
    await second.flush()
  }
  await second.wiring.edge.spool.close()
  assert.ok(!disk.files.has(name!), 'a segment whose damage is in quarantine is let go')
})

test('an entry that the disk damaged before it was sent leaves its lane: the ones behind it are sent', async () => {
  const log = openMemoryLog({ partitions: 1 })
  const disk = new MemoryDisk()
  const clock = new ManualClock()
  const edge = await openEdge({
    acknowledge: 'spooled',
    shape: { codec: plainCodec, instance: 'ingest-0', telemetryPartitions: 1, quarantinePartitions: 1, skewBoundUs: 1 },
    log,
    disk,
    limits,
    journal: { note: () => Promise.resolve() },
    clock,
    logger: createLogger({ service: 'ingest', level: 'silent' }),
    metrics: ingestMetrics(createMetrics('ingest')),
    oldestWaitingUs: () => () => Number.POSITIVE_INFINITY,
    onSecond: () => undefined,
    cachedMaxBytes: 0,
    sleep: () => new Promise((resolve) => setImmediate(resolve)),
  })
  const record = (text: string) => ({
    topic: telemetryTopic,
    partition: 0,
    key: 'oven',
    value: plainCodec.encode(telemetryTopic, { text }),
    headers: encodeHeaders({ ce_id: text }),
    timestampMs: 1,
    oldestReceivedUs: 1,
    identities: [],
    isControl: false,
  })
  const safe = ['first', 'second', 'third'].map((text) => edge.keep(record(text)))
  await Promise.all(safe)
  const { bytes } = disk.files.get((await disk.list())[0]!)!
  bytes[bytes.indexOf('second') + frameHeadBytes]! ^= 1
  for (let step = 0; step < 30; step++) {
    clock.ms += 200
    await edge.pump.step()
  }
  const ids = (await logged(log)).flatMap(({ id, key }) => (key === null ? [] : [id]))
  assert.deepEqual(ids, ['first', 'third'])
  assert.deepEqual(
    (await damagesOn(log)).map(({ code, bytes: found }) => [code, found.includes('second')]),
    [['ANDON_INGEST_SPOOL_DAMAGED', true]],
  )
  await edge.spool.close()
})
