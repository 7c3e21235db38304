// Reads our tables: every error code, setting, metric and topic that code uses is in the README of whoever owns it,
// and a README names none that is gone.

import { test } from 'node:test'
import assert from 'node:assert/strict'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { serviceNames, topicNames, topology } from '@andon/schemas'

const root = fileURLToPath(new URL('../../', import.meta.url))
const folders = ['services', 'packages'].flatMap((parent) =>
  readdirSync(join(root, parent))
    .filter((name) => existsSync(join(root, parent, name, 'src')))
    .map((name) => `${parent}/${name}`),
)
folders.push('schemas')

const sourcesOf = (folder: string): string =>
  readdirSync(join(root, folder, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(ts|tsx|mjs)$/.test(file) && !file.split('/').includes('node_modules'))
    .map((file) => readFileSync(join(root, folder, 'src', file), 'utf8'))
    .join('\n')

const readmeOf = (folder: string): string | undefined => {
  const file = join(root, folder, 'README.md')
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}

const sources = new Map(folders.map((folder) => [folder, sourcesOf(folder)]))
const readmes = new Map(folders.map((folder) => [folder, readmeOf(folder)]))
const allSources = [...sources.values()].join('\n')
/** Where a name may be explained besides the README of its folder: shared names in the kit, a code at the owner its prefix names. */
const elsewhere = (name: string): string => {
  const owner = folders.find((folder) => name.startsWith(`ANDON_${folder.split('/').at(-1)?.toUpperCase()}_`))
  return `${readmes.get('packages/kit') ?? ''}${owner === undefined ? '' : (readmes.get(owner) ?? '')}`
}

const patterns = [
  /'(ANDON(?:_[A-Z0-9]+)+)'/g, // error codes and shared settings
  /\benv\s*\.\w+\(\s*(?:\[[^\]]*\],\s*)?'([A-Z][A-Z0-9_]+)'/g, // settings
  /'(andon(?:_[a-z0-9]+){2,})'/g, // metrics
]

const namesIn = (source: string): string[] =>
  [...new Set(patterns.flatMap((pattern) => [...source.matchAll(pattern)].map((match) => match[1] ?? '')))].toSorted((left, right) =>
    left.localeCompare(right),
  )

const mentions = (text: string, name: string): boolean => new RegExp(`(?<![A-Za-z0-9_])${name}(?![A-Za-z0-9_])`).test(text)

for (const folder of folders) {
  test(`${folder}/README.md names every error code, setting and metric of its code`, () => {
    const readme = readmes.get(folder)
    assert.ok(readme !== undefined, `${folder} has no README.md`)
    const missing = namesIn(sources.get(folder) ?? '').filter((name) => !mentions(readme, name) && !mentions(elsewhere(name), name))
    assert.deepEqual(missing, [], `add to ${folder}/README.md`)
  })

  test(`${folder}/README.md names no error code or metric that is gone`, () => {
    const own = folder.split('/').at(-1) ?? folder
    const ours = new RegExp(`\\b(ANDON_${own.toUpperCase()}_[A-Z0-9_]+|andon_${own}_[a-z0-9_]+)\\b`, 'g')
    const named = [...(readmes.get(folder) ?? '').matchAll(ours)].map((match) => match[1] ?? '')
    const gone = named.filter((name) => !allSources.includes(name.replace(/_(bucket|sum|count)$/, '')))
    assert.deepEqual(gone, [], `remove from ${folder}/README.md`)
  })
}

for (const service of serviceNames) {
  test(`services/${service}/README.md names the topics it writes`, () => {
    const readme = readmes.get(`services/${service}`) ?? ''
    const source = sources.get(`services/${service}`) ?? ''
    const written = topology.services[service].writes.filter((topic) => source.includes(`'${topic}'`))
    assert.deepEqual(
      written.filter((topic) => !mentions(readme, topic)),
      [],
    )
  })
}

test('schemas/README.md names every topic', () => {
  assert.deepEqual(
    topicNames.filter((topic) => !mentions(readmes.get('schemas') ?? '', topic)),
    [],
  )
})
