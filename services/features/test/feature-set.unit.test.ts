import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseFeatureSet } from '@andon/schemas'
import { compileFeatureSet } from '../src/feature-set.ts'
import { pressAsset, processAsset } from './blocks.ts'

const set = (features: unknown[]) =>
  parseFeatureSet({ version: 1, name: 'features/test', windowMs: 1000, latenessMs: 500, graceMs: 250, features })
const compile = (features: unknown[], asset = pressAsset) => compileFeatureSet(set(features), 'digest', asset)

test('names are channel.statistic in document order, a band names its limits', () => {
  const plan = compile([
    { channel: 'vibrationG', statistics: ['rms', 'crest'] },
    {
      channel: 'vibrationG',
      bandsHz: [
        [10, 250],
        [2000, 3000],
      ],
      statistics: ['bandRms'],
    },
  ])
  assert.deepEqual(
    plan.computations.map(({ name }) => name),
    ['vibrationG.rms', 'vibrationG.crest', 'vibrationG.bandRms10to250Hz', 'vibrationG.bandRms2000to3000Hz'],
  )
  assert.deepEqual([plan.windowUs, plan.latenessUs, plan.graceUs], [1_000_000, 500_000, 250_000])
})

test('* means every scalar channel', () => {
  const plan = compile([{ channel: '*', statistics: ['mean', 'slope'] }], processAsset)
  assert.deepEqual(
    plan.computations.map(({ name }) => name),
    ['temperatureC.mean', 'temperatureC.slope'],
  )
  assert.throws(() => compile([{ channel: '*', statistics: ['mean'] }]), /press-1 has none/)
})

test('an unknown channel fails and the nearest one is named', () => {
  assert.throws(
    () => compile([{ channel: 'temperatur', statistics: ['mean'] }], processAsset),
    /no channel temperatur; the nearest is temperatureC/,
  )
})

test('a statistic that does not fit its channel fails', () => {
  assert.throws(() => compile([{ channel: 'vibrationG', statistics: ['slope'] }]), /slope of vibrationG needs single values/)
  assert.throws(() => compile([{ channel: 'temperatureC', bandsHz: [[1, 2]], statistics: ['bandRms'] }], processAsset), /needs a waveform/)
  assert.throws(
    () => compile([{ channel: 'vibrationG', bandsHz: [[3000, 5000]], statistics: ['bandRms'] }]),
    /above half the sample rate \(4096 Hz\)/,
  )
  assert.throws(
    () => compile([{ channel: 'vibrationG', bandsHz: [[1, 3]], statistics: ['bandRms'] }]),
    /no line of the spectrum \(4 Hz apart\)/,
  )
  assert.throws(() => compile([{ channel: 'vibrationG', statistics: ['rms', 'rms'] }]), /asked for twice/)
})
