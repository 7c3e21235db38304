// A record's header block in the form in which it travels: a count, then names and values with their lengths before them.
// Templates make it without a map; adapters that keep records copy it into a batch or read it back.

import { putVarint, readVarint } from './varint.ts'

/** The block is the bytes [from, to) of a buffer that may hold others beside it. */
export class EncodedHeaders {
  readonly bytes: Buffer
  readonly from: number
  readonly to: number

  constructor(bytes: Buffer, from: number, to: number) {
    this.bytes = bytes
    this.from = from
    this.to = to
  }

  toMap(): Record<string, string> {
    return headerMap(this.bytes, this.from)
  }
}

/** All headers of a block as UTF-8; one without value is left out. */
export const headerMap = (bytes: Buffer, from: number): Record<string, string> => {
  const all: [string, string][] = [] // by fromEntries, since a stranger's header may be called __proto__
  const place = { at: from }
  for (let left = readVarint(bytes, place); left > 0 && place.at < bytes.length; left--) {
    const nameLength = readVarint(bytes, place)
    const name = bytes.toString('utf8', place.at, place.at + nameLength)
    place.at += nameLength
    const valueLength = readVarint(bytes, place)
    if (valueLength < 0) continue
    all.push([name, bytes.toString('utf8', place.at, place.at + valueLength)])
    place.at += valueLength
  }
  return Object.fromEntries(all)
}

/** A map as it is, an encoded block as a map. */
export const headersAsMap = (headers: Readonly<Record<string, string>> | EncodedHeaders | undefined): Readonly<Record<string, string>> =>
  headers instanceof EncodedHeaders ? headers.toMap() : (headers ?? {})

/** A map as an encoded block. */
export const encodeHeaders = (headers: Readonly<Record<string, string>>): EncodedHeaders => {
  const names = Object.keys(headers)
  let most = 5
  for (const name of names) most += 10 + 3 * (name.length + headers[name]!.length)
  const bytes = Buffer.allocUnsafe(most)
  let at = putVarint(bytes, 0, names.length)
  const put = (text: string): void => {
    at = putVarint(bytes, at, Buffer.byteLength(text))
    at += bytes.write(text, at)
  }
  for (const name of names) {
    put(name)
    put(headers[name]!)
  }
  return new EncodedHeaders(bytes, 0, at)
}
