// From a payload that nobody can map to its row on the log: quarantined with what it came with, released after the source file was corrected.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLogger } from '@andon/kit'
import type { Documents, LogRecord, Principals } from '@andon/kit'
import { parseSource } from '@andon/schemas'
import type { PlantSource } from '@andon/schemas'
import { mountAmendments } from '../src/adapters/amend.ts'
import { httpDoor } from '../src/adapters/http.ts'
import { systemClock } from '../src/clock.ts'
import { HttpRoutes } from '../src/http-routes.ts'
import { messages } from '../src/mqtt/messages.ts'
import type { MqttSourceFile } from '../src/mqtt/topics.ts'
import { quarantineTopic } from '../src/records.ts'
import { logged, openRig, plant, rowsOf } from './rig.ts'
import type { ManualClock } from './rig.ts'
import { until } from './source-conformance.ts'

const logger = createLogger({ service: 'ingest', level: 'silent' })
const principals: Principals = { of: (token) => (token === 'operator' ? { id: 'p-1', roles: ['operator'] } : undefined) }
/** What `andon quarantine release` sends for a record. */
const releaseOf = (record: LogRecord): Record<string, unknown> => {
  const quarantineId = record.header('ce_id')
  const reading = record.header('andon-quarantine-reading')
  if (reading !== undefined) return { quarantineId, reading: JSON.parse(reading) as object }
  const arrival = JSON.parse(record.header('andon-quarantine-arrival')!) as object
  return { quarantineId, mapped: { file: record.header('andon-quarantine-mapping'), arrival, payload: record.value!.toString('base64') } }
}

const file = (field: string): PlantSource =>
  parseSource({
    version: 1,
    id: 'boilers',
    kind: 'mqtt',
    topic: 'boilers/+boiler',
    mapping: { asset: { field: '{boiler}' }, time: { field: 't', format: 'ms' }, channels: { temperatureC: { field } } },
  })

test('what a mapping could not read is released once the source file is right; what the plant refused, as it was mapped', async () => {
  const rig = await openRig({ isRunning: true, clock: systemClock() as unknown as ManualClock })
  await until(() => rig.wiring.refusing() === undefined, 'the intake')
  let source = file('wrong')
  const values: Record<string, unknown> = { plant, 'sources/boilers': source }
  const documents = { get: (name: string) => ({ value: name === 'sources/boilers' ? source : values[name] }) } as unknown as Documents
  const routes = new HttpRoutes()
  mountAmendments(routes, { principals: () => principals, documents: () => documents, logger, intake: rig.wiring.intake })
  const door = httpDoor({ host: '127.0.0.1', port: 0, principals, maxBodyBytes: 1 << 20, logger, routes })
  await door.start(rig.wiring.intake, () => undefined)

  const inbox = messages({
    door: 'mqtt',
    intake: rig.wiring.intake,
    files: () => [source as MqttSourceFile],
    buttons: undefined,
    nowUs: () => Date.now() * 1000,
  })
  const payload = Buffer.from(JSON.stringify({ t: Date.now(), temp: 80 }))
  assert.match((await inbox.take({ topic: 'boilers/oven', payload })) ?? '', /ANDON_INGEST_MAPPING/)
  source = file('temp')
  inbox.reload()
  const tooHot = Buffer.from(JSON.stringify({ t: Date.now(), temp: 5000 }))
  assert.match((await inbox.take({ topic: 'boilers/oven', payload: tooHot })) ?? '', /ANDON_INGEST_OUT_OF_RANGE/)

  const kept: LogRecord[] = []
  await until(async () => {
    kept.length = 0
    for await (const batch of rig.log.read({ topic: quarantineTopic, partition: 0, from: 'earliest', to: 'latest' }))
      kept.push(...batch.records)
    return kept.length === 2
  }, 'the quarantine')
  const [unmapped, refused] = kept.map((record) => releaseOf(record)) as [Record<string, unknown>, { reading: { values: object } }]
  assert.ok('mapped' in unmapped)
  assert.deepEqual(refused.reading.values, { temperatureC: 5000 })

  const release = (each: object) =>
    fetch(`http://127.0.0.1:${door.port()}/v1/releases`, {
      method: 'POST',
      headers: { authorization: 'Bearer operator', 'content-type': 'application/json' },
      body: JSON.stringify({ reason: 'the file named another field', releases: [each] }),
    }).then((answer) => answer.json())
  for (let again = 0; again < 2; again++) assert.deepEqual(await release(unmapped), { accepted: 1, refused: [], dryRun: false })
  const released = `release:${kept[0]!.header('ce_id')}`
  await until(async () => rowsOf(await logged(rig.log), released).length > 0, 'the row')
  await door.stop()
  await rig.wiring.stop()
})
