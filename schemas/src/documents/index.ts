// The plant's documents by name: which name holds what, and the rules that span several documents.

import { z } from 'zod'
import { parseBoundary } from './boundary.ts'
import type { Boundary } from './boundary.ts'
import { actsOnPlant, checkParams, parseCommands } from './commands.ts'
import type { Commands } from './commands.ts'
import { FeatureSetError, fitFeatureSet } from './feature-fit.ts'
import { parseFeatureSet } from './feature-set.ts'
import type { FeatureSet } from './feature-set.ts'
import { parsePlant } from './plant.ts'
import type { Plant } from './plant.ts'
import { parsePolicy } from './policy.ts'
import type { Policy } from './policy.ts'
import { catalogueSafetyFaults, safetyFaults, safetySignals } from './safety.ts'
import { parseSource, sourceFaults } from './source.ts'
import type { PlantSource } from './source.ts'
import { DocumentError, pathText, readDocument } from './read.ts'
import type { Fault, ReadOptions } from './read.ts'

export * from './boundary.ts'
export * from './commands.ts'
export * from './feature-fit.ts'
export * from './feature-set.ts'
export { nearest } from './nearest.ts'
export * from './plant.ts'
export * from './policy.ts'
export { catalogueSafetyFaults, safetyFaults, safetySignals } from './safety.ts'
export * from './source.ts'
export * from './statistics.ts'
export type { PayloadMapping, TimeFormat } from './sources/payload.ts'
export { modbusTypeOf, registersOf } from './sources/registers.ts'
export type { RegisterType } from './sources/registers.ts'
export { DocumentError, openYaml, pathText, resolvePorts } from './read.ts'
export type { Fault, OpenDocument, Place, ReadOptions } from './read.ts'

const servicedShape = z.strictObject({
  version: z.literal(1),
  asset: z.string().min(1),
  /** Event time of the overhaul or sensor change, microseconds UTC: the asset's baseline ends here. */
  atUs: z.int().positive(),
  what: z.string().min(1),
})

export type Serviced = z.output<typeof servicedShape>

/** Reads a `serviced/<asset>` document. */
export const parseServiced = (source: unknown, options: ReadOptions = {}): Serviced =>
  readDocument(servicedShape, source, { file: 'serviced', ...options })

const parsers = {
  plant: parsePlant,
  'feature-set': parseFeatureSet,
  policy: parsePolicy,
  commands: parseCommands,
  boundary: parseBoundary,
  serviced: parseServiced,
  source: parseSource,
}

export type DocumentKind = keyof typeof parsers

const folders = new Map<string, DocumentKind>([
  ['features', 'feature-set'],
  ['policies', 'policy'],
  ['boundaries', 'boundary'],
  ['serviced', 'serviced'],
  ['sources', 'source'],
])

/** Kind of the document with this name on `config`; undefined when no document may have it. */
export const documentKind = (name: string): DocumentKind | undefined => {
  if (name === 'plant' || name === 'commands') return name
  const [folder, rest] = name.split('/', 2)
  if (rest === undefined || rest === '') return undefined
  return folders.get(folder ?? '')
}

/** Reads the document `name`; it must carry that name if its kind carries one. */
export const parseNamed = (name: string, source: unknown, options: ReadOptions = {}): { kind: DocumentKind; value: unknown } => {
  const file = options.file ?? name
  const kind = documentKind(name)
  if (kind === undefined) {
    throw new DocumentError(
      file,
      undefined,
      'name',
      JSON.stringify(name),
      'plant, commands, features/…, policies/…, boundaries/…, sources/… or serviced/…',
    )
  }
  const value: unknown = parsers[kind](source, { ...options, file })
  const { name: named, id } = value as { name?: unknown; id?: unknown }
  const own = kind === 'source' ? `sources/${String(id)}` : named
  if (typeof own === 'string' && own !== name) throw new DocumentError(file, undefined, 'name', JSON.stringify(own), JSON.stringify(name))
  return { kind, value }
}

/** What a plant is described by. */
export interface PlantDocuments {
  readonly plant: Plant
  readonly commands: Commands
  readonly featureSets: readonly FeatureSet[]
  readonly policies: readonly Policy[]
  readonly sources?: readonly PlantSource[]
  /** Boundary pages of the folder; without them policies are not checked against theirs. */
  readonly boundaries?: readonly Boundary[]
}

/**
 * Rules that span documents; throws a DocumentError for the first one broken. A policy names catalogued
 * commands with valid parameters, and none that moves or stops something runs without a human. A feature set fits the assets of its classes. A source file names assets and channels
 * of the plant.
 */
