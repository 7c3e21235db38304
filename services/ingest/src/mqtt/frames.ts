// Bytes of a connection → MQTT control packets, one whole frame each. A frame is measured by its header before anything of it is kept, so
// a sender cannot make the door hold more than one packet of the allowed size. Pure.

import { isUtf8 } from 'node:buffer'

/** Reason codes of MQTT 5, §2.4. In 3.1.1 most of them close the connection without a word. */
export const reason = {
  malformed: 0x81,
  protocolError: 0x82,
  unsupportedVersion: 0x84,
  badClientId: 0x85,
  badCredentials: 0x86,
  notAuthorized: 0x87,
  serverUnavailable: 0x88,
  serverBusy: 0x89,
  shuttingDown: 0x8b,
  keepAliveTimeout: 0x8d,
  takenOver: 0x8e,
  badTopic: 0x90,
  receiveMaximum: 0x93,
  badAlias: 0x94,
  tooLarge: 0x95,
  sharedSubscriptions: 0x9e,
} as const

/** A connection that cannot go on. The message is for the log and, in MQTT 5, for the other side. */
export class MqttFault extends Error {
  readonly reasonCode: number

  constructor(reasonCode: number, message: string) {
    super(message)
    this.reasonCode = reasonCode
  }
}

/** Collects what a socket brings into whole frames. */
export class Frames {
  readonly #maxBytes: number
  #rest: Buffer[] = []
  #restBytes = 0
  /** Bytes of the frame that the rest begins; 0 until its header is whole. */
  #needed = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Whole frames, header included, up to the end of this chunk. Throws an MqttFault for a frame that is too long or has no valid length. */
  *push(chunk: Buffer): Generator<Buffer> {
    let at = 0
    if (this.#restBytes > 0) {
      this.#rest.push(chunk)
      this.#restBytes += chunk.length
      if (this.#restBytes < this.#needed) return
      chunk = Buffer.concat(this.#rest, this.#restBytes)
      this.#rest = []
      this.#restBytes = 0
    }
    for (;;) {
      this.#needed = this.#lengthAt(chunk, at)
      if (this.#needed === 0 || at + this.#needed > chunk.length) break
      const frame = chunk.subarray(at, at + this.#needed)
      at += this.#needed
      yield frame
    }
    if (at < chunk.length) {
      this.#rest = [chunk.subarray(at)]
      this.#restBytes = chunk.length - at
    }
  }

  /** Length of the frame at this place; 0 when its header is not whole yet. */
  #lengthAt(chunk: Buffer, at: number): number {
    let length = 0
    for (let digit = 0; digit < 4; digit++) {
      const byte = chunk[at + 1 + digit]
      if (byte === undefined) return 0
      length += (byte & 0x7f) * 128 ** digit
      if ((byte & 0x80) !== 0) continue
      const whole = 2 + digit + length
      if (whole > this.#maxBytes) {
        throw new MqttFault(
          reason.tooLarge,
          `found a packet of ${whole} bytes, expected at most ${this.#maxBytes}; split what it holds, or send it over HTTP`,
        )
      }
      return whole
    }
    throw new MqttFault(reason.malformed, 'found a packet whose length takes more than four bytes')
  }
}

/** A PUBLISH as it came. */
export interface Publish {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: 0 | 1 | 2
  readonly isDuplicate: boolean
  /** 0 in QoS 0. */
  readonly messageId: number
  readonly alias: number | undefined
}

export const isPublish = (frame: Buffer): boolean => frame[0]! >> 4 === 3

/** Gives the topic that lies in these bytes of a frame, checked. Throws an MqttFault. */
export type TopicReader = (frame: Buffer, from: number, to: number) => string

const readTopic: TopicReader = (frame, from, to) => {
  const topic = utf8(frame, from, to, 'topic')
  if (/[+#]/.test(topic)) throw new MqttFault(reason.badTopic, `found topic ${JSON.stringify(topic)}, expected one without wildcards`)
  return topic
}

/** For one connection: a device mostly stays with its topic, which is then known by its bytes. */
export const topicReader = (): TopicReader => {
  let bytes = Buffer.alloc(0)
  let topic = ''
  return (frame, from, to) => {
    const isKnown = to - from === bytes.length && to <= frame.length && frame.compare(bytes, 0, bytes.length, from, to) === 0
    if (isKnown) return topic
    topic = readTopic(frame, from, to)
    bytes = Buffer.from(frame.subarray(from, to))
    return topic
  }
}

/** Takes a PUBLISH apart; the payload is a view of the frame. Throws an MqttFault. */
export const readPublish = (frame: Buffer, version: number, topicIn: TopicReader = readTopic): Publish => {
  const flags = frame[0]! & 0x0f
  const qos = (flags >> 1) & 3
  const isDuplicate = (flags & 8) !== 0
  if (qos === 3) throw new MqttFault(reason.malformed, 'found QoS 3, expected 0, 1 or 2')
  if (qos === 0 && isDuplicate) throw new MqttFault(reason.malformed, 'found a repeat in QoS 0, which has none')
  let at = 2
  while ((frame[at - 1]! & 0x80) !== 0) at++
  const topicAt = at + 2
  at = topicAt + number16(frame, at)
  const topic = topicIn(frame, topicAt, at)
  let messageId = 0
  if (qos > 0) {
    messageId = number16(frame, at)
    if (messageId === 0) throw new MqttFault(reason.malformed, 'found packet id 0, expected 1 to 65535')
    at += 2
  }
  let alias: number | undefined
  if (version === 5) {
    const properties = publishProperties(frame, at)
    alias = properties.alias
    at = properties.end
  }
  if (at > frame.length) throw tooShort()
  return { topic, payload: frame.subarray(at), qos: qos as 0 | 1 | 2, isDuplicate, messageId, alias }
}

const tooShort = () => new MqttFault(reason.malformed, 'found a packet that ends within a field')

const number16 = (frame: Buffer, at: number): number => {
  if (at + 2 > frame.length) throw tooShort()
  return (frame[at]! << 8) | frame[at + 1]!
}

const utf8 = (frame: Buffer, from: number, to: number, what: string): string => {
  if (to > frame.length) throw tooShort()
  const bytes = frame.subarray(from, to)
  if (!isUtf8(bytes) || bytes.includes(0)) throw new MqttFault(reason.malformed, `found a ${what} that is not UTF-8, or has a NUL in it`)
  return bytes.toString('utf8')
}

const variable = (frame: Buffer, at: number): { value: number; next: number } => {
  let value = 0
  for (let digit = 0; digit < 4; digit++) {
    const byte = frame[at + digit]
    if (byte === undefined) throw tooShort()
    value += (byte & 0x7f) * 128 ** digit
    if ((byte & 0x80) === 0) return { value, next: at + digit + 1 }
  }
  throw new MqttFault(reason.malformed, 'found a number of more than four bytes')
}

/** Bytes that a property of a PUBLISH takes; what we do not use is stepped over. */
const propertyEnd = (frame: Buffer, id: number, at: number): number => {
  switch (id) {
    case 0x01: // payload format
      return at + 1
    case 0x02: // message expiry
      return at + 4
    case 0x03: // content type
    case 0x08: // response topic
    case 0x09: // correlation data
      return at + 2 + number16(frame, at)
    case 0x0b: // subscription id
      return variable(frame, at).next
    case 0x23: // topic alias
      return at + 2
    case 0x26: {
      // user property
      const key = at + 2 + number16(frame, at)
      return key + 2 + number16(frame, key)
    }
    default:
      throw new MqttFault(reason.malformed, `found property 0x${id.toString(16)} in a PUBLISH, which has no such`)
  }
}

const publishProperties = (frame: Buffer, from: number): { alias: number | undefined; end: number } => {
  const { value, next } = variable(frame, from)
  const end = next + value
  if (end > frame.length) throw tooShort()
  let alias: number | undefined
  for (let at = next; at < end;) {
    const id = frame[at]!
    if (id === 0x23 && alias !== undefined) throw new MqttFault(reason.protocolError, 'found two topic aliases')
    if (id === 0x23) alias = number16(frame, at + 1)
    at = propertyEnd(frame, id, at + 1)
    if (at > end) throw tooShort()
  }
  return { alias, end }
}
