// Reads a plant folder from disk (`andon plant apply`, `andon up --demo`): every document validated, then the rules between them.

import { readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { checkPlantDocuments, parseNamed } from './documents/index.ts'
import type { Boundary, Commands, DocumentKind, FeatureSet, Plant, PlantSource, Policy } from './documents/index.ts'
import { DocumentError, lineAt } from './documents/read.ts'

/** One validated document, ready for `config`. */
export interface PlantDocument {
  /** Name on `config`, e.g. features/press-vibration. */
  readonly name: string
  readonly kind: DocumentKind
  readonly value: unknown
  /** File it was read from. */
  readonly file: string
}

/** Documents of a folder, feature sets and catalogue before what refers to them. Throws a DocumentError for the first fault. */
export const readPlantFolder = (folder: string, options: { readonly portOffset?: number } = {}): PlantDocument[] => {
  const files = [
    { name: 'plant', file: join(folder, 'plant.yaml') },
    { name: 'commands', file: join(folder, 'commands.yaml') },
    ...filesIn(folder, 'features', '.yaml'),
    ...filesIn(folder, 'policies', '.yaml'),
    ...filesIn(folder, 'boundaries', '.md'),
    ...filesIn(folder, 'sources', '.yaml'),
  ]
  const documents = files.map(({ name, file }) => ({
    ...parseNamed(name, textOf(file), { file, portOffset: options.portOffset }),
    name,
    file,
  }))
  const all = <T>(kind: DocumentKind): T[] => documents.filter((each) => each.kind === kind).map((each) => each.value as T)
  const [plant] = all<Plant>('plant')
  const [commands] = all<Commands>('commands')
  if (plant !== undefined && commands !== undefined) {
    const [featureSets, policies] = [all<FeatureSet>('feature-set'), all<Policy>('policy')]
    try {
      checkPlantDocuments({
        plant,
        commands,
        featureSets,
        policies,
        sources: all<PlantSource>('source'),
        boundaries: all<Boundary>('boundary'),
      })
    } catch (error) {
      throw located(error, documents)
    }
  }
  return documents
}

/** A fault between documents, with the file and line of the one that it is in. */
const located = (error: unknown, documents: readonly PlantDocument[]): unknown => {
  if (!(error instanceof DocumentError)) return error
  const document = documents.find(({ name }) => name === error.file)
  if (document === undefined) return error
  const { path, found, expected } = error
  return new DocumentError(document.file, lineAt(textOf(document.file), path), path, found, expected)
}

const textOf = (file: string): string => {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    throw new DocumentError(file, undefined, '', 'no readable file', 'the document of this name')
  }
}

const filesIn = (folder: string, kind: string, ending: string): { name: string; file: string }[] => {
  const directory = join(folder, kind)
  if (!statSync(directory, { throwIfNoEntry: false })?.isDirectory()) return []
  return readdirSync(directory)
    .filter((file) => file.endsWith(ending))
    .toSorted()
    .map((file) => ({ name: `${kind}/${file.slice(0, -ending.length)}`, file: join(directory, file) }))
}
