// The service as its own process against a real broker, registry, Redis, NATS, the demo plant's line over OPC UA, its sinks
// and mail. It is ended with kill -9 in the middle of a command, and the line's ledger says what really happened.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { connect } from 'nats'
import type { NatsConnection } from 'nats'
import { followTopic, openCodec, openKafkaLog } from '@andon/kit'
import type { Codec, Follow, Log } from '@andon/kit'
import { freePorts, startKafka, startNats, startRedis, startRegistry } from '@andon/platform'
import { topology } from '@andon/schemas'
import type { Actions } from '@andon/schemas'
import { startLineSimulator, startSinks } from '@andon/steel-plant'
import type { LineSimulator, Sinks } from '@andon/steel-plant'
import { DoorClient, eventually, findingOf, plantDocuments, publishDocuments, raise, settingsIn, WEBHOOK_SECRET } from './rig.ts'

const dir = mkdtempSync(join(tmpdir(), 'andon-actions-int-'))
const ends: (() => Promise<unknown> | void)[] = [() => rmSync(dir, { recursive: true, force: true })]
let log: Log
let codec: Codec
let line: LineSimulator
let sinks: Sinks
let nats: NatsConnection
let settings: Record<string, string>
let child: ChildProcess
let door: DoorClient
let opcuaPort = 0
const records: Actions[] = []
const notices: string[] = []

/** One instance as its own process; resolves when it is ready. */
const startService = async (): Promise<void> => {
  child = spawn(process.execPath, [new URL('../src/main.ts', import.meta.url).pathname], {
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  await eventually(async () => {
    const response = await fetch(`http://127.0.0.1:${settings['ACTIONS_ADMIN_PORT']}/readyz`)
    assert.equal(response.status, 200, await response.text())
  }, 30_000)
}

const endService = async (signal: NodeJS.Signals): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill(signal)
  await ended
}

/** Short windows, so that unknown outcomes are settled within seconds; no budget, since one line has all the branches. */
const quick = (name: string, value: Record<string, unknown>): void => {
  if (name === 'policies/press-vibration') value['budget'] = { perLinePerHour: 1000 }
  if (name !== 'commands') return
  for (const command of value['commands'] as Record<string, unknown>[]) {
    const isLine = command['name'] === 'line.pause' || command['name'] === 'line.resume'
    if (isLine) Object.assign(command, { commandWindowMs: 3_000, maxLatencyMs: 1_000, limits: { perHour: 1000 } })
  }
}

/** The press's plan with one step of another kind, for findings of this title. */
const planned = (title: string, step: Record<string, unknown>): ReturnType<typeof plantDocuments> =>
  plantDocuments({}, (name, value) => {
    if (name !== 'policies/press-vibration') return
    const [inspection] = value['plan'] as unknown[]
    Object.assign(value, {
      when: `finding.title == "${title}"`,
      plan: [inspection, { approvals: 1, roles: ['operator'], ...step }],
      budget: { perLinePerHour: 1000 },
    })
  })
    .filter(({ name }) => name === 'policies/press-vibration')
    .map((document) => {
      const name = `policies/a-${title}`
      return { ...document, name, digest: title, body: document.body.replace('policies/press-vibration', name) }
    })

before(async () => {
  const kafka = await startKafka()
  ends.push(() => kafka.stop())
  const [registry, redis, natsServer] = await Promise.all([startRegistry({ brokers: kafka.brokers }), startRedis(), startNats()])
  ends.push(
    () => registry.stop(),
    () => redis.stop(),
    () => natsServer.stop(),
  )
  const [linePort = 0, httpPort = 0, adminPort = 0] = await freePorts(3)
  opcuaPort = linePort
  line = await startLineSimulator({ port: opcuaPort, pkiDir: join(dir, 'line'), stopMs: 600 })
  ends.push(() => line.stop())
  sinks = await startSinks({ host: '127.0.0.1', httpPort: 0, smtpPort: 0, webhookSecret: WEBHOOK_SECRET })
  ends.push(() => sinks.stop())
  nats = await connect({ servers: natsServer.url })
  ends.push(() => nats.close())
  nats.subscribe('andon.notify.>', { callback: (_error, message) => void notices.push(message.string()) })

  log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'test' })
  ends.push(() => log.close())
  codec = await openCodec({ registryUrl: registry.url })
  await log.admin.ensureTopics(
    Object.entries(topology.topics).map(([name, topic]) => ({ name, partitions: topic.partitions, configs: topic.configs })),
  )
  await publishDocuments(log, codec, [
    ...plantDocuments({ opcua: opcuaPort, sinks: sinks.httpPort, smtp: sinks.smtpPort }, quick),
    ...planned('hurry', { step: 'pause', command: 'line.pause', params: { reviewMinutes: 45 }, expireMinutes: 0.03 }),
    ...planned('resume', { step: 'resume', command: 'line.resume' }),
  ])
  const follow: Follow = await followTopic<Actions>(log, codec, 'actions', (input) => void records.push(input.value))
  ends.push(() => follow.stop())

  settings = settingsIn(dir, {
    ANDON_KAFKA_BROKERS: kafka.brokers.join(','),
    ANDON_REGISTRY_URL: registry.url,
    ANDON_REDIS_URL: redis.url,
    ANDON_NATS_URL: natsServer.url,
    ACTIONS_HTTP_PORT: String(httpPort),
    ACTIONS_ADMIN_PORT: String(adminPort),
    ACTIONS_MAX_STOP_MS: '500',
  })
  door = new DoorClient(`http://127.0.0.1:${httpPort}`)
  await startService()
  ends.push(() => endService('SIGKILL'))
})

