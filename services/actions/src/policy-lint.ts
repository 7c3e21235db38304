// What is wrong with policies before they decide anything: every fault at once, each where it is written. Conditions are read by the
// engine that judges them live, against the types of what they will see.

import { Environment, serialize } from '@marcbachmann/cel-js'
import type { ASTNode } from '@marcbachmann/cel-js'
import { isForReview } from '@andon/decisions'
import {
  DocumentError,
  actsOnPlant,
  boundaryFaults,
  checkParams,
  nearest,
  openYaml,
  pathText,
  policyFaults,
  safetyFaults,
  safetySignals,
} from '@andon/schemas'
import type { Boundary, Commands, Fault, OpenDocument, Plant } from '@andon/schemas'
import { inOrder } from './policy.ts'
import { VARIABLES } from './policy-context.ts'

/** A policy as it is written: YAML, or JSON. */
export interface PolicyText {
  readonly name: string
  /** Named in faults. */
  readonly file: string
  readonly text: string
}

/** What policies are checked against; null where it is not known, and then nothing is said about it. */
export interface LintPlant {
  readonly plant: Plant | null
  readonly catalogue: Commands | null
  readonly boundaries: readonly Boundary[] | null
  /** Day of the check (UTC, 2026-11-23); without it no policy is out of date. */
  readonly today?: string
}

export interface LintFault {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly path: string
  readonly found: string
  readonly expected: string
}

/** One fault in one line, in the form that editors follow. */
export const faultText = ({ file, line, column, path, found, expected }: LintFault): string =>
  `${file}:${line}:${column}: ${path === '' ? 'the document' : path}: expected ${expected}, found ${found}`

/** Every fault of the policies and between them, by file, line and column. */
export const lintPolicies = (files: readonly PolicyText[], about: LintPlant): LintFault[] => {
  const faults: LintFault[] = []
  const opened: Opened[] = []
  for (const file of files) {
    try {
      opened.push({ ...file, document: openYaml(file.text, file.file) })
    } catch (error) {
      if (!(error instanceof DocumentError)) throw error
      const { line = 1, column = 1, path, found, expected } = error
      faults.push({ file: file.file, line, column, path, found, expected })
    }
  }
  const conditions = opened.map((one) => conditionOf(one, about))
  opened.forEach((one, i) => faults.push(...documentFaults(one, about), ...(conditions[i]?.faults ?? [])))
  faults.push(...unreachable(conditions))
  return faults.toSorted((a, b) => (a.file === b.file ? a.line - b.line || a.column - b.column : a.file < b.file ? -1 : 1))
}

interface Opened extends PolicyText {
  readonly document: OpenDocument
}

const raw = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

const shown = (value: unknown): string => (value === undefined ? 'nothing' : JSON.stringify(value))

const placed = ({ file, document }: Opened, { path, expected, isKey }: Fault, found?: string): LintFault => {
  const { line, column } = document.placeOf(path, isKey === true ? 'key' : 'value')
  const value = path.reduce<unknown>((at, key) => raw(at, String(key)), document.value)
  return { file, line, column, path: pathText(path), found: found ?? (isKey === true ? shown(path.at(-1)) : shown(value)), expected }
}

/** Shape, name, catalogue, risk floor, boundary page. Works on what is written, so one fault hides no other. */
const documentFaults = (one: Opened, about: LintPlant): LintFault[] => {
  const { value } = one.document
  const ofShape = policyFaults(value)
  const faults = ofShape.map((fault) => placed(one, fault, fault.isKey === true ? undefined : fault.found))
  const add = (...more: Fault[]): void => {
    // what the shape says of a place is enough
    for (const fault of more) if (!ofShape.some(({ path }) => pathText(path) === pathText(fault.path))) faults.push(placed(one, fault))
  }
  const name = raw(value, 'name')
  if (textOf(name) !== undefined && name !== one.name) add({ path: ['name'], expected: `${one.name}, as the file is called` })
  const validUntil = textOf(raw(value, 'validUntil'))
  if (validUntil !== undefined && about.today !== undefined && validUntil < about.today)
    add({ path: ['validUntil'], expected: `a day from ${about.today} on: from then it only asks` })
  if (about.catalogue) add(...planFaults(value, about.catalogue, about))
  return faults
}

const RISKS = ['low', 'medium', 'high']

