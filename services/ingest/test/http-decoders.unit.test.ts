// The decoders of the HTTP door under random and damaged bytes: each ends in rows or in one clear error, and what it gives is accounted for
// to the row.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AndonError } from '@andon/kit'
import { parseSource } from '@andon/schemas'
import type { PlantSource } from '@andon/schemas'
import { avroFileContent, batchSchemaText, rawAvroContent } from '../src/adapters/http-avro.ts'
import type { Content } from '../src/adapters/http-content.ts'
import { csvContent } from '../src/adapters/http-csv.ts'
import { jsonContent, ndjsonContent } from '../src/adapters/http-json.ts'
import { keyFault, scanJson } from '../src/adapters/http-json-scan.ts'
import { MappedBodies } from '../src/adapters/http-mapped.ts'
import { decoderOf, mediaTypes } from '../src/adapters/http-media.ts'
import { openApi } from '../src/adapters/http-openapi.ts'
import { batch, container, reading } from './http-bodies.ts'
import { openRig, startUs } from './rig.ts'

const csvBody =
  'timeUs,source,asset,epoch,seq,quality,temperatureC,pressureBar[kPa]\n1795000000000000,a,oven,1,1,0,20,100\n1795000000000001,b,oven,1,2,,21,\n'
const decoders: readonly (readonly [string, (body: Buffer) => Content, Buffer])[] = [
  ['JSON', jsonContent, Buffer.from(JSON.stringify([reading(), reading({ source: 'b' })]))],
  [
    'JSON columns',
    jsonContent,
    Buffer.from(JSON.stringify({ source: 'a', asset: 'oven', seq: 1, timesUs: [1.8e15, 1.9e15], channels: { temperatureC: [1, null] } })),
  ],
  ['NDJSON', ndjsonContent, Buffer.from(`${JSON.stringify(reading())}\n${JSON.stringify(reading())}\n`)],
  ['CSV', (body) => csvContent(body, undefined), Buffer.from(csvBody)],
  ['Avro', rawAvroContent, batch()],
  ['Avro container', avroFileContent, container([{ count: 2, data: Buffer.concat([batch(), batch()]) }])],
]

const rowsOf = (content: Content): number =>
  'readings' in content ? content.readings.length : content.columns.reduce((sum, { rows }) => sum + rows, 0)

/** Rows, or undefined when the body was refused with an error that says what to do. */
const decoded = (decode: (body: Buffer) => Content, body: Buffer): Content | undefined => {
  try {
    return decode(body)
  } catch (error) {
    assert.ok(error instanceof AndonError, `${String(error)} for ${body.toString('hex').slice(0, 400)}`)
    assert.ok([400, 413].includes(error.status))
    assert.match(error.code, /^ANDON_INGEST_/)
    assert.ok(error.message.length > 10)
    return undefined
  }
}

/** A body with some bytes changed, cut or put in. */
const damaged = (body: Buffer) =>
  fc
    .array(fc.record({ at: fc.nat(body.length - 1), cut: fc.nat(8), put: fc.uint8Array({ maxLength: 8 }) }), { minLength: 1, maxLength: 6 })
    .map((changes) => {
      let bytes = body
      for (const { at, cut, put } of changes) bytes = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + cut)])
      return bytes
    })

for (const [name, decode, valid] of decoders) {
  test(`${name}: random bytes end in rows or one clear error`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void decoded(decode, Buffer.from(bytes))),
      { numRuns: 400 },
    )
  })

  test(`${name}: of a damaged body every row is accepted, a duplicate or in quarantine`, async () => {
    const rig = await openRig({ settings: { inFlightMaxBytes: 1 << 30 } })
    await rig.second()
    await fc.assert(
      fc.asyncProperty(damaged(valid), async (bytes) => {
        const content = decoded(decode, bytes)
        if (content === undefined) return
        const { indexOf: _place, ...rows } = content
        const taken = rig.wiring.intake({ door: 'http', ...rows })
        await rig.flush()
        const { accepted, duplicates, quarantined } = await taken
        assert.equal(accepted + duplicates + quarantined.length, rowsOf(content))
      }),
      { numRuns: 150 },
    )
  })
}

test('the scan of a JSON text agrees with its value', () => {
  const depthOf = (value: unknown): number =>
    typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0
  const keysOf = (value: unknown): number =>
    typeof value === 'object' && value !== null
      ? (Array.isArray(value) ? 0 : Object.keys(value).length) + Object.values(value).reduce((sum: number, each) => sum + keysOf(each), 0)
      : 0
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = Buffer.from(JSON.stringify(value))
      const { depth, colons } = scanJson(text)
      assert.deepEqual([depth, colons], [depthOf(JSON.parse(text.toString())), keysOf(JSON.parse(text.toString()))])
      if (!text.includes('__proto__')) assert.equal(keyFault(text), undefined)
    }),
  )
})

