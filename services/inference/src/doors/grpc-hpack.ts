// Header compression of HTTP/2 (RFC 7541) as the gRPC door needs it: reading with the dynamic table and Huffman codes, writing without
// either. A header list that is too large is read to its end, so that the table stays what the peer believes it is.

/** Appendix A. */
const STATIC: readonly (readonly [name: string, value: string])[] = [
  [':authority', ''],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  [':status', '200'],
  [':status', '204'],
  [':status', '206'],
  [':status', '304'],
  [':status', '400'],
  [':status', '404'],
  [':status', '500'],
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ['accept-language', ''],
  ['accept-ranges', ''],
  ['accept', ''],
  ['access-control-allow-origin', ''],
  ['age', ''],
  ['allow', ''],
  ['authorization', ''],
  ['cache-control', ''],
  ['content-disposition', ''],
  ['content-encoding', ''],
  ['content-language', ''],
  ['content-length', ''],
  ['content-location', ''],
  ['content-range', ''],
  ['content-type', ''],
  ['cookie', ''],
  ['date', ''],
  ['etag', ''],
  ['expect', ''],
  ['expires', ''],
  ['from', ''],
  ['host', ''],
  ['if-match', ''],
  ['if-modified-since', ''],
  ['if-none-match', ''],
  ['if-range', ''],
  ['if-unmodified-since', ''],
  ['last-modified', ''],
  ['link', ''],
  ['location', ''],
  ['max-forwards', ''],
  ['proxy-authenticate', ''],
  ['proxy-authorization', ''],
  ['range', ''],
  ['referer', ''],
  ['refresh', ''],
  ['retry-after', ''],
  ['server', ''],
  ['set-cookie', ''],
  ['strict-transport-security', ''],
  ['transfer-encoding', ''],
  ['user-agent', ''],
  ['vary', ''],
  ['via', ''],
  ['www-authenticate', ''],
]

/** Appendix B: bits of the code of each byte, and of the end mark. The codes are canonical: by length, then by value. */
const CODE_LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10,
  12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7,
  7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22,
  23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22,
  23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20,
  24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
]

const TABLE_BYTES = 4096
const ENTRY_BYTES = 32
const SHORTEST_CODE = 5
const LONGEST_CODE = 30
const END_MARK = 256

/** Of each code length: the first code, where its symbols begin, how many there are. */
const first: number[] = []
const offset: number[] = []
const count: number[] = []
const symbols: number[] = []
for (let length = 0, code = 0; length <= LONGEST_CODE; length++) {
  code *= 2
  first.push(code)
  offset.push(symbols.length)
  CODE_LENGTHS.forEach((each, symbol) => void (each === length && symbols.push(symbol)))
  count.push(symbols.length - offset[length]!)
  code += count[length]!
}

/** What breaks the connection: both sides no longer agree on the table. */
export class HpackError extends Error {}

export interface HeaderList {
  /** Repeated names are joined by a comma. */
  readonly headers: ReadonlyMap<string, string>
  readonly isTooLarge: boolean
  /** Why it is no list of a message, such as a name in upper case. */
  readonly fault: string | undefined
}

export class HpackDecoder {
  /** Newest first. */
  readonly #table: (readonly [name: string, value: string])[] = []
  readonly #maxListBytes: number
  #tableBytes = 0
  #maxTableBytes = TABLE_BYTES

  constructor(maxListBytes: number) {
    this.#maxListBytes = maxListBytes
  }

  decode(block: Buffer): HeaderList {
    const headers = new Map<string, string>()
    const input = { block, at: 0 }
    let listBytes = 0
    let mayResize = true
    let fault: string | undefined
    let isPseudo = true
    while (input.at < block.length) {
      const byte = block[input.at]!
      if ((byte & 0xe0) === 0x20) {
        const size = integer(input, 5)
        if (!mayResize || size > TABLE_BYTES) throw new HpackError('a table size that was not agreed')
        this.#maxTableBytes = size
        this.#evict(0)
        continue
      }
      mayResize = false
      const [name, value] = byte & 0x80 ? this.#entry(integer(input, 7)) : this.#literal(input, byte)
      listBytes += name.length + value.length + ENTRY_BYTES
      if (listBytes > this.#maxListBytes) continue
      fault ??= faultOf(name, value, isPseudo)
      isPseudo &&= name.startsWith(':')
      const earlier = headers.get(name)
      if (earlier !== undefined && isPseudo) fault ??= `${name} twice`
      headers.set(name, earlier === undefined ? value : `${earlier},${value}`)
    }
    return { headers, isTooLarge: listBytes > this.#maxListBytes, fault }
  }

  #literal(input: Input, byte: number): readonly [name: string, value: string] {
    const isKept = (byte & 0x40) !== 0
    const index = integer(input, isKept ? 6 : 4)
    const name = index === 0 ? text(input) : this.#entry(index)[0]
    const entry = [name, text(input)] as const
    if (!isKept) return entry
    const bytes = entry[0].length + entry[1].length + ENTRY_BYTES
    this.#evict(bytes)
    if (bytes <= this.#maxTableBytes) {
      this.#table.unshift(entry)
      this.#tableBytes += bytes
    }
    return entry
  }

  #entry(index: number): readonly [name: string, value: string] {
    const entry = index <= STATIC.length ? STATIC[index - 1] : this.#table[index - STATIC.length - 1]
    if (entry === undefined) throw new HpackError(`index ${index}`)
    return entry
  }