/** Whom notices can be for: what the parameter `to` of the command that tells people allows; null where it has none. */
const groupsOf = (catalogue: Commands): { readonly teller: string; readonly groups: readonly string[] | null } => {
  const command = catalogue.commands.find(({ effect }) => effect === 'notify')
  const to = command?.params['to']
  return { teller: command?.name ?? '', groups: to?.type === 'string' ? to.enum : null }
}

const rungsOf = (step: unknown): [number, string][] => {
  const ladder = raw(step, 'ladder')
  const rungs: unknown[] = Array.isArray(ladder) ? ladder : []
  return rungs.flatMap((rung, i): [number, string][] => {
    const tell = textOf(raw(rung, 'tell'))
    return tell === undefined ? [] : [[i, tell]]
  })
}

const planFaults = (policy: unknown, catalogue: Commands, { plant, boundaries }: LintPlant): Fault[] => {
  const plan = raw(policy, 'plan')
  const steps: unknown[] = Array.isArray(plan) ? plan : []
  const signals = plant ? safetySignals(plant) : new Set<string>()
  const { teller, groups } = groupsOf(catalogue)
  const allowed = RISKS.indexOf(textOf(raw(policy, 'riskClass')) ?? 'high')
  const faults = steps.flatMap((step, i): Fault[] => {
    const name = textOf(raw(step, 'command'))
    const at = (...path: (string | number)[]) => ['plan', i, ...path]
    const found = safetyFaults(raw(step, 'params'), signals, at('params'))
    if (name === undefined) return found
    const command = catalogue.commands.find((each) => each.name === name)
    const known = catalogue.commands.map((each) => each.name)
    if (command === undefined)
      return [...found, { path: at('command'), expected: `a command of the catalogue; the nearest is ${nearest(name, known)}` }]
    const approvals = raw(step, 'approvals')
    if (actsOnPlant(command) && typeof approvals === 'number' && approvals < 1)
      found.push({ path: at('approvals'), expected: `at least 1: ${name} has effect ${command.effect}, and no policy goes below that` })
    if (allowed >= 0 && RISKS.indexOf(command.riskClass) > allowed)
      found.push({ path: at('command'), expected: `a command of at most risk class ${RISKS[allowed]}: ${name} is ${command.riskClass}` })
    for (const [rung, tell] of rungsOf(step))
      if (groups !== null && !groups.includes(tell))
        found.push({ path: at('ladder', rung, 'tell'), expected: `a group that ${teller} knows: ${groups.join(', ')}` })
    const params = raw(step, 'params') ?? {}
    const checked = typeof params === 'object' ? checkParams(command, params as Record<string, unknown>) : null
    if (checked && 'param' in checked && found.every(({ path }) => path[2] !== 'params'))
      found.push({ path: at('params', checked.param), expected: checked.expected })
    return found
  })
  if (boundaries) {
    const tolerated = raw(raw(policy, 'falsePositives'), 'perAssetPerWeek')
    const page = {
      boundary: textOf(raw(policy, 'boundary')),
      plan: steps.map((step) => ({ command: textOf(raw(step, 'command')) ?? '' })),
      falsePositives: typeof tolerated === 'number' ? { perAssetPerWeek: tolerated } : undefined,
    }
    faults.push(...boundaryFaults(page, catalogue, boundaries))
  }
  return faults
}

// Conditions.

interface Condition {
  readonly one: Opened
  readonly policy: { readonly name: string }
  readonly isShadow: boolean
  readonly text: string
  /** All of these hold where the condition does; null where it cannot be read. */
  readonly conjuncts: ReadonlySet<string> | null
  readonly faults: readonly LintFault[]
}

const checker = (): Environment => {
  const environment = new Environment({ unlistedVariablesAreDyn: false })
  for (const [name, schema] of Object.entries(VARIABLES)) environment.registerVariable({ name, schema })
  return environment
}
const environment = checker()

interface CelFault {
  readonly start: number
  readonly end: number
  readonly expected: string
  readonly found?: string
}

