// The whole service on the log in memory: from a finding to decisions and effects, with targets that behave as told.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { fact, record } from '@andon/decisions'
import { createLogger, headersAsMap, localCodec, openMemoryLog, partitionOf } from '@andon/kit'
import { openActionsLog } from '../src/actions-log.ts'
import { NotSent } from '../src/adapters/executor.ts'
import type { Executor, Order } from '../src/adapters/executor.ts'
import { DoorClient, eventually, findingOf, plantDocuments, publishDocuments, raise, readActions, startActions, TOPICS } from './rig.ts'

/** A target that remembers request ids, as class ii says; `send` may be told to misbehave. */
class Target implements Executor {
  readonly effects: string[] = []
  readonly burned = new Set<string>()
  mood: 'well' | 'answer-lost' | 'command-lost' | 'unprepared' | 'refuses' = 'well'

  async prepare(order: Order) {
    if (this.mood === 'unprepared') throw new NotSent('The line is in mode manual', {})
    return { send: () => this.send(order) }
  }

  private async send({ commandRequestId }: Order) {
    if (this.mood === 'refuses') return { kind: 'RejectedByTarget' as const, readback: '{"code":"REFUSED"}', title: 'Refused' }
    if (this.mood !== 'command-lost' && !this.burned.has(commandRequestId)) this.effects.push(commandRequestId)
    if (this.mood !== 'well') throw new Error('connection lost')
    return { kind: 'Executed' as const, readback: '{"state":"paused"}', title: 'Read back: paused' }
  }

  async settle({ commandRequestId }: Order) {
    this.burned.add(commandRequestId)
    return { isDone: this.effects.includes(commandRequestId), readback: '{}' }
  }

  async close() {}
}

const quick = (name: string, value: Record<string, unknown>): void => {
  if (name !== 'commands') return
  for (const command of value['commands'] as Record<string, number>[]) Object.assign(command, { commandWindowMs: 900, maxLatencyMs: 100 })
}

type Change = (name: string, value: Record<string, unknown>) => void

/** `change` alters the demo plant's documents before the start. */
const start = async (t: TestContext, settings: Record<string, string> = {}, change: Change = () => {}) => {
  const log = openMemoryLog({ partitions: 4 })
  const codec = localCodec()
  await log.admin.ensureTopics(TOPICS.map((name) => ({ name, partitions: name === 'config' ? 1 : 4 })))
  const altered = plantDocuments({}, (name, value) => {
    quick(name, value)
    change(name, value)
  })
  await publishDocuments(log, codec, altered)
  const [opcua, notify, job] = [new Target(), new Target(), new Target()]
  const rig = await startActions(t, { log, codec, executors: { opcua, notify, job } }, settings)
  return { ...rig, log, codec, opcua, notify, job, records: await readActions(t, log, codec) }
}

