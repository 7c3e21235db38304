// The JSON of a scoring request, read from its bytes in one pass: the values of a tensor go straight into the tensor's bytes, without a
// text or a list in between, and 64-bit integers are exact, because they are never numbers of JavaScript on the way.

import { invalidRequest, invalidTensor } from '../errors.ts'
import type { Parameter } from '../serving/serving.ts'
import { packBytes } from '../tensors/bytes.ts'
import { datatypeNamed } from '../tensors/contents.ts'
import { shapeText } from '../tensors/size.ts'
import { elementBytes, elementCount, viewOf } from '../tensors/tensors.ts'
import type { Datatype, NumericDatatype } from '../tensors/tensors.ts'
import { nearestQuotient } from './http-decimals.ts'

export type JsonParameters = Readonly<Record<string, Parameter>>

export interface JsonInput {
  readonly name: string
  readonly datatype: Datatype
  readonly shape: readonly number[]
  readonly parameters: JsonParameters
  /** The values as the tensor's bytes; undefined where the input has no `data`. */
  readonly data: Uint8Array | undefined
}

export interface JsonOutput {
  readonly name: string
  readonly parameters: JsonParameters
}

export interface JsonRequest {
  readonly id: string
  readonly parameters: JsonParameters
  readonly inputs: readonly JsonInput[]
  readonly outputs: readonly JsonOutput[]
}

const [QUOTE, COMMA, MINUS, PLUS, POINT, COLON] = [0x22, 0x2c, 0x2d, 0x2b, 0x2e, 0x3a]
const [LIST, LIST_END, OBJECT, OBJECT_END, BACKSLASH] = [0x5b, 0x5d, 0x7b, 0x7d, 0x5c]
const [ZERO, NINE, SMALL_E, LARGE_E] = [0x30, 0x39, 0x65, 0x45]

