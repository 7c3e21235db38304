// Headers of a run's records: what the service gave, and the run's id. An encoded block stays one: it is searched and
// extended as bytes, since a replay passes more records in a minute than the live service in an hour.

import { EncodedHeaders } from '../log/encoded-headers.ts'
import type { Append } from '../log/port.ts'
import { putVarint, readVarint, varintSize } from '../log/varint.ts'

type Headers = Append['headers']

/** Value of a header as UTF-8, undefined when absent. */
export const headerIn = (headers: Headers, name: string): string | undefined => {
  if (!(headers instanceof EncodedHeaders)) return headers?.[name]
  const { bytes, from } = headers
  const place = { at: from }
  for (let left = readVarint(bytes, place); left > 0; left--) {
    const nameLength = readVarint(bytes, place)
    const isIt = nameLength === name.length && bytes.toString('latin1', place.at, place.at + nameLength) === name
    place.at += nameLength
    const valueLength = Math.max(0, readVarint(bytes, place))
    if (isIt) return bytes.toString('utf8', place.at, place.at + valueLength)
    place.at += valueLength
  }
  return undefined
}

/** Adds one and the same header to every record's. Names and values are ASCII. */
export const headerAdder = (name: string, value: string) => {
  const added = Buffer.alloc(varintSize(name.length) + name.length + varintSize(value.length) + value.length)
  let at = putVarint(added, 0, name.length)
  at += added.write(name, at, 'latin1')
  at = putVarint(added, at, value.length)
  added.write(value, at, 'latin1')
  return (headers: Headers): NonNullable<Headers> => {
    if (!(headers instanceof EncodedHeaders)) return { ...headers, [name]: value }
    const place = { at: headers.from }
    const count = readVarint(headers.bytes, place) + 1
    const bytes = Buffer.allocUnsafe(varintSize(count) + headers.to - place.at + added.length)
    let end = putVarint(bytes, 0, count)
    end += headers.bytes.copy(bytes, end, place.at, headers.to)
    end += added.copy(bytes, end)
    return new EncodedHeaders(bytes, 0, end)
  }
}