describe('from a finding to an effect', { concurrency: true }, () => {
  test('a finding proposes, a person approves, the line is paused once and read back', async (t) => {
    const { door, log, codec, opcua, job, notify, records } = await start(t)
    await raise(log, codec, findingOf())
    const step = await door.step('pause', 'awaiting-approval')
    assert.equal(opcua.effects.length, 0)
    const answer = await door.decide('approve', step)
    assert.deepEqual([answer.status, answer.body.outcome], [200, 'DecisionRecorded'])
    await door.step('pause', 'executed')
    await door.step('inspection', 'executed')
    await door.step('notify', 'executed')
    assert.deepEqual([opcua.effects.length, job.effects.length, notify.effects.length], [1, 1, 1])
    const types = records.filter((one) => one.stepId === step.id).map((one) => one.type)
    assert.deepEqual(types, ['StepProposed', 'ApproveRequested', 'DecisionRecorded', 'StepApproved', 'Executing', 'Executed'])
  })

  test('the same finding again opens nothing and executes nothing', async (t) => {
    const { door, log, codec, job } = await start(t)
    await raise(log, codec, findingOf())
    await door.step('inspection', 'executed')
    await raise(log, codec, findingOf())
    await raise(log, codec, findingOf({ findingId: 'f-2', transition: 'updated' }))
    await eventually(async () => assert.equal((await door.get('/v1/incidents')).body.incidents[0].finding.transition, 'updated'))
    assert.equal((await door.get('/v1/incidents')).body.incidents.length, 1)
    assert.equal(job.effects.length, 1)
  })

  test('a second click is the same request and gets the same answer', async (t) => {
    const { door, log, codec, opcua } = await start(t)
    await raise(log, codec, findingOf())
    const step = await door.step('pause', 'awaiting-approval')
    const [first, second] = await Promise.all([door.decide('approve', step), door.decide('approve', step)])
    assert.deepEqual([first.status, second.status], [200, 200])
    assert.equal(first.body.requestId, second.body.requestId)
    await door.step('pause', 'executed')
    assert.equal(opcua.effects.length, 1)
  })

  test('a rejected step never executes', async (t) => {
    const { door, log, codec, opcua } = await start(t)
    await raise(log, codec, findingOf())
    const step = await door.step('pause', 'awaiting-approval')
    assert.equal((await door.decide('reject', step)).status, 200)
    const late = await door.decide('approve', step, 'lead')
    assert.deepEqual([late.status, late.body.code], [409, 'ANDON_ACTIONS_NOT_PENDING'])
    assert.equal(opcua.effects.length, 0)
  })

  test('nobody decides in time: the step expires and nothing runs', async (t) => {
    const { door, log, codec, opcua, records } = await start(t, {}, (name, value) => {
      if (name !== 'policies/press-vibration') return
      for (const step of value['plan'] as Record<string, number>[])
        if (step['escalateMinutes']) Object.assign(step, { escalateMinutes: 0.004, expireMinutes: 0.01 })
    })
    await raise(log, codec, findingOf())
    const step = await door.step('pause', 'expired')
    const late = await door.decide('approve', step)
    assert.deepEqual([late.status, late.body.code], [409, 'ANDON_ACTIONS_NOT_PENDING'])
    assert.deepEqual(
      records.filter((one) => one.type === 'TimerFired').map((one) => one.timer?.name),
      ['escalate', 'expire'],
    )
    assert.equal(opcua.effects.length, 0)
  })

  test('an answer that was lost is settled by reading back: one effect, Executed by readback', async (t) => {
    const { door, log, codec, opcua, records } = await start(t)
    opcua.mood = 'answer-lost'
    await raise(log, codec, findingOf())
    await door.decide('approve', await door.step('pause', 'awaiting-approval'))
    await door.step('pause', 'executed')
    assert.equal(opcua.effects.length, 1)
    assert.equal(records.findLast((one) => one.type === 'Executed' && one.title?.startsWith('Read back'))?.execution?.by, 'readback')
  })

  test('a command that was lost is burnt, settled as not executed and tried again under the same approval', async (t) => {
    const { door, log, codec, opcua, records } = await start(t)
    opcua.mood = 'command-lost'
    await raise(log, codec, findingOf())
    await door.decide('approve', await door.step('pause', 'awaiting-approval'))
    await eventually(() => assert.ok(records.some((one) => one.type === 'NotExecuted')))
    opcua.mood = 'well'
    await door.step('pause', 'executed')
    assert.equal(opcua.effects.length, 1)
  })

  test('a precondition that does not hold abandons the attempt, and the step goes on trying', async (t) => {
    const { door, log, codec, opcua, records } = await start(t)
    opcua.mood = 'unprepared'
    await raise(log, codec, findingOf())
    await door.decide('approve', await door.step('pause', 'awaiting-approval'))
    await eventually(() => assert.equal(records.find((one) => one.type === 'ExecutionAbandoned')?.title, 'The line is in mode manual'))
    opcua.mood = 'well'
    await door.step('pause', 'executed')
  })

  test('a refusal by the target ends the step', async (t) => {
    const { door, log, codec, opcua } = await start(t)
    opcua.mood = 'refuses'
    await raise(log, codec, findingOf())
    await door.decide('approve', await door.step('pause', 'awaiting-approval'))
    await door.step('pause', 'refused-by-target')
  })

  test('a policy whose condition fails still proposes, and asks for everything', async (t) => {
    const { door, log, codec } = await start(t, {}, (name, value) => {
      if (name === 'policies/press-vibration') value['when'] = 'finding.nothing.here > 2'
    })
    await raise(log, codec, findingOf())
    const step = await door.step('inspection', 'awaiting-approval')
    assert.equal(step.approvalsNeeded, 1)
    const { body } = await door.get('/v1/incidents')
    assert.deepEqual(body.incidents[0].notes, ['doubt: gate-error'])
  })

  test('the default policy answers what no other does', async (t) => {
    const { door, log, codec } = await start(t)
    await raise(log, codec, findingOf({ assetId: 'furnace-fan', severity: 3 }))
    await door.step('inspection', 'executed')
    assert.equal((await door.get('/v1/incidents')).body.incidents[0].policy, 'policies/default')
  })
})