const maxDepth = 32
/** Decimal digits that a double always holds, and powers of ten that are doubles themselves: with both, one operation rounds once. */
const exactDigits = 15
const keptDigits = 19
/** More than the largest integer has; reading very long ones would take long. */
const maxIntegerDigits = 20
const powers = Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`))
/** More than what is lost where digits after the first 15 are left out. */
const doubt = 2 ** -47

const ranges: Readonly<Partial<Record<Datatype, readonly [number, number]>>> = {
  UINT8: [0, 0xff],
  UINT16: [0, 0xffff],
  UINT32: [0, 0xffffffff],
  INT8: [-0x80, 0x7f],
  INT16: [-0x8000, 0x7fff],
  INT32: [-0x80000000, 0x7fffffff],
}

/** Reads the first `end` bytes. Throws where they are no JSON (and where), or no request of the protocol (and which tensor). */
export const readInferJson = (bytes: Buffer, end: number = bytes.length): JsonRequest => new Reader(bytes, end).request()

class Reader {
  readonly #bytes: Buffer
  readonly #end: number
  #at = 0

  constructor(bytes: Buffer, end: number) {
    this.#bytes = bytes
    this.#end = end
  }

  request(): JsonRequest {
    let id = ''
    let parameters: JsonParameters = {}
    let inputs: readonly JsonInput[] = []
    let outputs: readonly JsonOutput[] = []
    this.#space()
    this.#object((key) => {
      switch (key) {
        case 'id':
          id = this.#id()
          break
        case 'parameters':
          parameters = this.#parameters('parameters')
          break
        case 'inputs':
          inputs = this.#list('inputs', (index) => this.#input(index))
          break
        case 'outputs':
          outputs = this.#list('outputs', () => this.#output())
          break
        default:
          this.#value(1)
      }
    }, 'a JSON object with inputs')
    if (this.#space() !== -1) throw this.#malformed('the end')
    return { id, parameters, inputs, outputs }
  }

  #id(): string {
    const id = this.#value(1)
    if (id === null) return ''
    if (typeof id === 'string' || typeof id === 'bigint') return String(id)
    throw invalidRequest(`id: expected a text, got ${kindOf(id)}`)
  }

  #output(): JsonOutput {
    let name: unknown
    let parameters: JsonParameters = {}
    this.#object((key) => {
      if (key === 'name') name = this.#value(2)
      else if (key === 'parameters') parameters = this.#parameters('outputs: parameters')
      else this.#value(2)
    }, 'an output with its name')
    if (typeof name !== 'string') throw invalidRequest(`outputs: expected a name, got ${kindOf(name)}`)
    return { name, parameters }
  }

  #input(index: number): JsonInput {
    let name: unknown
    let datatype: unknown
    let shape: unknown
    let parameters: JsonParameters = {}
    let data: Uint8Array | undefined
    let laterAt = -1
    this.#object((key) => {
      switch (key) {
        case 'name':
          name = this.#value(2)
          break
        case 'datatype':
          datatype = this.#value(2)
          break
        case 'shape':
          shape = this.#value(2)
          break
        case 'parameters':
          parameters = this.#parameters(`input ${typeof name === 'string' ? name : index}: parameters`)
          break
        case 'data':
          if (typeof name === 'string' && datatype !== undefined && shape !== undefined) data = this.#data(name, datatype, shape)
          else {
            laterAt = this.#at
            this.#skip()
          }
          break
        default:
          this.#value(2)
      }
    }, 'an input with name, datatype, shape and data')
    if (typeof name !== 'string') throw invalidTensor(`input ${index}: expected a name, got ${kindOf(name)}`)
    if (laterAt !== -1) {
      const after = this.#at
      this.#at = laterAt
      data = this.#data(name, datatype, shape)
      this.#at = after
    }
    return { name, datatype: datatypeIn(name, datatype), shape: shapeIn(name, shape), parameters, data }
  }

  #data(name: string, datatypeName: unknown, shapeValue: unknown): Uint8Array {
    const datatype = datatypeIn(name, datatypeName)
    const shape = shapeIn(name, shapeValue)
    const fail = failing(name)
    if (datatype === 'FP16' || datatype === 'BF16') {
      const message = `receiving ${datatype} data via JSON is not supported. Please use the binary data format for input ${name}`
      throw invalidTensor(message, { tensor: name, expected: 'binary_data_size', got: 'data' })
    }
    if (this.#bytes[this.#at] !== LIST) throw fail('data, a list of values', kindOf(this.#value(2)))
    const expected = elementCount(shape)
    // A value takes two bytes at least: what the shape claims beyond that is never allocated.
    const room = Math.min(expected, Math.ceil((this.#end - this.#at) / 2))
    const counted = (count: number): void => {
      if (count !== expected) throw fail(`${expected} values for shape ${shapeText(shape)}`, String(count))
    }
    if (datatype === 'BYTES') {
      const elements: Uint8Array[] = []
      counted(this.#values((at) => void elements.push(this.#textAt(at, fail))))
      return packBytes(elements)
    }
    const buffer = new ArrayBuffer(room * elementBytes(datatype))
    counted(this.#values(this.#writer(datatype, buffer, room, fail)))
    return new Uint8Array(buffer)
  }

  /** Writes the value at a byte to the next place; beyond the last one it reads and forgets. */
  #writer(datatype: NumericDatatype, buffer: ArrayBuffer, room: number, fail: Failing): (at: number) => void {
    const view = viewOf(datatype, buffer, room)
    let i = 0
    if (view instanceof Float32Array || view instanceof Float64Array) {
      const isSingle = view instanceof Float32Array
      return (at) => {
        view[i++] = this.#floatAt(at, isSingle, fail)
      }
    }
    if (view instanceof BigInt64Array || view instanceof BigUint64Array) {
      const halves = new Uint32Array(buffer)
      const isUnsigned = view instanceof BigUint64Array
      return (at) => {
        const value = this.#integerAt(at, datatype, fail)
        if (typeof value === 'bigint') {
          const fits = isUnsigned ? BigInt.asUintN(64, value) : BigInt.asIntN(64, value)
          if (fits !== value) throw fail(`${datatype} values`, String(value))
          view[i++] = value
        } else {
          if (isUnsigned && value < 0) throw fail('UINT64 values from 0', String(value))
          const high = Math.floor(value / 2 ** 32)
          halves[2 * i] = value - high * 2 ** 32
          halves[2 * i + 1] = high
          i++
        }
      }
    }
    if (datatype === 'BOOL') {
      return (at) => {
        view[i++] = this.#booleanAt(at, fail) ? 1 : 0
      }
    }
    const [least, most] = ranges[datatype]!
    return (at) => {
      const value = this.#integerAt(at, datatype, fail)
      if (typeof value === 'bigint' || value < least || value > most)
        throw fail(`${datatype} values from ${least} to ${most}`, String(value))
      view[i++] = value
    }
  }

  /** Walks a list of any nesting, row-major; `scalar` reads the value at a byte and moves on. Returns how many there are. */
  #values(scalar: (at: number) => void): number {
    const bytes = this.#bytes
    let depth = 0
    let count = 0
    let isOpen = false // directly after a [
    let isAfter = false // directly after a value
    do {
      const byte = this.#space()
      switch (byte) {
        case LIST:
          if (isAfter) throw this.#malformed('a comma or ]')
          if (++depth > maxDepth) throw this.#malformed(`lists at most ${maxDepth} deep`)
          isOpen = true
          this.#at++
          break
        case LIST_END:
          if (!isAfter && !isOpen) throw this.#malformed('a value')
          depth--
          isOpen = false
          isAfter = true
          this.#at++
          break
        case COMMA:
          if (!isAfter) throw this.#malformed('a value')
          isAfter = false
          this.#at++
          break
        default: {
          if (isAfter || byte === -1 || byte === OBJECT_END || byte === COLON) throw this.#malformed(isAfter ? 'a comma or ]' : 'a value')
          scalar(this.#at)
          if (this.#at > this.#end) throw this.#malformed('a value', this.#end)
          count++
          isOpen = false
          isAfter = true
          // Most values are followed by a comma and the next one.
          if (bytes[this.#at] === COMMA && this.#at < this.#end) {
            this.#at++
            isAfter = false
          }
        }
      }
    } while (depth > 0)
    return count
  }

  #floatAt(from: number, isSingle: boolean, fail: Failing): number {
    const bytes = this.#bytes
    let at = from
    let byte = bytes[at]!
    const isNegative = byte === MINUS
    if (isNegative) byte = bytes[++at]!
    if (!isDigit(byte)) return this.#wordAt(from, isSingle, fail)
    // Digits without leading zeros: the first 15, up to 4 more, and how many follow.
    let head = 0
    let tail = 0
    let digits = 0
    let exponent = 0
    if (byte === ZERO) byte = bytes[++at]!
    else
      do {
        if (digits < exactDigits) head = head * 10 + (byte - ZERO)
        else if (digits < keptDigits) tail = tail * 10 + (byte - ZERO)
        else exponent++
        digits++
        byte = bytes[++at]!
      } while (isDigit(byte))
    if (byte === POINT) {
      byte = bytes[++at]!
      if (!isDigit(byte)) throw this.#malformed('a digit', at)
      do {
        if (digits < exactDigits) {
          head = head * 10 + (byte - ZERO)
          if (head !== 0) digits++
          exponent--
        } else {
          if (digits < keptDigits) {
            tail = tail * 10 + (byte - ZERO)
            exponent--
          }
          digits++
        }
        byte = bytes[++at]!
      } while (isDigit(byte))
    }
    if (byte === SMALL_E || byte === LARGE_E) {
      byte = bytes[++at]!
      const isDown = byte === MINUS
      if (isDown || byte === PLUS) byte = bytes[++at]!
      if (!isDigit(byte)) throw this.#malformed('a digit', at)
      let written = 0
      do {
        if (written < 100_000) written = written * 10 + (byte - ZERO)
        byte = bytes[++at]!
      } while (isDigit(byte))
      exponent += isDown ? -written : written
    }
    this.#at = at
    const value = isSingle ? singleOf(head, digits, exponent) : doubleOf(head, tail, digits, exponent)
    if (value === value) return isNegative ? -value : value
    const text = this.#text(from, at)
    const read = Number(text)
    if (!Number.isFinite(isSingle ? Math.fround(read) : read)) throw fail(isSingle ? 'FP32 values' : 'FP64 values', text)
    return read
  }

  /** NaN and infinities as Triton and Python write them; null is what stricter writers make of NaN. */
  #wordAt(from: number, isSingle: boolean, fail: Failing): number {
    const word = this.#wordText(from)
    switch (word) {
      case 'NaN':
      case 'null':
        return NaN
      case 'Infinity':
      case 'Inf':
        return Infinity
      case '-Infinity':
      case '-Inf':
        return -Infinity
      default:
        throw fail(isSingle ? 'FP32 values' : 'FP64 values', this.#found(from, word))
    }
  }

  #booleanAt(from: number, fail: Failing): boolean {
    const word = this.#wordText(from)
    if (word === 'true' || word === '1') return true
    if (word === 'false' || word === '0') return false
    throw fail('BOOL values, true or false', this.#found(from, word))
  }

  /** An integer of at most 15 digits as a number, a longer one as bigint. */
  #integerAt(from: number, datatype: Datatype, fail: Failing): number | bigint {
    const bytes = this.#bytes
    let at = from
    let byte = bytes[at]!
    const isNegative = byte === MINUS
    if (isNegative) byte = bytes[++at]!
    if (!isDigit(byte)) throw fail(`${datatype} values`, this.#found(from, this.#wordText(from)))
    const first = at
    let value = 0
    if (byte === ZERO) byte = bytes[++at]!
    else
      do {
        value = value * 10 + (byte - ZERO)
        byte = bytes[++at]!
      } while (isDigit(byte))
    if (byte === POINT || byte === SMALL_E || byte === LARGE_E) throw fail(`${datatype} values, whole numbers`, this.#wordText(from))
    this.#at = at
    if (at - first <= exactDigits) return isNegative ? -value : value
    if (at - first > maxIntegerDigits) throw fail(`${datatype} values`, this.#text(from, at))
    return BigInt(this.#text(from, at))
  }

  #textAt(from: number, fail: Failing): Uint8Array {
    if (this.#bytes[from] !== QUOTE) throw fail('BYTES values, texts', this.#found(from, this.#wordText(from)))
    const { to, hasEscape } = this.#closing()
    if (!hasEscape) return this.#bytes.subarray(from + 1, to)
    return Buffer.from(this.#parsedText(from, to), 'utf8')
  }

  /** Letters, digits and signs from a byte on; the reader stands after them. */
  #wordText(from: number): string {
    let at = from
    while (at < this.#end && isWord(this.#bytes[at]!)) at++
    this.#at = at
    return this.#text(from, at)
  }

  #found(from: number, word: string): string {
    if (word !== '') return word
    this.#at = from
    return kindOf(this.#value(2))
  }

  #text(from: number, to: number): string {
    return this.#bytes.toString('latin1', from, to)
  }

  /** Skips white space; the byte that follows, -1 at the end. */
  #space(): number {
    const bytes = this.#bytes
    while (this.#at < this.#end) {
      const byte = bytes[this.#at]!
      if (byte > 0x20 || (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) return byte
      this.#at++
    }
    return -1
  }

  #object(onKey: (key: string) => void, expected: string): void {
    if (this.#space() !== OBJECT) throw this.#malformed(expected)
    this.#at++
    if (this.#space() === OBJECT_END) {
      this.#at++
      return
    }
    for (;;) {
      if (this.#space() !== QUOTE) throw this.#malformed('a key in quotes')
      const key = this.#string()
      if (this.#space() !== COLON) throw this.#malformed('a colon')
      this.#at++
      this.#space()
      onKey(key)
      const byte = this.#space()
      this.#at++
      if (byte === OBJECT_END) return
      if (byte !== COMMA) throw this.#malformed('a comma or }', this.#at - 1)
    }
  }

  #list<T>(what: string, read: (index: number) => T): T[] {
    const items: T[] = []
    if (this.#space() !== LIST) throw invalidRequest(`${what}: expected a list, got ${kindOf(this.#value(1))}`)
    this.#at++
    if (this.#space() === LIST_END) {
      this.#at++
      return items
    }
    for (;;) {
      this.#space()
      items.push(read(items.length))
      const byte = this.#space()
      this.#at++
      if (byte === LIST_END) return items
      if (byte !== COMMA) throw this.#malformed('a comma or ]', this.#at - 1)
    }
  }

  #string(): string {
    const from = this.#at
    const { to, hasEscape } = this.#closing()
    return hasEscape ? this.#parsedText(from, to) : this.#bytes.toString('utf8', from + 1, to)
  }

  /** From an opening quote to its closing one; the reader stands after it. */
  #closing(): { readonly to: number; readonly hasEscape: boolean } {
    const bytes = this.#bytes
    let hasEscape = false
    for (let at = this.#at + 1; at < this.#end; at++) {
      const byte = bytes[at]!
      if (byte === QUOTE) {
        this.#at = at + 1
        return { to: at, hasEscape }
      }
      if (byte === BACKSLASH) {
        hasEscape = true
        at++
      } else if (byte < 0x20) throw this.#malformed('no control character in a text', at)
    }
    throw this.#malformed('the closing quote of a text', this.#end)
  }

  #parsedText(from: number, to: number): string {
    try {
      return JSON.parse(this.#bytes.toString('utf8', from, to + 1)) as string
    } catch {
      throw this.#malformed('a text', from)
    }
  }

  /** Any value; whole numbers are bigint. */
  #value(depth: number): unknown {
    if (depth > maxDepth) throw this.#malformed(`values at most ${maxDepth} deep`)
    const byte = this.#space()
    if (byte === QUOTE) return this.#string()
    if (byte === LIST) return this.#list('', () => this.#value(depth + 1))
    if (byte === OBJECT) {
      const entries: [string, unknown][] = []
      this.#object((key) => void entries.push([key, this.#value(depth + 1)]), 'an object')
      return Object.fromEntries(entries)
    }
    const from = this.#at
    const word = this.#wordText(from)
    if (word === 'true') return true
    if (word === 'false') return false
    if (word === 'null') return null
    if (/^-?(?:0|[1-9]\d*)$/.test(word) && word.length < 400) return BigInt(word)
    if (/^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(word)) return Number(word)
    throw this.#malformed('a value', from)
  }

  /** What is read when its datatype is known: whether it is well-formed shows then. */
  #skip(): void {
    const bytes = this.#bytes
    let depth = 0
    do {
      const byte = this.#space()
      if (byte === -1) throw this.#malformed('a value')
      if (byte === QUOTE) {
        this.#closing()
        continue
      }
      if (byte === LIST || byte === OBJECT) depth++
      else if (byte === LIST_END || byte === OBJECT_END) depth--
      else if (depth === 0) {
        this.#value(2)
        return
      }
      if (depth < 0) throw this.#malformed('a value')
      this.#at++
      while (this.#at < this.#end && depth > 0 && isWord(bytes[this.#at]!)) this.#at++
    } while (depth > 0)
  }

  /** Texts, numbers and booleans. Lists, objects and null say nothing in the protocol and are passed over. */
  #parameters(what: string): JsonParameters {
    if (this.#space() !== OBJECT) {
      const found = this.#value(2)
      if (found === null) return {}
      throw invalidRequest(`${what}: expected an object, got ${kindOf(found)}`)
    }
    const entries: [string, Parameter][] = []
    this.#object((key) => {
      const value = this.#value(3)
      if (value !== null && typeof value !== 'object') entries.push([key, value as Parameter])
    }, 'an object')
    return Object.fromEntries(entries)
  }

  #malformed(expected: string, at = this.#at): Error {
    const found = at < this.#end ? JSON.stringify(this.#bytes.toString('utf8', at, Math.min(at + 1, this.#end))) : 'the end'
    return invalidRequest(`Body: malformed JSON, expected ${expected} at byte ${at}, got ${found}`)
  }
}

