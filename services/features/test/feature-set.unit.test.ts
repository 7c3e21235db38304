import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseFeatureSet, parsePlant } from '@andon/schemas'
import { compileFeatureSet } from '../src/feature-set.ts'
import type { PlantAsset } from '../src/feature-set.ts'
import { bearingOrders } from '../src/machine.ts'

const assetOf = (asset: object): PlantAsset => {
  const site = { id: 'works', name: 'Works', timezone: 'UTC' }
  const whole = { id: 'gearbox-1', name: 'Gearbox 1', line: 'line-1', class: 'gearbox', ...asset }
  const lines = [{ id: 'line-1', name: 'Line 1', area: 'area-1' }]
  const assetClasses = [{ id: 'gearbox', featureSet: 'features/test' }]
  return parsePlant({ version: 1, site, lines, assetClasses, assets: [whole] }).assets[0]!
}

const vibrationG = { id: 'vibrationG', unit: 'g', kind: 'waveform', sampleRateHz: 8192, width: 2048, range: [-100, 100] }
const temperatureC = { id: 'temperatureC', unit: 'Cel', kind: 'scalar' }
const speedRpm = { id: 'speedRpm', unit: '/min', kind: 'scalar' }
const pressAsset = assetOf({ id: 'press-1', channels: [vibrationG], sources: ['press-1-vib'] })
const processAsset = assetOf({ id: 'press-1-process', channels: [temperatureC] })
const gearbox = assetOf({
  channels: [vibrationG, temperatureC, speedRpm, { id: 'tachoV', unit: 'V', kind: 'scalar' }],
  bearing: { name: '6205', balls: 9, ballDiameterMm: 7.94, pitchDiameterMm: 39.04 },
  speedChannel: 'speedRpm',
  nominalSpeedRpm: 1480,
  tacho: { channel: 'tachoV', pulsesPerRev: 2 },
  gears: [{ name: 'pinion', teeth: 23 }],
  zones: { group: 2, support: 'rigid' },
})

const windows = { windowMs: 1000, latenessMs: 500, graceMs: 250 }
const set = (features: unknown[], more: object = {}) =>
  parseFeatureSet({ version: 1, name: 'features/test', ...windows, ...more, features })
const compile = (features: unknown[], asset = pressAsset, more: object = {}) =>
  compileFeatureSet(set(features, more), 'digest', asset, 'plant-digest')
const everyRow = { windowMs: undefined, windowRows: 100, closes: 'every-row' }

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
  assert.deepEqual(plan.names, ['vibrationG.rms', 'vibrationG.crest', 'vibrationG.bandRms10to250Hz', 'vibrationG.bandRms2000to3000Hz'])
  assert.deepEqual([plan.hop, plan.latenessUs, plan.graceUs], [{ us: 1_000_000 }, 500_000, 250_000])
  assert.deepEqual(plan.scales, [{ name: '1s', length: { us: 1_000_000 } }])
  assert.deepEqual([plan.digest, plan.plantDigest, plan.sources], ['digest', 'plant-digest', ['press-1-vib']])
  assert.deepEqual(plan.channels, [{ id: 'vibrationG', unit: 'g', kind: 'waveform', range: [-100, 100], sampleRateHz: 8192, width: 2048 }])
})

test('* means every scalar channel', () => {
  const plan = compile([{ channel: '*', statistics: ['mean', 'slope'] }], gearbox)
  const channels = ['temperatureC', 'speedRpm', 'tachoV']
  assert.deepEqual(
    plan.names,
    channels.flatMap((id) => [`${id}.mean`, `${id}.slope`]),
  )
  assert.throws(() => compile([{ channel: '*', statistics: ['mean'] }]), /press-1 has none/)
})

