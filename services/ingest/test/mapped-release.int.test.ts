// From a payload that nobody can map to its row on the log: quarantined with what it came with, released after the source file was corrected.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LogRecord } from '@andon/kit'
import { parseSource } from '@andon/schemas'
import type { PlantSource } from '@andon/schemas'
import { messages } from '../src/mqtt/messages.ts'
import type { MqttSourceFile } from '../src/mqtt/topics.ts'
import { quarantineTopic } from '../src/records.ts'
import { openAmendRig } from './amend-rig.ts'
import { logged, rowsOf } from './rig.ts'
import { until } from './until.ts'

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
  const rig = await openAmendRig()
  let source = (rig.documents['sources/boilers'] = file('wrong'))

  const inbox = messages({
    door: 'mqtt',
    intake: rig.wiring.intake,
    files: () => [source as MqttSourceFile],
    buttons: undefined,
    nowUs: () => Date.now() * 1000,
  })
  const payload = Buffer.from(JSON.stringify({ t: Date.now(), temp: 80 }))
  assert.match((await inbox.take({ topic: 'boilers/oven', payload })) ?? '', /ANDON_INGEST_MAPPING/)
  source = rig.documents['sources/boilers'] = file('temp')
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

  const release = async (each: object) =>
    (await rig.post('/v1/releases', { reason: 'the file named another field', releases: [each] })).body
  for (let again = 0; again < 2; again++) assert.deepEqual(await release(unmapped), { accepted: 1, refused: [], dryRun: false })
  const released = `release:${kept[0]!.header('ce_id')}`
  await until(async () => rowsOf(await logged(rig.log), released).length > 0, 'the row')
  await rig.stop()
})
