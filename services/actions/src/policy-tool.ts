// `andon policy lint` and `andon policy test`: policies checked, and tried on what was recorded, by the code that decides live.
// Reads files and the log; writes nothing and acts on nothing. Exit codes: 0 well, 1 faults or other plans, 2 the call itself is wrong.

import { readFileSync, readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { openLog, readConfig, sharedSettings } from '@andon/kit'
import type { Codec, Log } from '@andon/kit'
import { AndonError, messageOf } from '@andon/kit/errors'
import { canonicalJson, sha256Hex } from '@andon/kit/ids'
import { DocumentError, parseBoundary, parseCommands, parsePlant, parsePolicy } from '@andon/schemas'
import type { Anomalies, Boundary, Config } from '@andon/schemas'
import { parse } from 'yaml'
import { PlantView } from './plant-view.ts'
import { faultText, lintPolicies } from './policy-lint.ts'
import type { LintFault, PolicyText } from './policy-lint.ts'
import { planDifferences, rehearse } from './policy-rehearsal.ts'
import type { PlanDifference, RecordedFinding, Rehearsed } from './policy-rehearsal.ts'

const usage = (message: string): AndonError => new AndonError('ANDON_ACTIONS_POLICY_TOOL', message, { status: 400 })

const textOf = (file: string): string => {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    throw usage(`${file}: no readable file.`)
  }
}

const filesOf = (folder: string, ending: string): string[] => {
  try {
    return readdirSync(folder)
      .filter((file) => file.endsWith(ending))
      .toSorted()
      .map((file) => join(folder, file))
  } catch {
    return []
  }
}

const named = (folder: string, file: string, ending: string): string => `${folder}/${basename(file, ending)}`

// Lint.

/** Every fault of a plant folder's policies, and of the documents they rest on. Throws where it is no plant folder. */
export const lintFolder = (folder: string, today: string): { readonly policies: number; readonly faults: LintFault[] } => {
  const faults: LintFault[] = []
  const read = <T>(file: string, parser: (text: string, options: { file: string }) => T): T | null => {
    try {
      return parser(textOf(file), { file })
    } catch (error) {
      if (!(error instanceof DocumentError)) throw error
      const { line = 1, column = 1, path, found, expected } = error
      faults.push({ file, line, column, path, found, expected })
      return null
    }
  }
  const plant = read(join(folder, 'plant.yaml'), parsePlant)
  const catalogue = read(join(folder, 'commands.yaml'), parseCommands)
  const pages = filesOf(join(folder, 'boundaries'), '.md').map((file) => ({ file, page: read(file, parseBoundary) }))
  // a page with a fault of its own is there all the same
  const boundaries = pages.map(
    ({ file, page }): Boundary =>
      page ?? ({ name: named('boundaries', file, '.md'), falsePositives: { perAssetPerWeek: Infinity } } as Boundary),
  )
  const policies = filesOf(join(folder, 'policies'), '.yaml').map((file): PolicyText => ({
    name: named('policies', file, '.yaml'),
    file,
    text: textOf(file),
  }))
  if (policies.length === 0) throw usage(`${folder}: no policies/*.yaml here.`)
  return { policies: policies.length, faults: [...faults, ...lintPolicies(policies, { plant, catalogue, boundaries, today })] }
}

const lint = (args: readonly string[]): number => {
  const { values, positionals } = parseArgs({ args: [...args], options: { json: { type: 'boolean' } }, allowPositionals: true })
  const [folder] = positionals
  if (folder === undefined) throw usage('andon policy lint <folder>: name a plant folder.')
  const { policies, faults } = lintFolder(folder, new Date().toISOString().slice(0, 10))
  if (values.json) console.log(JSON.stringify({ ok: faults.length === 0, policies, faults }))
  else if (faults.length === 0) console.log(`${policies} policies, no fault.`)
  else console.log([...faults.map(faultText), `${faults.length} faults in ${policies} policies.`].join('\n'))
  return faults.length === 0 ? 0 : 1
}

// Test.

/** Newest documents on `config`, in log order. */
export const readDocuments = async (log: Log, codec: Codec): Promise<Config[]> => {
  const documents: Config[] = []
  for (const { partition, low, high } of await log.admin.watermarks('config'))
    for await (const batch of log.read({ topic: 'config', partition, from: low, to: high }))
      for (const { value } of batch.records) if (value !== null) documents.push(await codec.decodeAsync<Config>('config', value))
  return documents
}

/** Findings whose record time lies in the range; `toMs` is exclusive. A finding that was written twice counts once. */
export const readFindings = async (log: Log, codec: Codec, fromMs: number, toMs: number): Promise<RecordedFinding[]> => {
  const found = new Map<string, RecordedFinding>()
  for (const { partition, low, high } of await log.admin.watermarks('anomalies')) {
    const from = Math.max(low, await log.admin.offsetAt('anomalies', partition, fromMs))
    const to = Math.min(high, await log.admin.offsetAt('anomalies', partition, toMs))
    if (from >= to) continue
    for await (const batch of log.read({ topic: 'anomalies', partition, from, to }))
      for (const { value, timestampMs } of batch.records) {
        const { type, finding } = value === null ? {} : await codec.decodeAsync<Partial<Anomalies>>('anomalies', value)
        if (type && finding && !found.has(finding.findingId)) found.set(finding.findingId, { type, finding, atUs: timestampMs * 1000 })
      }
  }
  return [...found.values()].toSorted((a, b) => a.atUs - b.atUs)
}