describe('holds', () => {
  test('a hold reaches every partition, blocks execution, and its lift frees it', async (t) => {
    const { door, log, codec, opcua, records } = await start(t)
    await raise(log, codec, findingOf())
    const step = await door.step('pause', 'awaiting-approval')
    const hold = await door.post('/v1/holds', { scope: '*', reason: 'somebody is in the cell' })
    assert.deepEqual([hold.status, hold.body.outcome], [200, 'HoldActivated'])
    await eventually(() => assert.equal(new Set(records.filter((one) => one.type === 'HoldActivated').map((one) => one.owner)).size, 4))
    await door.decide('approve', step)
    await door.step('pause', 'approved')
    assert.equal((await door.get('/v1/status')).body.holds.length, 1)
    assert.equal(records.filter((one) => one.type === 'Executing' && one.stepId === step.id).length, 0)
    const lift = await door.post(`/v1/holds/${hold.body.holdId}/lift`, { reason: 'cell is empty' }, 'lead')
    assert.deepEqual([lift.status, lift.body.outcome], [200, 'HoldLifted'])
    await door.step('pause', 'executed')
    assert.equal(opcua.effects.length, 1)
  })

  test('a hold that its door wrote to the home partition alone is carried to all others', async (t) => {
    const { door, log, records } = await start(t)
    const append = log.append.bind(log)
    let writes = 0
    log.append = (appends, options) => {
      const isCopy = appends.some((one) => headersAsMap(one.headers)['ce_type'] === 'HoldRequested') && writes++ > 0 && writes < 4
      return isCopy ? Promise.reject(new Error('door died')) : append(appends, options)
    }
    await door.post('/v1/holds', { scope: '*', reason: 'smoke' })
    await eventually(() => assert.equal(new Set(records.filter((one) => one.type === 'HoldActivated').map((one) => one.owner)).size, 4))
  })
})