export const checkPlantDocuments = ({ plant, commands, featureSets, policies, sources = [], boundaries }: PlantDocuments): void => {
  const signals = safetySignals(plant)
  refuseFirst('commands', commands, catalogueSafetyFaults(commands, signals))
  for (const source of sources) {
    const [first] = sourceFaults(source, plant)
    if (first !== undefined)
      throw new DocumentError(`sources/${source.id}`, undefined, first.path, JSON.stringify(first.found), first.expected)
  }
  plant.assetClasses.forEach((assetClass, i) => {
    if (featureSets.some((set) => set.name === assetClass.featureSet)) return
    throw new DocumentError(
      'plant',
      undefined,
      `assetClasses[${i}].featureSet`,
      JSON.stringify(assetClass.featureSet),
      `a feature set of this plant (${names(featureSets)})`,
    )
  })
  for (const set of featureSets) checkFits(set, plant)
  for (const policy of policies) {
    policy.plan.forEach((step, i) => refuseFirst(policy.name, policy, safetyFaults(step.params, signals, ['plan', i, 'params'])))
    if (boundaries !== undefined) refuseFirst(policy.name, policy, boundaryFaults(policy, commands, boundaries))
    policy.plan.forEach((step, i) => {
      const fail = (field: string, found: unknown, expected: string): never => {
        throw new DocumentError(policy.name, undefined, `plan[${i}].${field}`, JSON.stringify(found) ?? 'nothing', expected)
      }
      const command = commands.commands.find((each) => each.name === step.command)
      if (command === undefined) return fail('command', step.command, `a command of the catalogue (${names(commands.commands)})`)
      if (actsOnPlant(command) && step.approvals < 1)
        fail('approvals', step.approvals, `at least 1: ${command.name} has effect ${command.effect}`)
      const checked = checkParams(command, step.params)
      if ('param' in checked) fail(`params.${checked.param}`, step.params[checked.param], checked.expected)
      return undefined
    })
  }
}

/** What acts on the plant has a page that says what it does and does not do, and tolerates no more than that page. */
export const boundaryFaults = (
  policy: Pick<Policy, 'boundary' | 'falsePositives'> & { readonly plan: readonly Pick<Policy['plan'][number], 'command'>[] },
  commands: Commands,
  boundaries: readonly Pick<Boundary, 'name' | 'falsePositives'>[],
): Fault[] => {
  const acts = policy.plan.some((step) => commands.commands.some((each) => each.name === step.command && actsOnPlant(each)))
  const page = boundaries.find(({ name }) => name === policy.boundary)
  if (policy.boundary === undefined)
    return acts ? [{ path: ['boundary'], expected: 'the name of its boundary document: the plan moves or stops something' }] : []
  if (page === undefined) return [{ path: ['boundary'], expected: `a boundary document of this plant (${names(boundaries) || 'none'})` }]
  const { perAssetPerWeek } = page.falsePositives
  return (policy.falsePositives?.perAssetPerWeek ?? 0) > perAssetPerWeek
    ? [{ path: ['falsePositives', 'perAssetPerWeek'], expected: `at most ${perAssetPerWeek}, as ${page.name} says` }]
    : []
}

const refuseFirst = (name: string, value: unknown, [first]: readonly Fault[]): void => {
  if (first === undefined) return
  const found = first.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], value)
  throw new DocumentError(name, undefined, pathText(first.path), JSON.stringify(found) ?? 'nothing', first.expected)
}

/** A set fits every asset whose class has it; of a set that is known by name alone nothing can be said. */
const checkFits = (set: FeatureSet, { assets, assetClasses }: Plant): void => {
  const classes = new Set(assetClasses.filter(({ featureSet }) => featureSet === set.name).map(({ id }) => id))
  for (const asset of assets) {
    if (!classes.has(asset.class) || (set.features as unknown) === undefined) continue
    try {
      fitFeatureSet(set, asset)
    } catch (error) {
      if (!(error instanceof FeatureSetError)) throw error
      const { path, what } = error
      const found: unknown = path.reduce<unknown>((at, key) => (at as Record<string | number, unknown>)[key], set)
      throw new DocumentError(set.name, undefined, pathText(path), JSON.stringify(found), `what fits asset ${asset.id}: ${what}`)
    }
  }
}

const names = (items: readonly { readonly name: string }[]): string => items.map((item) => item.name).join(', ')
