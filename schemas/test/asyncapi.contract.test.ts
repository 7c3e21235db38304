import { test } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { Parser } from '@asyncapi/parser'
import { serviceNames, topicNames, topology } from '../src/index.ts'

const text = readFileSync(new URL('../generated/asyncapi.json', import.meta.url), 'utf8')

test('the AsyncAPI document is valid and has every topic and every edge', async () => {
  const { document, diagnostics } = await new Parser().parse(text)
  const errors = diagnostics.filter((each) => each.severity === 0).map((each) => `${each.path.join('.')}: ${each.message}`)
  assert.deepEqual(errors, [])
  assert.deepEqual(
    document
      ?.channels()
      .all()
      .map((channel) => channel.address()),
    [...topicNames],
  )
  const edges = serviceNames.flatMap((service) => [
    ...topology.services[service].writes.map((topic) => `${service}-writes-${topic}`),
    ...topology.services[service].reads.map((topic) => `${service}-reads-${topic}`),
  ])
  const operations = document?.operations().all() ?? []
  assert.deepEqual(new Set(operations.map((operation) => operation.id())), new Set(edges))
})
