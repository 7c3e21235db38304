// Dead letters as data: what is open, how they are grouped, and what a redrive sends in which lane.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEAD_LETTER_HEADER, HEADER, type MemoryLog, openMemoryLog } from '@andon/kit'
import { deadLetter, settlement } from '@andon/kit/dead-letters'
import { AndonError } from '@andon/kit/errors'
import { type Letter, chooseLetters, groupLetters, originalOf, placeOf, planRedrive, readLetters } from '../src/data/letters.ts'

const topic = 'features.inference.dlq'

/** A log whose features could not be read: one letter per given cause offset, in that order. */
const withLetters = async (...causes: readonly number[]): Promise<MemoryLog> => {
  const log = openMemoryLog({ partitions: 1 })
  for (const cause of causes) {
    await log.append([
      {
        topic: 'features',
        key: 'press-1',
        value: Buffer.from(`torn ${cause}`),
        timestampMs: 7,
        headers: { [HEADER.id]: `v-${cause}`, [HEADER.lane]: 'live', [HEADER.cause]: `telemetry/0/0/${cause}/0` },
      },
    ])
  }
  for await (const batch of log.read({ topic: 'features', partition: 0, from: 0, to: 'latest' }))
    await log.append(
      batch.records.map((record) => deadLetter(record, 'inference', new AndonError('ANDON_TEST', 'torn'), 1_000_000 + record.offset)),
    )
  return log
}

const places = (letters: readonly { letter: Letter }[]) => letters.map(({ letter }) => placeOf(letter))

test('letters of one code and one stack hash are one group', async () => {
  const log = await withLetters(1, 2, 3)
  const [group, ...others] = groupLetters(await readLetters(log, topic))
  assert.deepEqual(others, [])
  assert.deepEqual([group?.letters, group?.code, group?.firstSeenUs, group?.lastSeenUs], [3, 'ANDON_TEST', 1_000_000, 1_000_002])
  assert.equal(group?.newest, '0@2')
})

test('a settled letter is hidden unless all are asked for', async () => {
  const log = await withLetters(1, 2)
  const [first] = await readLetters(log, topic)
  await log.append([settlement(first!, { as: 'discarded', reason: 'test device' })])
  const letters = await readLetters(log, topic)
  assert.equal(letters.length, 2) // the settlement is no letter
  assert.deepEqual(chooseLetters(letters, {}).map(placeOf), ['0@1'])
  assert.deepEqual(chooseLetters(letters, { all: true }).map(placeOf), ['0@0', '0@1'])
  assert.deepEqual(letters[0]?.settled, { as: 'discarded', reason: 'test device' })
})

test('filters choose by code, place and first-seen time, oldest first', async () => {
  const letters = await readLetters(await withLetters(1, 2, 3), topic)
  assert.deepEqual(chooseLetters(letters, { code: 'ANDON_OTHER' }), [])
  assert.deepEqual(chooseLetters(letters, { at: ['0@2'] }).map(placeOf), ['0@2'])
  assert.deepEqual(chooseLetters(letters, { sinceUs: 1_000_001, limit: 1 }).map(placeOf), ['0@1'])
  assert.throws(() => chooseLetters(letters, { at: ['0@9'] }), { code: 'ANDON_CLI_LETTER_UNKNOWN' })
})

test('a redrive goes in the order of the causes and in a lane that follows from the letters', async () => {
  const letters = await readLetters(await withLetters(5, 3, 4), topic)
  const plan = planRedrive(topic, letters)
  assert.deepEqual(places(plan), ['0@1', '0@2', '0@0'])
  assert.equal(new Set(plan.map(({ lane }) => lane)).size, 1)
  assert.deepEqual(planRedrive(topic, letters), plan)
  assert.notEqual(planRedrive(topic, letters.slice(1))[0]?.lane, plan[0]?.lane)
})

test('a letter that is redriven again, among others, stays in its lane', async () => {
  const log = await withLetters(1, 2)
  const before = planRedrive(topic, (await readLetters(log, topic)).slice(0, 1))
  await log.append(before.map(({ letter, lane }) => settlement(letter, { as: 'redriven', reason: 'sent', lane })))
  const again = planRedrive(topic, await readLetters(log, topic))
  assert.equal(again[0]?.lane, before[0]?.lane)
  assert.notEqual(again[1]?.lane, before[0]?.lane)
})

test('of a record with several letters the newest is sent, once', async () => {
  assert.deepEqual(places(planRedrive(topic, await readLetters(await withLetters(8, 8), topic))), ['0@1'])
})

test('what is sent is the record as it was, in the lane of the redrive', async () => {
  const log = await withLetters(1)
  for await (const batch of log.read({ topic, partition: 0, from: 0, to: 'latest' })) {
    const record = batch.records[0]!
    const sent = originalOf(record, { topic: 'features', partition: 0, leaderEpoch: 0, offset: 0 }, 'redrive:1')
    assert.deepEqual([sent.topic, sent.partition, sent.key, sent.timestampMs, String(sent.value)], ['features', 0, 'press-1', 7, 'torn 1'])
    assert.deepEqual(sent.headers, {
      [HEADER.id]: 'v-1',
      [HEADER.lane]: 'redrive:1',
      [HEADER.cause]: 'telemetry/0/0/1/0',
      [DEAD_LETTER_HEADER.firstSeenUs]: '1000000',
    })
  }
})

test('a quarantined reading cannot be redriven and says where it is released', async () => {
  const log = openMemoryLog({ partitions: 1 })
  await log.append([
    { topic: 'telemetry.ingest.quarantine', key: 'd', value: Buffer.from('{}'), headers: { 'andon-quarantine-code': 'ANDON_INGEST_X' } },
  ])
  const letters = await readLetters(log, 'telemetry.ingest.quarantine')
  assert.equal(letters[0]?.code, 'ANDON_INGEST_X')
  assert.throws(() => planRedrive('telemetry.ingest.quarantine', letters), { code: 'ANDON_CLI_LETTER_ORIGIN' })
})
