// A target that keeps failing: its breaker is a fact, closes the gate for new approvals, and is still open after a restart.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { localCodec, openMemoryLog } from '@andon/kit'
import type { Executor } from '../src/adapters/executor.ts'
import { eventually, findingOf, plantDocuments, publishDocuments, raise, readActions, startActions, TOPICS } from './rig.ts'

const dead: Executor = {
  prepare: () => Promise.reject(new Error('no route to the line')),
  settle: () => Promise.reject(new Error('no route to the line')),
  close: async () => {},
}

/** Pauses without a word from anybody, so that the line is asked often. */
const eager = (name: string, value: Record<string, unknown>): void => {
  if (name === 'policies/press-vibration') value['budget'] = { perLinePerHour: 1_000 }
}

test('an open breaker is on the log, refuses new approvals, and survives a restart', async (t) => {
  const log = openMemoryLog({ partitions: 4 })
  const codec = localCodec()
  await log.admin.ensureTopics(TOPICS.map((name) => ({ name, partitions: name === 'config' ? 1 : 4 })))
  await publishDocuments(log, codec, plantDocuments({}, eager))
  const records = await readActions(t, log, codec)
  const executors = { opcua: dead, notify: dead, job: dead }
  // the service closes its log when it stops; this one is for both
  const shared = Object.assign(Object.create(log) as typeof log, { close: async () => {} })
  const first = await startActions(t, { log: shared, codec, executors })
  const pause = async (door: typeof first.door, episode: string) =>
    eventually(async () => {
      const { body } = await door.get('/v1/incidents')
      const incident = body.incidents.find((one: { finding: { episodeId: string } | null }) => one.finding?.episodeId === episode)
      const step = incident?.steps.find((one: { name: string }) => one.name === 'pause')
      assert.ok(step)
      return step as { id: string; commandHash: string; status: string }
    })
  const breakers = () => records.filter((one) => one.type === 'BreakerChanged' && one.breaker?.executor === 'opcua')
  for (let n = 0; n < 6; n += 1) await raise(log, codec, findingOf({ findingId: `f-${n}`, episodeId: `e-${n}` }))
  const last = await pause(first.door, 'e-5')
  for (let n = 0; n < 5; n += 1) await first.door.decide('approve', await pause(first.door, `e-${n}`))
  await eventually(() => assert.deepEqual(breakers().at(-1)?.breaker?.state, 'open'))
  const refused = await first.door.decide('approve', last)
  assert.deepEqual([refused.status, refused.body.code], [409, 'ANDON_ACTIONS_BREAKER_OPEN'])
  await first.running.stop()

  const second = await startActions(t, { log: shared, codec, executors })
  await eventually(async () => {
    const { body } = await second.door.get('/v1/status')
    assert.equal(body.thisProcess.find((one: { name: string }) => one.name === 'opcua/press-line')?.state, 'open')
  })
  const again = await second.door.decide('approve', await pause(second.door, 'e-5'), 'lead')
  assert.deepEqual([again.status, again.body.code], [409, 'ANDON_ACTIONS_BREAKER_OPEN'])
})
