import assert from 'node:assert/strict'
import { test } from 'node:test'
import { canonicalJson } from '@andon/kit'
import { readPlantFolder } from '@andon/schemas'
import type { Config, FeatureSet } from '@andon/schemas'
import { checkTogether } from '../src/documents.ts'
import { PlantView } from '../src/plant-view.ts'

const folder = new URL('../../../examples/steel-plant/', import.meta.url)
const documents = readPlantFolder(folder.pathname)

const published = (): PlantView => {
  const view = new PlantView()
  for (const { name, kind, value } of documents) {
    const record: Config = {
      type: 'ConfigPublished',
      name,
      kind,
      digest: name,
      body: canonicalJson(value),
      effectiveFromUs: 0,
      by: 'p-test',
      atUs: 0,
    }
    view.apply(record)
  }
  return view
}

const press = documents.find(({ name }) => name === 'features/press-vibration')?.value as FeatureSet

test('a feature set that is applied alone must fit the plant that is published', () => {
  const of = (channel: string) => [{ kind: 'feature-set', value: { ...press, features: [{ channel, statistics: ['rms'] }] } }]
  checkTogether(of('vibrationG'), published())
  assert.throws(() => checkTogether(of('vibratonG'), published()), /no channel vibratonG; the nearest is vibrationG/)
})

test('a feature set of no class of the plant may be anything', () => {
  const value = { ...press, name: 'features/spare', features: [{ channel: 'unknown', statistics: ['rms'] }] }
  checkTogether([{ kind: 'feature-set', value }], published())
})
