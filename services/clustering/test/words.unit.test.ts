import assert from 'node:assert/strict'
import { test } from 'node:test'
import { channelWords, featureUnit, featureWords, figure, signalWords } from '../src/words.ts'

test('names of features read as words', () => {
  assert.deepEqual(
    ['vibrationG.bandRms2000to3000Hz', 'vibrationG.rms', 'temperatureC.mean', 'laggingReactiveKvarh.std', 'co2T.max', 'speedRpm.slope'].map(
      featureWords,
    ),
    ['vibration band 2000-3000 Hz', 'vibration level', 'temperature', 'lagging reactive variation', 'co2 maximum', 'speed trend'],
  )
  assert.equal(channelWords('motion'), 'motion')
})

test('units follow the statistic', () => {
  assert.deepEqual([featureUnit('t.mean', 'Cel'), featureUnit('t.slope', 'Cel'), featureUnit('t.kurtosis', 'g')], ['Cel', 'Cel/s', '1'])
})

test('figures are short', () => {
  assert.deepEqual([6.34, 12.7, 0.0482, 0, 240.2].map(figure), ['6.3', '13', '0.048', '0', '240'])
})

test('a signal says how far it is from normal', () => {
  const signal = { name: 'pressureBar.mean', unit: 'bar', normalLow: 80, normalHigh: 120 }
  assert.equal(signalWords({ ...signal, value: 252 }), 'pressure 2.1 × its normal limit')
  assert.equal(signalWords({ ...signal, value: 125 }), 'pressure at 125 bar, above its normal 120')
  assert.equal(signalWords({ ...signal, value: 12 }), 'pressure at 12 bar, below its normal 80')
  assert.equal(signalWords({ ...signal, value: 100 }), 'pressure')
})
