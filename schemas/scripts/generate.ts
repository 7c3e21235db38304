// schemas/avro and topology.json → everything in schemas/generated. Run it with `npm run generate`; a test
// compares its output with the files, so the two cannot drift apart.

import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { generateTypes } from '../src/generate-types.ts'
import type { AvroRecord } from '../src/avro.ts'

const root = new URL('../', import.meta.url)

/** Content of every generated file, by name below schemas/generated. */
export const generated = (): Record<string, string> => {
  const schemas: Record<string, AvroRecord> = {}
  for (const file of readdirSync(new URL('avro/', root)).toSorted()) {
    schemas[file.replace(/\.avsc$/, '')] = JSON.parse(readFileSync(new URL(`avro/${file}`, root), 'utf8')) as AvroRecord
  }
  return { 'types.ts': generateTypes(schemas) }
}

if (import.meta.main) {
  mkdirSync(new URL('generated/', root), { recursive: true })
  for (const [name, content] of Object.entries(generated())) writeFileSync(new URL(`generated/${name}`, root), content)
}
