import assert from 'node:assert/strict'
import { test } from 'node:test'
import { featureUnit, featureWords, noticeWords, readbackWords, statisticWords } from '../src/words.ts'

test('feature names become words, without the unit that is printed beside the value', () => {
  assert.equal(featureWords('vibrationG.rms'), 'Vibration RMS')
  assert.equal(featureWords('vibrationG.bandRms1000to2000Hz'), 'Vibration RMS 1000 to 2000 Hz')
  assert.equal(featureWords('temperatureC.slope'), 'Temperature trend')
  assert.equal(featureWords('temperatureC.mean@20rows'), 'Temperature mean (last 20 values)')
  assert.equal(featureWords('vibrationG.envelopeBpfo'), 'Vibration outer-race defect')
  assert.equal(featureWords('drive.end.vibrationG.bandRms0_5to10Hz'), 'Drive end vibration RMS 0.5 to 10 Hz')
  assert.equal(featureWords('laggingReactiveKvarh.mean'), 'Lagging reactive mean')
  assert.equal(featureWords('co2T.max'), 'CO₂ maximum')
  assert.equal(featureWords('pressureBar'), 'Pressure')
  assert.equal(statisticWords('vibrationG.crest'), 'Crest factor')
  assert.equal(statisticWords('vibrationG.somethingNew'), 'SomethingNew')
  assert.equal(statisticWords('vibrationG.isoZone@60s'), 'Zone after ISO 20816 (last 60 s)')
})

test('a ratio has no unit and a trend is per second', () => {
  assert.equal(featureUnit('vibrationG.kurtosis', 'g'), '')
  assert.equal(featureUnit('temperatureC.slope', 'Cel'), 'Cel/s')
  assert.equal(featureUnit('pressureBar.mean', 'bar'), 'bar')
  assert.equal(featureUnit('vibrationG.velocityRmsMmS', '[g]'), 'mm/s')
})

test('what a target said becomes one line', () => {
  assert.equal(readbackWords('{"state":"paused","mode":"automatic","tookMs":2081}'), 'line paused, mode automatic, after 2081 ms')
  assert.equal(readbackWords('{"status":201,"location":"/jobs/7","body":"{}"}'), 'answered 201, /jobs/7')
  assert.equal(readbackWords('{"code":"TooLate"}'), 'TooLate')
  assert.equal(
    readbackWords(
      '[{"channel":"smtp","target":"1 technicians","delivered":true},{"channel":"nats","target":"press-line","delivered":false}]',
    ),
    'mail to 1 technicians, live notice to press-line not delivered',
  )
  assert.equal(readbackWords('mode is manual'), 'mode is manual')
  assert.equal(readbackWords('{"other":1}'), '{"other":1}')
  assert.equal(noticeWords('smtp to 2 technicians'), 'mail to 2 technicians')
})