test('with several scales a name says which; the window comes first, then the shorter ones, and a rule may choose', () => {
  const scales = { ...everyRow, scales: ['20rows', '50rows'] }
  const plan = compile(
    [
      { channel: 'temperatureC', statistics: ['mean', 'std'] },
      { channel: 'temperatureC', scales: ['20rows'], statistics: ['slope'] },
    ],
    processAsset,
    scales,
  )
  assert.deepEqual(plan.scales, [
    { name: '100rows', length: { rows: 100 } },
    { name: '50rows', length: { rows: 50 } },
    { name: '20rows', length: { rows: 20 } },
  ])
  assert.equal(plan.hop, 'row')
  const byScale = ['100rows', '50rows', '20rows'].flatMap((name) => [`temperatureC.mean@${name}`, `temperatureC.std@${name}`])
  assert.deepEqual(plan.names, [...byScale, 'temperatureC.slope@20rows'])
  assert.deepEqual(
    plan.calls.map(({ scale, asked }) => [scale, asked.map(({ statistic, places }) => [statistic, ...places])]),
    [
      [0, [['mean', 0], ['std', 1]]],
      [1, [['mean', 2], ['std', 3]]],
      [2, [['mean', 4], ['std', 5], ['slope', 6]]],
    ],
  ) // prettier-ignore
})

test('a scale is called as the set calls it, also that of the window; rows may be the last ones of a time window', () => {
  const plan = compile([{ channel: 'temperatureC', statistics: ['mean'] }], processAsset, {
    windowMs: 60_000,
    hopMs: 10_000,
    scales: ['20rows', '60s', '10s', '500ms'],
  })
  assert.deepEqual(
    plan.scales.map(({ name }) => name),
    ['60s', '10s', '500ms', '20rows'],
  )
  assert.deepEqual(plan.hop, { us: 10_000_000 })
})

test('a rule of several channels names its numbers by them, or as it says', () => {
  const pair = { channels: ['temperatureC', 'speedRpm'], statistics: ['correlation'] }
  assert.deepEqual(compile([pair], gearbox).names, ['temperatureC+speedRpm.correlation'])
  const plan = compile([{ ...pair, as: 'heatPerTurn', statistics: ['regressionResidual', 'correlation'] }], gearbox)
  assert.deepEqual(plan.names, ['heatPerTurn.regressionResidual', 'heatPerTurn.correlation'])
  assert.deepEqual(plan.calls[0]?.channels, [0, 1])
})

test('what is computed of the same channel with the same options is one call; different options part it', () => {
  const plan = compile([
    { channel: 'vibrationG', bandsHz: [[10, 250]], spectrum: { segment: 1024 }, statistics: ['bandRms'] },
    { channel: 'vibrationG', spectrum: { segment: 1024 }, statistics: ['centroidHz', 'rms'] },
    { channel: 'vibrationG', statistics: ['dominantHz', 'peak'] },
  ])
  assert.deepEqual(
    plan.calls.map(({ options, asked }) => [options, asked.map(({ statistic }) => statistic)]),
    [
      [{ bandsHz: [[10, 250]], spectrum: { segment: 1024 } }, ['bandRms', 'centroidHz', 'rms', 'peak']],
      [{}, ['dominantHz']],
    ],
  )
})

test('a plan reads the channels that are asked for, and those of the shaft where an order is', () => {
  const plan = compile([{ channel: 'vibrationG', statistics: ['rms'] }], gearbox)
  assert.deepEqual(
    plan.channels.map(({ id }) => id),
    ['vibrationG'],
  )
  assert.deepEqual([plan.machine.speedChannel, plan.machine.tachoChannel], [null, null])
  const ordered = compile([{ channel: 'vibrationG', statistics: ['envelopeBpfo'] }], gearbox)
  assert.deepEqual(
    ordered.channels.map(({ id }) => id),
    ['vibrationG', 'speedRpm', 'tachoV'],
  )
  assert.deepEqual([ordered.machine.speedChannel, ordered.machine.tachoChannel, ordered.machine.tachoPulsesPerRev], [1, 2, 2])
  assert.deepEqual(ordered.machine.gears, [{ name: 'pinion', teeth: 23, shaftRatio: 1 }])
})

