// Source files of streams and Sparkplug nodes: the examples of our pages are valid, and what a file cannot mean is said.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseSource } from '@andon/schemas'
import { loadConfig } from '../src/config.ts'

const docs = join(import.meta.dirname, '..', 'docs')
const examples = (page: string) => [...readFileSync(join(docs, page), 'utf8').matchAll(/```yaml\n([^]*?)```/g)].map(([, yaml = '']) => yaml)

for (const [page, kind] of [
  ['sparkplug.md', 'sparkplug'],
  ['nats.md', 'nats'],
  ['kafka-source.md', 'kafka'],
  ['kinesis-source.md', 'kinesis'],
] as const) {
  test(`every source file of ${page} is valid`, () => {
    const found = examples(page)
    assert.ok(found.length > 0)
    for (const yaml of found) assert.equal(parseSource(yaml).kind, kind)
  })
}

const mapping = { asset: { id: 'oven' }, channels: { t: { field: 't' } } }
const kafka = { version: 1, id: 'k', kind: 'kafka', brokers: ['b:9092'], topic: 't', mapping }

test('Avro needs a registry', () => {
  assert.throws(() => parseSource({ ...kafka, mapping: { ...mapping, format: 'avro' } }), /registry: .*since format is avro/)
})

test('a password comes from a variable of ingest’s own', () => {
  const sasl = { username: 'u', passwordFrom: 'HOME' }
  assert.throws(() => parseSource({ ...kafka, sasl }), /INGEST_SECRET_/)
})

test('a metric scaled by nothing is refused', () => {
  const channels = { t: { metric: 'm', scale: 0 } }
  assert.throws(() => parseSource({ version: 1, id: 's', kind: 'sparkplug', group: 'g', node: 'n', asset: 'oven', channels }), /scale/)
})

test('the doors can be opened by their names, with defaults', () => {
  const { doors } = loadConfig({ INGEST_DOORS: 'sparkplug,nats,kafka,kinesis' })
  assert.deepEqual(
    doors.map(({ kind: { name } }) => name),
    ['sparkplug', 'nats', 'kafka', 'kinesis'],
  )
})
