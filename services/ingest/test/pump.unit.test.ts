// Partitions that travel together, and what happens to the others when one of them does not answer.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openMemoryLog, partitionOf } from '@andon/kit'
import type { Append, Appender, AppendOptions, Log, MemoryLog } from '@andon/kit'
import { telemetryTopic } from '../src/records.ts'
import { logged, ManualClock, MemoryDisk, openRig, reading, rowsOf } from './rig.ts'
import type { Rig } from './rig.ts'
import { until } from './until.ts'

const partitions = 5 // the two assets lie in different ones
const away = partitionOf('oven', partitions)
const other = partitionOf('spindle', partitions)

/** A broker whose leader of one partition takes its time; each way to it sends one request at a time, as a producer does. */
const brokerOf = (log: MemoryLog) => {
  let gate: Promise<void> | undefined
  let open = () => {}
  const waiting = new Set<object>()
  const way = (to: Appender): Appender => {
    let turn: Promise<unknown> = Promise.resolve()
    return {
      append: (records: readonly Append[], options?: AppendOptions) => {
        const mine = turn.then(async () => {
          if (gate !== undefined && records.some(({ topic, partition }) => topic === telemetryTopic && partition === away)) {
            waiting.add(records)
            await gate
            waiting.delete(records)
          }
          return to.append(records, options)
        })
        turn = Promise.all([turn, mine]).catch(() => undefined)
        return mine
      },
    }
  }
  const main = way(log)
  const broker: Pick<Log, 'append' | 'appender' | 'latest'> = {
    append: (records, options) => main.append(records, options),
    appender: () => way(log.appender()),
    latest: (topic, partition) => log.latest(topic, partition),
  }
  return {
    broker,
    waiting,
    leave: () => ({ promise: gate, resolve: open } = Promise.withResolvers<void>()),
    comeBack: () => {
      gate = undefined
      open()
    },
  }
}

/** The log, with every append of every way to it seen first. */
const watched = (
  log: MemoryLog,
  see: (records: readonly Append[], append: () => ReturnType<Appender['append']>) => ReturnType<Appender['append']>,
): Pick<Log, 'append' | 'appender' | 'latest'> => {
  const way = (to: Appender): Appender => ({ append: (records, options) => see(records, () => to.append(records, options)) })
  return { ...way(log), appender: () => way(log.appender()), latest: (topic, partition) => log.latest(topic, partition) }
}

const spindle = (seq: number) => {
  const f32 = Buffer.from(new Float32Array([seq % 10, 0, 0, 0]).buffer).toString('base64')
  return { source: 'spindle-vib', epoch: 1, seq, timeUs: reading(seq).timeUs, waveform: { channel: 'vibrationG', sampleRateHz: 1000, f32 } }
}

const ticksIn = async (log: MemoryLog, partition: number) =>
  (await logged(log, telemetryTopic, partition)).filter(({ value }) => value.tick).length

test('a partition whose leader is away is left behind, and the others go on with data and ticks', { timeout: 30_000 }, async (t) => {
  const log = openMemoryLog({ partitions })
  const { broker, leave, comeBack } = brokerOf(log)
  const clock = new ManualClock()
  const rig = await openRig({ log, broker, partitions, clock, isRunning: true })
  t.after(() => rig.wiring.stop())
  await until(() => rig.wiring.edge.pump.hasJoined)
  leave()
  await rig.send({ readings: reading(1) })
  await until(() => rig.wiring.edge.pump.groups > 1)
  await rig.send({ readings: reading(2) })
  await rig.send({ readings: spindle(1) })
  await until(async () => rowsOf(await logged(log, telemetryTopic, other), 'spindle-vib').length === 1)
  const ticks = await ticksIn(log, other)
  clock.ms += 1000
  await until(async () => (await ticksIn(log, other)) === ticks + 1)
  assert.equal(await ticksIn(log, away), 1, 'nothing is sent beside the append that is under way')
  comeBack()
  await until(async () => rowsOf(await logged(log, telemetryTopic, away)).length === 2)
  assert.deepEqual(rowsOf(await logged(log, telemetryTopic, away)), [1, 2], 'once, in order: waiting is no doubt')
  clock.ms += 11_000
  await until(() => rig.wiring.edge.pump.groups === 1)
})