test('the geometry of a 6205 gives its known orders', () => {
  const { bearing } = compile([{ channel: 'vibrationG', statistics: ['rms'] }], gearbox).machine
  assert.deepEqual(
    Object.values(bearing ?? {}).map((order) => order.toFixed(3)),
    ['3.585', '5.415', '2.357', '0.398'],
  )
  const tilted = bearingOrders({ name: 'x', balls: 9, ballDiameterMm: 7.94, pitchDiameterMm: 39.04, contactAngleDeg: 60 })
  assert.equal(tilted.bpfoOrder.toFixed(3), '4.042')
  assert.equal((tilted.bpfoOrder + tilted.bpfiOrder).toFixed(9), '9.000000000')
  const orders = { bpfoOrder: 3.585, bpfiOrder: 5.415, bsfOrder: 2.357, ftfOrder: 0.398 }
  assert.deepEqual(bearingOrders({ name: 'x', ...orders }), orders)
})

test('zones come from the plant file, or from group and support after ISO 20816-3', () => {
  const limits = (zones: object) =>
    compile([{ channel: 'vibrationG', statistics: ['isoZone'] }], assetOf({ channels: [vibrationG], zones })).machine.zoneLimitsMmS
  assert.deepEqual(limits({ limitsMmS: [1, 2, 3] }), [1, 2, 3])
  assert.deepEqual(limits({ group: 1, support: 'rigid' }), [2.3, 4.5, 7.1])
  assert.deepEqual(limits({ group: 1, support: 'flexible' }), [3.5, 7.1, 11])
  assert.deepEqual(limits({ group: 2, support: 'rigid' }), [1.4, 2.8, 4.5])
  assert.deepEqual(limits({ group: 2, support: 'flexible' }), [2.3, 4.5, 7.1])
})

test('regimes and health are compiled to places and rules', () => {
  const plan = compile([{ channel: 'speedRpm', statistics: ['mean', 'std'] }], gearbox, {
    regimes: [
      { id: 'off', off: true, when: { 'speedRpm.mean': { below: 50 } } },
      { id: 'steady', when: { 'speedRpm.mean': { atLeast: 50, below: 2000 }, 'speedRpm.std': { equals: 0 } } },
      { id: 'other' },
    ],
    health: { stuckRows: 20, gapPeriods: false },
  })
  assert.deepEqual(plan.regimes, [
    { id: 'off', isOff: true, when: [{ place: 0, atLeast: null, below: 50, equals: null }] },
    {
      id: 'steady',
      isOff: false,
      when: [
        { place: 0, atLeast: 50, below: 2000, equals: null },
        { place: 1, atLeast: null, below: null, equals: 0 },
      ],
    },
    { id: 'other', isOff: false, when: [] },
  ])
  const { stuckRows, flat, saturatedShare, dropOutShare, gapPeriods, noiseFactor } = plan.health
  assert.deepEqual([stuckRows, flat, saturatedShare, dropOutShare, gapPeriods, noiseFactor], [20, false, 0.02, 0.2, null, null])
  assert.throws(
    () =>
      compile([{ channel: 'speedRpm', statistics: ['mean'] }], gearbox, {
        regimes: [{ id: 'off', when: { 'speedRpm.men': { below: 1 } } }],
      }),
    /features\/test for gearbox-1: regime off asks for speedRpm.men, which the vector does not have; the nearest is speedRpm.mean/,
  )
})

test('an unknown channel fails and the nearest one is named', () => {
  assert.throws(
    () => compile([{ channel: 'temperatur', statistics: ['mean'] }], processAsset),
    /features\/test for press-1-process: no channel temperatur; the nearest is temperatureC/,
  )
})

