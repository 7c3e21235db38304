// The promises of ingest, DESIGN §3.1-3.3. The numbered tests are the counterexamples of the data path's model that ingest must rule out.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { blocksOf, logged, ManualClock, MemoryDisk, openRig, reading, rowsOf, startUs } from './rig.ts'
import type { LoggedRecord, Rig } from './rig.ts'
import { telemetryTopic } from '../src/records.ts'

const ticksOf = (records: readonly LoggedRecord[]) =>
  records.flatMap(({ value, offset }) => (value.tick ? [{ offset, ...value.tick }] : []))

/** Sends a reading and closes its block, so that the acknowledgement is there. */
const acknowledged = async (rig: Rig, readings: unknown) => {
  const [receipt] = await Promise.all([rig.send({ readings }), rig.flush()])
  return receipt
}

test('a sample is refused until the first tick of this process is on the log', async () => {
  const rig = await openRig()
  await assert.rejects(rig.send({ readings: reading(1) }), { code: 'ANDON_INGEST_NOT_JOINED', retriable: true })
  await rig.pump()
  assert.deepEqual(await acknowledged(rig, reading(1)), { accepted: 1, duplicates: 0, quarantined: [] })
})

test('row 1: a broker that lost its unflushed tail gets everything held again, though ingest did not restart', async () => {
  const rig = await openRig()
  await rig.pump()
  await acknowledged(rig, reading(1))
  await rig.pump()
  assert.deepEqual(rowsOf(await logged(rig.log)), [1])
  rig.log.cut(telemetryTopic, 0, 0)
  assert.deepEqual(rowsOf(await logged(rig.log)), [])
  await rig.second() // the log takes no tick behind a record that it has lost
  await rig.pump()
  const [first] = await logged(rig.log)
  assert.deepEqual(rowsOf([first!]), [1])
})

test('row 1: after a failed append everything held is sent again, in order, before anything new', async () => {
  const rig = await openRig()
  await rig.pump()
  await acknowledged(rig, [reading(1), reading(2)])
  await rig.pump()
  rig.log.failAppends(() => ({ error: new Error('connection lost') }))
  await acknowledged(rig, reading(3))
  await rig.pump()
  rig.log.cut(telemetryTopic, 0, 0)
  rig.log.failAppends(undefined)
  await rig.pump()
  assert.deepEqual(rowsOf(await logged(rig.log)), [1, 2, 3])
})

test('row 2: an entry is not dropped by the clock, only by an answer 15 s after its own', async () => {
  const rig = await openRig()
  await rig.pump()
  await acknowledged(rig, reading(1))
  await rig.pump()
  rig.log.failAppends(() => ({ error: new Error('half-open connection') }))
  for (let second = 0; second < 60; second++) await rig.second()
  assert.equal(rig.wiring.edge.held.counts().held, 1)
  rig.log.cut(telemetryTopic, 0, 0)
  rig.log.failAppends(undefined)
  await rig.second()
  assert.deepEqual(rowsOf(await logged(rig.log)), [1])
  for (let second = 0; second < 14; second++) await rig.second()
  assert.equal(rig.wiring.edge.held.counts().held, 1)
  await rig.second()
  assert.equal(rig.wiring.edge.held.counts().held, 0)
})

test('row 13: a quarantined number is withheld in its block, so no gap is left for ever', async () => {
  const rig = await openRig()
  await rig.pump()
  const receipt = await acknowledged(rig, [reading(1), reading(2, { values: { temperatureC: 4000 } }), reading(3)])
  await rig.pump()
  assert.equal(receipt.accepted, 2)
  assert.deepEqual(
    receipt.quarantined.map(({ index, code }) => ({ index, code })),
    [{ index: 1, code: 'ANDON_INGEST_OUT_OF_RANGE' }],
  )
  const [block] = blocksOf(await logged(rig.log))
  assert.deepEqual(
    { from: block?.seqFrom, to: block?.seqTo, rows: block?.rows, withheld: block?.withheld },
    { from: 1, to: 3, rows: 2, withheld: [2] },
  )
})

