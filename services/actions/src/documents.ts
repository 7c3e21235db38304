// Documents: checked before they are accepted, and published on `config` by the owner of their home partition.
// Publishing is level-triggered: what is accepted and not yet on `config` is published, whoever accepted it.

import { publish, uuid8 } from '@andon/kit'
import type { Codec, Log, Logger } from '@andon/kit'
import type { AcceptedDocument } from '@andon/decisions'
import type { Config } from '@andon/schemas'
import { checkPlantDocuments, documentKind, parseNamed } from '@andon/schemas'
import type { Boundary, Commands, FeatureSet, Plant, PlantSource, Policy } from '@andon/schemas'
import { faultText, lintPolicies } from './policy-lint.ts'
import type { PlantView } from './plant-view.ts'
import { filterProblem } from './webhook-filter.ts'

export interface NewDocument {
  readonly name: string
  readonly kind: string
  readonly body: string
}

/** Why this document must not be published, with file and offending path; null when it may. */
export const documentProblem = (document: NewDocument, plant: PlantView): string | null => {
  try {
    if (document.kind === 'policy' && documentKind(document.name) === 'policy') return policyProblem(document, plant)
    const { kind, value } = parseNamed(document.name, JSON.parse(document.body))
    if (kind !== document.kind) return `${document.name}: kind: expected ${kind}, found ${document.kind}`
    return kind === 'plant' ? webhookProblem(value as Plant) : null
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

const webhookProblem = ({ notifications }: Plant): string | null => {
  const faults = notifications.webhooks.flatMap(({ filter }, i) => {
    const problem = filter === undefined ? null : filterProblem(filter)
    return problem === null ? [] : [`plant: notifications.webhooks[${i}].filter: expected a CEL condition, found ${problem}`]
  })
  return faults.length === 0 ? null : faults.join('\n')
}

/** Every fault of the policy. Whether its boundary page is there is checked with what is applied together, and again whenever it plans. */
const policyProblem = ({ name, body }: NewDocument, { plant, catalogue }: PlantView): string | null => {
  const faults = lintPolicies([{ name, file: name, text: body }], { plant, catalogue, boundaries: null })
  return faults.length === 0 ? null : faults.map(faultText).join('\n')
}

/** Checks documents that are applied together against each other and against what is published; throws the first fault. */
export const checkTogether = (documents: readonly { readonly kind: string; readonly value: unknown }[], view: PlantView): void => {
  const newest = <T>(kind: string): T | undefined => documents.findLast((one) => one.kind === kind)?.value as T | undefined
  const newPlant = newest<Plant>('plant')
  const commands = newest<Commands>('commands') ?? view.catalogue
  const given = documents.filter((one) => one.kind === 'feature-set').map((one) => one.value as FeatureSet)
  // a set must fit the classes that have it; those on `config` are known by name
  const isGiven = ({ featureSet }: Plant['assetClasses'][number]) => given.some(({ name }) => name === featureSet)
  const plant = newPlant ?? (view.plant ? { ...view.plant, assetClasses: view.plant.assetClasses.filter(isGiven) } : null)
  if (!plant || !commands) return
  const published = [...view.published.keys()].filter((name) => name.startsWith('features/')).map((name) => ({ name }) as FeatureSet)
  const policies = documents.filter((one) => one.kind === 'policy').map((one) => one.value as Policy)
  const sources = documents.filter((one) => one.kind === 'source').map((one) => one.value as PlantSource)
  const pages = documents.filter((one) => one.kind === 'boundary').map((one) => one.value as Boundary)
  const boundaries = [...pages, ...[...view.boundaries.values()].filter(({ name }) => !pages.some((page) => page.name === name))]
  checkPlantDocuments({ plant, commands, featureSets: [...given, ...published], policies, sources, boundaries })
}

export interface Publisher {
  /** Publishes an accepted document unless `config` has it, or something newer, already. */
  publish(document: AcceptedDocument): Promise<void>
}

export const configPublisher = (log: Log, codec: Codec, plant: PlantView, logger: Logger): Publisher => ({
  async publish(document) {
    const now = plant.published.get(document.name)
    if (now && (now.digest === document.digest || now.atUs >= document.atUs)) return
    const { name, kind, body, digest, by, atUs } = document
    const value: Config = { type: 'ConfigPublished', name, kind, digest, body, effectiveFromUs: atUs, by, atUs }
    const id = uuid8('config', name, digest, atUs)
    await publish(log, codec, [{ topic: 'config', key: name, value, id, type: value.type, subject: name, timeUs: atUs }], 'actions')
    logger.info({ name, digest }, 'document published')
  },
})
