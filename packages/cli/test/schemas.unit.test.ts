// Schemas in words, and which field a compatibility fault names.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AvroRecord, avroSchemas } from '@andon/schemas'
import { checkSchema, releasedSchemas, sameSchema, asRollback, schemaTopics } from '../src/data/schema-check.ts'
import { diffSchemas, fieldAt } from '../src/data/schema-words.ts'

const record = (fields: AvroRecord['fields']): AvroRecord => ({ type: 'record', name: 'Reading', fields })
const range: AvroRecord = { type: 'record', name: 'Range', fields: [{ name: 'seqFrom', type: 'long' }] }
const before = record([
  { name: 'assetId', type: 'string' },
  { name: 'state', type: { type: 'enum', name: 'State', symbols: ['on'], default: 'on' } },
  { name: 'range', type: ['null', range], default: null },
])

test('schemas of today stand against every release', () => {
  for (const topic of schemaTopics) {
    const past = releasedSchemas(topic)
    assert.notEqual(past.length, 0)
    assert.deepEqual(checkSchema(topic, avroSchemas[topic], past), [])
  }
})

test('the offending field is named, on the side that cannot read', () => {
  const after = record([
    ...before.fields.slice(0, 2),
    { name: 'range', type: ['null', { ...range, fields: [...range.fields, { name: 'seqTo', type: 'long' }] }], default: null },
  ])
  assert.deepEqual(
    checkSchema('readings', after, [{ name: 'released v1', schema: before }]).map(({ field, reader, against }) => [field, reader, against]),
    [['range', 'today', 'released v1']],
  )
  const required = record([...before.fields, { name: 'unit', type: 'string' }])
  assert.deepEqual(
    checkSchema('readings', required, [{ name: 'released v1', schema: before }]).map(({ field, reader }) => [field, reader]),
    [['unit', 'today']],
  )
  assert.deepEqual(
    checkSchema('readings', record(before.fields.slice(1)), [{ name: 'released v1', schema: before }]).map(({ field, reader }) => [
      field,
      reader,
    ]),
    [['assetId', 'past']],
  )
})

test('a path into nested records is told by names', () => {
  assert.equal(fieldAt(before, '/fields/2/type/fields/0/type'), 'range.seqFrom')
  assert.equal(fieldAt(avroSchemas.features, '/fields/3/type/fields/1/type/items/fields/0'), 'late.ranges.sourceId')
  assert.equal(fieldAt(before, '/name'), '')
})

test('a diff says in words what was added, removed, renamed and changed, however deep', () => {
  const after = record([
    { name: 'asset', aliases: ['assetId'], type: 'string' },
    { name: 'state', type: { type: 'enum', name: 'State', symbols: ['on', 'off'], default: 'on' } },
    {
      name: 'range',
      type: [
        'null',
        {
          ...range,
          fields: [
            { name: 'seqFrom', type: 'int' },
            { name: 'seqTo', type: 'long', default: 0 },
          ],
        },
      ],
      default: null,
    },
  ])
  assert.deepEqual(diffSchemas(before, after), [
    'renamed field assetId to asset (with an alias)',
    'state may now be off',
    'field range.seqFrom was long, is int',
    'added field range.seqTo: long, default 0',
  ])
  assert.ok(diffSchemas(after, before).includes('removed field range.seqTo: long'))
  assert.deepEqual(diffSchemas(before, before), [])
})

test('a rollback is another schema to the registry and the same one to readers', () => {
  const again = asRollback({ version: 1, id: 7, schema: before }, 3)
  assert.ok(!sameSchema(again, before))
  assert.deepEqual(diffSchemas(before, again), [])
  assert.deepEqual(checkSchema('readings', again, [{ name: 'version 1', schema: before }]), [])
})
