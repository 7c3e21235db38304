import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Statistic, StatisticOptions } from '@andon/schemas'
import { vibration } from '../../src/functions/vibration.ts'
import { figuresOf, made, seriesOf } from './waveforms.ts'

const rate = 12_000
const given = {
  shaftHz: 29.95,
  options: {
    bandsHz: [[2000, 3000]],
    logBands: { count: 6, lowHz: 20, highHz: 6000 },
    envelopeBandHz: [2500, 4500],
    orders: [1, 2.5],
  } satisfies StatisticOptions,
  machine: {
    bearing: { bpfoOrder: 3.5848, bpfiOrder: 5.4152, bsfOrder: 2.35675, ftfOrder: 0.3983 },
    gears: [{ name: 'pinion', teeth: 23, shaftRatio: 1 }],
    zoneLimitsMmS: [1.4, 2.8, 4.5],
  } as const,
}

const recipe = { rate, noise: 0.4, bias: 0.1, trend: 0, tones: [[29.95, 0.5, 0]], impulses: [3300, 900, 107.4, 1], seed: 7 } as const

const windows = {
  'one row of a power of two': [made({ ...recipe, length: 4096 })],
  'one row of another length': [made({ ...recipe, length: 5000 })],
  'several rows': [made({ ...recipe, length: 2048 }), made({ ...recipe, length: 2048, seed: 8 })],
  'a longer row': [made({ ...recipe, length: 8192 })],
  'rows of different widths': [made({ ...recipe, length: 4096 }), made({ ...recipe, length: 3000, seed: 8 })],
}

test('a number does not depend, in any bit, on what else is asked of the waveform', () => {
  for (const [what, rows] of Object.entries(windows)) {
    const together = figuresOf(seriesOf(rows, rate), vibration.statistics, given)
    const alone: Record<string, number> = {}
    for (const statistic of vibration.statistics) Object.assign(alone, figuresOf(seriesOf(rows, rate), [statistic], given))
    assert.deepEqual(together, alone, what)
    assert.ok(Object.values(together).filter(Number.isNaN).length <= 1, `${what}: ${JSON.stringify(together)}`)
  }
})

test('a window gives the same bits again, whatever was computed in between', () => {
  const asked: readonly Statistic[] = vibration.statistics
  for (const options of [
    given.options,
    { ...given.options, envelopeBandHz: undefined, spectrum: { window: 'blackman' as const, segment: 512 } },
  ]) {
    const first = Object.values(windows).map((rows) => figuresOf(seriesOf(rows, rate), asked, { ...given, options }))
    const louder = [1024, 2048, 4096, 8192].map((length) => seriesOf([made({ ...recipe, length, noise: 9 })], rate))
    const again = Object.values(windows)
      .toReversed()
      .map((rows) => {
        for (const series of louder) figuresOf(series, asked, { ...given, options })
        return figuresOf(seriesOf(rows, rate), asked, { ...given, options })
      })
    assert.deepEqual(again.toReversed(), first)
  }
})

test('numbers that overflow are not told', () => {
  const rows = windows['one row of a power of two'].map((row) => row.map((x) => x * 1e200))
  const found = figuresOf(seriesOf(rows, rate), ['bandRms', 'velocityRmsMmS', 'envelopeRms', 'envelopeKurtosis'], given)
  for (const [name, value] of Object.entries(found)) assert.ok(!(Math.abs(value) === Number.POSITIVE_INFINITY), name)
  assert.equal(found['bandRms2000to3000Hz'], Number.NaN)
})

test('levels in a band are those that baselines were learned with', () => {
  // Made by the first version of the service: Hann, mean removed per segment, segments that overlap by half.
  const found = figuresOf(seriesOf(windows['one row of another length'], rate), ['bandRms'], given)
  assert.ok(Math.abs((found['bandRms2000to3000Hz'] as number) / 0.07543976309195291 - 1) < 1e-12, `${found['bandRms2000to3000Hz']}`)
})