describe('the door', () => {
  test('nobody gets in without a token, and an integrator decides nothing', async (t) => {
    const { door } = await start(t)
    assert.equal((await door.call('GET', '/v1/incidents', undefined)).status, 401)
    assert.equal((await door.post('/v1/steps/x/approve', { reason: '', commandHash: 'h' }, 'integrator')).status, 403)
    assert.equal((await door.get('/v1/incidents', 'integrator')).status, 200)
  })

  test('problems name what is wrong', async (t) => {
    const { door } = await start(t)
    const missing = await door.post('/v1/steps/nowhere/approve', { reason: '', commandHash: 'h' })
    assert.deepEqual(
      [missing.status, missing.body.code, missing.headers.get('content-type')],
      [404, 'ANDON_ACTIONS_UNKNOWN_STEP', 'application/problem+json; charset=utf-8'],
    )
    const bad = await door.post('/v1/steps/nowhere/approve', { reason: '' })
    assert.deepEqual([bad.status, bad.body.code], [400, 'ANDON_ACTIONS_BAD_REQUEST'])
    assert.match(bad.body.detail, /commandHash/)
  })

  test('texts and times that no record can hold are refused, not answered with a failure of ours', async (t) => {
    const { door } = await start(t)
    const call = await door.post('/v1/calls', { asset: 'press-1', title: 'Oil' })
    const path = `/v1/incidents/${call.body.incidentId}`
    const refused: [string, object][] = [
      ['/v1/steps/s-1/approve', { reason: '', commandHash: 'a\u001Fb' }],
      ['/v1/calls', { asset: 'press-1', title: 'a\u001Fb' }],
      ['/v1/failures', { asset: 'press-1', at: '0006-01-04T00:06:00Z' }],
      ['/v1/failures', { asset: 'press-1', at: Number.MAX_SAFE_INTEGER }],
      [`${path}/shelve`, { reason: 'x', untilUs: Number.MAX_SAFE_INTEGER }],
      [`${path}/evidence`, { fromUs: Number.MIN_SAFE_INTEGER }],
    ]
    for (const [to, body] of refused) assert.equal((await door.post(to, body, 'lead')).status, 400, `${to} ${JSON.stringify(body)}`)
    assert.equal((await door.post('/v1/steps/a%1Fb/approve', { reason: '', commandHash: 'h' })).status, 400)
    assert.equal((await door.post(`${path}/evidence`, { beforeS: 1.000_000_3 })).status, 200)
  })

  test('a command is proposed by hand and decided by somebody else; an agent proposes nothing that moves, and decides nothing', async (t) => {
    const { door, opcua, job } = await start(t)
    const call = await door.post('/v1/calls', { asset: 'press-1', title: 'Oil on the floor' })
    const path = `/v1/incidents/${call.body.incidentId}/propose`
    const proposed = await door.post(path, { command: 'line.pause', reason: 'oil reaches the drive' })
    assert.equal(proposed.body.outcome, 'StepProposed')
    const { step } = proposed.body
    assert.deepEqual([step.status, step.approvalsNeeded, step.fourEyes, step.policy], ['awaiting-approval', 1, true, 'by-hand'])
    assert.equal((await door.decide('approve', step)).body.code, 'ANDON_ACTIONS_FOUR_EYES')
    assert.equal((await door.decide('approve', step, 'lead')).body.outcome, 'DecisionRecorded')
    await door.step('line.pause', 'executed')
    assert.equal(opcua.effects.length, 1)
    const moving = await door.post(path, { command: 'line.resume', reason: 'all is well' }, 'agent')
    assert.deepEqual([moving.status, moving.body.code], [403, 'ANDON_ACTIONS_ROLE'])
    const harmless = await door.post(path, { command: 'inspection.create', reason: 'bearing' }, 'agent')
    assert.equal(harmless.body.step.status, 'awaiting-approval')
    assert.equal((await door.decide('approve', harmless.body.step, 'agent')).status, 403)
    assert.equal(job.effects.length, 0)
    for (let i = 0; i < 2; i += 1) await door.post(path, { command: 'inspection.create', reason: 'again' }, 'agent')
    assert.equal((await door.post(path, { command: 'inspection.create', reason: 'once more' }, 'agent')).status, 409)
    const unknown = await door.post(path, { command: 'line.explode', reason: 'x' })
    assert.deepEqual([unknown.status, unknown.body.code], [422, 'ANDON_ACTIONS_MALFORMED'])
  })

  test('a call opens an incident and tells the technicians', async (t) => {
    const { door, notify } = await start(t)
    const call = await door.post('/v1/calls', { asset: 'press-1', title: 'Oil on the floor' })
    assert.deepEqual([call.status, call.body.outcome], [200, 'IncidentOpened'])
    await door.step('notify', 'executed')
    assert.equal(notify.effects.length, 1)
    assert.equal((await door.get(`/v1/incidents/${call.body.incidentId}`)).body.title, 'Oil on the floor')
    assert.equal((await door.post('/v1/calls', { line: 'nowhere', title: 'x' })).body.code, 'ANDON_ACTIONS_UNKNOWN_PLACE')
  })

  test('an incident is acknowledged once, commented, shelved and taken back', async (t) => {
    const { door } = await start(t)
    const call = await door.post('/v1/calls', { asset: 'press-1', title: 'Oil on the floor' })
    const path = `/v1/incidents/${call.body.incidentId}`
    const first = await door.post(`${path}/acknowledge`, { reason: 'on my way' })
    assert.deepEqual([first.status, first.body.outcome], [200, 'IncidentAcknowledged'])
    const second = await door.post(`${path}/acknowledge`, {}, 'lead')
    assert.deepEqual([second.status, second.body.code], [409, 'ANDON_ACTIONS_NOT_PENDING'])
    assert.equal((await door.post(`${path}/acknowledge`, {}, 'integrator')).status, 403)
    assert.equal((await door.post(`${path}/comment`, { text: ' ' })).status, 400)
    assert.equal((await door.post(`${path}/comment`, { text: 'Seal of the cylinder' })).body.outcome, 'IncidentCommented')
    const untilUs = Date.now() * 1000 + 3_600_000_000
    assert.equal((await door.post(`${path}/shelve`, { reason: 'spare part comes tomorrow', untilUs })).body.outcome, 'IncidentShelved')
    const { body } = await door.get(path)
    assert.deepEqual([body.acknowledged.by, body.shelvedUntilUs], ['p-operator', untilUs])
    assert.ok(body.timeline.some((one: { title: string }) => one.title === 'Seal of the cylinder'))
    assert.equal((await door.post(`${path}/unshelve`, { reason: 'it came' })).body.outcome, 'IncidentUnshelved')
  })

  test('an asset is out of service until somebody restores it', async (t) => {
    const { door } = await start(t)
    const said = { kind: 'out-of-service', reason: 'overhaul', untilUs: Date.now() * 1000 + 3_600_000_000 }
    assert.equal((await door.post('/v1/assets/nowhere/suppress', said)).body.code, 'ANDON_ACTIONS_UNKNOWN_PLACE')
    assert.equal((await door.post('/v1/assets/press-1/suppress', said)).body.outcome, 'AlarmSuppressed')
    const { body } = await door.get('/v1/alarms/suppressed')
    assert.deepEqual(
      body.suppressed.map((one: { assetId: string; by: string }) => [one.assetId, one.by]),
      [['press-1', 'p-operator']],
    )
    assert.equal((await door.post('/v1/assets/press-1/restore', { reason: 'done' })).body.outcome, 'AlarmRestored')
    assert.deepEqual((await door.get('/v1/alarms/suppressed')).body.suppressed, [])
  })

  test('a step is abstained from, lent and changed over HTTP', async (t) => {
    const { door, log, codec, opcua } = await start(t, {}, (name, value) => {
      if (name !== 'policies/press-vibration') return
      for (const step of value['plan'] as { approvals: number }[]) if (step.approvals > 0) step.approvals = 2
    })
    await raise(log, codec, findingOf())
    const step = await door.step('pause')
    const { commandHash } = step
    assert.equal((await door.decide('approve', step)).body.outcome, 'DecisionRecorded')
    assert.equal((await door.decide('abstain', step)).body.outcome, 'DecisionRecorded')
    assert.deepEqual((await door.step('pause')).approvals, [])
    await door.decide('approve', step)
    assert.deepEqual(
      (await door.step('pause')).approvals.map((one: { by: string }) => one.by),
      ['p-operator'],
    )
    assert.equal((await door.decide('withdraw', step)).body.code, 'ANDON_ACTIONS_NOT_PROPOSER')
    const untilUs = Date.now() * 1000 + 60_000_000
    const lent = await door.post(`/v1/steps/${step.id}/delegate`, { commandHash, to: 'p-integrator', untilUs }, 'lead')
    assert.equal(lent.body.outcome, 'StepDelegated')
    const changed = await door.post(
      `/v1/steps/${step.id}/modify`,
      { commandHash, params: { reviewMinutes: 30 }, reason: 'shorter' },
      'lead',
    )
    assert.equal(changed.body.outcome, 'StepSuperseded')
    const { steps } = (await door.get(`/v1/incidents/${step.incidentId}`)).body
    const now = steps.findLast((one: { name: string }) => one.name === step.name)
    assert.deepEqual([now.params.reviewMinutes, now.status], [30, 'awaiting-approval'])
    assert.equal((await door.decide('approve', now, 'lead')).body.code, 'ANDON_ACTIONS_FOUR_EYES')
    assert.equal(opcua.effects.length, 0)
  })

  test('a call with the same Idempotency-Key is one call', async (t) => {
    const { door, notify } = await start(t)
    const key = { 'idempotency-key': 'k-1' }
    const first = await door.post('/v1/calls', { line: 'press-line', title: 'Oil' }, 'operator', key)
    const second = await door.post('/v1/calls', { line: 'press-line', title: 'Oil' }, 'operator', key)
    assert.equal(first.body.incidentId, second.body.incidentId)
    await door.step('notify', 'executed')
    assert.equal(notify.effects.length, 1)
  })

  test('without an owner the door answers 202 and where the answer will be', async (t) => {
    const { door } = await start(t, { ACTIONS_ROLE: 'door', ACTIONS_ANSWER_WITHIN_MS: '50' })
    const call = await door.post('/v1/calls', { line: 'press-line', title: 'Oil' })
    assert.equal(call.status, 202)
    assert.equal(call.headers.get('location'), call.body.link)
    assert.deepEqual((await eventuallyKnown(door, call.body.link)).body.isDecided, false)
  })

  test('a person orders evidence, by default around the finding with the cameras that see the asset', async (t) => {
    const { door, log, codec, records } = await start(t)
    await raise(log, codec, findingOf())
    await door.step('pause')
    const [incident] = (await door.get('/v1/incidents?open=true')).body.incidents
    const ordered = await door.post(`/v1/incidents/${incident.id}/evidence`, { beforeS: 20, afterS: 10 })
    assert.deepEqual([ordered.status, ordered.body.outcome], [200, 'EvidenceOrdered'])
    const order = records.findLast((one) => one.type === 'EvidenceOrdered')
    assert.deepEqual(order?.evidence?.cameraIds, ['cam-press-front', 'cam-press-rear'])
    assert.equal(order?.by, 'p-operator')
  })

  test('a valid document is published on config once, a bad one is refused with the offending path', async (t) => {
    const { door, log, codec } = await start(t)
    const body = plantDocuments()[3]?.body ?? ''
    const changed = body.replace('"perLinePerHour":12', '"perLinePerHour":7')
    const applied = await door.post(
      '/v1/config',
      { documents: [{ name: 'policies/default', kind: 'policy', body: JSON.parse(changed) }] },
      'lead',
    )
    assert.deepEqual([applied.status, applied.body.documents?.[0].applied, applied.body.detail], [200, true, undefined])
    await eventually(async () => {
      const bodies: string[] = []
      for await (const batch of log.read({ topic: 'config', partition: 0, from: 'earliest', to: 'latest' }))
        for (const one of batch.records) bodies.push(codec.decode<{ body: string }>('config', one.value as Buffer).body)
      assert.equal(bodies.filter((one) => one.includes('"perLinePerHour":7')).length, 1)
    })
    const bad = await door.post(
      '/v1/config',
      { documents: [{ name: 'policies/default', body: changed.replace('"approvals":0', '"approvals":-1') }] },
      'lead',
    )
    assert.equal(bad.status, 422)
    assert.match(bad.body.detail, /plan\[\d\]\.approvals/)
    const motion = changed.replace('inspection.create', 'line.pause').replace('"params":{"priority":"normal"}', '"params":{}')
    const unapproved = await door.post('/v1/config', { documents: [{ name: 'policies/default', body: motion }] }, 'lead')
    assert.equal(unapproved.status, 422)
    assert.match(unapproved.body.detail, /at least 1/)
  })

  test('the stream goes on where Last-Event-ID says, without a gap or a repeat', async (t) => {
    const { door, log, codec } = await start(t)
    const first = await readEvents(door, 3, undefined, () => raise(log, codec, findingOf()))
    const rest = await readEvents(door, 3, first.at(-1)?.id)
    const all = await readEvents(door, 6, Buffer.from('{"0":0,"1":0,"2":0,"3":0}').toString('base64url'))
    assert.equal(new Set(first.concat(rest).map((one) => one.data)).size, 6)
    assert.ok(all.length >= 6)
  })

  test('many clients get the same events with the same ids, and filters take away what is not wanted', async (t) => {
    const { door, log, codec } = await start(t)
    const opened = Promise.withResolvers<void>()
    let waiting = 20
    const ready = async (): Promise<void> => {
      waiting -= 1
      if (waiting === 0) opened.resolve()
      await opened.promise
    }
    const same = Array.from({ length: 18 }, () => readEvents(door, 4, undefined, ready))
    const proposed = readEvents(door, 2, undefined, ready, '?type=StepProposed,StepApproved&asset=press-1')
    const nothing = readEvents(door, 1, undefined, ready, '?line=utilities')
    const silent = Symbol('silent')
    await opened.promise
    await raise(log, codec, findingOf())
    const all = await Promise.all(same)
    for (const one of all) assert.deepEqual(one, all[0])
    const typesSeen = (await proposed).map(({ data }) => (JSON.parse(data) as { type: string }).type)
    assert.ok(typesSeen.every((type) => type === 'StepProposed' || type === 'StepApproved'))
    await door.step('pause')
    assert.equal(await Promise.race([nothing, Promise.resolve(silent)]), silent)
    await door.post('/v1/holds', { scope: 'utilities', reason: 'ends the last client' })
    assert.equal((await nothing).length, 1)
  })

  test('the OpenAPI document names every route', async (t) => {
    const { door } = await start(t, { ACTIONS_ROLE: 'door' })
    const { body } = await door.call('GET', '/openapi.json', undefined)
    assert.equal(body.openapi, '3.1.0')
    assert.deepEqual(Object.keys(body.paths).toSorted(), [
      '/v1/actions/stream',
      '/v1/alarms/kpi',
      '/v1/alarms/suppressed',
      '/v1/assets/{assetId}/restore',
      '/v1/assets/{assetId}/suppress',
      '/v1/calls',
      '/v1/config',
      '/v1/episodes/{episodeId}/verdict',
      '/v1/events',
      '/v1/failures',
      '/v1/failures/check',
      '/v1/failures/{failureId}/withdraw',
      '/v1/fault-modes',
      '/v1/fault-modes/{modeId}',
      '/v1/holds',
      '/v1/holds/{holdId}/lift',
      '/v1/incidents',
      '/v1/incidents/{incidentId}',
      '/v1/incidents/{incidentId}/acknowledge',
      '/v1/incidents/{incidentId}/comment',
      '/v1/incidents/{incidentId}/evidence',
      '/v1/incidents/{incidentId}/propose',
      '/v1/incidents/{incidentId}/shelve',
      '/v1/incidents/{incidentId}/unshelve',
      '/v1/requests/{requestId}',
      '/v1/status',
      '/v1/steps/{stepId}/abstain',
      '/v1/steps/{stepId}/approve',
      '/v1/steps/{stepId}/delegate',
      '/v1/steps/{stepId}/modify',
      '/v1/steps/{stepId}/reject',
      '/v1/steps/{stepId}/revoke',
      '/v1/steps/{stepId}/withdraw',
      '/v1/verdicts',
    ])
  })
})

