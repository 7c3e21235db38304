// Import directions: services → packages → schemas, never service → service; a client library only where it may be replaced.
// A workspace names its pure files in package.json, `"andon": { "pure": ["src/window.ts"] }`: those import no I/O at all.

import { globSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join, relative, resolve } from 'node:path'

const root = join(import.meta.dirname, '..')

/** Library → the workspaces that may import it. Tests may use any client: they look at us from outside. */
const KEPT_IN: Readonly<Record<string, readonly string[]>> = {
  kafkajs: ['packages/kit'],
  '@kafkajs/confluent-schema-registry': ['packages/kit'],
  'prom-client': ['packages/kit'],
  opossum: ['packages/kit'],
  'onnxruntime-node': ['services/inference'],
}

/** Built-in modules without input or output. */
const HARMLESS = new Set(['node:buffer', 'node:util', 'node:assert', 'node:assert/strict'])
const PURE_LIBRARIES = new Set(['fft.js', 'ml-matrix', '@marcbachmann/cel-js'])

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

const manifests = globSync(['schemas/package.json', 'packages/*/package.json', 'services/*/package.json', 'examples/*/package.json'], {
  cwd: root,
})
const workspaces = new Map<string, string>()
const pure = new Set<string>()
for (const file of manifests) {
  const manifest = JSON.parse(readFileSync(join(root, file), 'utf8')) as { name: string; andon?: { pure?: string[] } }
  workspaces.set(manifest.name, dirname(file))
  for (const path of globSync(manifest.andon?.pure ?? [], { cwd: join(root, dirname(file)) })) pure.add(join(dirname(file), path))
}
for (const path of globSync('packages/decisions/src/**/*.ts', { cwd: root })) pure.add(path)

const IMPORT = /(?:^|\n)\s*(import|export)(\s+type)?\s(?:[^'";]*?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/g
const problems: string[] = []

const checkImport = (file: string, specifier: string, isTypeOnly: boolean): void => {
  const from = workspaceOf(file)
  const isTest = /\/test\/|^test\//.test(file)
  const library = specifier.startsWith('@') ? specifier.split('/').slice(0, 2).join('/') : (specifier.split('/')[0] ?? specifier)
  const to = specifier.startsWith('.') ? workspaceOf(relative(root, resolve(root, dirname(file), specifier))) : workspaces.get(library)
  const say = (what: string) => problems.push(`${file}: imports ${specifier}: ${what}`)

  if (to !== undefined && to !== from) {
    if (from.startsWith('services/') && to.startsWith('services/')) say('a service never imports a service')
    else if (!isTest && layerOf(to) > layerOf(from)) say(`${from} may not import ${to} (services → packages → schemas)`)
    if (specifier.startsWith('.') && from !== 'scripts' && from !== 'test') say(`cross workspaces by name, not by path (${to})`)
  }
  const keepers = KEPT_IN[library]
  if (keepers !== undefined && !keepers.includes(from) && !isTest) say(`only ${keepers.join(', ')} may import it`)
  if (pure.has(file) && !isTypeOnly) {
    const isHarmless = isBuiltin(specifier) ? HARMLESS.has(specifier.startsWith('node:') ? specifier : `node:${specifier}`) : true
    const isLibrary = !specifier.startsWith('.') && !isBuiltin(specifier) && to === undefined
    if (!isHarmless || (isLibrary && !PURE_LIBRARIES.has(library))) say('this file is declared pure: no input or output')
  }
}

const sources = globSync(
  ['schemas/**/*.ts', 'packages/**/*.ts', 'services/**/*.{ts,tsx}', 'examples/**/*.ts', 'scripts/**/*.ts', 'test/**/*.ts'],
  {
    cwd: root,
    exclude: (path) => /(^|\/)(node_modules|dist|generated)(\/|$)/.test(path),
  },
)
for (const file of sources) {
  const text = readFileSync(join(root, file), 'utf8').replace(/^\s*(\/\/|\*).*$/gm, '')
  for (const match of text.matchAll(IMPORT)) checkImport(file, (match[3] ?? match[4]) as string, match[2] !== undefined)
}

if (problems.length > 0) {
  console.error(problems.sort().join('\n'))
  process.exitCode = 1
} else {
  console.log(`${sources.length} files import in the allowed directions`)
}