const conditionOf = (one: Opened, about: LintPlant): Condition | undefined => {
  const when = textOf(raw(one.document.value, 'when'))
  if (when === undefined || when === '') return undefined
  const isShadow = raw(one.document.value, 'mode') === 'shadow'
  const common = { one, policy: { name: one.name }, isShadow, text: when }
  const place = ({ start, end, expected, found }: CelFault): LintFault => ({
    file: one.file,
    ...placeInCondition(one.document, when, start),
    path: 'when',
    found: found ?? (when.slice(start, end).trim() || 'the end of the condition'),
    expected,
  })
  try {
    const { ast } = environment.parse(when)
    const named = [...nameFaults(ast, new Set()), ...vocabularyFaults(ast, vocabularyOf(about.plant))]
    const typed = typeFaults(ast, when).filter((fault) => !named.some(({ start, end }) => fault.start <= end && start <= fault.end))
    return { ...common, conjuncts: new Set(conjunctsOf(ast)), faults: [...named, ...typed].map(place) }
  } catch (cause) {
    const { start, end } = rangeOf(cause) ?? { start: 0, end: when.length }
    return { ...common, conjuncts: null, faults: [place({ start, end, expected: `a CEL condition (${wordsOf(cause)})` })] }
  }
}

const rangeOf = (cause: unknown): { start: number; end: number } | undefined =>
  (cause as { range?: { start: number; end: number } } | null | undefined)?.range

const wordsOf = (cause: unknown): string => {
  const { summary } = cause as { summary?: unknown }
  return typeof summary === 'string' ? summary : cause instanceof Error ? (cause.message.split('\n', 1)[0] ?? '') : String(cause)
}

