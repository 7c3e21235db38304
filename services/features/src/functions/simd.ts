// The passes that most windows need - widening, sum and extremes, powers - over two doubles at a time, in WebAssembly.
//
// Why not in TypeScript: `if (x < low) low = x` compiles to a jump that the processor guesses wrongly at each new extreme, and
// every element costs a check of the bounds. These three loops take a third of the time. Nothing else belongs in here.
//
// Order of the sums: element i goes to partial sum i mod 4, they are added as (0 + 2) + (1 + 3), and then what is left over of
// a last four, one by one. It depends on the number of elements alone.

/** What is used of it here; the types of Node leave it out. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => {
    readonly exports: {
      readonly memory: { readonly buffer: ArrayBuffer; readonly grow: (pages: number) => number }
      readonly widen: (from: number, to: number, into: number) => void
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
/** One double, or a parameter, in both places. */
const loadTwice = (address: Code): Code => [address, 0xfd, 0x0a, 3, 0]
const twice = (value: Code): Code => [value, 0xfd, 0x14]
/** Two floats as doubles. */
const loadFloats = (address: Code): Code => [address, 0xfd, 0x5d, 2, 0, 0xfd, 0x5f]
const operation =
  (code: number) =>
  (a: Code, b: Code): Code => [a, b, 0xfd, code, 0x01]
const [add, sub, mul] = [operation(0xf0), operation(0xf1), operation(0xf2)]
/** b where it is less (greater) than a, else a. */
const [lower, higher] = [operation(0xf6), operation(0xf7)]
const advance = (local: number, bytes: number): Code => [get(local), int(bytes), 0x6a, 0x21, local]
/** Again, as long as one address lies before the other. */
const loop = (at: number, end: number, ...code: Code): Code => [0x03, nothing, code, get(at), get(end), 0x49, 0x0d, 0, 0x0b]

const widen = (): Code => {
  const [from, to, into] = [0, 1, 2]
  return body(0, loop(from, to, store(get(into), 0, loadFloats(get(from))), advance(into, 16), advance(from, 8)))
}

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
    [low, low2, high, high2].map((each) => set(each, loadTwice(get(from)))),
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
  section(1, signature(i32, i32, i32), signature(i32, i32, f64), signature(i32, i32, f64, f64)),
  section(3, 0, 1, 2),
  section(5, [0, 1]), // a memory of one page
  section(7, named('memory', 2, 0), named('widen', 0, 0), named('level', 0, 1), named('powers', 0, 2)),
  section(10, widen(), level(), powers()),
]

const wasm = new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(flat(program)))).exports

const pageBytes = 65_536
/** Results lie first, then doubles, then the floats that become doubles. */
const headBytes = 64
let capacity = 4096
let results = new Float64Array(0)
let doubles = new Float64Array(0)
let floats = new Float32Array(0)

const arrange = (): void => {
  results = new Float64Array(wasm.memory.buffer, 0, headBytes / 8)
  doubles = new Float64Array(wasm.memory.buffer, headBytes, capacity)
  floats = new Float32Array(wasm.memory.buffer, headBytes + 8 * capacity, capacity)
}

arrange()

/** Memory for `n` elements; what was given out before is no longer valid. */
const makeRoom = (n: number): void => {
  if (n <= capacity) return
  capacity = 2 ** Math.ceil(Math.log2(n))
  wasm.memory.grow(Math.ceil((headBytes + 12 * capacity - wasm.memory.buffer.byteLength) / pageBytes))
  arrange()
}

/** Copies `n` elements to where the passes look, as doubles. Valid until more are placed. */
export const place = (elements: Float32Array | Float64Array, n: number): Float64Array => {
  makeRoom(n)
  const all = elements.length === n ? elements : elements.subarray(0, n)
  if (all instanceof Float64Array) doubles.set(all)
  else {
    floats.set(all)
    wasm.widen(headBytes + 8 * capacity, headBytes + 8 * capacity + 4 * n, headBytes)
  }
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
