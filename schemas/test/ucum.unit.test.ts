// UCUM conversions: known factors hold, every conversion goes there and back, and what measures something else is not converted.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { conversionOf } from '../src/ucum.ts'

const isNear = (found: number, expected: number, of = Math.max(1, Math.abs(expected))) => Math.abs(found - expected) <= 1e-12 * of

for (const [from, to, value, expected] of [
  ['[degF]', 'Cel', 212, 100],
  ['[degF]', 'Cel', -40, -40],
  ['Cel', '[degF]', 37, 98.6],
  ['K', 'Cel', 0, -273.15],
  ['mCel', 'Cel', 21_500, 21.5],
  ['Cel/s', 'K/min', 1, 60],
  ['[degF]/min', 'Cel/min', 9, 5],
  ['kPa', 'bar', 250, 2.5],
  ['[psi]', 'bar', 1, 0.0689475729316836],
  ['mm[Hg]', 'kPa', 760, 101.32472],
  ['atm', 'Pa', 1, 101_325],
  ['/min', 'Hz', 1500, 25],
  ['{rpm}/min', '/s', 60, 1],
  ['mm/s', 'm/s', 4.5, 0.0045],
  ['[in_i]/s', 'mm/s', 1, 25.4],
  ['[g]', 'm/s2', 1, 9.80665],
  ['mV/[g]', 'mV/(m/s2)', 9.80665, 1],
  ['kW.h', 'MJ', 1, 3.6],
  ['L/min', 'm3/h', 1000, 60],
  ['[gal_us]/min', 'L/min', 1, 3.785411784],
  ['[ft_i]3', 'L', 1, 28.316846592],
  ['[HP]', 'kW', 1, 0.74569987158227],
  ['mA.h', 'C', 1, 3.6],
  ['uOhm', 'mOhm', 5, 0.005],
  ['kg/m3', 'g/cm3', 7850, 7.85],
  ['%', '1', 45, 0.45],
  ['[ppm]', '%', 10_000, 1],
  ['10*3/mL', '/L', 1, 1e6],
  ['deg', 'rad', 180, Math.PI],
  ['m-1', '/m', 3, 3],
  ['kg.m2/s3', 'W', 2, 2],
  ['furlong', 'furlong', 3, 3],
] as const) {
  test(`${value} ${from} is ${expected} ${to}`, () => {
    const conversion = conversionOf(from, to)
    assert.ok(conversion !== undefined)
    const found = value * conversion.factor + conversion.offset
    assert.ok(isNear(found, expected, conversion.offset === 0 ? Math.abs(expected) : 300), `found ${found}`)
  })
}

for (const [from, to, why] of [
  ['bar', 'Cel', 'pressure is no temperature'],
  ['Hz', 'rad/s', 'a turn is not said'],
  ['g', 'm/s2', 'g is the gram; the acceleration is [g]'],
  ['furlong', 'm', 'it is not in the table'],
  ['kmin', 's', 'a minute takes no prefix'],
  ['5m', 'm', 'a factor needs a point behind it'],
  ['m/', 'm', 'a quotient needs a divisor'],
  ['(m', 'm', 'a bracket is open'],
  ['', '1', 'an empty code says nothing'],
  ['m2', 'm', 'an area is no length'],
  [`${'m.'.repeat(40)}m`, 'm', 'it is too long'],
] as const) {
  test(`${from.slice(0, 12)} does not become ${to}: ${why}`, () => {
    assert.equal(conversionOf(from, to), undefined)
  })
}

const prefix = fc.constantFrom('', 'k', 'M', 'm', 'u', 'n', 'da', 'c')
const atom = fc.constantFrom('m', 's', 'g', 'K', 'A', 'V', 'Pa', 'bar', 'N', 'J', 'W', 'L', 'Hz', 'Ohm', 'mol', 'T', '[g]')
const factor = fc
  .tuple(prefix, atom, fc.integer({ min: -3, max: 3 }))
  .map(([before, code, power]) => `${before}${code}${power === 0 ? '' : power}`)
const unit = fc.array(factor, { minLength: 1, maxLength: 3 }).map((factors) => factors.join('.'))

/** The same kind of unit, said otherwise: turned round, and a thousand times as much. */
const otherwise = (code: string): string => `10*3.${code.split('.').toReversed().join('.')}`

test('every value comes back from a unit that means the same', () => {
  fc.assert(
    fc.property(unit, fc.double({ min: -1e6, max: 1e6, noNaN: true }), (code, value) => {
      const there = conversionOf(code, otherwise(code))
      const back = conversionOf(otherwise(code), code)
      assert.ok(there !== undefined && back !== undefined, `${code} ↔ ${otherwise(code)}`)
      assert.ok(isNear(there.factor * back.factor, 1), `${code}: ${there.factor} and ${back.factor}`)
      assert.ok(isNear((value * there.factor + there.offset) * back.factor + back.offset, value))
    }),
  )
})

test('temperatures come back from every scale', () => {
  const scale = fc.constantFrom('K', 'mK', 'Cel', 'mCel', '[degF]')
  fc.assert(
    fc.property(scale, scale, fc.double({ min: -500, max: 5000, noNaN: true }), (from, to, value) => {
      const [there, back] = [conversionOf(from, to), conversionOf(to, from)]
      assert.ok(there !== undefined && back !== undefined)
      assert.ok(isNear((value * there.factor + there.offset) * back.factor + back.offset, value, 1e6))
    }),
  )
})

test('conversions compose: from a unit to a second and on to a third is as from the first to the third', () => {
  const pressure = fc.constantFrom('Pa', 'kPa', 'bar', 'mbar', '[psi]', 'atm', 'mm[Hg]', 'N/mm2', 'm[H2O]', 'kg/(m.s2)')
  fc.assert(
    fc.property(pressure, pressure, pressure, (a, b, c) => {
      const product = conversionOf(a, b)!.factor * conversionOf(b, c)!.factor
      assert.ok(isNear(product / conversionOf(a, c)!.factor, 1))
    }),
  )
})

test('no text crashes the reader', () => {
  fc.assert(fc.property(fc.string(), fc.string(), (from, to) => void conversionOf(from, to)))
  const pieces = fc.array(fc.constantFrom('m', '/', '.', '(', ')', '2', '-', '{', '}', '[', ']', '10*', 'k', '%'), { maxLength: 20 })
  fc.assert(fc.property(pieces, (parts) => void conversionOf(parts.join(''), 'm')))
})
