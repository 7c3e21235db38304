// The rules of import directions, on one import at a time. scripts/imports.ts applies them to every source file.

import { isBuiltin } from 'node:module'
import { dirname, join } from 'node:path/posix'

/** Library → the workspaces that may import it. Tests may use any client: they look at us from outside. */
const KEPT_IN: Readonly<Record<string, readonly string[]>> = {
  kafkajs: ['packages/kit'],
  '@platformatic/kafka': ['packages/kit'],
  '@kafkajs/confluent-schema-registry': ['packages/kit'],
  'prom-client': ['packages/kit'],
  opossum: ['packages/kit'],
  'onnxruntime-node': ['services/inference'],
}

/** Built-in modules without input or output. */
const HARMLESS = new Set(['node:buffer', 'node:util', 'node:assert', 'node:assert/strict'])
const PURE_LIBRARIES = new Set(['ml-matrix', '@marcbachmann/cel-js'])

/** Workspace groups in the order of their layers: a group may import itself and those before it. */
const layerOf = (workspace: string): number => {
  if (workspace === 'schemas') return 0
  if (workspace === 'packages/kit' || workspace === 'packages/decisions') return 1
  if (workspace === 'packages/platform' || workspace === 'packages/sdk') return 2
  if (workspace.startsWith('packages/')) return 3
  if (workspace.startsWith('services/') || workspace.startsWith('examples/')) return 4
  return 5
}

const workspaceOf = (path: string): string => {
  const [first, second] = path.split('/')
  return first === 'packages' || first === 'services' || first === 'examples' ? `${first}/${second}` : (first ?? '')
}

/** What the repository declares: workspace folders by package name, and files declared pure. */
export interface Declared {
  readonly workspaces: ReadonlyMap<string, string>
  readonly pure: ReadonlySet<string>
}

/** Why a file (path from the root) may not import this; empty when it may. */
export const importProblems = (file: string, specifier: string, isTypeOnly: boolean, { workspaces, pure }: Declared): string[] => {
  const problems: string[] = []
  const from = workspaceOf(file)
  const isTest = /\/test\/|^test\//.test(file)
  const library = specifier.startsWith('@') ? specifier.split('/').slice(0, 2).join('/') : (specifier.split('/')[0] ?? specifier)
  const to = specifier.startsWith('.') ? workspaceOf(join(dirname(file), specifier)) : workspaces.get(library)
  const say = (what: string) => problems.push(`${file}: imports ${specifier}: ${what}`)

  if (to !== undefined && to !== from) {
    if (from.startsWith('services/') && to.startsWith('services/')) say('a service never imports a service')
    else if (!isTest && layerOf(to) > layerOf(from)) say(`${from} may not import ${to} (services → packages → schemas)`)
    const isHarness = isTest && to === 'test'
    if (specifier.startsWith('.') && from !== 'scripts' && from !== 'test' && !isHarness)
      say(`cross workspaces by name, not by path (${to})`)
  }
  const keepers = KEPT_IN[library]
  if (keepers !== undefined && !keepers.includes(from) && !isTest) say(`only ${keepers.join(', ')} may import it`)
  if (pure.has(file) && !isTypeOnly) {
    const isHarmless = isBuiltin(specifier) ? HARMLESS.has(specifier.startsWith('node:') ? specifier : `node:${specifier}`) : true
    const isLibrary = !specifier.startsWith('.') && !isBuiltin(specifier) && to === undefined
    if (!isHarmless || (isLibrary && !PURE_LIBRARIES.has(library))) say('this file is declared pure: no input or output')
  }
  return problems
}