test('row 14: a tick stays below samples in linger, in the spool, and without an answer', async () => {
  const rig = await openRig()
  await rig.pump()
  rig.clock.ms = 500
  const waiting = rig.send({ readings: reading(1) })
  rig.clock.ms = 1500
  await rig.pump()
  assert.equal(ticksOf(await logged(rig.log)).at(-1)?.upToUs, startUs + 500_000, 'in linger')
  rig.log.failAppends((records) => (records.some(({ key }) => key !== null) ? { error: new Error('refused') } : undefined))
  await rig.flush()
  await waiting
  rig.clock.ms = 2600
  await rig.pump()
  assert.equal(ticksOf(await logged(rig.log)).at(-1)?.upToUs, startUs + 500_000, 'without an answer')
  rig.log.failAppends(undefined)
  rig.clock.ms = 3700
  await rig.pump()
  const records = await logged(rig.log)
  assert.equal(ticksOf(records).at(-1)?.upToUs, startUs + 3_700_000)
  assert.ok(records.findIndex(({ value }) => value.block) < records.findLastIndex(({ value }) => value.tick))
})

test('row 14: a tick that failed is not sent again', async () => {
  const rig = await openRig()
  await rig.pump()
  rig.log.failAppends(() => ({ error: new Error('connection lost') }))
  await rig.second()
  rig.log.failAppends(undefined)
  rig.clock.ms += 200
  await rig.pump()
  assert.deepEqual(
    ticksOf(await logged(rig.log)).map(({ upToUs }) => upToUs),
    [startUs],
  )
})

test('row 15: the ticks of an outage are skipped, not sent in one burst after it', async () => {
  const rig = await openRig()
  await rig.pump()
  rig.log.failAppends(() => ({ error: new Error('away') }))
  for (let second = 0; second < 120; second++) await rig.second()
  rig.log.failAppends(undefined)
  await rig.second()
  await rig.second()
  assert.deepEqual(
    ticksOf(await logged(rig.log)).map(({ upToUs }) => (upToUs - startUs) / 1e6),
    [0, 121, 122],
  )
})

test('a restart sends the whole spool again, in order, before anything new', async () => {
  const first = await openRig()
  await first.pump()
  first.log.failAppends(() => ({ error: new Error('away') }))
  await acknowledged(first, reading(1))
  await acknowledged(first, [reading(2), reading(3)])
  first.log.failAppends(undefined)
  const second = await openRig({ log: first.log, disk: first.disk.afterPowerLoss(0), clock: first.clock })
  await second.second()
  await acknowledged(second, reading(4))
  await second.pump()
  const records = await logged(second.log)
  assert.deepEqual(rowsOf(records), [1, 2, 3, 4])
  assert.equal(ticksOf(records)[1]?.upToUs, startUs, 'its first tick stays below what the spool still holds')
})

test('with acknowledge = published the sender waits for the brokers', async () => {
  const rig = await openRig({ settings: { acknowledge: 'published' } })
  await rig.pump()
  let isAcknowledged = false
  const sent = rig.send({ readings: reading(1) }).then(() => (isAcknowledged = true))
  await rig.flush()
  assert.equal(isAcknowledged, false)
  await rig.pump()
  await sent
  assert.deepEqual(rowsOf(await logged(rig.log)), [1])
})

test('a full disk: nothing is acknowledged, one clear error, and it heals by itself', async () => {
  const rig = await openRig()
  await rig.pump()
  rig.disk.fault = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
  const refused = assert.rejects(acknowledged(rig, reading(1)), { code: 'ANDON_INGEST_SPOOL_FAILED', retriable: true, message: /ENOSPC/ })
  await rig.flush()
  await refused
  await rig.pump()
  assert.deepEqual(rowsOf(await logged(rig.log)), [])
  rig.disk.fault = undefined
  await rig.second()
  await acknowledged(rig, reading(1))
  await rig.pump()
  assert.deepEqual(rowsOf(await logged(rig.log)), [1])
})

test('numbers the door gave to rows it could not keep are withheld later', async () => {
  const rig = await openRig({ doorEpoch: 7 })
  await rig.pump()
  rig.disk.fault = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
  const refused = assert.rejects(acknowledged(rig, [reading(undefined), reading(undefined, { timeUs: startUs + 1 })]))
  await rig.flush()
  await refused
  rig.disk.fault = undefined
  await rig.second()
  await rig.flush() // the probe went through
  await rig.second()
  await rig.flush()
  await acknowledged(rig, reading(undefined))
  await rig.pump()
  const blocks = blocksOf(await logged(rig.log)).map(({ epoch, seqFrom, seqTo, withheld }) => ({ epoch, seqFrom, seqTo, withheld }))
  assert.deepEqual(blocks, [
    { epoch: 7, seqFrom: 1, seqTo: 2, withheld: [1, 2] },
    { epoch: 7, seqFrom: 3, seqTo: 3, withheld: [] },
  ])
})

