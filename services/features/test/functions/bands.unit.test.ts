import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { StatisticOptions } from '@andon/schemas'
import { vibration } from '../../src/functions/vibration.ts'
import { figuresOf, made, noise, seriesOf, sine } from './waveforms.ts'
import type { Recipe } from './waveforms.ts'
import { plainMachine } from '../../src/plan.ts'

interface Golden {
  readonly signal: Recipe
  readonly bandsHz: [number, number][]
  readonly logBands: NonNullable<StatisticOptions['logBands']>
  readonly bandRms: number[]
  readonly bandLnShare: number[]
  readonly logBandRms: number[]
  readonly logBandLnShare: number[]
  readonly centroidHz: number
  readonly spectralEntropy: number
  readonly dominantHz: number
}

const golden = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'golden', 'vibration-figures.json'), 'utf8')) as Golden

const close = (actual: number | undefined, expected: number, relative = 1e-8): void =>
  assert.ok(Math.abs((actual ?? Number.NaN) - expected) <= relative * Math.abs(expected), `${actual} is not ${expected}`)

test('bands and the form of the spectrum equal those of scipy and numpy', () => {
  const { signal, bandsHz, logBands } = golden
  const found = figuresOf(
    seriesOf([made(signal)], signal.rate),
    ['bandRms', 'bandLnShare', 'logBandRms', 'logBandLnShare', 'centroidHz', 'spectralEntropy', 'dominantHz'],
    { options: { bandsHz, logBands } },
  )
  bandsHz.forEach(([low, high], i) => {
    close(found[`bandRms${low}to${high}Hz`], golden.bandRms[i] as number)
    close(found[`bandLnShare${low}to${high}Hz`], golden.bandLnShare[i] as number)
  })
  for (let i = 0; i < logBands.count; i++) {
    close(found[`logBandRms${i + 1}`], golden.logBandRms[i] as number)
    close(found[`logBandLnShare${i + 1}`], golden.logBandLnShare[i] as number)
  }
  close(found['centroidHz'], golden.centroidHz)
  close(found['spectralEntropy'], golden.spectralEntropy)
  close(found['dominantHz'], golden.dominantHz)
})

test('a tone appears with its rms in its own band only', () => {
  const options = { bandsHz: [[1000, 2000] as const, [2000, 3000] as const] }
  const found = figuresOf(seriesOf([sine(8192, 2048, 2500, 3)], 8192), ['bandRms', 'dominantHz'], { options })
  assert.ok(Math.abs((found['bandRms2000to3000Hz'] as number) - 3 / Math.SQRT2) < 1e-6)
  assert.ok((found['bandRms1000to2000Hz'] as number) < 1e-3)
  assert.ok(Math.abs((found['dominantHz'] as number) - 2500) < 1e-6)
})

test('a band holds the same tone whatever the width of the rows and their sample rate', () => {
  const values = new Float64Array(1)
  const places = [0]
  const compute = vibration.prepare({
    call: { channels: [0], scale: 0, options: { bandsHz: [[900, 1100]] }, asked: [{ statistic: 'bandRms', places }] },
    channels: [],
    machine: plainMachine,
  })
  for (const [rate, length] of [
    [8192, 2048],
    [8192, 1024],
    [16_384, 1024],
  ] as const) {
    const context = { startUs: 0, endUs: 1, shaftHz: () => Number.NaN, tacho: () => undefined }
    compute([seriesOf([sine(rate, length, 1000)], rate)], values, context)
    close(values[0], Math.SQRT1_2, 1e-3)
  }
})

test('the bands of white noise add up to its mean square', () => {
  const random = noise(12345)
  const rows = Array.from({ length: 40 }, () => Float32Array.from({ length: 2048 }, random))
  const bandsHz = [
    [0, 500],
    [500, 1500],
    [1500, 2500],
    [2500, 4097],
  ] as const
  const found = figuresOf(seriesOf(rows, 8192), ['bandRms'], { options: { bandsHz } })
  const inBands = Object.values(found).reduce((sum, rms) => sum + rms ** 2, 0)
  const all = rows.flatMap((row) => [...row])
  const mean = all.reduce((sum, x) => sum + x, 0) / all.length
  const meanSquare = all.reduce((sum, x) => sum + (x - mean) ** 2, 0) / all.length
  assert.ok(Math.abs(inBands / meanSquare - 1) < 0.02, `${inBands} of ${meanSquare}`)
})

test('shares, centroid, entropy and the highest line do not depend on the level; levels follow it', () => {
  const { signal, bandsHz, logBands } = golden
  const asked = ['bandLnShare', 'logBandLnShare', 'centroidHz', 'spectralEntropy', 'dominantHz', 'logBandRms'] as const
  const x = made(signal)
  const plain = figuresOf(seriesOf([x], 8192), asked, { options: { bandsHz, logBands } })
  const louder = figuresOf(seriesOf([x.map((value) => 100 * value)], 8192), asked, { options: { bandsHz, logBands } })
  for (const [name, value] of Object.entries(plain)) close(louder[name], name.startsWith('logBandRms') ? 100 * value : value)
})

test('the entropy of white noise is nearly 1, that of a tone nearly 0', () => {
  const random = noise(77)
  const rows = Array.from({ length: 60 }, () => Float64Array.from({ length: 512 }, random))
  assert.ok((figuresOf(seriesOf(rows, 1000), ['spectralEntropy'])['spectralEntropy'] as number) > 0.99)
  assert.ok((figuresOf(seriesOf([sine(1024, 1024, 100)], 1024), ['spectralEntropy'])['spectralEntropy'] as number) < 0.2)
})

test('a dead signal has levels of 0 and no shares; a band between two bins, or above them all, has no share', () => {
  const dead = figuresOf(
    seriesOf([new Float64Array(64).fill(3)], 1000),
    ['bandRms', 'bandLnShare', 'centroidHz', 'dominantHz', 'spectralEntropy'],
    {
      options: { bandsHz: [[0, 501]] },
    },
  )
  assert.deepEqual(dead, {
    bandRms0to501Hz: 0,
    bandLnShare0to501Hz: Number.NaN,
    centroidHz: Number.NaN,
    dominantHz: Number.NaN,
    spectralEntropy: Number.NaN,
  })
  const narrow = figuresOf(seriesOf([sine(1000, 64, 100)], 1000), ['bandLnShare'], {
    options: {
      bandsHz: [
        [100, 101],
        [600, 700],
      ],
    },
  })
  assert.deepEqual(Object.values(narrow), [Number.NaN, Number.NaN])
})

test('a share is never below -27.6, the logarithm of what rounding leaves', () => {
  const found = figuresOf(seriesOf([sine(1024, 1024, 100)], 1024), ['bandLnShare'], { options: { bandsHz: [[300, 400]] } })
  assert.equal(found['bandLnShare300to400Hz'], Math.log(1e-12))
})
