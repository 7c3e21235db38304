import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fitFeatureSet, healthDefaults, parseFeatureSet, parsePlant, statisticNames } from '@andon/schemas'
import { withTables } from '../scripts/statistics-table.ts'

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')

test('the README lists every statistic as the catalogue has it', () => {
  assert.equal(withTables(readme), readme, 'run: npm run generate')
  for (const name of statisticNames) assert.ok(readme.includes(`| \`${name}\``), name)
})

test('the feature set that the README shows fits a machine with its channels', () => {
  const [, source = ''] = /```yaml\n([\s\S]*?)```/.exec(readme) ?? []
  const scalars = ['temperatureC', 'speedRpm', 'scrapCount', 'partCount'].map((id) => ({ id, unit: '1', kind: 'scalar' }))
  const plant = parsePlant({
    version: 1,
    site: { id: 'works', name: 'Works', timezone: 'UTC' },
    lines: [{ id: 'line-1', name: 'Line 1', area: 'area-1' }],
    assetClasses: [{ id: 'drive', featureSet: 'features/drive' }],
    assets: [
      {
        id: 'drive-1',
        name: 'Drive',
        line: 'line-1',
        class: 'drive',
        channels: [...scalars, { id: 'vibrationG', unit: 'g', kind: 'waveform', sampleRateHz: 8192, width: 2048 }],
      },
    ],
  })
  const { names } = fitFeatureSet(parseFeatureSet(source, { file: 'README.md' }), plant.assets[0]!)
  for (const [name] of readme.matchAll(/(?<=`)vibrationG\.[\w@]+|(?<=`)temperatureC\.[\w@]+/g))
    assert.ok(
      names.some((each) => each.startsWith(name)),
      name,
    )
})

test('the README says what is looked for in sensors where a set says nothing', () => {
  for (const [name, value] of Object.entries(healthDefaults))
    assert.ok(readme.includes(`\`${name}\` | ${value === false ? 'off' : value} |`), name)
})
