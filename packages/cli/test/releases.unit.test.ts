// Quarantined records as releases: the reading, what a mapping made of it, or the payload to be mapped again.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LogRecord } from '@andon/kit'
import { releaseOf } from '../src/data/releases.ts'

const record = (value: string, headers: Readonly<Record<string, string>>): LogRecord =>
  ({
    value: Buffer.from(value),
    key: 'press-1-plc',
    header: (name: string) => ({ ce_id: 'q-1', ...headers })[name],
  }) as unknown as LogRecord

test('a reading is released as it is, with the source of the record', () => {
  assert.deepEqual(releaseOf(record('{"timeUs":1}', {})), { quarantineId: 'q-1', reading: { timeUs: 1, source: 'press-1-plc' } })
})

test('what a mapping made of a payload is released, and not the payload', () => {
  const mapped = { 'andon-quarantine-mapping': 'boilers', 'andon-quarantine-reading': '{"source":"oven:boilers","timeUs":1}' }
  assert.deepEqual(releaseOf(record('{"t":1}', mapped)), { quarantineId: 'q-1', reading: { source: 'oven:boilers', timeUs: 1 } })
})

test('a payload that its mapping could not read is sent with what it came with, to be mapped again', () => {
  const headers = { 'andon-quarantine-mapping': 'boilers', 'andon-quarantine-arrival': '{"levels":["a","b"],"receivedUs":7}' }
  assert.deepEqual(releaseOf(record('21,5', headers)), {
    quarantineId: 'q-1',
    mapped: { file: 'boilers', arrival: { levels: ['a', 'b'], receivedUs: 7 }, payload: Buffer.from('21,5').toString('base64') },
  })
})

test('bytes that nobody can read, and bytes that were cut, say why not', () => {
  assert.ok('whyNot' in releaseOf(record('what', {})))
  assert.ok('whyNot' in releaseOf(record('{}', { 'andon-quarantine-original-bytes': '600000' })))
})