after(async () => {
  for (const end of ends.toReversed()) await end()
})

const pauses = () => line.ledger().filter((one) => one.effect === 'pause')
const breakers = () => records.flatMap(({ type, breaker }) => (type === 'BreakerChanged' && breaker !== null ? [breaker.state] : []))

describe('the service against real servers', () => {
  test('finding → proposal → approval by a person → the line pauses once and is read back; people and integrators are told', async () => {
    const startedMs = performance.now()
    await raise(log, codec, findingOf())
    const step = await door.step('pause', 'awaiting-approval')
    const proposedMs = Math.round(performance.now() - startedMs)
    const decidedMs = performance.now()
    const answer = await door.decide('approve', step)
    const answeredMs = Math.round(performance.now() - decidedMs)
    assert.equal(answer.status, 200)
    const done = await door.step('pause', 'executed')
    assert.match(done.note, /"state":"paused"/)
    assert.equal(line.line.state, 'paused')
    assert.deepEqual(
      pauses().map((one) => one.requestId),
      [records.find((one) => one.type === 'Executed' && one.stepId === step.id)?.execution?.commandRequestId],
    )
    await door.step('inspection', 'executed')
    await door.step('notify', 'executed')
    const received = await eventually(() => {
      const now = sinks.received()
      const types = now.webhooks.map((one) => (one.body as { type: string }).type)
      for (const type of ['IncidentOpened', 'StepProposed', 'StepApproved', 'Executed'])
        assert.ok(types.includes(type), `no webhook ${type}`)
      return now
    })
    assert.ok(
      received.webhooks.every((one) => one.verified),
      'a webhook does not verify',
    )
    assert.equal(received.jobs.length, 1)
    assert.match(received.mails[0]?.subject ?? '', /Vibration of press-1/)
    assert.ok(notices.some((one) => one.includes('"type":"StepProposed"')))
    process.stdout.write(`proposed after ${proposedMs} ms, approval answered after ${answeredMs} ms\n`)
    line.reset()
  })

  test('a rejected pause leaves the line running', async () => {
    const before = pauses().length
    await raise(log, codec, findingOf({ findingId: 'f-reject', episodeId: 'e-reject' }))
    const step = await stepOf('e-reject')
    await door.decide('reject', step)
    await eventually(async () => assert.equal((await stepOf('e-reject')).status, 'rejected'))
    assert.equal(pauses().length, before)
    assert.equal(line.line.state, 'running')
  })

  test('under a hold an approved pause waits; lifting the hold lets it go', async () => {
    const before = pauses().length
    const hold = await door.post('/v1/holds', { scope: 'press-line', reason: 'somebody is in the cell' })
    assert.equal(hold.status, 200)
    await raise(log, codec, findingOf({ findingId: 'f-hold', episodeId: 'e-hold' }))
    const step = await stepOf('e-hold')
    assert.equal((await door.decide('approve', step)).status, 200)
    assert.equal(pauses().length, before)
    await door.post(`/v1/holds/${hold.body.holdId}/lift`, { reason: 'cell is empty' }, 'lead')
    await eventually(async () => assert.equal((await stepOf('e-hold')).status, 'executed'))
    assert.equal(pauses().length, before + 1)
    line.reset()
  })

  test('a line in manual mode is not paused, and it is said why', async () => {
    const before = pauses().length
    line.line.setMode('manual')
    await raise(log, codec, findingOf({ findingId: 'f-manual', episodeId: 'e-manual' }))
    await door.decide('approve', await stepOf('e-manual'))
    await eventually(async () => assert.match((await stepOf('e-manual')).note, /mode manual/))
    assert.equal(pauses().length, before)
    line.line.setMode('automatic')
    await eventually(async () => assert.equal((await stepOf('e-manual')).status, 'executed'), 20_000)
    line.reset()
  })

  for (const wasAccepted of [true, false])
    test(`kill -9 between the intent and the outcome, the line ${wasAccepted ? 'had accepted' : 'had not heard of it'}: settled by burning the request id, one effect`, async () => {
      const before = pauses().length
      const burntBefore = line.answers().filter((one) => one.request === 'burn').length
      const name = wasAccepted ? 'killed-late' : 'killed-early'
      await raise(log, codec, findingOf({ findingId: `f-${name}`, episodeId: `e-${name}` }))
      const step = await stepOf(`e-${name}`)
      await door.decide('approve', step)
      if (wasAccepted) await eventually(() => assert.equal(pauses().length, before + 1))
      else await eventually(() => assert.ok(records.some((one) => one.type === 'Executing' && one.stepId === step.id)))
      await endService('SIGKILL')
      await startService()
      await eventually(async () => assert.equal((await stepOf(`e-${name}`)).status, 'executed'), 60_000)
      assert.equal(pauses().length, before + 1)
      const burnt = line.answers().filter((one) => one.request === 'burn')
      assert.ok(burnt.length > burntBefore, 'nothing was burnt')
      // The test's own reader may still be behind the door's.
      await eventually(() => {
        const outcomes = records
          .filter((one) => one.stepId === step.id && one.execution?.outcome)
          .map((one) => `${one.type} by ${one.execution?.by}`)
        assert.ok(
          outcomes.some((one) => one.endsWith('by readback')),
          outcomes.join(', '),
        )
        assert.equal(outcomes.filter((one) => one.startsWith('Executed')).length, 1)
      })
      line.reset()
    })

  test('nobody decides in time: the pause expires, a late approval is refused, the line runs', async () => {
    const before = pauses().length
    await raise(log, codec, findingOf({ findingId: 'f-late', episodeId: 'e-late', title: 'hurry' }))
    const step = await stepOf('e-late')
    await eventually(async () => assert.equal((await stepOf('e-late')).status, 'expired'))
    const late = await door.decide('approve', step)
    assert.equal(late.status, 409, JSON.stringify(late.body))
    assert.equal(pauses().length, before)
    assert.equal(line.line.state, 'running')
  })

  test('two people approve at once, each twice: one approval counts, one pause', async () => {
    const before = pauses().length
    await raise(log, codec, findingOf({ findingId: 'f-twice', episodeId: 'e-twice' }))
    const step = await stepOf('e-twice')
    const people = ['operator', 'lead', 'operator', 'lead'] as const
    const answers = await Promise.all(people.map((person) => door.decide('approve', step, person)))
    assert.ok(answers.some(({ status }) => status === 200))
    await eventually(async () => assert.equal((await stepOf('e-twice')).status, 'executed'))
    assert.equal(pauses().length, before + 1)
    assert.equal(records.filter((one) => one.stepId === step.id && one.type === 'StepApproved').length, 1)
    line.reset()
  })

  test('the line refuses an approved pause: a refusal with its code, nothing is tried again', async () => {
    const before = pauses().length
    line.line.refuse(true)
    await raise(log, codec, findingOf({ findingId: 'f-refuse', episodeId: 'e-refuse' }))
    await door.decide('approve', await stepOf('e-refuse'))
    await eventually(async () => assert.match((await stepOf('e-refuse')).note, /REFUSED/))
    assert.equal((await stepOf('e-refuse')).status, 'refused-by-target')
    assert.equal(pauses().length, before)
    line.reset()
  })

  test('the line acts and its answer is lost: unknown first, then known by reading back, one effect', async () => {
    const before = pauses().length
    line.line.misbehave({ answers: 'lost', times: 1 })
    await raise(log, codec, findingOf({ findingId: 'f-lost', episodeId: 'e-lost' }))
    const step = await stepOf('e-lost')
    await door.decide('approve', step)
    await eventually(async () => assert.equal((await stepOf('e-lost')).status, 'executed'), 60_000)
    const outcomes = () => records.filter((one) => one.stepId === step.id && one.execution?.outcome).map(({ type }) => type)
    await eventually(() => assert.equal(outcomes().at(-1), 'Executed', outcomes().join()))
    assert.equal(pauses().length, before + 1)
    assert.equal(line.line.state, 'paused')
  })

  test('an approved resume waits for the local reset at the machine, then the line runs', async () => {
    assert.equal(line.line.state, 'paused')
    await raise(log, codec, findingOf({ findingId: 'f-resume', episodeId: 'e-resume', title: 'resume' }))
    const step = await stepOf('e-resume', 'resume')
    assert.equal((await door.decide('approve', step)).status, 200)
    await eventually(async () => assert.match((await stepOf('e-resume', 'resume')).note, /local reset/))
    assert.equal(line.line.state, 'paused')
    line.line.localReset()
    await eventually(async () => assert.equal((await stepOf('e-resume', 'resume')).status, 'executed'), 30_000)
    assert.equal(line.line.state, 'running')
    assert.deepEqual(
      line
        .ledger()
        .slice(-2)
        .map(({ effect }) => effect),
      ['pause', 'resume'],
    )
    line.reset()
  })

  test('the line is gone: its breaker opens, approvals are refused meanwhile; it comes back, the breaker closes and the approved pause runs', async () => {
    await line.stop()
    await raise(log, codec, findingOf({ findingId: 'f-gone', episodeId: 'e-gone' }))
    await raise(log, codec, findingOf({ findingId: 'f-next', episodeId: 'e-next' }))
    const next = await stepOf('e-next')
    await door.decide('approve', await stepOf('e-gone'))
    await eventually(async () => assert.ok(breakers().includes('open'), (await stepOf('e-gone')).note), 90_000)
    await eventually(async () => {
      const refused = await door.decide('approve', next)
      assert.deepEqual([refused.status, refused.body.code], [409, 'ANDON_ACTIONS_BREAKER_OPEN'], JSON.stringify(refused.body))
    })
    const known = pauses().length
    line = await startLineSimulator({ port: opcuaPort, pkiDir: join(dir, 'line'), stopMs: 600, line: line.line })
    await eventually(async () => assert.equal((await stepOf('e-gone')).status, 'executed'), 60_000)
    assert.equal(breakers().at(-1), 'closed')
    assert.equal(pauses().length, known + 1)
    assert.equal((await door.decide('reject', next)).status, 200)
    line.reset()
  })

  test('every effect of the line has an approval before its intent on the log', () => {
    for (const { requestId } of pauses()) {
      const intent = records.findIndex((one) => one.type === 'Executing' && one.execution?.commandRequestId === requestId)
      const approval = records.findIndex((one) => one.type === 'StepApproved' && one.stepId === records[intent]?.stepId)
      assert.ok(approval >= 0 && approval < intent)
    }
  })

  test('SIGTERM ends the process in order', async () => {
    await endService('SIGTERM')
    assert.equal(child.exitCode, 0)
  })
})

/** The step of this episode. */
const stepOf = (episodeId: string, name = 'pause') =>
  eventually(async () => {
    const { body } = await door.get('/v1/incidents')
    const incident = body.incidents.find((one: { finding: { episodeId: string } | null }) => one.finding?.episodeId === episodeId)
    const step = incident?.steps.find((one: { name: string }) => one.name === name)
    assert.ok(step, `no ${name} for ${episodeId}`)
    return step as { id: string; status: string; note: string; commandHash: string }
  })
