// What people teach, through the door and the owner, on the log in memory.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { localCodec, openMemoryLog } from '@andon/kit'
import { eventually, findingOf, plantDocuments, publishDocuments, raise, readActions, startActions, TOPICS } from './rig.ts'

const start = async (t: TestContext) => {
  const log = openMemoryLog({ partitions: 4 })
  const codec = localCodec()
  await log.admin.ensureTopics(TOPICS.map((name) => ({ name, partitions: name === 'config' ? 1 : 4 })))
  const documents = plantDocuments({}, (name, value) => {
    if (name !== 'plant') return
    const classes = value['assetClasses'] as { id: string; equipmentClass?: string }[]
    for (const each of classes) if (each.id === 'slow-machine') each.equipmentClass = 'BL'
  })
  await publishDocuments(log, codec, documents)
  const rig = await startActions(t, { log, codec, executors: {} })
  return { ...rig, log, codec, records: await readActions(t, log, codec) }
}

describe('the teaching doors', { concurrency: true }, () => {
  test('a mode is named at its class, and what is left out stays', async (t) => {
    const { door, records } = await start(t)
    assert.equal((await door.post('/v1/fault-modes/mode-1', { name: 'Worn bearing' }, 'lead')).body.code, 'ANDON_ACTIONS_UNKNOWN_MODE')
    const named = await door.post('/v1/fault-modes/mode-1', { class: 'hydraulic-press', name: 'Worn bearing', labels: ['bearing'] }, 'lead')
    assert.deepEqual([named.status, named.body.outcome], [200, 'FaultModeNamed'])
    const known = await door.post('/v1/fault-modes/mode-1', { standing: 'known', timeToRespondS: 3600 }, 'lead')
    assert.equal(known.status, 200)
    const { body } = await door.get('/v1/fault-modes/mode-1')
    assert.deepEqual(
      [body.name, body.labels, body.standing, body.timeToRespondS, body.by],
      ['Worn bearing', ['bearing'], 'known', 3600, 'p-lead'],
    )
    assert.equal((await door.get('/v1/fault-modes?class=hydraulic-press')).body.modes.length, 1)
    assert.equal((await door.get('/v1/fault-modes?class=slow-machine')).body.modes.length, 0)
    const fact = records.find(({ type }) => type === 'FaultModeNamed')
    assert.equal(fact?.line, 'press-line')
  })

  test('operators name nothing, and a class without assets is not known', async (t) => {
    const { door } = await start(t)
    assert.equal((await door.post('/v1/fault-modes/mode-1', { class: 'hydraulic-press', name: 'x' })).status, 403)
    const unknown = await door.post('/v1/fault-modes/mode-1', { class: 'lathe', name: 'x' }, 'lead')
    assert.deepEqual([unknown.status, unknown.body.code], [404, 'ANDON_ACTIONS_UNKNOWN_CLASS'])
    const bad = await door.post('/v1/fault-modes/mode-1', { class: 'hydraulic-press', standing: 'odd' }, 'lead')
    assert.deepEqual([bad.status, bad.body.code], [400, 'ANDON_ACTIONS_BAD_REQUEST'])
  })

  test('a failure told twice is known once; withdrawn, it does not come back', async (t) => {
    const { door } = await start(t)
    const body = { asset: 'furnace-fan', at: '2026-11-20T08:00:00Z', mode: 'VIB', mechanism: '2.4', note: 'bearing seized' }
    const first = await door.post('/v1/failures', body, 'integrator')
    assert.deepEqual([first.status, first.body.outcome], [200, 'FailureRecorded'])
    const again = await door.post('/v1/failures', { ...body, at: Date.parse(body.at) * 1000 }, 'integrator')
    assert.equal(again.body.failureId, first.body.failureId)
    const { failures } = (await door.get('/v1/failures?asset=furnace-fan')).body
    assert.deepEqual([failures.length, failures[0].mode, failures[0].by], [1, 'VIB', 'p-integrator'])
    const withdrawn = await door.post(`/v1/failures/${first.body.failureId}/withdraw`, { reason: 'other fan' }, 'integrator')
    assert.equal(withdrawn.body.outcome, 'FailureWithdrawn')
    assert.deepEqual((await door.get('/v1/failures')).body.failures, [])
    const back = await door.post('/v1/failures', body, 'integrator')
    assert.deepEqual([back.status, back.body.code], [409, 'ANDON_ACTIONS_FAILURE_WITHDRAWN'])
  })

  test('a refused code names those that the class of the asset has', async (t) => {
    const { door } = await start(t)
    const { status, body } = await door.post('/v1/failures', { asset: 'furnace-fan', at: 1, mode: 'FTC' }, 'integrator')
    assert.deepEqual([status, body.code], [422, 'ANDON_ACTIONS_BAD_FAILURE'])
    assert.match(body.detail, /blowers and fans \(BL\), found FTC; nearby: FTS/)
    assert.equal((await door.post('/v1/failures', { asset: 'fan-9', at: 1, mode: 'VIB' }, 'integrator')).status, 404)
    const noTime = await door.post('/v1/failures', { asset: 'furnace-fan', at: 'yesterday', mode: 'VIB' }, 'integrator')
    assert.match(noTime.body.detail, /^at: expected a time/)
  })

  test('a check says for each failure what recording it would do, and writes nothing', async (t) => {
    const { door, records } = await start(t)
    const known = { asset: 'furnace-fan', at: 1_000, mode: 'VIB', failureId: 'f-1' }
    await door.post('/v1/failures', known, 'integrator')
    const before = records.length
    const failures = [known, { ...known, note: 'more' }, { ...known, failureId: 'f-2' }, { ...known, failureId: 'f-3', mode: 'XXX' }]
    const { body } = await door.post('/v1/failures/check', { failures }, 'integrator')
    assert.deepEqual(
      body.failures.map((one: { outcome: string; code?: string }) => one.code ?? one.outcome),
      ['unchanged', 'changed', 'recorded', 'ANDON_ACTIONS_BAD_FAILURE'],
    )
    assert.equal(records.length, before)
  })

  test('a verdict is kept with the incident of its episode, the last word first', async (t) => {
    const { door, log, codec } = await start(t)
    assert.equal((await door.post('/v1/episodes/e-1/verdict', { verdict: 'confirmed' })).body.code, 'ANDON_ACTIONS_UNKNOWN_EPISODE')
    await raise(log, codec, findingOf())
    const incident = await eventually(async () => {
      const [found] = (await door.get('/v1/incidents')).body.incidents
      assert.ok(found)
      return found
    })
    await door.post('/v1/episodes/e-1/verdict', { verdict: 'unsure' })
    const said = await door.post('/v1/episodes/e-1/verdict', { verdict: 'false-alarm', note: 'crane', mode: 'mode-1' })
    assert.deepEqual([said.body.outcome, said.body.incidentId], ['VerdictRecorded', incident.id])
    const { verdicts } = (await door.get('/v1/verdicts?episode=e-1')).body
    assert.deepEqual([verdicts.length, verdicts[0].verdict, verdicts[0].modeId], [1, 'false-alarm', 'mode-1'])
    const other = await door.post('/v1/episodes/e-9/verdict', { verdict: 'planned', asset: 'furnace-fan' })
    assert.equal(other.body.outcome, 'VerdictRecorded')
  })

  test('every route that teaches is in the OpenAPI document', async (t) => {
    const { door } = await start(t)
    const { body } = await door.call('GET', '/openapi.json', undefined)
    for (const path of ['/v1/fault-modes/{modeId}', '/v1/failures', '/v1/failures/check', '/v1/episodes/{episodeId}/verdict'])
      assert.ok(body.paths[path]?.post, path)
  })
})
