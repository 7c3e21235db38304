// The Sparkplug door on a real mosquitto, with edge nodes that are not ours: payloads by sparkplug-payload, and pysparkplug whole.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { after, before, test } from 'node:test'
import type { TestContext } from 'node:test'
import mqtt from 'mqtt'
import type { MqttClient } from 'mqtt'
import { createLogger, createMetrics } from '@andon/kit'
import type { PlantSource } from '@andon/schemas'
import { pythonWith } from '../../../test/harness/python.ts'
import { sparkplugDoor } from '../src/adapters/sparkplug.ts'
import type { Source } from '../src/adapters/source.ts'
import { systemClock } from '../src/clock.ts'
import { startMosquitto } from './own-server.ts'
import type { OwnServer } from './own-server.ts'
import { blocksOf, logged, openRig } from './rig.ts'
import type { ManualClock, Rig } from './rig.ts'
import { until } from './until.ts'
import { encode, encodeRaw } from './sparkplug-node.ts'

const python = await pythonWith(['pysparkplug==0.6.1'])
const logger = createLogger({ service: 'ingest', level: 'silent' })

let broker: OwnServer
let rig: Rig
let door: Source
let watcher: MqttClient
const states: { online: boolean; timestamp: number }[] = []
const rebirths: string[] = []

const file = (node: string): PlantSource => ({
  version: 1,
  id: node,
  kind: 'sparkplug',
  group: 'works',
  node,
  asset: 'oven',
  channels: { temperatureC: { metric: 'temp', scale: 1, offset: 0 }, pressureBar: { metric: 'press', scale: 0.1, offset: 0 } },
})
const files = ['js', 'restarted', 'python'].map(file)

const newDoor = () =>
  sparkplugDoor({
    url: broker.url,
    hostId: 'andon',
    instance: 'ingest-0',
    username: null,
    passwordFile: null,
    caFile: null,
    certFile: null,
    keyFile: null,
    reorderMs: 250,
    rebirthMs: 200,
    offlineAfterMs: 300,
    sources: { of: (kind) => files.filter((each) => each.kind === kind) as never, onChange: () => () => undefined },
    channelsOf: () => [],
    assignment: { isMine: () => true, onChange: () => () => undefined },
    logger,
    metrics: createMetrics('ingest'),
  })

/** Value and quality of every row of a node, in log order; NaN = missing. */
const rowsOfNode = async (node: string) =>
  blocksOf(await logged(rig.log))
    .filter(({ sourceId }) => sourceId === `oven:${node}`)
    .flatMap(({ channels, seqFrom, seqTo, withheld, samples, qualities }) => {
      const at = channels.indexOf('temperatureC')
      const count = seqTo - seqFrom + 1 - withheld.length
      const floats = new Float64Array(Uint8Array.from(samples).buffer)
      return Array.from({ length: count }, (_, row) => ({
        temperatureC: at < 0 ? undefined : floats[at * count + row],
        quality: qualities[row] ?? 0,
      }))
    })

const temperatures = async (node: string) => (await rowsOfNode(node)).map(({ temperatureC }) => temperatureC)

/** An edge node that answers requests for births, as the specification asks of it. */
const edgeNode = async (test: TestContext, node: string) => {
  let seq = 0
  let bdSeq = 0
  let births = 0
  let temp = 20
  const opened = mqtt.connect(broker.url, {
    reconnectPeriod: 50,
    will: { topic: `spBv1.0/works/NDEATH/${node}`, payload: deathOf(bdSeq), qos: 1, retain: false },
  })
  const born = async () => {
    births++
    seq = 0
    const metrics = [
      { name: 'bdSeq', type: 'UInt64', value: bdSeq },
      { name: 'temp', alias: 1, type: 'Double', value: temp },
      { name: 'press', alias: 2, type: 'Int32', value: -30 },
    ]
    await opened.publishAsync(`spBv1.0/works/NBIRTH/${node}`, encode({ timestamp: Date.now(), seq, metrics: metrics as never }))
  }
  test.after(() => opened.endAsync(true))
  opened.on('message', () => void born()) // fails only when the test has ended
  opened.on('connect', () => {
    bdSeq++
    opened.options.will = { topic: `spBv1.0/works/NDEATH/${node}`, payload: deathOf(bdSeq), qos: 1, retain: false }
  })
  await new Promise<void>((resolve) => opened.once('connect', () => resolve()))
  bdSeq = 0
  await opened.subscribeAsync(`spBv1.0/works/NCMD/${node}`, { qos: 1 })
  await born()
  const message = (value: number, at: number) =>
    encodeRaw({ timestamp: Date.now(), seq: at % 256, metrics: [{ alias: 1, timestamp: Date.now(), doubleValue: value }] })
  return {
    births: () => births,
    born,
    measure: async (value: number) => {
      temp = value
      seq++
      await opened.publishAsync(`spBv1.0/works/NDATA/${node}`, message(value, seq))
    },
    /** Sends the next two the wrong way round. */
    swap: async (first: number, second: number) => {
      seq += 2
      await opened.publishAsync(`spBv1.0/works/NDATA/${node}`, message(second, seq))
      await opened.publishAsync(`spBv1.0/works/NDATA/${node}`, message(first, seq - 1))
    },
    lose: () => {
      seq++
    },
    /** The connection breaks, and stays so. */
    die: () => {
      opened.options.reconnectPeriod = 0
      opened.stream.destroy()
    },
  }
}

