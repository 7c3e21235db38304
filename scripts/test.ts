// `npm test`: every check of the repository in rings, fast ones first, and one sum on the last line: `N passed, N failed`.
// A static check counts as one test. `--fast` ends after the contract tests; `--only <ring,…>` runs the named rings; other words filter test files.

import { parseArgs } from 'node:util'
import { type Count, noTests, sum } from './testing/count.ts'
import { type NodeTests, runNodeTests } from './testing/node-tests.ts'
import { type StaticCheck, runStaticChecks } from './testing/static-checks.ts'

const STATIC: readonly StaticCheck[] = [
  { name: 'types', command: ['tsc', '--noEmit', '-p', 'tsconfig.json'], fix: 'npx tsc --noEmit -p tsconfig.json' },
  { name: 'lint', command: ['oxlint'], fix: 'npx oxlint --fix' },
  { name: 'format', command: ['oxfmt', '--check'], fix: 'npx oxfmt' },
  { name: 'import directions', command: ['node', 'scripts/imports.ts'], fix: 'node scripts/imports.ts' },
  { name: 'unused code', command: ['knip', '--no-progress', '--no-config-hints'], fix: 'npx knip' },
]

const MINUTE = 60_000

/**
 * Unit tests share one process (ten times faster); a test that meets a broker or a browser has a process to itself. Those mostly wait for
 * their servers: more of them run at once than there are cores.
 */
const RINGS: readonly NodeTests[] = [
  { name: 'unit', globs: ['**/*.unit.test.ts'], isolation: 'none', timeoutMs: 60_000, limitMs: 10 * MINUTE },
  { name: 'contract', globs: ['**/*.contract.test.ts'], isolation: 'process', concurrency: 2, timeoutMs: 120_000, limitMs: 5 * MINUTE },
  { name: 'integration', globs: ['**/*.int.test.ts'], isolation: 'process', concurrency: 4, timeoutMs: 240_000, limitMs: 35 * MINUTE },
  { name: 'flow', globs: ['**/*.flow.test.ts'], isolation: 'process', concurrency: 2, timeoutMs: 900_000, limitMs: 30 * MINUTE },
]

const { values, positionals } = parseArgs({
  options: { fast: { type: 'boolean', default: false }, only: { type: 'string' } },
  allowPositionals: true,
})
const names = ['static', ...RINGS.map((ring) => ring.name)]
const wanted = values.only?.split(',') ?? (values.fast ? ['static', 'unit', 'contract'] : names)
const unknown = wanted.filter((name) => !names.includes(name))
if (unknown.length > 0) {
  console.error(`--only ${unknown.join(',')}: expected some of ${names.join(', ')}`)
  process.exit(2)
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
const counts: Count[] = []

const ring = async (name: string, run: () => Promise<Count>): Promise<void> => {
  if (!wanted.includes(name)) return
  const startedMs = Date.now()
  console.log(`\n── ${name} ──`)
  const count = await run()
  counts.push(count)
  const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : ''
  console.log(`── ${name}: ${count.passed} passed, ${count.failed} failed${skipped} in ${seconds(Date.now() - startedMs)}`)
}

const startedMs = Date.now()
if (positionals.length === 0) await ring('static', () => runStaticChecks(STATIC))
for (const tests of RINGS) await ring(tests.name, () => runNodeTests(tests, positionals))

const total = sum([noTests, ...counts])
for (const failure of total.failures) console.log(`✖ ${failure}`)
console.log(`\nAll rings took ${seconds(Date.now() - startedMs)}`)
console.log(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`)
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0