test('rows of several sources in one CSV keep their places', () => {
  const rows = ['a,1', 'b,1', 'a,2', 'b,warm', 'a,3'].map((row, i) => `${1.795e15 + i},${row}`)
  const content = csvContent(Buffer.from(`timeUs,source,temperatureC\n${rows.join('\n')}\n`), undefined)
  assert.ok('columns' in content)
  assert.deepEqual(
    content.columns.map(({ source, rows: count }) => [source, count]),
    [
      ['a', 3],
      ['b', 2],
    ],
  )
  assert.deepEqual([...content.columns[1]!.refused!.keys()], [1])
  assert.equal(content.indexOf!(4), 3)
})

test('a column of CSV says its unit in brackets, and a customary unit needs no second pair', () => {
  const content = csvContent(Buffer.from('timeUs,source,t[degF],p[kPa],n[[in_i]],q\n1795000000000000,a,1,1,1,1\n'), undefined)
  assert.ok('columns' in content)
  assert.deepEqual(content.columns[0]!.channels, ['t', 'p', 'n', 'q'])
  assert.deepEqual(content.columns[0]!.units, ['[degF]', 'kPa', '[in_i]', undefined])
})

test('a channel that no row of a source has is none of its asset', () => {
  const content = csvContent(Buffer.from('timeUs,source,t,p\n1795000000000000,a,1,\n1795000000000000,b,,2\n'), undefined)
  assert.ok('columns' in content)
  assert.deepEqual(
    content.columns.map(({ channels }) => channels),
    [['t'], ['p']],
  )
})

test('a container in an older version of the schema is read by ours', () => {
  const older = JSON.parse(batchSchemaText) as { fields: { name: string }[] }
  const without = { ...older, fields: older.fields.filter(({ name }) => name !== 'qualities') }
  const data = batch().subarray(0, -1) // its last byte is the length of the qualities
  const content = avroFileContent(container([{ count: 1, data }], { 'avro.schema': JSON.stringify(without) }))
  assert.ok('columns' in content)
  assert.deepEqual([content.columns[0]!.rows, content.columns[0]!.values[0], content.columns[0]!.qualities], [1, 20, undefined])
})

test('a body is mapped by the source file that the query names, and by no other', async () => {
  const file = parseSource({
    version: 1,
    id: 'oven-export',
    kind: 'file',
    name: '*.csv',
    mapping: {
      format: 'csv',
      asset: { id: 'oven' },
      time: { field: 'Zeit', format: 'iso8601' },
      channels: { temperatureC: { field: 'Temp' } },
    },
  }) as Extract<PlantSource, { kind: 'file' }>
  const files = { of: () => [file] as never, onChange: () => () => undefined }
  const mapped = new MappedBodies(files, () => startUs)
  assert.equal(mapped.decoderOf('/v1/telemetry'), undefined)
  assert.throws(() => mapped.decoderOf('/v1/telemetry?mapping=../secret'), { code: 'ANDON_INGEST_BAD_REQUEST' })
  const content = mapped.decoderOf('/v1/telemetry?mapping=oven-export')!(
    Buffer.from('Zeit,Temp\n2026-11-18T12:00:00Z,20\n2026-11-18T12:00:01Z,warm\n'),
    { device: undefined },
  )
  const rig = await openRig()
  await rig.second()
  const { indexOf: _place, ...rows } = content
  const taken = rig.wiring.intake({ door: 'http', ...rows })
  await rig.flush()
  const { accepted, quarantined } = await taken
  assert.deepEqual([accepted, quarantined.map(({ index, code }) => [index, code])], [1, [[1, 'ANDON_INGEST_MAPPING']]])
})

interface Body {
  readonly schema?: { readonly properties?: Readonly<Record<string, unknown>> }
}

test('the OpenAPI document describes exactly the media types that are taken, and all of its references lead somewhere', () => {
  const document = JSON.parse(JSON.stringify(openApi())) as {
    openapi: string
    paths: Record<string, Record<string, { requestBody?: { content: Record<string, Body> }; responses: object }>>
    components: { schemas: Record<string, object> }
  }
  assert.equal(document.openapi, '3.1.0')
  assert.deepEqual(Object.keys(document.paths['/v1/telemetry']!['post']!.requestBody!.content), [...mediaTypes])
  for (const type of mediaTypes) assert.ok(decoderOf(`${type}; charset=UTF-8`))
  const { readings } = document.paths['/v1/corrections']!['post']!.requestBody!.content['application/json']!.schema!.properties!
  assert.deepEqual((readings as { items: { properties: { values: object } } }).items.properties.values, {
    type: 'object',
    additionalProperties: { type: ['number', 'null'] },
  })
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map((match) => match[1]!)
  assert.ok(references.length > 10)
  for (const name of references) assert.ok(document.components.schemas[name], name)
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path))
  for (const { responses } of operations) assert.ok(Object.keys(responses).length > 0)
})