  /** Makes room for `more` bytes. */
  #evict(more: number): void {
    while (this.#table.length > 0 && this.#tableBytes + more > this.#maxTableBytes) {
      const [name, value] = this.#table.pop()!
      this.#tableBytes -= name.length + value.length + ENTRY_BYTES
    }
  }
}

const PSEUDO = new Set([':method', ':scheme', ':path', ':authority'])
const OF_CONNECTIONS = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])

/** RFC 9113, 8.2 and 8.3: what makes a message malformed. */
const faultOf = (name: string, value: string, mayBePseudo: boolean): string | undefined => {
  if (name.startsWith(':')) return mayBePseudo && PSEUDO.has(name) ? undefined : `${name} is out of place`
  if (name === '' || /[\0-\x20A-Z:\x7f-\xff]/.test(name)) return 'a name that is none'
  if (/[\0\r\n]/.test(value)) return `a value of ${name} that is none`
  if (OF_CONNECTIONS.has(name) || (name === 'te' && value !== 'trailers')) return `${name} means nothing here`
  return undefined
}

interface Input {
  readonly block: Buffer
  at: number
}

const integer = (input: Input, prefixBits: number): number => {
  const { block } = input
  const most = (1 << prefixBits) - 1
  let value = block[input.at++]! & most
  if (value < most) return value
  for (let factor = 1; factor <= 128 ** 3; factor *= 128) {
    const byte = block[input.at++]
    if (byte === undefined) throw new HpackError('an integer that does not end')
    value += (byte & 0x7f) * factor
    if (byte < 0x80) return value
  }
  throw new HpackError('an integer that is too large')
}

/** Bytes as they are: gRPC's headers are ASCII. */
const text = (input: Input): string => {
  const { block } = input
  if (input.at >= block.length) throw new HpackError('a text that is missing')
  const isHuffman = (block[input.at]! & 0x80) !== 0
  const length = integer(input, 7)
  const from = input.at
  if (length > block.length - from) throw new HpackError('a text that is longer than the block')
  input.at += length
  return isHuffman ? huffman(block.subarray(from, input.at)) : block.toString('latin1', from, input.at)
}

const huffman = (bytes: Buffer): string => {
  const decoded: number[] = []
  let code = 0
  let length = 0
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      code = code * 2 + ((byte >> bit) & 1)
      length++
      if (length < SHORTEST_CODE) continue
      if (length > LONGEST_CODE) throw new HpackError('a code that is none')
      const index = code - first[length]!
      if (index >= count[length]!) continue
      const symbol = symbols[offset[length]! + index]!
      if (symbol === END_MARK) throw new HpackError('an end mark')
      decoded.push(symbol)
      code = 0
      length = 0
    }
  }
  if (length > 7 || code !== 2 ** length - 1) throw new HpackError('a padding that is none')
  return Buffer.from(decoded).toString('latin1')
}

/** A header block that adds nothing to the peer's table. Names are lower case, everything is ASCII. */
export const encodeHeaders = (headers: readonly (readonly [name: string, value: string])[]): Buffer => {
  const parts: Buffer[] = []
  for (const [name, value] of headers) {
    const index = STATIC.findIndex((entry) => entry[0] === name && entry[1] === value)
    if (index >= 0) parts.push(Buffer.from([0x80 | (index + 1)]))
    else parts.push(Buffer.from([0x00]), ...textBytes(name), ...textBytes(value))
  }
  return Buffer.concat(parts)
}

const textBytes = (value: string): Buffer[] => {
  const bytes = Buffer.from(value, 'latin1')
  const length: number[] = []
  let rest = bytes.length
  if (rest < 0x7f) length.push(rest)
  else {
    length.push(0x7f)
    for (rest -= 0x7f; rest >= 0x80; rest = Math.floor(rest / 0x80)) length.push((rest % 0x80) | 0x80)
    length.push(rest)
  }
  return [Buffer.from(length), bytes]
}
