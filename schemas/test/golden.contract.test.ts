// Golden bytes were made by schemas/scripts/golden-records.py, with an encoder of its own.

import { test } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import avsc from 'avsc'
import { avroSchemas, schemaNames } from '../src/index.ts'

interface Golden {
  case: string
  value: unknown
  hex: string
}

const hexed = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, each: unknown) => (isBufferJson(each) ? Buffer.from(each.data).toString('hex') : each)))

const isBufferJson = (value: unknown): value is { type: 'Buffer'; data: number[] } =>
  typeof value === 'object' &&
  value !== null &&
  (value as { type?: unknown }).type === 'Buffer' &&
  Array.isArray((value as { data?: unknown }).data)

for (const name of schemaNames) {
  const type = avsc.Type.forSchema(avroSchemas[name] as avsc.Schema, { registry: {} })
  for (const golden of JSON.parse(readFileSync(new URL(`../golden/${name}.json`, import.meta.url), 'utf8')) as Golden[]) {
    test(`${name}, ${golden.case}: the golden bytes are the value and the value is the bytes`, () => {
      const bytes = Buffer.from(golden.hex, 'hex')
      const value: unknown = type.fromBuffer(bytes)
      assert.deepEqual(hexed(value), golden.value)
      assert.equal(type.toBuffer(value).toString('hex'), golden.hex)
    })
  }
}