test('a failed append puts its own partition in doubt, and no other', async () => {
  const log = openMemoryLog({ partitions })
  const rig: Rig = await openRig({ log, partitions })
  await rig.pump()
  const both = [rig.send({ readings: reading(1) }), rig.send({ readings: spindle(1) })]
  await rig.flush()
  await Promise.all(both)
  await rig.pump()
  const next = rig.send({ readings: reading(2) })
  await rig.flush()
  await next
  log.failAppends((records) =>
    records.some(({ partition, key }) => partition === away && key !== null) ? { error: new Error('no leader') } : undefined,
  )
  await rig.pump()
  assert.deepEqual(rowsOf(await logged(log, telemetryTopic, other), 'spindle-vib'), [1])
  for (let second = 0; second < 5; second++) await rig.second()
  log.failAppends(undefined)
  for (let second = 0; second < 3; second++) await rig.second()
  assert.deepEqual(rowsOf(await logged(log, telemetryTopic, away)), [1, 1, 2], 'everything held there again, in order')
  assert.deepEqual(rowsOf(await logged(log, telemetryTopic, other), 'spindle-vib'), [1], 'sent once')
})

test('no partition has more than one append under way, and no two ticks in one second, whatever falls out and comes back', async (t) => {
  const log = openMemoryLog({ partitions })
  const underWay = new Map<string, number>()
  let failing = new Set<number>()
  const violations: string[] = []
  const broker = watched(log, async (records, append) => {
    const name = `${records[0]!.topic}/${records[0]!.partition}`
    if (records.some(({ topic, partition }) => `${topic}/${partition}` !== name)) violations.push('two partitions in one append')
    if (underWay.get(name) === 1) violations.push(`a second append of ${name}`)
    underWay.set(name, 1)
    try {
      await new Promise<void>((resolve) => setImmediate(resolve))
      if (failing.has(records[0]!.partition!)) throw new Error('no leader')
      return await append()
    } finally {
      underWay.set(name, 0)
    }
  })
  const rig = await openRig({ log, broker, partitions, disk: new MemoryDisk() })
  t.after(() => rig.wiring.edge.spool.close())
  await rig.pump()
  let most = 0
  for (let second = 0; second < 60; second++) {
    failing = new Set(second % 7 < 3 ? [second % partitions, (second >> 2) % partitions] : [])
    const sent = [rig.send({ readings: reading(second + 1) }), rig.send({ readings: spindle(second + 1) })]
    await rig.flush()
    await Promise.all(sent)
    await rig.second()
    most = Math.max(most, rig.wiring.edge.pump.groups)
  }
  failing = new Set()
  for (let second = 0; second < 15; second++) await rig.second()
  assert.deepEqual(violations, [])
  assert.ok(most > 1)
  assert.equal(rig.wiring.edge.pump.groups, 1)
  const first = (rows: number[]) => [...new Set(rows)]
  const all = Array.from({ length: 60 }, (_, index) => index + 1)
  assert.deepEqual(first(rowsOf(await logged(log, telemetryTopic, away))), all)
  assert.deepEqual(first(rowsOf(await logged(log, telemetryTopic, other), 'spindle-vib')), all)
  for (let partition = 0; partition < partitions; partition++) {
    const upTo = (await logged(log, telemetryTopic, partition)).flatMap(({ value }) => (value.tick ? [value.tick.upToUs] : []))
    assert.ok(upTo.length <= 76)
  }
})

test('partitions with control-class data are sent before the others', async () => {
  const log = openMemoryLog({ partitions })
  const sent: number[] = []
  const broker = watched(log, async (records, append) => {
    if (records[0]!.key !== null) sent.push(records[0]!.partition!)
    return append()
  })
  for (const asset of ['oven', 'spindle']) {
    const rig = await openRig({ log, broker, partitions, instance: asset, control: [asset] })
    await rig.pump()
    const both = [rig.send({ readings: reading(1) }), rig.send({ readings: spindle(1) })]
    await rig.flush()
    await Promise.all(both)
    sent.length = 0
    await rig.pump()
    assert.equal(sent[0], partitionOf(asset, partitions))
  }
})
