// Names of numbers read back: every statistic of the catalogue has words and a unit, whatever its options.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { outputNames, statisticNames } from '../src/documents/statistics.ts'
import type { StatisticOptions } from '../src/documents/statistics.ts'
import { featureParts, featureUnit, featureWords, maskedNames, statisticOf } from '../src/feature-names.ts'
import { zoneLimitsMmS } from '../src/iso-zones.ts'

test('names read as words', () => {
  const read: Readonly<Record<string, string>> = {
    'temperatureC.mean': 'temperature',
    'temperatureC.mean@20rows': 'temperature (last 20 values)',
    'temperatureC.std@5min': 'temperature variation (last 5 min)',
    'vibrationG.bandRms2000to3000Hz': 'vibration band 2000-3000 Hz',
    'vibrationG.bandRms0_5to10Hz': 'vibration band 0.5-10 Hz',
    'vibrationG.bandRms0.5to10Hz': 'vibration band 0.5-10 Hz',
    'vibrationG.envelopeBpfo': 'vibration, outer-race defect',
    'pressureBar.p99_5': 'pressure 99.5 % quantile',
    'mode.stateminus1S': 'mode time in state -1',
    'vibrationG.order1_5Rms': 'vibration order 1.5',
    'soundPa.octave31_5HzDb': 'sound octave at 31.5 Hz',
    'flowL+pressureBar.correlation': 'flow and pressure correlation',
    'scrap.increaseRatio': 'scrap ratio of increases',
    'drive.end.vibrationG.rms': 'drive end vibration level',
    'vibrationG.somethingNew': 'vibration somethingNew',
  }
  for (const [name, words] of Object.entries(read)) assert.equal(featureWords(name), words)
})

test('units follow the catalogue', () => {
  const units: Readonly<Record<string, string>> = {
    't.mean': 'Cel',
    't.slope@60s': 'Cel/s',
    't.kurtosis': '1',
    't.lnRms': '1',
    't.velocityRmsMmS': 'mm/s',
    't.timeInBandPct': '%',
    't.bandRms10to20Hz': 'Cel',
    't.state2S': 's',
    't.somethingNew': 'Cel',
  }
  for (const [name, unit] of Object.entries(units)) assert.equal(featureUnit(name, 'Cel'), unit, name)
  assert.equal(featureUnit('t.slope', ''), '')
})

const options: fc.Arbitrary<StatisticOptions> = fc.record({
  quantiles: fc.array(fc.double({ min: 0.001, max: 0.999, noNaN: true }), { minLength: 1, maxLength: 3 }),
  states: fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 1, maxLength: 3 }),
  bandsHz: fc.array(
    fc.tuple(
      fc.integer({ min: 0, max: 95 }).map((tenths) => tenths / 10),
      fc.integer({ min: 10, max: 20_000 }),
    ),
    { minLength: 1, maxLength: 3 },
  ),
  logBands: fc.record({ count: fc.integer({ min: 1, max: 64 }), lowHz: fc.constant(10), highHz: fc.constant(1000) }),
  orders: fc.array(fc.constantFrom(0.5, 1, 1.5, 2, 12.25), { minLength: 1, maxLength: 3 }),
  octaveFraction: fc.constantFrom(1, 3),
})

test('every number that the catalogue can give is known again by its name, at any scale, of any channel', () => {
  fc.assert(
    fc.property(fc.constantFrom(...statisticNames), options, fc.constantFrom('', '@20rows', '@60s'), (statistic, given, scale) => {
      for (const output of outputNames(statistic, given)) {
        const name = `line.1.vibrationG.${output}${scale}`
        assert.deepEqual(featureParts(name), { channel: 'line.1.vibrationG', statistic: output, scale: scale.slice(1) })
        assert.equal(statisticOf(output), statistic)
        assert.doesNotMatch(featureWords(name), /[@_]/)
      }
    }),
  )
})

test('numbers that a stuck sensor feeds are masked, as the vector names them; a gap alone masks none', () => {
  const names = ['vibrationG.rms@60s', 'speedRpm.mean', 'speedRpm+vibrationG.correlation', 'vibrationG2.rms', 'trend.correlation']
  const flagged = (flags: string[], told?: string[]) => [
    ...maskedNames(names, [{ channel: 'vibrationG', flags, ...(told && { names: told }) }]),
  ]
  assert.deepEqual(flagged(['gap', 'stuck'], ['vibrationG.rms@60s', 'trend.correlation']), ['vibrationG.rms@60s', 'trend.correlation'])
  assert.deepEqual(flagged(['gap'], ['vibrationG.rms@60s']), [])
})

test('of a vector of an earlier release, which names none, the numbers that carry the channel are masked', () => {
  const names = ['vibrationG.rms@60s', 'speedRpm.mean', 'speedRpm+vibrationG.correlation', 'vibrationG2.rms']
  for (const told of [{}, { names: [] }])
    assert.deepEqual(
      [...maskedNames(names, [{ channel: 'vibrationG', flags: ['flat'], ...told }])],
      ['vibrationG.rms@60s', 'speedRpm+vibrationG.correlation'],
    )
})

test('limits of the zones come from the plant file or from group and support', () => {
  assert.deepEqual(zoneLimitsMmS({ limitsMmS: [1, 2, 3] }), [1, 2, 3])
  assert.deepEqual(zoneLimitsMmS({ group: 2, support: 'rigid' }), [1.4, 2.8, 4.5])
})
