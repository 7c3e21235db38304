import assert from 'node:assert/strict'
import { test } from 'node:test'
import { unitText } from '../src/units.ts'

test('UCUM codes are shown as people write them, rates by their unit, strangers as they are', () => {
  const codes = ['Cel', '[degF]', '/min', '1', 'Cel/s', 'bar', 'm/s', 'g']
  assert.deepEqual(codes.map(unitText), ['°C', '°F', 'rpm', '', '°C/s', 'bar', 'm/s', 'g'])
})
