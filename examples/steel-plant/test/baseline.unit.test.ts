import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { test } from 'node:test'
import { canonicalJson, sha256Hex } from '@andon/kit'
import { fitFeatureSet, readPlantFolder } from '@andon/schemas'
import type { FeatureSet, Plant } from '@andon/schemas'

const folder = new URL('../', import.meta.url)
const documents = readPlantFolder(folder.pathname)
const plant = documents.find(({ kind }) => kind === 'plant')?.value as Plant
const baselines = readdirSync(new URL('baseline/', folder)).filter((file) => file.endsWith('.json'))

for (const file of baselines) {
  test(`${file} was learned on the feature set that its asset has now`, () => {
    const baseline = JSON.parse(readFileSync(new URL(`baseline/${file}`, folder), 'utf8'))
    const asset = plant.assets.find(({ id }) => id === baseline.asset)!
    const { featureSet } = plant.assetClasses.find(({ id }) => id === asset.class)!
    const set = documents.find(({ name }) => name === featureSet)?.value as FeatureSet
    assert.equal(baseline.featureSet, featureSet)
    assert.equal(baseline.featureSetDigest, sha256Hex(canonicalJson(set)), 'another digest: the model would never be asked')
    assert.deepEqual(baseline.features, fitFeatureSet(set, asset).names)
  })
}