type Failing = (expected: string, got: string) => Error

const failing =
  (name: string): Failing =>
  (expected, found) => {
    const got = found.slice(0, 80)
    return invalidTensor(`input ${name}: expected ${expected}, got ${got}`, { tensor: name, expected, got })
  }

const datatypeIn = (name: string, value: unknown): Datatype => datatypeNamed(name, typeof value === 'string' ? value : '')

const shapeIn = (name: string, value: unknown): readonly number[] => {
  if (!Array.isArray(value)) throw failing(name)('a shape such as [1, 9]', kindOf(value))
  return value.map((size: unknown) => {
    if (typeof size !== 'bigint' || size < 0n || size > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw failing(name)('a shape of whole numbers from 0', `[${value.map(String).join(', ')}]`)
    }
    return Number(size)
  })
}

/** The float nearest to a decimal, from its first 15 digits; NaN where those do not decide it, or it is beyond all floats. */
const singleOf = (head: number, digits: number, exponent: number): number => {
  const shift = exponent + Math.max(0, Math.min(digits, keptDigits) - exactDigits)
  if (shift < -22 || shift > 22) return NaN
  const value = shift < 0 ? head / powers[-shift]! : head * powers[shift]!
  const single = Math.fround(value)
  if (single === Infinity) return NaN
  if (digits <= exactDigits) return single
  return Math.fround(value - value * doubt) === single && Math.fround(value + value * doubt) === single ? single : NaN
}

/** The double nearest to a decimal; NaN where that takes more than these digits and powers. */
const doubleOf = (head: number, tail: number, digits: number, exponent: number): number => {
  if (exponent < -22 || exponent > 22) return NaN
  if (digits <= exactDigits) return exponent < 0 ? head / powers[-exponent]! : head * powers[exponent]!
  if (digits > keptDigits || exponent > 0) return NaN
  return nearestQuotient(head, powers[digits - exactDigits]!, tail, powers[-exponent]!)
}

const isDigit = (byte: number): boolean => byte >= ZERO && byte <= NINE

/** Bytes of words and numbers. */
const isWord = (byte: number): boolean =>
  isDigit(byte) || (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x41 && byte <= 0x5a) || byte === MINUS || byte === PLUS || byte === POINT

const kindOf = (value: unknown): string => {
  if (value === undefined) return 'none'
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'an object'
  if (typeof value === 'string') return `the text ${JSON.stringify(value.slice(0, 40))}`
  return String(value as number | bigint | boolean)
}
