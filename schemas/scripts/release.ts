// Keeps today's schemas as a released version: `node schemas/scripts/release.ts v2`. From then on every schema has to be
// able to read, and be read by, what this version wrote (test/released.contract.test.ts). A released version never changes.

import { cpSync, existsSync } from 'node:fs'

const root = new URL('../', import.meta.url)
const [version] = process.argv.slice(2)

if (version === undefined || !/^v\d+$/.test(version)) {
  process.stderr.write('usage: node schemas/scripts/release.ts v<number>\n')
  process.exit(2)
}
const target = new URL(`released/${version}/`, root)
if (existsSync(target)) {
  process.stderr.write(`schemas/released/${version} exists, and a released version never changes. Take the next number.\n`)
  process.exit(1)
}
cpSync(new URL('avro/', root), new URL('avro/', target), { recursive: true })
cpSync(new URL('golden/', root), new URL('golden/', target), { recursive: true })
