// Import directions: services → packages → schemas, never service → service; a client library only where it may be replaced.
// A workspace names its pure files in package.json, `"andon": { "pure": ["src/window.ts"] }`: those import no I/O at all.

import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { importProblems } from './testing/import-rules.ts'

const root = join(import.meta.dirname, '..')

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

const sources = globSync(
  ['schemas/**/*.ts', 'packages/**/*.ts', 'services/**/*.{ts,tsx}', 'examples/**/*.ts', 'scripts/**/*.ts', 'test/**/*.ts'],
  {
    cwd: root,
    exclude: (path) => /(^|\/)(node_modules|dist|generated)(\/|$)/.test(path),
  },
)
for (const file of sources) {
  const text = readFileSync(join(root, file), 'utf8').replace(/^\s*(\/\/|\*).*$/gm, '')
  for (const match of text.matchAll(IMPORT)) {
    problems.push(...importProblems(file, (match[3] ?? match[4]) as string, match[2] !== undefined, { workspaces, pure }))
  }
}

if (problems.length > 0) {
  console.error(problems.sort().join('\n'))
  process.exitCode = 1
} else {
  console.log(`${sources.length} files import in the allowed directions`)
}
