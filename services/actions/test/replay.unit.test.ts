// The service in a replay run, on the log in memory: it proposes and decides beside the live log and reaches nothing.

import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { test } from 'node:test'
import { codeOf, createLogger, localCodec, openMemoryLog, openReplayLog, startService } from '@andon/kit'
import type { Log, ReplayPlan } from '@andon/kit'
import { inertExecutor } from '../src/adapters/inert.ts'
import { NotSent } from '../src/adapters/executor.ts'
import type { Order } from '../src/adapters/executor.ts'
import { loadConfig } from '../src/config.ts'
import { actionsReplay } from '../src/replay.ts'
import { actionsService } from '../src/service.ts'
import { findingOf, plantDocuments, publishDocuments, raise, TOPICS } from './rig.ts'

const codec = localCodec()
const logger = createLogger({ service: 'actions', level: 'silent' })

const planOf = async (log: Log): Promise<ReplayPlan> => ({
  contract: 1,
  id: 'run-1',
  service: 'actions',
  input: { topic: 'anomalies', from: 'anomalies' },
  partitions: (await log.admin.watermarks('anomalies'))
    .filter(({ high }) => high > 0)
    .map(({ partition, high }) => ({ partition, start: 0, from: 0, to: high })),
  writes: ['actions'],
  fromMs: 0,
  retentionMs: 86_400_000,
  speed: 'max',
  pins: [],
  models: [],
})

const typesOn = async (log: Log, topic: string): Promise<string[]> => {
  const types: string[] = []
  for (const { partition } of await log.admin.watermarks(topic))
    for await (const batch of log.read({ topic, partition, from: 'earliest', to: 'latest' }))
      for (const record of batch.records) types.push(record.header('ce_type') ?? '')
  return types
}

test('findings become proposals and approved steps in the run, nothing is executed, no live topic and no socket is touched', async (t) => {
  let calls = 0
  const trap = createServer((socket) => {
    calls++
    socket.destroy()
  }).listen(0, '127.0.0.1')
  await once(trap, 'listening')
  t.after(() => trap.close())
  const { port } = trap.address() as { port: number }
  const live = openMemoryLog({ partitions: 2 })
  await live.admin.ensureTopics(TOPICS.map((name) => ({ name, partitions: 2 })))
  const askNobody = (_name: string, value: Record<string, unknown>): void => {
    for (const step of (value['plan'] as { approvals: number; fourEyes?: boolean }[] | undefined) ?? []) {
      step.approvals = 0
      delete step.fourEyes
    }
  }
  await publishDocuments(live, codec, plantDocuments({ opcua: port, sinks: port, smtp: port }, askNobody))
  await raise(live, codec, findingOf())
  await raise(live, codec, findingOf({ findingId: 'f-2', episodeId: 'e-2', assetId: 'furnace-fan' }))
  const config = loadConfig({
    ANDON_LOG_LEVEL: 'silent',
    ANDON_NATS_URL: `nats://127.0.0.1:${port}`,
    ANDON_REDIS_URL: `redis://127.0.0.1:${port}`,
    ACTIONS_WEBHOOK_SECRET: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  })
  const log = await openReplayLog(openMemoryLog({ store: live.store }), codec, await planOf(live))
  const service = actionsReplay(config, { log, codec, logger })
  const running = await startService(service, undefined, true)
  try {
    await service.replay!.finished()
  } finally {
    await running.stop()
  }
  const types = await typesOn(live, 'actions.run.run-1')
  for (const type of ['FindingCopied', 'IncidentOpened', 'StepProposed', 'StepApproved'])
    assert.ok(types.includes(type), `${type} in ${types.join(', ')}`)
  assert.equal(types.filter((type) => type === 'FindingCopied').length, 2)
  assert.equal(types.includes('Executing'), false)
  assert.deepEqual(await typesOn(live, 'actions'), [])
  assert.equal(calls, 0)
})

test('what stands in the place of executors refuses with a code, and says that nothing left', async () => {
  const { signal } = new AbortController()
  for (const attempt of [inertExecutor.prepare({} as Order, signal), inertExecutor.settle({} as Order, signal)])
    await assert.rejects(attempt, (error: unknown) => error instanceof NotSent && /ANDON_REPLAY_INERT/.test(error.message))
})

test('the live service declares no replay: started as one it is refused by name', async () => {
  const log = openMemoryLog()
  const service = actionsService(loadConfig({ ANDON_LOG_LEVEL: 'silent', ACTIONS_ROLE: 'owner' }), { log, codec, logger })
  await assert.rejects(startService(service, undefined, true), (error: unknown) => codeOf(error) === 'ANDON_REPLAY_CONTRACT')
})
