// `npm run quality -- <set…|all> [--data DIR] [--json] [--runs]`: runs the detectors of the product over public recordings that lie in a
// folder outside the repository, with one default for all of them. A table for people, with --json one object per line; ends with 1
// when a figure misses what is required.

import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { repositoryRoot } from '@andon/platform'
import { isMet, lineOf, tableOf } from './line.ts'
import type { QualityResult, QualitySet } from './line.ts'
import { cwru } from './cwru.ts'
import { identity } from './identity.ts'
import { injection } from './injection.ts'
import { nab } from './nab.ts'
import { regimes } from './regimes.ts'
import { skab } from './skab.ts'
import { skabBacktest } from './skab-backtest.ts'
import { strangersSet } from './strangers.ts'
import { steel } from './steel.ts'
import { tep } from './tep.ts'

const SETS: readonly QualitySet[] = [skab, skabBacktest, nab, tep, cwru, steel, injection, regimes, identity, strangersSet]

const usage = (problem: string): never => {
  console.error(
    `quality: ${problem}\nUsage: npm run quality -- <set…|all> [--data DIR] [--json] [--runs]\n` +
      '  --data  folder of the recordings, by default ../shared/data beside the repository\n' +
      "  --runs  also say each recording's figures\n" +
      SETS.map(({ name, title }) => `  ${name.padEnd(14)} ${title}`).join('\n'),
  )
  process.exit(2)
}

const parse = () => {
  try {
    return parseArgs({
      options: { data: { type: 'string' }, json: { type: 'boolean', default: false }, runs: { type: 'boolean', default: false } },
      allowPositionals: true,
    })
  } catch (error) {
    return usage(error instanceof Error ? error.message : String(error))
  }
}

const { values, positionals } = parse()
const data = values.data === undefined ? join(repositoryRoot, '..', 'shared', 'data') : resolve(values.data)
const unknown = positionals.filter((name) => name !== 'all' && !SETS.some((set) => set.name === name))
if (unknown.length > 0) usage(`${unknown.join(', ')}: no such set`)
if (positionals.length === 0) usage('which set?')
const chosen = positionals.includes('all') ? SETS : SETS.filter(({ name }) => positionals.includes(name))
if (chosen.some(({ needsData }) => needsData !== false) && !existsSync(data))
  usage(`${data} is not there: name the folder of the recordings with --data`)

const results: { set: string; result: QualityResult | Error }[] = []
for (const set of chosen) {
  try {
    const result = await set.run({ data, note: (text) => void (values.runs && console.error(`  ${set.name}: ${text}`)) })
    results.push({ set: set.name, result })
    if (values.json) console.log(JSON.stringify(lineOf(set.name, result)))
  } catch (error) {
    const problem = error instanceof Error ? error : new Error(String(error))
    results.push({ set: set.name, result: problem })
    if (values.json) console.log(JSON.stringify({ set: set.name, pass: false, why: problem.message }))
  }
}
if (!values.json) console.log(tableOf(results))
process.exitCode = results.every(({ result }) => !(result instanceof Error) && result.figures.every(isMet)) ? 0 : 1
