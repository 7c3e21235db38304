// A look at a payload before it is decoded: templates and data sets are emptied and long property sets left out, since a host that takes
// scalars has no use for them and a hostile one nests them without end; the number of metrics is bounded. Reads only the outline. Pure.

const metricsOfPayload = 2
const propertiesOfMetric = 9
const dataSetOfMetric = 17
const templateOfMetric = 18
const groupStart = 3
// Property sets nest as well. Quality, the one property that is read, needs a few bytes.
const maxPropertiesBytes = 4096

/** The same payload with empty templates and data sets, and properties of at most 4 KiB per metric. Throws when the outline is damaged or there are more metrics than `maxMetrics`. */
export const closeTemplates = (bytes: Buffer, maxMetrics: number): Buffer => {
  let metrics = 0
  let hasClosed = false
  const out: Buffer[] = []
  for (const field of fieldsOf(bytes)) {
    if (field.number !== metricsOfPayload || field.wire !== 2) {
      out.push(field.whole)
      continue
    }
    if (++metrics > maxMetrics) throw new RangeError(`more than ${maxMetrics} metrics`)
    const closed = closeMetric(field.body)
    hasClosed ||= closed !== undefined
    out.push(closed === undefined ? field.whole : Buffer.concat([Buffer.from([0x12]), varint(closed.length), closed]))
  }
  return hasClosed ? Buffer.concat(out) : bytes
}

const closeMetric = (metric: Buffer): Buffer | undefined => {
  let isClosed = false
  const out: Buffer[] = []
  for (const { number, wire, whole, body } of fieldsOf(metric)) {
    const isProperties = number === propertiesOfMetric && body.length > maxPropertiesBytes
    const isTree = (number === dataSetOfMetric || number === templateOfMetric) && body.length > 0
    isClosed ||= wire === 2 && (isTree || isProperties)
    if (wire === 2 && isTree) out.push(Buffer.from([((number << 3) & 0x7f) | 0x82, number >> 4, 0]))
    else if (wire !== 2 || !isProperties) out.push(whole)
  }
  return isClosed ? Buffer.concat(out) : undefined
}

interface Field {
  readonly number: number
  readonly wire: number
  /** Tag, length and content. */
  readonly whole: Buffer
  /** Content of a length-delimited field, else empty. */
  readonly body: Buffer
}

const nothing = Buffer.alloc(0)

const fieldsOf = function* (bytes: Buffer): Generator<Field> {
  let at = 0
  const next = (): number => {
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[at++]
      if (byte === undefined) throw new RangeError('it ends in the middle of a field')
      if (shift < 49) value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw new RangeError('a number is longer than 10 bytes')
  }
  while (at < bytes.length) {
    const from = at
    const tag = next()
    const wire = tag & 7
    let bodyFrom = at
    if (wire === 0) next()
    else if (wire === 1) at += 8
    else if (wire === 5) at += 4
    else if (wire === 2) {
      const length = next()
      bodyFrom = at
      at += length
    } else throw new RangeError(wire === groupStart ? 'it has a group' : `wire type ${wire} does not exist`)
    if (at > bytes.length) throw new RangeError('it ends in the middle of a field')
    yield { number: Math.floor(tag / 8), wire, whole: bytes.subarray(from, at), body: wire === 2 ? bytes.subarray(bodyFrom, at) : nothing }
  }
}

const varint = (value: number): Buffer => {
  const bytes: number[] = []
  for (; value > 0x7f; value >>>= 7) bytes.push((value & 0x7f) | 0x80)
  return Buffer.from([...bytes, value])
}
