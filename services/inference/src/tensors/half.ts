// FP16 and BF16 on the wire are FP32 in the graph: widened in the copy into a batch, narrowed on the way out to the nearest value,
// ties to even. Works on bits, so a NaN stays one and says as much of itself as fits.

export type HalfDatatype = 'FP16' | 'BF16'

export const isHalf = (datatype: string): datatype is HalfDatatype => datatype === 'FP16' || datatype === 'BF16'

/** Bits of the float32 with the value of a half's bits. Every half has one. */
const floatBitsOfHalf = (half: number): number => {
  const sign = (half & 0x8000) << 16
  const exponent = (half >> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13)
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (fraction << 13)
  if (fraction === 0) return sign
  const shift = Math.clz32(fraction) - 21 // brings the highest bit of a subnormal to where a normal number has its hidden one
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13)
}

/** Made on first use: 256 KiB that most services never need. */
let floatsOfHalves: Uint32Array | undefined
const halves = (): Uint32Array => (floatsOfHalves ??= Uint32Array.from({ length: 0x10000 }, (_, half) => floatBitsOfHalf(half) >>> 0))

/** Bits of the half nearest to a float32's bits. Too large is infinite, too small is zero, both with the sign. */
export const halfOfFloatBits = (bits: number): number => {
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude >= 0x47800000) {
    // 65536 and above, infinities, NaN: which keeps the top of its payload and is made quiet.
    return magnitude > 0x7f800000 ? sign | 0x7e00 | ((magnitude >> 13) & 0x1ff) : sign | 0x7c00
  }
  if (magnitude >= 0x38800000) return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13) // may round up to infinity
  if (magnitude < 0x33000000) return sign // below half of the least subnormal
  const shift = 126 - (magnitude >> 23)
  const fraction = (magnitude & 0x7fffff) | 0x800000
  const kept = fraction >> shift
  const rest = fraction & ((1 << shift) - 1)
  const middle = 1 << (shift - 1)
  return sign | (kept + (rest > middle || (rest === middle && (kept & 1) === 1) ? 1 : 0))
}

/** Bits of the bfloat16 nearest to a float32's bits. */
export const bfloatOfFloatBits = (bits: number): number =>
  (bits & 0x7fffffff) > 0x7f800000 ? ((bits >>> 16) & 0xffff) | 0x40 : ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff

/** Writes the elements of `bytes`, at any alignment, as float32 values from `at` on; returns how many. */
export const widen = (datatype: HalfDatatype, bytes: Uint8Array, target: Float32Array, at = 0): number => {
  const count = bytes.byteLength >> 1
  const bits = new Uint32Array(target.buffer, target.byteOffset, target.length)
  if (at + count > bits.length) throw new RangeError(`${count} elements at ${at} do not fit into ${bits.length}`)
  if (datatype === 'BF16') for (let i = 0; i < count; i++) bits[at + i] = (bytes[2 * i]! << 16) | (bytes[2 * i + 1]! << 24)
  else {
    const table = halves()
    for (let i = 0; i < count; i++) bits[at + i] = table[bytes[2 * i]! | (bytes[2 * i + 1]! << 8)]!
  }
  return count
}

/** The values as bytes of the half type. */
export const narrow = (datatype: HalfDatatype, values: Float32Array): Uint8Array => {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const bytes = new Uint8Array(2 * bits.length)
  const convert = datatype === 'BF16' ? bfloatOfFloatBits : halfOfFloatBits
  for (let i = 0; i < bits.length; i++) {
    const half = convert(bits[i]! | 0)
    bytes[2 * i] = half
    bytes[2 * i + 1] = half >> 8
  }
  return bytes
}
