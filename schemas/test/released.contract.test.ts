// Services roll out one by one, so today's schemas and every released one have to read each other (FULL_TRANSITIVE).

import { test } from 'node:test'
import assert from 'node:assert/strict'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { avroSchemas, checkFull, schemaNames } from '../src/index.ts'
import type { AvroRecord } from '../src/index.ts'
import { consumerOf, readReleased, released, releasedVersions } from './consumer.ts'

interface Golden {
  readonly case: string
  readonly hex: string
}

for (const version of releasedVersions()) {
  for (const file of readdirSync(new URL(`${version}/avro/`, released)).toSorted()) {
    const name = schemaNames.find((each) => `${each}.avsc` === file)
    const schema = readReleased(`${version}/avro/${file}`) as AvroRecord
    test(`${file} of ${version} and of today read each other`, () => {
      assert.ok(name !== undefined, `${file} was released in ${version} and is gone`)
      assert.deepEqual(checkFull(avroSchemas[name], schema), [])
    })
    if (name === undefined || !existsSync(new URL(`${version}/golden/${name}.json`, released))) continue
    const then = readReleased(`${version}/golden/${name}.json`) as Golden[]
    test(`records of ${name} that ${version} wrote are still read`, () => {
      const read = consumerOf(avroSchemas[name], schema)
      for (const { hex } of then) read(Buffer.from(hex, 'hex'))
    })
    test(`records of ${name} that today writes mean the same to a consumer of ${version}`, () => {
      const [read, readThen] = [consumerOf(schema, avroSchemas[name]), consumerOf(schema, schema)]
      const now = JSON.parse(readFileSync(new URL(`../golden/${name}.json`, import.meta.url), 'utf8')) as Golden[]
      for (const golden of now) {
        const seen = read(Buffer.from(golden.hex, 'hex'))
        const same = then.find((each) => each.case === golden.case)
        if (same) assert.deepEqual(seen, readThen(Buffer.from(same.hex, 'hex')), golden.case)
      }
    })
  }
}