describe('owners', () => {
  test('an append with an unknown result ends the epoch, and the request is decided once in the next', async (t) => {
    const { door, log, codec, records } = await start(t)
    await raise(log, codec, findingOf())
    const step = await door.step('pause', 'awaiting-approval')
    const append = log.append.bind(log)
    let isLost = false
    log.append = async (appends, options) => {
      const result = await append(appends, options)
      if (!isLost && appends.some((one) => headersAsMap(one.headers)['ce_type'] === 'DecisionRecorded')) {
        isLost = true
        throw new Error('acknowledgement lost')
      }
      return result
    }
    await door.decide('approve', step)
    await door.step('pause', 'executed')
    assert.ok(isLost)
    assert.equal(records.filter((one) => one.type === 'StepApproved' && one.stepId === step.id).length, 1)
    assert.ok(Math.max(...records.filter((one) => one.type === 'OwnershipTaken').map((one) => one.epoch ?? 0)) >= 2)
  })

  test('a request whose answer does not fit into a record is refused, and the log goes on', async (t) => {
    const { log, codec, records, door } = await start(t)
    const actionsLog = openActionsLog(log, codec, createLogger({ service: 'test', level: 'silent' }))
    const finding = findingOf({ findingId: 'f-huge', title: 'x'.repeat(600_000) })
    const huge = record('FindingCopied', 'f-huge', 'press-line', Date.now() * 1000, { finding })
    await actionsLog.append(partitionOf('press-line', 4), [huge])
    await eventually(() => assert.equal(records.find((one) => one.requestId === 'f-huge')?.refusal?.code, 'ANDON_ACTIONS_UNDECIDABLE'))
    await raise(log, codec, findingOf())
    await door.step('inspection', 'executed')
  })

  test('a partition with a record that cannot be folded executes nothing and says so; the others go on', async (t) => {
    const { log, codec, door, running, job } = await start(t)
    await raise(log, codec, findingOf({ assetId: 'furnace-fan', episodeId: 'e-before', findingId: 'f-before' }))
    await door.step('inspection', 'executed')
    const partition = partitionOf('press-line', 4)
    assert.notEqual(partition, partitionOf('utilities', 4))
    const { partitions } = (await door.get('/v1/status')).body
    const { epoch, owner } = partitions.find((one: { partition: number }) => one.partition === partition)
    const broken = { ...fact('ConfigApplied', 'press-line', Date.now() * 1000, ['x'], { detail: '{' }), epoch, owner }
    await openActionsLog(log, codec, createLogger({ service: 'test', level: 'silent' })).append(partition, [broken])
    await eventually(async () => {
      const ready = await fetch(`http://127.0.0.1:${running.adminPort}/readyz`)
      assert.match(await ready.text(), /cannot be folded/)
    })
    await raise(log, codec, findingOf())
    await raise(log, codec, findingOf({ assetId: 'furnace-fan', episodeId: 'e-after', findingId: 'f-after' }))
    await eventually(() => assert.equal(job.effects.length, 2))
    assert.equal((await door.get('/v1/incidents')).body.incidents.filter((one: { line: string }) => one.line === 'press-line').length, 0)
  })

  test('a second instance shares the partitions, and each step still has one effect', async (t) => {
    const first = await start(t)
    const second = await startActions(t, {
      log: openMemoryLog({ store: first.log.store }),
      codec: first.codec,
      executors: { opcua: first.opcua, notify: first.notify, job: first.job },
    })
    for (let n = 0; n < 4; n += 1)
      await raise(
        first.log,
        first.codec,
        findingOf({ findingId: `f-${n}`, episodeId: `e-${n}`, assetId: n % 2 ? 'press-1' : 'furnace-fan' }),
      )
    await eventually(async () => {
      const { body } = await second.door.get('/v1/incidents')
      assert.equal(body.incidents.length, 4)
      assert.ok(
        body.incidents.every((one: { steps: { name: string; status: string }[] }) =>
          one.steps.every((step) => step.name === 'pause' || step.status === 'executed'),
        ),
      )
    }, 15_000)
    assert.equal(first.job.effects.length, 4)
  })
})

const eventuallyKnown = (door: DoorClient, path: string) =>
  eventually(async () => {
    const found = await door.get(path)
    assert.equal(found.status, 200)
    return found
  })

const readEvents = async (
  door: DoorClient,
  count: number,
  lastEventId?: string,
  afterOpen: () => Promise<void> = async () => {},
  query = '',
) => {
  const abort = new AbortController()
  const response = await fetch(`${door.base}/v1/actions/stream${query}`, {
    headers: { authorization: 'Bearer token-operator', ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }) },
    signal: abort.signal,
  })
  await afterOpen()
  const events: { id: string; data: string }[] = []
  let text = ''
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk).toString()
    const blocks = text.split('\n\n')
    text = blocks.pop() ?? ''
    for (const block of blocks) {
      const id = /^id: (.*)$/m.exec(block)?.[1]
      const data = /^data: (.*)$/m.exec(block)?.[1]
      if (id !== undefined && data !== undefined) events.push({ id, data })
    }
    if (events.length >= count) break
  }
  abort.abort()
  return events.slice(0, count)
}