type Action =
  | { readonly do: 'send'; readonly count: number }
  | { readonly do: 'flush' | 'step' | 'second' | 'away' | 'back' | 'pump' }
  | { readonly do: 'crash' | 'power'; readonly torn: number }

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('send' as const), count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 9, arbitrary: fc.record({ do: fc.constantFrom('flush' as const, 'step' as const, 'second' as const) }) },
  { weight: 9, arbitrary: fc.record({ do: fc.constantFrom('flush' as const, 'pump' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('away' as const, 'back' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('crash' as const, 'power' as const), torn: fc.double({ min: 0, max: 1, noNaN: true }) }),
  },
)

// One device that sends in order and sends again what was not acknowledged; a broker whose last 5 s may vanish with its power.
test('any interleaving of sending, flushing, pumping, crashes and power losses keeps every acknowledged sample', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 80, size: 'max' }), async (actions) => {
      const clock = new ManualClock()
      let disk = new MemoryDisk()
      let rig = await openRig({ disk, clock })
      const { log } = rig
      const acknowledgedSeqs = new Map<number, number>() // number → receive time
      let next = 1
      let lossAtMs = Number.NEGATIVE_INFINITY
      let hadPowerLoss = false
      let isAway = false
      let isConnectionLost = false
      log.failAppends(() => {
        const fails = isAway || isConnectionLost
        isConnectionLost = false
        return fails ? { error: new Error('connection lost') } : undefined
      })
      const appendedAtMs = new Map<number, number>()
      const noteAppends = async () => {
        for (const { offset } of await logged(log)) if (!appendedAtMs.has(offset)) appendedAtMs.set(offset, clock.ms)
      }
      const restart = async (torn: number) => {
        disk = disk.afterPowerLoss(torn)
        next = (acknowledgedSeqs.size === 0 ? 0 : Math.max(...acknowledgedSeqs.keys())) + 1
        rig = await openRig({ log, disk, clock })
      }
      const send = (count: number) => {
        const seqs = Array.from({ length: count }, (_, index) => next + index)
        const receivedUs = clock.nowUs()
        rig.send({ readings: seqs.map((seq) => reading(seq)) }).then(
          () => {
            for (const seq of seqs) acknowledgedSeqs.set(seq, receivedUs)
          },
          () => undefined, // not joined yet: the device sends again
        )
        if (rig.wiring.edge.pump.hasJoined) next += count
      }
      for (const step of actions) {
        if (step.do === 'send') send(step.count)
        if (step.do === 'flush') await rig.flush()
        if (step.do === 'step') await rig.wiring.edge.pump.step()
        if (step.do === 'second') clock.ms += 1000
        if (step.do === 'pump') await rig.second()
        if (step.do === 'away') isAway = true
        if (step.do === 'back') isAway = false
        if (step.do === 'crash') await restart(step.torn)
        if (step.do === 'power') {
          // The broker's host loses power: what it had not flushed is gone, and so is the connection.
          const records = await logged(log)
          const first = records.find(({ offset }) => clock.ms - (appendedAtMs.get(offset) ?? clock.ms) < 5000)
          const end = records.length
          const from = first === undefined ? end : first.offset + Math.floor((end - first.offset) * step.torn)
          log.cut(telemetryTopic, 0, from)
          for (let offset = from; offset < end; offset++) appendedAtMs.delete(offset)
          hadPowerLoss = true
          isConnectionLost = true
          lossAtMs = clock.ms
        }
        await noteAppends()
      }
      isAway = false
      await rig.second()
      await rig.flush()
      for (let second = 0; second < 3; second++) await rig.second()
      const records = await logged(log)
      const rows = rowsOf(records)
      for (const seq of acknowledgedSeqs.keys())
        assert.ok(rows.includes(seq), `${seq} was acknowledged and is not in the log (power lost at ${lossAtMs})`)
      const firstSeen = [...new Set(rows)]
      if (!hadPowerLoss)
        assert.deepEqual(
          firstSeen,
          firstSeen.toSorted((a, b) => a - b),
          'samples appear in their order',
        )
      for (const tick of ticksOf(records)) {
        for (const [seq, receivedUs] of acknowledgedSeqs) {
          if (receivedUs >= tick.upToUs) continue
          const inFront = records.some((record) => record.offset < tick.offset && rowsOf([record]).includes(seq))
          assert.ok(inFront, `tick ${tick.upToUs} passed ${seq}, received ${receivedUs}`)
        }
      }
    }),
    { numRuns: 400 },
  )
})
