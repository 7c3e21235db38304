import assert from 'node:assert/strict'
import { test } from 'node:test'
import { figure, signalWords } from '../src/words.ts'

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
