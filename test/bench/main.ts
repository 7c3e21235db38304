// `npm run bench -- <id…|core|ingest|features|serving|clustering|doors|all> [--json] [--samples N] [--records N]`: runs benchmarks one after another and prints a table or one JSON
// object per figure; what goes on meanwhile is said on stderr. Ends with 1 when a figure does not reach what is required of it, was
// not measured, or does not count.

import { parseArgs } from 'node:util'
import { type Measurement, failed, isPass, lineOf, tableOf } from '../harness/bench-measurement.ts'
import { progress } from '../harness/bench.ts'
import type { Benchmark, BenchmarkOptions } from './benchmark.ts'
import { CLUSTERING } from './clustering/index.ts'
import { CORE } from './core/index.ts'
import { DOORS } from './doors/index.ts'
import { failingStarts } from './failing-starts.ts'
import { FEATURES } from './features/index.ts'
import { endToEnd } from './mesh/end-to-end.ts'
import { throughput } from './mesh/throughput.ts'
import { firstFinding } from './first-finding.ts'
import { idle } from './idle.ts'
import { INGEST } from './ingest/index.ts'
import { latency } from './latency.ts'
import { SERVING } from './serving/index.ts'
import { start } from './start.ts'

const MESH: readonly Benchmark[] = [
  { name: 'end-to-end', ids: ['P20', 'P20-p99'], run: endToEnd },
  { name: 'throughput', ids: ['P21'], run: throughput },
  { name: 'idle', ids: ['idle-cpu', 'idle-memory'], run: idle },
  { name: 'latency', ids: ['latency'], run: latency },
  { name: 'start', ids: ['second-start', 'end', 'left-behind'], run: start },
  { name: 'first-finding', ids: ['first-finding', 'first-finding-bearing-wear'], run: firstFinding },
  { name: 'failing-starts', ids: ['failing-starts', 'failing-starts-unclear'], run: failingStarts },
]
const GROUPS: Readonly<Record<string, readonly Benchmark[]>> = {
  core: CORE,
  ingest: INGEST,
  features: FEATURES,
  serving: SERVING,
  clustering: CLUSTERING,
  doors: DOORS,
  all: [...CORE, ...INGEST, ...FEATURES, ...SERVING, ...CLUSTERING, ...DOORS, ...MESH],
}

const { values, positionals } = parseArgs({
  options: { json: { type: 'boolean', default: false }, samples: { type: 'string' }, records: { type: 'string' } },
  allowPositionals: true,
})

const usage = (problem: string): never => {
  console.error(
    `bench: ${problem}; expected core, ingest, features, serving, clustering, doors, all, or some of ${GROUPS['all']?.flatMap(({ name, ids }) => [...new Set([name, ...ids])]).join(', ')}; ` +
      '--json for one object per line, --samples and --records for shorter runs',
  )
  process.exit(2)
}

const count = (name: 'samples' | 'records'): Record<string, number> => {
  const text = values[name]
  if (text === undefined) return {}
  if (!/^[1-9]\d*$/.test(text)) usage(`--${name} is ${text}, expected a whole number above 0`)
  return { [name]: Number(text) }
}
const options: BenchmarkOptions = { ...count('samples'), ...count('records') }

/** A figure's id runs the benchmark that measures it, once, and prints only the figures asked for. */
const wanted = new Map<Benchmark, ReadonlySet<string>>()
const want = (benchmark: Benchmark, ids: readonly string[]): void =>
  void wanted.set(benchmark, new Set([...(wanted.get(benchmark) ?? []), ...ids]))
for (const word of positionals) {
  const group = GROUPS[word]
  const found = GROUPS['all']?.find(({ name, ids }) => name === word || ids.includes(word))
  if (group !== undefined) for (const benchmark of group) want(benchmark, benchmark.ids)
  else if (found === undefined) usage(`${word} is no benchmark`)
  else want(found, found.name === word ? found.ids : [word])
}
if (wanted.size === 0) usage('nothing to run')

const startedMs = Date.now()
const all: Measurement[] = []
for (const [{ name, run }, ids] of wanted) {
  progress(`── ${name} (${Math.round((Date.now() - startedMs) / 1000)} s so far) ──`)
  let measurements: readonly Measurement[]
  try {
    measurements = (await run(options)).filter(({ id }) => ids.has(id))
  } catch (error) {
    console.error(error)
    measurements = [...ids].map((id) => failed(id, error))
  }
  all.push(...measurements)
  if (values.json) for (const one of measurements) console.log(lineOf(one))
  else console.log(`\n── ${name} ──\n${tableOf(measurements)}`)
}
if (!values.json && wanted.size > 1) console.log(`\n── all ──\n${tableOf(all.map((one) => ({ ...one, detail: {} })))}`)
process.exit(all.every(isPass) ? 0 : 1)
