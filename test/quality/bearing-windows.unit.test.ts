import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { adjustedRand } from '@andon/clustering/density/agreement'
import { hdbscan } from '@andon/clustering/density/hdbscan'
import { randomFrom } from '@andon/clustering/random'
import { repositoryRoot } from '@andon/platform'
import { BEARING_FEATURES, bearingFeatures, bearingWindows, standardised } from './bearing-windows.ts'

const data = join(repositoryRoot, '..', 'shared', 'data')
const missing = existsSync(join(data, 'cwru')) ? false : 'the bearing recordings are not here'

test('shares of the bands and defect lines do not change with the scale of the signal, log RMS does', () => {
  const random = randomFrom(1)
  const window = Float64Array.from({ length: 4096 }, (_, i) => (i % 111 < 8 ? 3 : 0.3) * random.normal() + 0.2)
  const [one, ten] = [
    bearingFeatures(window, 1797),
    bearingFeatures(
      window.map((value) => 10 * value),
      1797,
    ),
  ]
  assert.equal(one.length, BEARING_FEATURES.length)
  one.forEach((value, k) => assert.ok(Math.abs(value + (k === 0 ? Math.log(10) : 0) - (ten[k] as number)) < 1e-9, BEARING_FEATURES[k]))
})

test('knocks at the rate of a defect raise its line and no other', () => {
  const random = randomFrom(2)
  const samplesPerTurn = 12_000 / (1797 / 60)
  const lines = (order: number): number[] => {
    const every = samplesPerTurn / order
    return [
      ...bearingFeatures(
        Float64Array.from({ length: 4096 }, (_, i) => (i % every < 12 ? 4 : 0.5) * random.normal()),
        1797,
      ),
    ].slice(-3)
  }
  for (const [at, order] of [3.5848, 5.4152, 4.7135].entries()) {
    const found = lines(order)
    assert.equal(found.indexOf(Math.max(...found)), at)
  }
})

test('fault modes of the bearing recordings are found without a setting: adjusted Rand index, noise', { skip: missing }, () => {
  const { features, faults } = bearingWindows(data)
  const names = [...new Set(faults)]
  const { labels } = hdbscan(standardised(features))
  const agreement = adjustedRand(
    faults.map((fault) => names.indexOf(fault)),
    labels,
  )
  const noise = labels.filter((label) => label < 0).length / labels.length
  assert.ok(agreement >= 0.98, `adjusted Rand index ${agreement}`)
  assert.ok(noise <= 0.05, `noise ${noise}`)
})
