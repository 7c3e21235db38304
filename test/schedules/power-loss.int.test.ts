// Rows 1 and 2 on a real broker that loses its unflushed tail while ingest is left running: every acknowledged sample is on the
// log afterwards, and no tick lies in front of a sample that it speaks for. The process as a whole, with its doors and its
// disk, is put through power losses by test/faults/power-loss.ts.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openKafkaLog } from '@andon/kit'
import type { Log } from '@andon/kit'
import { startKafka } from '@andon/platform'
import type { Kafka } from '@andon/platform'
import type { Telemetry } from '@andon/schemas'
import { ManualClock, openRig, plainCodec, reading, startUs } from '../../services/ingest/test/rig.ts'
import type { Rig } from '../../services/ingest/test/rig.ts'
import { cutTail } from '../faults/segments.ts'
import { until } from '../faults/rig.ts'
import { openFaultProxy } from '../harness/fault-proxy.ts'
import type { FaultProxy } from '../harness/fault-proxy.ts'

let kafka: Kafka
let proxy: FaultProxy
const dir = mkdtempSync(join(tmpdir(), 'andon-schedules-'))

before(async () => {
  kafka = await startKafka({ dir })
  proxy = await openFaultProxy(Number(kafka.brokers[0]!.split(':')[1]))
})

after(async () => {
  await proxy?.close()
  await kafka?.stop()
  rmSync(dir, { recursive: true, force: true })
})

/** Goes as clocks go, and jumps when it is told to. */
class JumpingClock extends ManualClock {
  private readonly start = performance.now()
  private jumpedMs = 0
  override nowUs = () => startUs + Math.round(this.monotonicMs() * 1000)
  override monotonicMs = () => performance.now() - this.start + this.jumpedMs
  jump(ms: number): void {
    this.jumpedMs += ms
  }
}

interface Scene {
  readonly ingest: Rig
  readonly clock: JumpingClock
  readonly log: Log
  /** The broker dies, and its telemetry ends at this offset. */
  readonly losesPower: (offset: number) => Promise<void>
}

let scenes = 0
const open = async (t: TestContext, appendDeadlineMs: number): Promise<Scene> => {
  const namespace = `row${++scenes}-`
  const log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'judge', namespace })
  const own = await openKafkaLog({ brokers: kafka.brokers, clientId: 'ingest', namespace, appendDeadlineMs, via: proxy.via })
  t.after(() => Promise.all([log.close(), own.close()]))
  await log.admin.ensureTopics([
    { name: 'telemetry', partitions: 1 },
    { name: 'telemetry.ingest.quarantine', partitions: 1 },
  ])
  const clock = new JumpingClock()
  const ingest = await openRig({ broker: own, clock, isRunning: true })
  t.after(() => ingest.wiring.stop())
  await until('ingest to join', () => ingest.wiring.edge.pump.hasJoined)
  const losesPower = async (offset: number): Promise<void> => {
    await kafka.kill()
    assert.ok(cutTail(dir, `${namespace}telemetry`, 0, offset) > 0, 'something was lost')
    await kafka.restart()
  }
  return { ingest, clock, log, losesPower }
}

/** Sends samples one by one, each in a block of its own; resolves when all are acknowledged. */
const send = async ({ ingest, clock }: Scene, from: number, to: number): Promise<void> => {
  for (let seq = from; seq <= to; seq++) await ingest.send({ readings: [reading(seq, { timeUs: clock.nowUs() })] })
}

interface Found {
  readonly offset: number
  readonly value: Telemetry
}

const telemetry = async ({ log }: Scene): Promise<Found[]> => {
  const found: Found[] = []
  for await (const { records } of log.read({ topic: 'telemetry', partition: 0, from: 'earliest', to: 'latest' }))
    for (const { offset, value } of records) found.push({ offset, value: plainCodec.decode<Telemetry>('telemetry', value!) })
  return found
}

/** Where each sample lies first: what is left when repeats are dropped. */
const samples = (found: readonly Found[]): Map<number, Found> => {
  const first = new Map<number, Found>()
  for (const each of found) {
    const { block } = each.value
    for (let seq = block?.seqFrom ?? 1; seq <= (block?.seqTo ?? 0); seq++) if (!first.has(seq)) first.set(seq, each)
  }
  return first
}

const numbers = (to: number): number[] => Array.from({ length: to }, (_, i) => i + 1)

/** Every sample is there, once without its repeats, and lies in front of every tick that speaks for it. */
const assertWhole = (found: readonly Found[], last: number): void => {
  const first = samples(found)
  assert.deepEqual(
    [...first.keys()].toSorted((a, b) => a - b),
    numbers(last),
  )
  for (const { offset, value } of found) {
    const upToUs = value.tick?.upToUs ?? Number.NEGATIVE_INFINITY
    for (const [seq, sample] of first)
      if (sample.value.block!.receivedUs < upToUs)
        assert.ok(sample.offset < offset, `the tick at offset ${offset} speaks for sample ${seq}, which comes after it`)
  }
}

test('row 1: what a broker lost of its tail is sent again by an ingest that went on', { timeout: 180_000 }, async (t) => {
  const scene = await open(t, 60_000) // an append outlasts the restart: what hangs in it may not overtake what was lost
  await send(scene, 1, 10)
  await until('all of it on the log', async () => samples(await telemetry(scene)).size === 10)
  const lostFrom = samples(await telemetry(scene)).get(4)!.offset
  const lost = scene.losesPower(lostFrom)
  await sleep(1500) // a tick is under way, to nobody
  let sent = 10
  let isOver = false
  const device = (async () => {
    for (; !isOver; sent++) {
      await send(scene, sent + 1, sent + 1)
      await sleep(100)
    }
  })()
  await lost
  await until('what was sent meanwhile', async () => samples(await telemetry(scene)).size > sent - 3)
  isOver = true
  await device
  await until('the rest', async () => samples(await telemetry(scene)).size >= sent)
  assertWhole(await telemetry(scene), sent)
})

test('row 2: a power loss behind a half-open connection takes nothing, though more than 15 s pass', { timeout: 180_000 }, async (t) => {
  const scene = await open(t, 3000)
  await send(scene, 1, 10)
  await until('all of it on the log', () => scene.ingest.wiring.edge.held.counts().unanswered === 0)
  const lostFrom = samples(await telemetry(scene)).get(4)!.offset
  proxy.set({ blackhole: 'answers' })
  scene.clock.jump(16_000)
  await scene.losesPower(lostFrom)
  await send(scene, 11, 12)
  await sleep(4000) // an append gives up, and is tried again
  scene.clock.jump(16_000)
  assert.equal(scene.ingest.wiring.edge.held.counts().held, 12, 'nothing has answered, so nothing may go')
  proxy.heal()
  await until('everything on the log again', async () => samples(await telemetry(scene)).size === 12)
  assertWhole(await telemetry(scene), 12)
})
