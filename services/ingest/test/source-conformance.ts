// What every door keeps, whatever its protocol: run with the door itself and a sender that is not ours.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { AndonError } from '@andon/kit'
import type { Delivery, Intake, Receipt, Source } from '../src/adapters/source.ts'
import { systemClock } from '../src/clock.ts'
import { quarantineTopic } from '../src/records.ts'
import { logged, openRig, reading, rowsOf } from './rig.ts'
import type { ManualClock } from './rig.ts'
import { until } from './until.ts'

/** A real client of the door's protocol. */
export interface Sender {
  /**
   * Sends one payload and resolves when it is acknowledged. What is refused is sent again, the way such senders do, for as long as it
   * takes; after `close` it rejects.
   */
  send(payload: Buffer): Promise<unknown>
  close(): Promise<unknown>
}

export interface DoorUnderTest {
  /** A new door, not started yet. */
  open(): Promise<Source> | Source
  /** A sender for a started door; readings name the source `device`. */
  sender(door: Source, device: string): Promise<Sender>
  /** One payload of these readings. Default: a JSON array. */
  payload?: (readings: readonly object[]) => Buffer
  /** A payload that holds no reading, and the bytes of it that quarantine keeps. Default: text that is not JSON. Null: the sender is told at once. */
  readonly bad?: { readonly payload: Buffer; readonly kept: Buffer } | null
}

/** An intake that the test answers. */
const heldIntake = () => {
  const waiting: { delivery: Delivery; accept: () => void; refuse: () => void }[] = []
  const intake: Intake = (delivery) =>
    new Promise<Receipt>((resolve, reject) => {
      waiting.push({
        delivery,
        accept: () => resolve({ accepted: 1, duplicates: 0, quarantined: [] }),
        refuse: () => reject(new AndonError('ANDON_INGEST_BUSY', 'Too many readings at once', { retriable: true, status: 429 })),
      })
    })
  const next = async () => {
    await until(() => waiting.length > 0, 'a delivery')
    return waiting.shift()!
  }
  return { intake, next, waiting }
}

const never = () => undefined

/** True once the promise is settled, without waiting for it. */
const settles = (promise: Promise<unknown>) => {
  const state = { isSettled: false }
  promise.then(
    () => (state.isSettled = true),
    () => (state.isSettled = true),
  )
  return state
}

export const conformsToSource = (name: string, door: DoorUnderTest): void => {
  const payloadOf = door.payload ?? ((readings: readonly object[]) => Buffer.from(JSON.stringify(readings)))
  const current = (source: string, seq: number, extra: object = {}) =>
    reading(seq, { source, asset: 'oven', timeUs: Date.now() * 1000, ...extra })

  const withDoor = async (device: string, intake: Intake, run: (opened: Source, sender: Sender) => Promise<void>) => {
    const opened = await door.open()
    await opened.start(intake, never)
    const sender = await door.sender(opened, device)
    try {
      await run(opened, sender)
    } finally {
      await sender.close()
      await opened.stop()
    }
  }

  test(`${name}: acknowledges only what the intake has made safe`, async () => {
    const { intake, next } = heldIntake()
    await withDoor('c-safe', intake, async (_opened, sender) => {
      const sent = sender.send(payloadOf([current('c-safe', 1)]))
      const acknowledged = settles(sent)
      const { accept } = await next()
      await pause(50) // long enough for an acknowledgement that does not wait
      assert.equal(acknowledged.isSettled, false)
      accept()
      await sent
    })
  })

  test(`${name}: what the intake refuses is not acknowledged, and its sender's next try succeeds`, async () => {
    const { intake, next } = heldIntake()
    await withDoor('c-refused', intake, async (_opened, sender) => {
      const sent = sender.send(payloadOf([current('c-refused', 1)]))
      const acknowledged = settles(sent)
      for (let refused = 0; refused < 2; refused++) {
        ;(await next()).refuse()
        assert.equal(acknowledged.isSettled, false)
      }
      const { accept } = await next()
      assert.equal(acknowledged.isSettled, false)
      accept()
      await sent
    })
  })

  test(`${name}: stop waits for deliveries in hand, and they are acknowledged`, async () => {
    const { intake, next } = heldIntake()
    await withDoor('c-stop', intake, async (opened, sender) => {
      const sent = sender.send(payloadOf([current('c-stop', 1)]))
      const { accept } = await next()
      const stopping = opened.stop()
      const stopped = settles(stopping)
      await pause(50)
      assert.equal(stopped.isSettled, false)
      accept()
      await sent
      await stopping
    })
  })

  test(`${name}: ready says why not, before the start and after the stop`, async () => {
    const opened = await door.open()
    assert.equal(typeof opened.ready(), 'string')
    await opened.start(heldIntake().intake, never)
    await until(() => opened.ready() === true, 'the door to be ready')
    await opened.stop()
    assert.equal(typeof opened.ready(), 'string')
  })

  test(`${name}: a bad payload takes no good one with it, and quarantine keeps its bytes`, async () => {
    const rig = await openRig({ isRunning: true, clock: systemClock() as unknown as ManualClock })
    await until(() => rig.wiring.refusing() === undefined, 'the intake')
    const bad = door.bad === undefined ? { payload: Buffer.from('no {json'), kept: Buffer.from('no {json') } : door.bad
    await withDoor('c-mixed', rig.wiring.intake, async (_opened, sender) => {
      const good = [1, 2, 3].map((seq) => payloadOf([current('c-mixed', seq)]))
      const refused = payloadOf([current('c-mixed', 4, { values: { colour: 1 } })])
      await Promise.all([...good, refused, ...(bad === null ? [] : [bad.payload])].map((each) => sender.send(each)))
      await sender.send(payloadOf([current('c-mixed', 5)]))
      await until(async () => rowsOf(await logged(rig.log), 'c-mixed').length >= 4, 'the good readings')
      assert.deepEqual(
        rowsOf(await logged(rig.log), 'c-mixed').toSorted((a, b) => a - b),
        [1, 2, 3, 5],
      )
      const kept = async () => (await logged(rig.log, quarantineTopic)).map(({ value }) => value.type as string)
      await until(async () => (await kept()).length >= (bad === null ? 1 : 2), 'the quarantine')
      if (bad !== null) assert.ok((await kept()).includes(bad.kept.toString()))
      assert.ok((await kept()).some((bytes) => bytes.includes('colour')))
    })
    await rig.wiring.stop()
  })
}