/** The documents with the policy of a file in place of the one of its name. It decides, whatever its mode: that is what is asked. */
export const withPolicy = (documents: readonly Config[], file: string, text: string): Config[] => {
  const written = parse(text) as { name?: unknown } | null
  const name = typeof written?.name === 'string' ? written.name : named('policies', file, '.yaml')
  const view = new PlantView()
  for (const document of documents) view.apply(document)
  const about = { plant: view.plant, catalogue: view.catalogue, boundaries: null }
  const faults = lintPolicies([{ name, file, text }], about)
  if (faults.length > 0) throw usage(faults.map(faultText).join('\n'))
  const body = canonicalJson({ ...parsePolicy(text, { file }), mode: 'enforce' })
  const last = documents.at(-1)
  const atUs = last?.atUs ?? 0
  const own: Config = {
    type: 'ConfigPublished',
    name,
    kind: 'policy',
    digest: sha256Hex(body),
    body,
    effectiveFromUs: atUs,
    by: 'policy-test',
    atUs,
  }
  return [...documents, own]
}

export interface PolicyTest {
  readonly findings: number
  readonly before: readonly Rehearsed[]
  readonly after: readonly Rehearsed[]
  readonly differences: readonly PlanDifference[]
}

/** Findings through both sets of documents. */
export const testPolicies = (findings: readonly RecordedFinding[], before: readonly Config[], after: readonly Config[]): PolicyTest => {
  const [was, is] = [rehearse(findings, before), rehearse(findings, after)]
  return { findings: findings.length, before: was, after: is, differences: planDifferences(findings, was, is) }
}

const test = async (args: readonly string[]): Promise<number> => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      from: { type: 'string' },
      to: { type: 'string' },
      policy: { type: 'string' },
      against: { type: 'string' },
      json: { type: 'boolean' },
    },
  })
  const time = (name: 'from' | 'to'): number => {
    const ms = Date.parse(values[name] ?? '')
    if (Number.isNaN(ms)) throw usage(`--${name}: expected a time (2026-11-23T08:00:00Z), found ${values[name] ?? 'nothing'}.`)
    return ms
  }
  const [fromMs, toMs] = [time('from'), time('to')]
  const texts = { policy: values.policy && textOf(values.policy), against: values.against && textOf(values.against) }
  const { kafkaBrokers, registryUrl, namespace } = readConfig(process.env, {
    kafkaBrokers: sharedSettings.kafkaBrokers,
    registryUrl: sharedSettings.registryUrl,
    namespace: sharedSettings.namespace,
  })
  const { log, codec } = await openLog({ kafkaBrokers, registryUrl, namespace, registerSchemas: false }, 'andon-policy')
  try {
    const documents = await readDocuments(log, codec)
    const findings = await readFindings(log, codec, fromMs, toMs)
    const put = (file: string | undefined, text: string | undefined) =>
      file === undefined || text === undefined ? documents : withPolicy(documents, file, text)
    const result = testPolicies(findings, put(values.against, texts.against), put(values.policy, texts.policy))
    const { differences } = result
    console.log(
      values.json
        ? JSON.stringify({ from: values.from, to: values.to, findings: findings.length, changed: differences.length, differences })
        : testText(findings, result),
    )
    return differences.length === 0 ? 0 : 1
  } finally {
    await log.close()
  }
}

const MOST_SHOWN = 50

const columns = (rows: readonly (readonly string[])[]): string[] => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

const planText = ({ policy, steps }: Rehearsed): string =>
  steps.length === 0
    ? `${policy ?? 'no policy'}: nothing new`
    : `${policy ?? 'no policy'}: ${steps.map(({ step, approvals }) => (approvals === 0 ? step : `${step} (${approvals} to approve)`)).join(', ')}`

/** The counts of every plan, then each finding that gets another one, and why. */
export const testText = (findings: readonly RecordedFinding[], { before, after, differences }: PolicyTest): string => {
  const counted = Map.groupBy(
    [...before.map((one) => [planText(one), 0] as const), ...after.map((one) => [planText(one), 1] as const)],
    ([plan]) => plan,
  )
  const counts = [...counted].map(([plan, all]) => [
    plan,
    String(all.filter(([, side]) => side === 0).length),
    String(all.filter(([, side]) => side === 1).length),
  ])
  if (findings.length === 0) return 'No finding in this time.'
  const changed = differences
    .slice(0, MOST_SHOWN)
    .flatMap(({ findingId, assetId, severity, atUs, type, before: was, after: is, why }) => [
      '',
      `${new Date(atUs / 1000).toISOString()}  ${assetId}  severity ${severity}  ${type}  ${findingId}`,
      `  before  ${planText(was)}`,
      `  after   ${planText(is)}`,
      ...why.map((reason) => `  why     ${reason}`),
    ])
  return [
    ...columns([['PLAN', 'BEFORE', 'AFTER'], ...counts]),
    ...changed,
    ...(differences.length > MOST_SHOWN ? ['', `… and ${differences.length - MOST_SHOWN} more; --json has all.`] : []),
    '',
    `${differences.length} of ${findings.length} findings get another plan.`,
  ].join('\n')
}

const main = async ([verb, ...args]: readonly string[]): Promise<number> => {
  try {
    if (verb === 'lint') return lint(args)
    if (verb === 'test') return await test(args)
    throw usage('expected lint or test.')
  } catch (error) {
    console.error(error instanceof AndonError ? `${messageOf(error)} [${error.code}]` : messageOf(error))
    if (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')) return 2
    return error instanceof AndonError && (error.status === 400 || error.code === 'ANDON_SETTING_INVALID') ? 2 : 1
  }
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2))
