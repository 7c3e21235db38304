// `npm run verify -- conformance`: every adapter of the log port against the suite of packages/kit/test/conformance, one check per
// adapter and rule. For people: adapters beside each other, rule by rule.

import { RULES } from '../../packages/kit/test/conformance/subject.ts'
import { type Check, type Tried, aligned, checkOf, triedIn } from './check.ts'

/** The files that hold the adapters against the suite, and whom each has. */
const FILES = [
  ['packages/kit/test/memory.unit.test.ts', ['memory']],
  ['packages/kit/test/simulation.unit.test.ts', ['simulation']],
  ['packages/kit/test/kafka.int.test.ts', ['kafkajs', 'platformatic']],
] as const

export const conformance = async (): Promise<Check[]> => {
  const checks: Check[] = []
  for (const [file, adapters] of FILES) {
    const tried = await Array.fromAsync(triedIn(file))
    for (const adapter of adapters) {
      for (const rule of RULES) checks.push(checkOf(`conformance ${adapter} ${rule}`, promisesOf(tried, `${adapter}: ${rule}: `)))
      const own = tried.filter(({ name }) => name.startsWith(`${adapter}: `))
      if (own.every(({ skip }) => skip !== undefined))
        checks.push({
          check: `conformance ${adapter}`,
          items: 0,
          failed: 1,
          pass: false,
          skipped: [],
          failures: [`${file} tried nothing of it`],
        })
    }
    // What belongs to no adapter, such as a file that cannot start.
    const stray = tried.filter(({ name, failure }) => failure !== undefined && !adapters.some((adapter) => name.startsWith(`${adapter}: `)))
    if (stray.length > 0) checks.push(checkOf(`conformance ${file}`, stray))
  }
  return checks
}

const promisesOf = (tried: readonly Tried[], prefix: string): Tried[] =>
  tried.filter(({ name }) => name.startsWith(prefix)).map((one) => ({ ...one, name: one.name.slice(prefix.length) }))

/** Rules down, adapters across: promises kept of promises tried, `-` where an adapter has nothing to try it on. */
export const conformanceTable = (checks: readonly Check[]): string => {
  const adapters = FILES.flatMap(([, names]) => names)
  const found = new Map(checks.map((check) => [check.check, check]))
  const cell = (adapter: string, rule: string): string => {
    const { items, failed } = found.get(`conformance ${adapter} ${rule}`)!
    return items === 0 ? '-' : `${items - failed}/${items}${failed > 0 ? ' FAILED' : ''}`
  }
  const rows = [['RULE', ...adapters], ...RULES.map((rule) => [rule, ...adapters.map((adapter) => cell(adapter, rule))])]
  const failures = checks.flatMap(({ check, failures: list }) => list.map((each) => `  ✖ ${check}: ${each}`))
  const reasons = new Map<string, Set<string>>()
  for (const { check, skipped } of checks)
    for (const each of skipped) {
      const why = each.slice(each.lastIndexOf(': ') + 2)
      reasons.set(why, (reasons.get(why) ?? new Set()).add(check.slice('conformance '.length)))
    }
  const leftOut = [...reasons].map(([why, which]) => `  - ${why}: ${[...which].join(', ')}`)
  return [
    aligned(rows),
    ...(failures.length > 0 ? ['\nfailed:', ...failures] : []),
    ...(leftOut.length > 0 ? ['\nleft out, in part or whole:', ...leftOut] : []),
  ].join('\n')
}
