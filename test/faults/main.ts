// `npm run faults -- <id…|ci|core|all> [--seed N] [--records SHARE] [--nodes 1|3] [--client kafkajs|platformatic] [--json]`: does harm to
// real processes on a real Kafka and judges what is left by a ledger. A table for people, with --json one object per line; ends with 1
// when anything was lost, doubled or misordered, or did not recover.

import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { FAULTS } from './catalogue.ts'
import { lineOf } from './fault.ts'
import type { ClientName, Fault, FaultLine, FaultOptions } from './fault.ts'
import { tableOf } from './table.ts'

const CLIENTS: readonly ClientName[] = ['kafkajs', 'platformatic']
const DEFAULT_VARIANTS = [{ nodes: 1, client: 'kafkajs' }] as const

const usage = (problem: string): never => {
  console.error(
    `faults: ${problem}\nUsage: npm run faults -- <id…|ci|core|all> [--seed N] [--records SHARE] [--nodes 1|3] [--client ${CLIENTS.join('|')}] [--json]\n` +
      `  ci = a share of the records, for every test run; core = all of them, each in its variants; all = core\n` +
      FAULTS.map(({ id, title }) => `  ${id.padEnd(20)} ${title}`).join('\n'),
  )
  process.exit(2)
}

const parse = () => {
  try {
    return parseArgs({
      options: {
        seed: { type: 'string' },
        records: { type: 'string' },
        nodes: { type: 'string' },
        client: { type: 'string' },
        json: { type: 'boolean', default: false },
      },
      allowPositionals: true,
    })
  } catch (error) {
    return usage(error instanceof Error ? error.message : String(error))
  }
}

const { values, positionals } = parse()
const seed = values.seed === undefined ? randomInt(1, 2 ** 31) : Number(values.seed)
if (!Number.isSafeInteger(seed) || seed < 0) usage(`--seed ${values.seed}: expected a whole number`)
const share = values.records === undefined ? undefined : Number(values.records)
if (share !== undefined && !(share > 0 && share <= 1)) usage(`--records ${values.records}: expected a share above 0 and up to 1`)
if (values.nodes !== undefined && values.nodes !== '1' && values.nodes !== '3') usage(`--nodes ${values.nodes}: expected 1 or 3`)
const client = CLIENTS.find((name) => name === values.client)
if (values.client !== undefined && client === undefined) usage(`--client ${values.client}: expected ${CLIENTS.join(' or ')}`)

const isCi = positionals.length === 1 && positionals[0] === 'ci'
const chosen = (): readonly Fault[] => {
  if (isCi) return FAULTS.filter(({ ciScale }) => ciScale !== undefined)
  if (positionals.includes('core') || positionals.includes('all')) return FAULTS
  // A name that is nobody's stands for all that begin with it: serving.
  const isOne = (name: string): boolean => FAULTS.some(({ id }) => id === name)
  const isMeant = ({ id }: Fault, name: string): boolean => id === name || (!isOne(name) && id.startsWith(`${name}-`))
  const unknown = positionals.filter((name) => !FAULTS.some((fault) => isMeant(fault, name)))
  if (unknown.length > 0) return usage(`${unknown.join(', ')}: no such fault`)
  if (positionals.length === 0) return usage('which one?')
  return FAULTS.filter((fault) => positionals.some((name) => isMeant(fault, name)))
}

const variantsOf = (fault: Fault): readonly Pick<FaultOptions, 'nodes' | 'client'>[] => {
  const variants = isCi ? (fault.variants ?? DEFAULT_VARIANTS).slice(0, 1) : (fault.variants ?? DEFAULT_VARIANTS)
  return variants.filter(
    (one) => (values.nodes === undefined || one.nodes === Number(values.nodes)) && (client === undefined || one.client === client),
  )
}

const lines: FaultLine[] = []
for (const fault of chosen()) {
  for (const variant of variantsOf(fault)) {
    const name =
      fault.variants === undefined ? fault.id : `${fault.id}/${variant.nodes}-${variant.nodes === 1 ? 'node' : 'nodes'}/${variant.client}`
    if (!values.json) console.log(`\n── ${name} ── ${fault.title}`)
    const note = (text: string): void => void (values.json || console.log(`  ${text}`))
    const scale = share ?? (isCi ? (fault.ciScale ?? 1) : 1)
    let line: FaultLine
    try {
      line = lineOf(name, seed, await fault.run({ seed, scale, note, ...variant }))
    } catch (error) {
      const why = [`it did not run to its end: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`]
      line = { fault: name, seed, acknowledged: 0, lost: 0, duplicates: 0, misordered: 0, recoveredS: null, pass: false, why }
    }
    lines.push(line)
    if (values.json) console.log(JSON.stringify(line))
  }
}
if (lines.length === 0) usage('no variant of these faults fits --nodes and --client')
if (!values.json) console.log(`\n${tableOf(lines)}\n\nAgain: npm run faults -- ${positionals.join(' ')} --seed ${seed}`)
if (!lines.every(({ pass }) => pass)) process.exitCode = 1
