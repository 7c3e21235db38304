// The passes that most windows need - sum and extremes, powers - over two doubles at a time, in WebAssembly.
//
// Why not in TypeScript: `if (x < low) low = x` compiles to a jump that the processor guesses wrongly at each new extreme, and
// every element costs a check of the bounds. These two loops take less than half of the time. Nothing else belongs in here.
// The numbers below are those of the WebAssembly core specification, chapter 5 (binary format).
//
// Order of the sums: element i goes to partial sum i mod 4, they are added as (0 + 2) + (1 + 3), and then what is left over of
// a last four, one by one. It depends on the number of elements alone.

/** What is used of it here; the types of Node leave it out. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => {
    readonly exports: {
      readonly memory: { readonly buffer: ArrayBuffer; readonly grow: (pages: number) => number }
      readonly level: (from: number, to: number, first: number) => void
      readonly powers: (from: number, to: number, first: number, shift: number) => void
    }
  }
}

type Code = readonly (number | Code)[]

const flat = (code: Code): number[] => code.flatMap((each) => (typeof each === 'number' ? [each] : flat(each)))
const length = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, n >>> 7])
const sized = (code: Code): Code => [length(flat(code).length), code]
const section = (id: number, ...parts: Code): Code => [id, sized([parts.length, parts])]
const named = (text: string, kind: number, index: number): Code => [text.length, ...Buffer.from(text), kind, index]

const [i32, f64, v128, nothing] = [0x7f, 0x7c, 0x7b, 0x40]
const signature = (...parameters: number[]): Code => [0x60, parameters.length, parameters, 0]
/** `pairs` local variables of two doubles each. */
const body = (pairs: number, ...code: Code): Code => sized([1, pairs, v128, code, 0x0b])

const get = (local: number): Code => [0x20, local]
const set = (local: number, ...value: Code): Code => [value, 0x21, local]
const int = (value: number): Code => [0x41, value]
const load = (address: Code, offset = 0): Code => [address, 0xfd, 0x00, 3, offset]
const store = (address: Code, offset: number, value: Code): Code => [address, value, 0xfd, 0x0b, 3, offset]
/** A number in both places. */
const twice = (value: Code): Code => [value, 0xfd, 0x14]
const operation =
  (code: number) =>
  (a: Code, b: Code): Code => [a, b, 0xfd, code, 0x01]
const [add, sub, mul] = [operation(0xf0), operation(0xf1), operation(0xf2)]
/** b where it is less (greater) than a, else a. */
const [lower, higher] = [operation(0xf6), operation(0xf7)]
const advance = (local: number, bytes: number): Code => [get(local), int(bytes), 0x6a, 0x21, local]
/** Again, as long as one address lies before the other. */
const loop = (at: number, end: number, ...code: Code): Code => [0x03, nothing, code, get(at), get(end), 0x49, 0x0d, 0, 0x0b]

const level = (): Code => {
  const [from, to, first, centre, x] = [0, 1, 2, 3, 4]
  const [a, b, low, low2, high, high2] = [5, 6, 7, 8, 9, 10]
  const pair = (offset: number, total: number, least: number, most: number): Code => [
    set(x, load(get(from), offset)),
    set(total, add(get(total), sub(get(x), get(centre)))),
    set(least, lower(get(least), get(x))),
    set(most, higher(get(most), get(x))),
  ]
  return body(
    8,
    set(centre, twice(get(first))),
    [low, low2, high, high2].map((each) => set(each, get(centre))),
    loop(from, to, pair(0, a, low, high), pair(16, b, low2, high2), advance(from, 32)),
    store(int(0), 0, add(get(a), get(b))),
    store(int(0), 16, lower(get(low), get(low2))),
    store(int(0), 32, higher(get(high), get(high2))),
  )
}

const powers = (): Code => {
  const [from, to, first, shift, centre, rest, y] = [0, 1, 2, 3, 4, 5, 6]
  const [a, b, a4, b4] = [7, 8, 9, 10]
  const pair = (offset: number, squares: number, fourths: number): Code => [
    set(y, sub(sub(load(get(from), offset), get(centre)), get(rest))),
    set(y, mul(get(y), get(y))),
    set(squares, add(get(squares), get(y))),
    set(fourths, add(get(fourths), mul(get(y), get(y)))),
  ]
  return body(
    7,
    set(centre, twice(get(first))),
    set(rest, twice(get(shift))),
    loop(from, to, pair(0, a, a4), pair(16, b, b4), advance(from, 32)),
    store(int(0), 0, add(get(a), get(b))),
    store(int(0), 16, add(get(a4), get(b4))),
  )
}

const program: Code = [
  [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  section(1, signature(i32, i32, f64), signature(i32, i32, f64, f64)),
  section(3, 0, 1),
  section(5, [0, 1]), // a memory of one page
  section(7, named('memory', 2, 0), named('level', 0, 0), named('powers', 0, 1)),
  section(10, level(), powers()),
]

const wasm = new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(flat(program)))).exports

const pageBytes = 65_536
/** Results lie before the doubles. */
const headBytes = 64
let results = new Float64Array(wasm.memory.buffer, 0, headBytes / 8)
let doubles = new Float64Array(wasm.memory.buffer, headBytes)

/** Copies `n` elements to where the passes look, as doubles. Valid until more are placed. */
export const place = (elements: Float32Array | Float64Array, n: number): Float64Array => {
  if (n > doubles.length) {
    wasm.memory.grow(Math.ceil((16 * n) / pageBytes)) // twice what is needed
    results = new Float64Array(wasm.memory.buffer, 0, headBytes / 8)
    doubles = new Float64Array(wasm.memory.buffer, headBytes)
  }
  doubles.set(elements.length === n ? elements : elements.subarray(0, n))
  return doubles
}

/** What a pass found: the numbers of the last call. */
export const found = { sum: Number.NaN, low: Number.NaN, high: Number.NaN, squares: Number.NaN, fourths: Number.NaN }

/** Sum of x - x_0, lowest and highest x of what was placed. */
export const levelPass = (n: number): void => {
  const first = doubles[0] as number
  const fours = n & ~3
  let sum = 0
  let low = first
  let high = first
  if (fours > 0) {
    wasm.level(headBytes, headBytes + 8 * fours, first)
    sum = (results[0] as number) + (results[1] as number)
    low = Math.min(results[2] as number, results[3] as number)
    high = Math.max(results[4] as number, results[5] as number)
  }
  for (let i = fours; i < n; i++) {
    const x = doubles[i] as number
    sum += x - first
    if (x < low) low = x
    if (x > high) high = x
  }
  found.sum = sum
  found.low = low
  found.high = high
}

/** Sums of y^2 and y^4, y = (x - x_0) - shift, of what was placed. */
export const powersPass = (n: number, shift: number): void => {
  const first = doubles[0] as number
  const fours = n & ~3
  let squares = 0
  let fourths = 0
  if (fours > 0) {
    wasm.powers(headBytes, headBytes + 8 * fours, first, shift)
    squares = (results[0] as number) + (results[1] as number)
    fourths = (results[2] as number) + (results[3] as number)
  }
  for (let i = fours; i < n; i++) {
    const y = (doubles[i] as number) - first - shift
    squares += y * y
    fourths += y * y * (y * y)
  }
  found.squares = squares
  found.fourths = fourths
}
