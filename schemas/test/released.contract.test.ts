// Services roll out one by one, so today's schemas and every released one have to read each other (FULL_TRANSITIVE).

import { test } from 'node:test'
import assert from 'node:assert/strict'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import avsc from 'avsc'
import { avroSchemas, checkFull, schemaNames } from '../src/index.ts'
import type { AvroRecord } from '../src/index.ts'

const released = new URL('../released/', import.meta.url)
const read = (path: string): unknown => JSON.parse(readFileSync(new URL(path, released), 'utf8'))

for (const version of readdirSync(released).toSorted()) {
  for (const file of readdirSync(new URL(`${version}/avro/`, released)).toSorted()) {
    const name = schemaNames.find((each) => `${each}.avsc` === file)
    test(`${file} of ${version} and of today read each other`, () => {
      assert.ok(name !== undefined, `${file} was released in ${version} and is gone`)
      assert.deepEqual(checkFull(avroSchemas[name], read(`${version}/avro/${file}`) as AvroRecord), [])
    })
    if (name === undefined || !existsSync(new URL(`${version}/golden/${name}.json`, released))) continue
    test(`records of ${name} that ${version} wrote are still read`, () => {
      const reader = avsc.Type.forSchema(avroSchemas[name] as avsc.Schema, { registry: {} })
      const writer = avsc.Type.forSchema(read(`${version}/avro/${file}`) as avsc.Schema, { registry: {} })
      const resolver = reader.createResolver(writer)
      for (const golden of read(`${version}/golden/${name}.json`) as { hex: string }[]) {
        const value: unknown = reader.fromBuffer(Buffer.from(golden.hex, 'hex'), resolver)
        assert.ok(reader.isValid(value))
      }
    })
  }
}