test('a name that two rules give fails', () => {
  const rules = [
    { channel: 'vibrationG', statistics: ['rms'] },
    { channel: 'vibrationG', statistics: ['peak', 'rms'] },
  ]
  assert.throws(() => compile(rules), /vibrationG.rms is asked for twice for press-1; name it once, or give one of them another name/)
})

const misfits: [what: string, rule: object, expected: RegExp, asset?: PlantAsset, more?: object][] = [
  ['single values of a waveform', { channel: 'vibrationG', statistics: ['slope'] }, /slope of vibrationG needs single values, found a wave/],
  ['a waveform of single values', { channel: 'temperatureC', bandsHz: [[1, 2]], statistics: ['bandRms'] }, /needs a waveform/, processAsset],
  ['a band above half the rate', { channel: 'vibrationG', bandsHz: [[3000, 5000]], statistics: ['bandRms'] }, /above half the sample rate \(4096 Hz\)/],
  ['a band between two lines', { channel: 'vibrationG', bandsHz: [[1, 3]], statistics: ['bandRms'] }, /no line of the spectrum \(4 Hz apart\) lies in 1-3 Hz/],
  [
    'a band between the lines of short segments',
    { channel: 'vibrationG', bandsHz: [[10, 30]], spectrum: { segment: 256 }, statistics: ['bandRms'] },
    /no line of the spectrum \(32 Hz apart\)/,
  ],
  ['a log band between two lines', { channel: 'vibrationG', logBands: { count: 8, lowHz: 1, highHz: 4000 }, statistics: ['logBandRms'] }, /lies in 1-2.82/],
  ['log bands above half the rate', { channel: 'vibrationG', logBands: { count: 2, lowHz: 10, highHz: 5000 }, statistics: ['logBandLnShare'] }, /5000 Hz, above half/],
  ['octaves above half the rate', { channel: 'vibrationG', statistics: ['octaveDb'] }, /octaveDb of vibrationG: the band 2818.38-5623.41 Hz ends .* change octaveRangeHz/],
  ['an envelope band above half the rate', { channel: 'vibrationG', envelopeBandHz: [2000, 6000], statistics: ['envelopeRms'] }, /above half/],
  ['a segment longer than a row', { channel: 'vibrationG', spectrum: { segment: 4096 }, statistics: ['centroidHz'] }, /does not fit rows of 2048; give at most 2048/],
  ['a fundamental above half the rate', { channel: 'vibrationG', fundamentalHz: 5000, statistics: ['thdPct'] }, /fundamental of 5000 Hz/],
  ['defects without a bearing', { channel: 'vibrationG', statistics: ['envelopeBpfo'] }, /needs the speed of the shaft .* of press-1 in the plant file/],
  ['gears without gears', { channel: 'vibrationG', statistics: ['gearMeshRms'] }, /needs the gears/, assetOf({ channels: [vibrationG], nominalSpeedRpm: 1480 })],
  ['zones without limits', { channel: 'vibrationG', statistics: ['isoZone'] }, /needs the zones \(limitsMmS, or group and support/],
  [
    'a velocity of what is no vibration',
    { channel: 'soundPa', statistics: ['velocityRmsMmS'] },
    /velocityRmsMmS of soundPa needs a unit of vibration .*, found Pa/,
    assetOf({ channels: [{ ...vibrationG, id: 'soundPa', unit: 'Pa' }] }),
  ],
  [
    'phases of two kinds',
    { channels: ['temperatureC', 'vibrationG', 'speedRpm'], statistics: ['phaseImbalancePct'] },
    /needs channels of one kind, found single values and a waveform/,
    gearbox,
  ],
  ['a waveform where every row ends a window', { channel: 'vibrationG', statistics: ['rms'] }, /every row are made of single values/, gearbox, everyRow],
] // prettier-ignore
for (const [what, rule, expected, asset, more] of misfits) {
  test(`refused: ${what}`, () => {
    assert.throws(() => compile([rule], asset, more), expected)
  })
}