const deathOf = (bdSeq: number) => encode({ timestamp: Date.now(), metrics: [{ name: 'bdSeq', type: 'UInt64', value: bdSeq }] as never })

before(async () => {
  broker = await startMosquitto()
  rig = await openRig({ isRunning: true, clock: systemClock() as unknown as ManualClock })
  await until(() => rig.wiring.refusing() === undefined)
  watcher = await mqtt.connectAsync(broker.url, { reconnectPeriod: 50 })
  watcher.on('message', (topic, payload) => {
    if (topic.startsWith('spBv1.0/STATE/')) states.push(JSON.parse(payload.toString()) as (typeof states)[number])
    else rebirths.push(topic.split('/')[3]!)
  })
  await watcher.subscribeAsync(['spBv1.0/STATE/andon', 'spBv1.0/works/NCMD/+'])
  door = newDoor()
  await door.start(rig.wiring.intake, rig.wiring.refusing)
  await until(() => states.length > 0, 'the STATE')
})

after(async () => {
  await door?.stop()
  await watcher?.endAsync(true)
  await rig?.wiring.stop()
  await broker?.stop()
})

test('the host says that it is online, retained, and asks every node that is named for its births', async () => {
  assert.equal(states[0]?.online, true)
  const late = await mqtt.connectAsync(broker.url)
  const retained = new Promise<Buffer>((resolve) => late.once('message', (_topic, payload) => resolve(payload)))
  await late.subscribeAsync('spBv1.0/STATE/andon')
  assert.deepEqual(JSON.parse((await retained).toString()), states[0])
  await late.endAsync()
  await until(() => files.every(({ id }) => rebirths.includes(id)), 'the requests for births')
})

test('births, data in and out of order, a gap and a death', async (context) => {
  const node = await edgeNode(context, 'js')
  await until(async () => (await temperatures('js')).length > 0, 'the birth')
  await node.measure(21)
  await node.swap(22, 23)
  await until(async () => (await temperatures('js')).includes(23), 'what was swapped')
  assert.deepEqual((await temperatures('js')).slice(-4), [20, 21, 22, 23])
  const births = node.births()
  node.lose()
  await node.measure(24)
  await until(() => node.births() > births, 'the birth after the gap')
  await until(async () => (await temperatures('js')).filter((value) => value === 24).length >= 2, 'the value of the birth')
  node.die()
  await until(async () => (await rowsOfNode('js')).some(({ quality }) => quality === 2), 'the death')
  const last = (await rowsOfNode('js')).at(-1)
  assert.deepEqual([last?.quality, Number.isNaN(last?.temperatureC)], [2, true])
})

test('ingest that starts again asks for births, and goes on', async (context) => {
  const node = await edgeNode(context, 'restarted')
  await until(async () => (await temperatures('restarted')).length > 0, 'the birth')
  await door.stop()
  await until(() => states.at(-1)?.online === false, 'the STATE of a host that has stopped')
  const births = node.births()
  door = newDoor()
  await door.start(rig.wiring.intake, rig.wiring.refusing)
  await until(() => node.births() > births, 'the birth after the start')
  await node.measure(55)
  await until(async () => (await temperatures('restarted')).includes(55), 'data after the start')
})

test('while ingest refuses, readings wait, and the host says that it is offline: nodes store and forward', async (context) => {
  const node = await edgeNode(context, 'js')
  await until(async () => (await temperatures('js')).length > 0, 'the birth')
  rig.disk.fault = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
  await node.measure(77)
  await until(() => states.at(-1)?.online === false, 'the host to be offline')
  assert.equal((await temperatures('js')).includes(77), false)
  const births = node.births()
  rig.disk.fault = undefined
  await until(() => states.at(-1)?.online === true, 'the host to be online')
  await until(async () => (await temperatures('js')).includes(77), 'the reading')
  await until(() => node.births() > births, 'the births of the nodes')
})

test('a broker that was killed is found again, and nodes are asked for their births', async (context) => {
  const node = await edgeNode(context, 'js')
  await until(async () => (await temperatures('js')).length > 0)
  await broker.kill()
  await until(() => door.ready() !== true, 'the door to notice')
  const births = node.births()
  await broker.start()
  await until(() => door.ready() === true, 'the door to be back')
  await until(() => node.births() > births || rebirths.includes('js'), 'a request')
  await node.born()
  await node.measure(66)
  await until(async () => (await temperatures('js')).includes(66), 'data after the broker was back')
})

test('another implementation: pysparkplug', { skip: python.missing }, async () => {
  const program = `
import sys, pysparkplug as psp
metrics = (psp.Metric(timestamp=psp.get_current_timestamp(), name='temp', datatype=psp.DataType.DOUBLE, value=31.5),
           psp.Metric(timestamp=psp.get_current_timestamp(), name='press', datatype=psp.DataType.INT16, value=-20))
node = psp.EdgeNode('works', 'python', metrics)
node.connect('127.0.0.1', port=${new URL(broker.url).port})
for line in sys.stdin:
    node.update((psp.Metric(timestamp=psp.get_current_timestamp(), name='temp', datatype=psp.DataType.DOUBLE, value=float(line)),))
`
  const child = spawn(python.interpreter, ['-c', program], { stdio: ['pipe', 'ignore', 'inherit'] })
  try {
    await until(async () => (await temperatures('python')).includes(31.5), 'its birth')
    child.stdin.write('32.5\n')
    await until(async () => (await temperatures('python')).includes(32.5), 'its data')
  } finally {
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
  }
})
