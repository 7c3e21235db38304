// `npm run bench -- <id…|all> [--json]`: runs benchmarks one after another, each on a mesh of its own, and prints a table or one
// JSON object per line. Ends with 1 when a figure is over its bound or could not be measured.

import { parseArgs } from 'node:util'
import { failingStarts } from './failing-starts.ts'
import { firstFinding } from './first-finding.ts'
import { idle } from './idle.ts'
import { latency } from './latency.ts'
import { type Measurement, isPass, tableOf } from './measurement.ts'
import { start } from './start.ts'

const BENCHMARKS: Readonly<Record<string, () => Promise<Measurement[]>>> = {
  idle,
  latency,
  start,
  'first-finding': firstFinding,
  'failing-starts': failingStarts,
}

const { values, positionals } = parseArgs({ options: { json: { type: 'boolean', default: false } }, allowPositionals: true })
const ids = positionals.includes('all') ? Object.keys(BENCHMARKS) : positionals
const unknown = ids.filter((id) => !Object.hasOwn(BENCHMARKS, id))
if (ids.length === 0 || unknown.length > 0) {
  console.error(
    `bench ${unknown.join(' ')}: expected one or more of ${Object.keys(BENCHMARKS).join(', ')}, or all; --json for one object per line`,
  )
  process.exit(2)
}

for (const id of ids) {
  if (!values.json) console.log(`\n── ${id} ──`)
  const measurements = await (BENCHMARKS[id] as () => Promise<Measurement[]>)()
  if (values.json) for (const one of measurements) console.log(JSON.stringify(one))
  else console.log(tableOf(measurements))
  if (!measurements.every(isPass)) process.exitCode = 1
}