/** Where a character of the condition is written: in quotes and over several lines it lies elsewhere than it counts. */
const placeInCondition = (document: OpenDocument, when: string, start: number): { line: number; column: number } => {
  const { offset, source } = document.placeOf(['when'])
  if (source === when) return document.at(offset + start)
  if (source.slice(1, -1) === when) return document.at(offset + 1 + start)
  const [word = ''] = /[A-Za-z_]\w*|\d+|[^\s\w"'\\]+/.exec(when.slice(start)) ?? []
  if (word === '') return document.at(offset)
  // the same word, the same time it comes
  let at = source.indexOf(word)
  for (let seen = when.indexOf(word); seen >= 0 && seen < start && at >= 0; seen = when.indexOf(word, seen + 1))
    at = source.indexOf(word, at + 1)
  return document.at(offset + Math.max(at, 0))
}

const MACROS = new Set(['exists', 'exists_one', 'all', 'map', 'filter'])

const isNode = (value: unknown): value is ASTNode => typeof value === 'object' && value !== null && 'op' in value && 'args' in value

/** Nodes directly below. */
const below = ({ args }: ASTNode): ASTNode[] => (Array.isArray(args) ? (args as unknown[]).flat(2) : [args]).filter(isNode)

const fieldsOf = (name: string): readonly string[] | undefined =>
  Object.hasOwn(VARIABLES, name) ? Object.keys(VARIABLES[name as keyof typeof VARIABLES]) : undefined

/** Variables and fields that nothing provides. `bound` are the names that macros around bind. */
const nameFaults = (node: ASTNode, bound: ReadonlySet<string>): CelFault[] => {
  const { start, end } = node
  if (node.op === 'id') {
    if (bound.has(node.args) || fieldsOf(node.args)) return []
    const known = Object.keys(VARIABLES)
    return [{ start, end, expected: `one of ${known.join(', ')}; the nearest is ${nearest(node.args, known)}` }]
  }
  if (node.op === '.' && node.args[0].op === 'id' && !bound.has(node.args[0].args)) {
    const [{ args: variable }, field] = node.args
    const fields = fieldsOf(variable)
    if (fields && !fields.includes(field))
      return [
        {
          start: end - field.length,
          end,
          found: `${variable}.${field}`,
          expected: `a field of ${variable}; the nearest is ${nearest(field, fields)}`,
        },
      ]
  }
  if (node.op === 'rcall' && MACROS.has(node.args[0])) {
    const [, receiver, [name, ...rest]] = node.args
    const inner = new Set([...bound, ...(name?.op === 'id' ? [name.args] : [])])
    return [...nameFaults(receiver, bound), ...rest.flatMap((each) => nameFaults(each, inner))]
  }
  return below(node).flatMap((each) => nameFaults(each, bound))
}

type Vocabulary = ReadonlyMap<string, readonly string[]>

/** Fields that have one of few values. */
const vocabularyOf = (plant: Plant | null): Vocabulary =>
  new Map<string, readonly string[]>([
    ['finding.transition', ['opened', 'updated', 'closed', 'corrected']],
    ['finding.about', ['machine', 'sensor', 'telemetry']],
    ['finding.modelRole', ['champion', 'advisory', 'canary', 'shadow', '']],
    ['model.role', ['champion', 'advisory', 'canary', 'shadow', '']],
    ...(plant
      ? ([
          ['finding.assetId', plant.assets.map(({ id }) => id)],
          ['asset.id', plant.assets.map(({ id }) => id)],
          ['asset.line', plant.lines.map(({ id }) => id)],
          ['line.id', plant.lines.map(({ id }) => id)],
          ['line.area', plant.lines.map(({ area }) => area)],
          ['asset.class', plant.assetClasses.map(({ id }) => id)],
          ['shift.name', ['', ...(plant.site.shifts ?? []).map(({ name }) => name)]],
        ] as const)
      : []),
  ])

/** Comparisons with a value that the field never has: they would hold never, or always. */
const vocabularyFaults = (node: ASTNode, words: Vocabulary): CelFault[] => {
  const inner = below(node).flatMap((each) => vocabularyFaults(each, words))
  if (node.op !== '==' && node.op !== '!=') return inner
  const [left, right] = node.args
  const [field, literal] = left.op === 'value' ? [right, left] : [left, right]
  if (field.op !== '.' || field.args[0].op !== 'id' || literal.op !== 'value' || typeof literal.args !== 'string') return inner
  const name = `${field.args[0].args}.${field.args[1]}`
  const known = words.get(name)
  if (!known || known.includes(literal.args)) return inner
  return [
    ...inner,
    { start: literal.start, end: literal.end, expected: `a value that ${name} can have; the nearest is "${nearest(literal.args, known)}"` },
  ]
}

/** What the engine's own check says of each part between `&&`, `||`, `!` and `?:`, so that one fault hides no other. */
const typeFaults = (node: ASTNode, when: string): CelFault[] => {
  if (node.op === '&&' || node.op === '||' || node.op === '!_') return below(node).flatMap((each) => typeFaults(each, when))
  const { start, end } = node
  // blanks keep the places
  const alone = ' '.repeat(start) + when.slice(start, end)
  try {
    const { valid, type, error } = environment.parse(alone).check()
    if (!valid) {
      const range = rangeOf(error) ?? { start, end }
      return [{ ...range, expected: `types that go together (${wordsOf(error)})` }]
    }
    return type === 'bool' || type === 'dyn' ? [] : [{ start, end, expected: `a yes or no, where this is of type ${type}` }]
  } catch (cause) {
    return [{ start, end, expected: `a CEL condition (${wordsOf(cause)})` }]
  }
}

const conjunctsOf = (node: ASTNode): string[] => {
  if (node.op === '&&') return below(node).flatMap(conjunctsOf)
  if (node.op === 'value' && node.args === true) return []
  return [serialize(node)]
}

const literalsOf = (text: string): string[] => [...text.matchAll(/"([^"\\]*)"|'([^'\\]*)'/g)].map(([, a, b]) => a ?? b ?? '')

/** Policies that never plan: their condition never holds, or one before them always takes the finding. */
const unreachable = (conditions: readonly (Condition | undefined)[]): LintFault[] => {
  const readable = conditions.filter((one) => one !== undefined).filter(({ conjuncts }) => conjuncts !== null)
  const never = readable.filter(({ conjuncts }) => conjuncts?.has('false'))
  const faults = never.map((one) => told(one, 'a condition that can hold'))
  const before: Condition[] = []
  for (const one of inOrder(readable.filter((each) => !never.includes(each) && !each.isShadow))) {
    const reviews = literalsOf(one.text).filter(isForReview)
    // a finding for review passes policies that do not name its type
    const taker = before.find(
      ({ conjuncts, text }) => one.conjuncts?.isSupersetOf(conjuncts ?? new Set()) && reviews.every((type) => text.includes(type)),
    )
    if (taker) faults.push(told(one, `a condition that is reached: ${taker.policy.name} comes before and holds whenever this one does`))
    before.push(one)
  }
  return faults
}

const told = ({ one, text }: Condition, expected: string): LintFault => placed(one, { path: ['when'], expected }, text)
