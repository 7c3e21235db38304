import { test } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { generated } from '../scripts/generate.ts'
import { generateTypes } from '../src/generate-types.ts'

for (const [name, content] of Object.entries(generated())) {
  test(`generated/${name} is what the schemas give`, () => {
    const found = readFileSync(new URL(`../generated/${name}`, import.meta.url), 'utf8')
    assert.ok(found === content, `schemas/generated/${name} is stale: run \`npm run generate\` and commit the result`)
  })
}

test('a nullable, a list, bytes, an enum and a map become TypeScript', () => {
  const text = generateTypes({
    sample: {
      type: 'record',
      name: 'Sample',
      fields: [
        { name: 'maybe', type: ['null', 'string'], default: null },
        { name: 'many', type: { type: 'array', items: ['null', 'long'] } },
        { name: 'packed', type: 'bytes' },
        { name: 'colour', type: { type: 'enum', name: 'Colour', symbols: ['red', 'green'], default: 'red' } },
        { name: 'byName', type: { type: 'map', values: 'double' } },
      ],
    },
  })
  for (const line of [
    '  readonly maybe: string | null',
    '  readonly maybe?: string | null | undefined',
    '  readonly many: readonly (number | null)[]',
    '  readonly packed: Buffer',
    '  readonly packed: Uint8Array',
    "  readonly colour: 'red' | 'green'",
    '  readonly byName: Readonly<Record<string, number>>',
  ]) {
    assert.ok(text.split('\n').includes(line), `missing: ${line}`)
  }
})

test('two records of one name must have the same fields', () => {
  const finding = (type: string) => ({ type: 'record' as const, name: 'Finding', fields: [{ name: 'value', type }] })
  const holder = (name: string, type: string) => ({ type: 'record' as const, name, fields: [{ name: 'finding', type: finding(type) }] })
  assert.throws(() => generateTypes({ a: holder('A', 'int'), b: holder('B', 'string') }), /Finding is defined twice/)
})
