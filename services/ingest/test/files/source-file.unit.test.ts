// Source files of kind `file`: the examples of docs/files.md are valid, and what rows of a file cannot have is refused.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseSource } from '@andon/schemas'

const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'files.md'), 'utf8')
const examples = [...page.matchAll(/```yaml\n(.*?)```/gs)].map(([, text = '']) => text)

test('the source files of the page are valid', () => {
  assert.equal(examples.length, 2)
  for (const text of examples) {
    parseSource(text.startsWith('version') ? text : `version: 1\nid: example\nkind: file\nname: '*'\n${text}`)
  }
})

const source = (mapping: Record<string, unknown>) => () =>
  parseSource({
    version: 1,
    id: 'export',
    kind: 'file',
    name: 'a-*.csv',
    mapping: { format: 'csv', asset: { id: 'oven' }, time: { field: 't' }, channels: { a: { field: 'A' } }, ...mapping },
  })

test('rows of a file are numbered by their place, have a time, and know the parts of their file name', () => {
  assert.doesNotThrow(source({ asset: { field: '{1}' } }))
  assert.throws(source({ asset: { field: '{2}' } }), /asset.field/)
  assert.throws(source({ seq: { field: 'n' } }), /seq/)
  assert.throws(source({ source: { id: 'x' } }), /source/)
  assert.throws(source({ time: undefined }), /time/)
  assert.throws(source({ format: 'json' }), /format/)
})
