import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { bfloatOfFloatBits, halfOfFloatBits, narrow, widen } from '../../src/tensors/half.ts'

const bitsOf = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0]!
const valueOf = (bits: number): number => new Float32Array(Uint32Array.of(bits).buffer)[0]!
const everyHalf = Uint16Array.from({ length: 0x10000 }, (_, half) => half)
const isNaNHalf = (half: number): boolean => (half & 0x7c00) === 0x7c00 && (half & 0x3ff) !== 0

test('each of the 65536 halves is widened to the value the platform reads, and narrowed back to itself', () => {
  const wide = new Float32Array(0x10000)
  assert.equal(widen('FP16', new Uint8Array(everyHalf.buffer), wide), 0x10000)
  const reference = new Float16Array(everyHalf.buffer.slice(0))
  const view = new DataView(everyHalf.buffer)
  const back = new Uint16Array(narrow('FP16', wide).buffer)
  for (let half = 0; half < 0x10000; half++) {
    assert.ok(Object.is(wide[half], reference[half]), `half ${half.toString(16)}`)
    assert.ok(Object.is(wide[half], view.getFloat16(2 * half, true)))
    if (isNaNHalf(half)) assert.ok(isNaNHalf(back[half]!))
    else assert.equal(back[half], half)
  }
})

test('a float32 is narrowed to the half the platform takes: nearest, ties to even, subnormals, overflow to infinity', () => {
  const check = (bits: number): void => {
    const value = valueOf(bits)
    const found = halfOfFloatBits(bits | 0)
    if (Number.isNaN(value)) return assert.ok(isNaNHalf(found), `NaN ${bits.toString(16)}`)
    const reference = new Uint16Array(Float16Array.of(value).buffer)[0]!
    assert.equal(found, reference, `${value} (${bits.toString(16)})`)
  }
  // Every half, the middle between it and the next one, and both neighbours of the middle: where rounding decides.
  const wide = new Float32Array(0x10000)
  widen('FP16', new Uint8Array(everyHalf.buffer), wide)
  for (let half = 0; half < 0x10000; half++) {
    if (isNaNHalf(half)) continue
    const middle = bitsOf((wide[half]! + (Number.isFinite(wide[half + 1] ?? NaN) ? wide[half + 1]! : wide[half]! * 1.0002)) / 2)
    for (const bits of [bitsOf(wide[half]!), middle - 1, middle, middle + 1]) check(bits >>> 0)
  }
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffffffff }), (bits) => check(bits >>> 0)),
    { numRuns: 20_000 },
  )
})

test('each of the 65536 bfloat16 is the top of a float32, and narrowing takes the nearest, ties to even', () => {
  const wide = new Float32Array(0x10000)
  widen('BF16', new Uint8Array(everyHalf.buffer), wide)
  const bits = new Uint32Array(wide.buffer)
  const back = new Uint16Array(narrow('BF16', wide).buffer)
  for (let i = 0; i < 0x10000; i++) {
    assert.equal(bits[i], (i << 16) >>> 0)
    assert.ok(Number.isNaN(wide[i]) ? Number.isNaN(valueOf((back[i]! << 16) >>> 0)) : back[i] === i)
  }
  fc.assert(
    fc.property(fc.float({ noNaN: true }), (value) => {
      const found = valueOf((bfloatOfFloatBits(bitsOf(value) | 0) << 16) >>> 0)
      const below = valueOf((bitsOf(value) & 0xffff0000) >>> 0)
      const above = valueOf(((bitsOf(value) & 0xffff0000) + 0x10000) >>> 0)
      if (!Number.isFinite(above)) return
      const [toBelow, toAbove] = [Math.abs(value - below), Math.abs(above - value)]
      const isEven = (each: number): boolean => ((bitsOf(each) >>> 16) & 1) === 0
      const expected = toBelow === toAbove ? (isEven(below) ? below : above) : toBelow < toAbove ? below : above
      assert.equal(found, expected)
    }),
    { numRuns: 5_000 },
  )
})

test('halves are read at any alignment and written where the caller says', () => {
  const bytes = new Uint8Array(9).subarray(1)
  bytes.set(new Uint8Array(Float16Array.of(1, -2, 0.5, 65504).buffer))
  const target = new Float32Array(6)
  widen('FP16', bytes, target, 2)
  assert.deepEqual([...target], [0, 0, 1, -2, 0.5, 65504])
  assert.throws(() => widen('FP16', bytes, target, 3), RangeError)
})
