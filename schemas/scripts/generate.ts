// schemas/avro and topology.json → everything in schemas/generated. Run it with `npm run generate`; a test
// compares its output with the files, so the two cannot drift apart.

import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import type { AvroRecord } from '../src/avro.ts'
import { generateAsyncApi } from '../src/generate-asyncapi.ts'
import { generateDiagram } from '../src/generate-diagram.ts'
import { generateTypes } from '../src/generate-types.ts'
import type { Topology } from '../src/topology.ts'

const root = new URL('../', import.meta.url)
const read = (path: string): unknown => JSON.parse(readFileSync(new URL(path, root), 'utf8'))

/** Content of every generated file, by name below schemas/generated. */
export const generated = (): Record<string, string> => {
  const schemas: Record<string, AvroRecord> = {}
  for (const file of readdirSync(new URL('avro/', root)).toSorted())
    schemas[file.replace(/\.avsc$/, '')] = read(`avro/${file}`) as AvroRecord
  const topology = read('topology.json') as Topology
  const { version } = read('package.json') as { version: string }
  return {
    'types.ts': generateTypes(schemas),
    'asyncapi.json': generateAsyncApi(topology, schemas, version),
    'topology.md': generateDiagram(topology),
  }
}

if (import.meta.main) {
  mkdirSync(new URL('generated/', root), { recursive: true })
  for (const [name, content] of Object.entries(generated())) writeFileSync(new URL(`generated/${name}`, root), content)
}
