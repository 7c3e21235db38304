import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { packDoubles, readDoubles } from '../src/packed.ts'

test('packed numbers come back bit for bit, at any alignment', () => {
  fc.assert(
    fc.property(fc.float64Array(), fc.nat(7), (values, shift) => {
      const shifted = Buffer.concat([Buffer.alloc(shift), packDoubles(values)]).subarray(shift)
      assert.deepEqual(readDoubles(shifted), values)
    }),
  )
})

test('numbers are little-endian, and a torn last one is left out', () => {
  assert.equal(packDoubles(Float64Array.of(1)).toString('hex'), '000000000000f03f')
  assert.deepEqual(readDoubles(Buffer.from('000000000000f03f0000', 'hex')), Float64Array.of(1))
})
