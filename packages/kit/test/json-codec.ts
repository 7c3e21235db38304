// A codec for tests of the loop itself: JSON with bytes as base64. The Avro codec has tests of its own.

import { AndonError } from '@andon/kit'
import type { Codec } from '@andon/kit'

const decode = <T>(topic: string, bytes: Buffer): T => {
  try {
    return JSON.parse(bytes.toString(), (_key, value: unknown) =>
      typeof value === 'object' && value !== null && 'b64' in value ? Buffer.from(String(value.b64), 'base64') : value,
    ) as T
  } catch (error) {
    throw new AndonError('ANDON_TEST_UNDECODABLE', `Bytes of ${topic} are no JSON`, { cause: error })
  }
}

const plain = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return { b64: Buffer.from(value).toString('base64') }
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]))
  return value
}

/** Defaults of the changelog record, which Avro would fill in. */
const changelogDefaults = {
  recordId: '',
  outputTopic: '',
  outputPartition: -1,
  outputLeaderEpoch: -1,
  outputOffset: -1,
  outputId: '',
  stateVersion: 1,
  state: null,
}

const encode = (topic: string, value: unknown): Buffer =>
  Buffer.from(JSON.stringify(plain(topic.endsWith('.changelog') ? { ...changelogDefaults, ...(value as object) } : value)))

export const jsonCodec: Codec = {
  encode,
  encodeInto: (topic, value, slab, at) => {
    const bytes = encode(topic, value)
    return at + bytes.length > slab.length ? slab.length - at - bytes.length : at + bytes.copy(slab, at)
  },
  decode,
  decodeAsync: async (topic, bytes) => decode(topic, bytes),
}
