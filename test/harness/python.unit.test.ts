// What the harness says when a Python counterpart cannot be had.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pythonWith } from './python.ts'

test('packages without an exact version are refused with a reason', async () => {
  for (const wanted of ['asyncua', 'asyncua>=2', '--index-url==1', 'git+https://example.org/a==1']) {
    const { interpreter, missing } = await pythonWith([wanted])
    assert.equal(interpreter, '')
    assert.match(String(missing), /is not pinned: expected name==version/)
  }
})
