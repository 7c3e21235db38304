// What a dead letter says about the record, and what its stack hash stands for.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AndonError, DEAD_LETTER_HEADER, openMemoryLog } from '@andon/kit'
import type { LogRecord } from '@andon/kit'
import { SETTLEMENT_HEADER, deadLetter, settlement, stackHash } from '@andon/kit/dead-letters'

const stored = async (headers: Record<string, string> = {}): Promise<LogRecord> => {
  const log = openMemoryLog({ partitions: 1 })
  await log.append([{ topic: 'numbers', key: 'a', value: Buffer.from([0, 0, 0, 0, 7, 1]), headers, timestampMs: 5 }])
  for await (const batch of log.read({ topic: 'numbers', partition: 0, from: 0, to: 'latest' })) return batch.records[0]!
  throw new Error('nothing was stored')
}

const failure = (message: string): AndonError => new AndonError('ANDON_TEST', message)

test('a dead letter keeps the record and says why, where, since when and for whom', async () => {
  const letter = deadLetter(
    await stored({ ce_id: 'n-1', traceparent: '00-trace', 'andon-lane': 'live' }),
    'adder',
    failure('torn'),
    9_000_000,
  )
  assert.equal(letter.topic, 'numbers.adder.dlq')
  assert.deepEqual([letter.key, letter.partition, letter.timestampMs, [...letter.value!]], ['a', 0, 5, [0, 0, 0, 0, 7, 1]])
  const { [DEAD_LETTER_HEADER.stackHash]: hash, ...headers } = letter.headers!
  assert.match(hash!, /^[0-9a-f]{12}$/)
  assert.deepEqual(headers, {
    ce_id: 'n-1',
    traceparent: '00-trace',
    'andon-lane': 'live',
    [DEAD_LETTER_HEADER.code]: 'ANDON_TEST',
    [DEAD_LETTER_HEADER.reason]: 'torn',
    [DEAD_LETTER_HEADER.firstSeenUs]: '9000000',
    [DEAD_LETTER_HEADER.group]: 'adder',
    [DEAD_LETTER_HEADER.topic]: 'numbers',
    [DEAD_LETTER_HEADER.partition]: '0',
    [DEAD_LETTER_HEADER.leaderEpoch]: '0',
    [DEAD_LETTER_HEADER.offset]: '0',
    [DEAD_LETTER_HEADER.schemaId]: '7',
  })
})

test('a record that fails again is known since it failed first', async () => {
  const letter = deadLetter(await stored({ [DEAD_LETTER_HEADER.firstSeenUs]: '3' }), 'adder', failure('torn'), 9)
  assert.equal(letter.headers![DEAD_LETTER_HEADER.firstSeenUs], '3')
})

test('the stack hash tells faults apart by where they happen, not by what the message holds', () => {
  const errors = ['press-1', 'press-2'].map((asset) => failure(`no schema for ${asset}`))
  assert.equal(stackHash(errors[0]), stackHash(errors[1]))
  const elsewhere = (): AndonError => failure('no schema for press-1')
  assert.notEqual(stackHash(errors[0]), stackHash(elsewhere()))
  assert.notEqual(stackHash(new AndonError('ANDON_TEST', 'x', { cause: errors[0] })), stackHash(new AndonError('ANDON_TEST', 'x')))
  assert.match(stackHash('a text'), /^[0-9a-f]{12}$/)
})

test('the stack hash is the same on another machine and after an edit above the fault', () => {
  const at = (stack: string) => Object.assign(new Error('torn'), { stack })
  const here = at('Error: torn\n    at read (file:///srv/andon/packages/kit/src/codec.ts:10:3)\n    at node:internal/x:1:1')
  const there = at('Error: other words\n    at read (file:///home/p/kit/src/codec.ts:99:12)')
  assert.equal(stackHash(here), stackHash(there))
  assert.notEqual(stackHash(here), stackHash(at('Error: torn\n    at write (file:///srv/andon/packages/kit/src/codec.ts:10:3)')))
})

test('a settlement lies beside its letter, without a value', () => {
  const letter = { topic: 'numbers.adder.dlq', partition: 3, leaderEpoch: 2, offset: 40, key: 'a' }
  const record = settlement(letter, { as: 'redriven', reason: 'schema arrived', lane: 'redrive:1' })
  assert.deepEqual([record.topic, record.partition, record.key, record.value], ['numbers.adder.dlq', 3, 'a', null])
  assert.deepEqual(record.headers, {
    [SETTLEMENT_HEADER.letter]: '2/40',
    [SETTLEMENT_HEADER.as]: 'redriven',
    [SETTLEMENT_HEADER.reason]: 'schema arrived',
    [SETTLEMENT_HEADER.lane]: 'redrive:1',
  })
})
