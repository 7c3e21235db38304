// What the bytes of a JSON text say without being parsed: one pass, nothing allocated. And the keys that a parser would hide.

export interface JsonScan {
  /** Deepest nesting of arrays and objects. */
  readonly depth: number
  readonly commas: number
  /** Commas of the outermost array. */
  readonly topCommas: number
  readonly colons: number
  /** A string holds a backslash. */
  readonly hasEscapes: boolean
}

const quote = 0x22
const backslash = 0x5c

const structural = new Uint8Array(256)
const [aQuote, aComma, aColon, anOpener, aCloser] = [1, 2, 3, 4, 5]
for (const [byte, what] of [
  [quote, aQuote],
  [0x2c, aComma],
  [0x3a, aColon],
  [0x5b, anOpener],
  [0x7b, anOpener],
  [0x5d, aCloser],
  [0x7d, aCloser],
] as const)
  structural[byte] = what

/** Counts outside of strings. Of bytes that are no JSON it says anything, and ends. */
export const scanJson = (bytes: Buffer): JsonScan => {
  const end = bytes.length
  let nesting = 0
  let depth = 0
  let commas = 0
  let topCommas = 0
  let colons = 0
  let hasEscapes = false
  for (let at = 0; at < end; at++) {
    const what = structural[bytes[at]!]
    if (what === 0) continue
    if (what === aQuote) {
      for (at++; at < end; at++) {
        const byte = bytes[at]
        if (byte === quote) break
        if (byte !== backslash) continue
        hasEscapes = true
        at++
      }
    } else if (what === aComma) {
      commas++
      if (nesting === 1) topCommas++
    } else if (what === aColon) colons++
    else if (what === aCloser) nesting--
    else if (++nesting > depth) depth = nesting
  }
  return { depth, commas, topCommas, colons, hasEscapes }
}

/** The first key of a well-formed JSON text that an object has twice, or that is `__proto__`. */
export const keyFault = (bytes: Buffer): { readonly key: string; readonly found: string } | undefined => {
  const open: (Set<string> | undefined)[] = []
  let text: string | undefined
  for (let at = 0; at < bytes.length; at++) {
    switch (bytes[at]) {
      case quote: {
        const from = at
        for (at++; at < bytes.length && bytes[at] !== quote; at++) if (bytes[at] === backslash) at++
        text = bytes.toString('utf8', from, at + 1)
        break
      }
      case 0x3a: {
        const key = JSON.parse(text ?? '""') as string
        const keys = open.at(-1)
        if (key === '__proto__') return { key, found: 'the name of a prototype' }
        if (keys?.has(key) === true) return { key, found: 'the field twice' }
        keys?.add(key)
        break
      }
      case 0x7b:
        open.push(new Set())
        break
      case 0x5b:
        open.push(undefined)
        break
      case 0x5d:
      case 0x7d:
        open.pop()
        break
      default:
    }
  }
  return undefined
}
