// What the bytes of a JSON text say without being parsed: one pass, nothing allocated. And the keys that a parser would hide.

export interface JsonScan {
  /** Deepest nesting of arrays and objects; counting stops being exact above a few hundred levels, never below. */
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

/** Counts outside of strings. Of bytes that are no JSON it says anything, and ends. */
export const scanJson = (bytes: Buffer): JsonScan => {
  let nesting = 0
  let depth = 0
  let commas = 0
  let topCommas = 0
  let colons = 0
  let hasEscapes = false
  for (let at = 0; at < bytes.length; at++) {
    switch (bytes[at]) {
      case quote:
        for (at++; at < bytes.length && bytes[at] !== quote; at++) {
          if (bytes[at] !== backslash) continue
          hasEscapes = true
          at++
        }
        break
      case 0x2c:
        commas++
        if (nesting === 1) topCommas++
        break
      case 0x3a:
        colons++
        break
      case 0x5b:
      case 0x7b:
        if (++nesting > depth) depth = nesting
        break
      case 0x5d:
      case 0x7d:
        nesting--
        break
      default:
    }
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
