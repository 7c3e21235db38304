// The README's tables are complete: every error code, setting and metric of the source is in them.

import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const root = join(import.meta.dirname, '..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const source = globSync('src/**/*.ts', { cwd: root })
  .map((file) => readFileSync(join(root, file), 'utf8'))
  .join('\n')

for (const [what, pattern] of [
  ['error code', /'(ANDON_INGEST_[A-Z_]+)'/g],
  ['setting', /'(INGEST_[A-Z_]+)'/g],
  ['metric', /'(andon_ingest_[a-z_]+)'/g],
  ['quarantine header', /'andon-quarantine(-[a-z-]+)'/g],
] as const) {
  test(`every ${what} is in the README`, () => {
    const names = [...new Set([...source.matchAll(pattern)].map((match) => match[1] as string))]
    assert.ok(names.length > 3)
    assert.deepEqual(
      names.filter((name) => !readme.includes(name)),
      [],
    )
  })
}
