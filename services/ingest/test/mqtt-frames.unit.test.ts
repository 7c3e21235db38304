// Bytes of MQTT: however they are cut into chunks, and whatever they are.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { generate } from 'mqtt-packet'
import { Frames, MqttFault, isPublish, readPublish, topicReader } from '../src/mqtt/frames.ts'
import { topicPattern } from '../src/mqtt/topics.ts'
import { Turns, plainAnswers } from '../src/mqtt/turns.ts'

const framesOf = (chunks: readonly Uint8Array[], maxBytes = 1 << 20): Buffer[] => {
  const frames = new Frames(maxBytes)
  return chunks.flatMap((chunk) => [...frames.push(Buffer.from(chunk))].map((frame) => Buffer.from(frame)))
}

const publish = fc.record({
  topic: fc.oneof(fc.constantFrom('a/b', 'a/c'), fc.stringMatching(/^[a-zäöü/ ]{1,30}$/)),
  payload: fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
  qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
  messageId: fc.integer({ min: 1, max: 65_535 }),
  alias: fc.option(fc.integer({ min: 1, max: 65_535 }), { nil: undefined }),
  version: fc.constantFrom(4 as const, 5 as const),
})

const bytesOf = ({ topic, payload, qos, messageId, alias, version }: Sent): Buffer =>
  generate(
    {
      cmd: 'publish',
      topic,
      payload,
      qos,
      dup: false,
      retain: false,
      ...(qos > 0 && { messageId }),
      ...(version === 5 && {
        properties: {
          ...(alias !== undefined && { topicAlias: alias }),
          userProperties: { a: 'b' },
          contentType: 'json',
          messageExpiryInterval: 3,
        },
      }),
    } as never,
    { protocolVersion: version },
  )

interface Sent {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: 0 | 1 | 2
  readonly messageId: number
  readonly alias: number | undefined
  readonly version: 4 | 5
}

test('what another library writes is read as it was meant, in any chunks', () => {
  fc.assert(
    fc.property(
      fc.array(publish, { minLength: 1, maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1 }),
      (sent, cuts) => {
        const bytes = Buffer.concat(sent.map((each) => bytesOf(each)))
        const chunks: Buffer[] = []
        for (let at = 0, cut = 0; at < bytes.length; cut++) {
          const size = cuts[cut % cuts.length]!
          chunks.push(bytes.subarray(at, at + size))
          at += size
        }
        const read = framesOf(chunks)
        assert.equal(read.length, sent.length)
        const topicIn = topicReader()
        for (const [index, frame] of read.entries()) {
          const { topic, payload, qos, messageId, alias, version } = sent[index]!
          assert.ok(isPublish(frame))
          const found = readPublish(frame, version, topicIn)
          assert.deepEqual(
            [found.topic, found.payload.equals(payload), found.qos, found.messageId, found.alias],
            [topic, true, qos, qos === 0 ? 0 : messageId, version === 5 ? alias : undefined],
          )
        }
      },
    ),
  )
})

test('any bytes: frames or a fault with a reason, never another error, never more kept than the limit', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), fc.constantFrom(4, 5), (chunks, version) => {
      const frames = new Frames(64)
      try {
        for (const chunk of chunks) {
          for (const frame of frames.push(Buffer.from(chunk))) {
            assert.ok(frame.length <= 64)
            if (isPublish(frame)) readPublish(frame, version)
          }
        }
      } catch (error) {
        assert.ok(error instanceof MqttFault && error.reasonCode >= 0x80)
      }
    }),
    { numRuns: 2000 },
  )
})

test('any PUBLISH with one byte changed is read or refused with a reason', () => {
  fc.assert(
    fc.property(publish, fc.nat(), fc.nat(255), (sent, place, byte) => {
      const bytes = bytesOf(sent)
      bytes[place % bytes.length] = byte
      try {
        for (const frame of framesOf([bytes])) if (isPublish(frame)) readPublish(frame, sent.version)
      } catch (error) {
        assert.ok(error instanceof MqttFault)
      }
    }),
    { numRuns: 2000 },
  )
})

test('a frame above the limit is refused by its header alone', () => {
  assert.throws(
    () => framesOf([Buffer.from([0x30, 0x80, 0x01])], 100),
    (error) => error instanceof MqttFault && error.reasonCode === 0x95,
  )
})

test('a pattern matches as MQTT does, and names its levels', () => {
  const match = (pattern: string, topic: string) => topicPattern(pattern).match(topic.split('/'))
  assert.deepEqual(match('a/+site/+', 'a/b/c'), { site: 'b' })
  assert.deepEqual(match('a/#', 'a'), {})
  assert.deepEqual(match('a/+m/#', 'a/b/c/d'), { m: 'b' })
  assert.deepEqual(match('+x', ''), { x: '' })
  for (const [pattern, topic] of [
    ['a/+', 'a'],
    ['a/+', 'a/b/c'],
    ['a/b', 'a/B'],
    ['a/+/#', 'a'],
  ] as const) {
    assert.equal(match(pattern, topic), undefined)
  }
  assert.equal(topicPattern('a/+site/+/#').filter, 'a/+/+/#')
})

test('acknowledgements leave in the order of arrival, whatever becomes safe first', () => {
  fc.assert(
    fc.property(fc.shuffledSubarray([1, 2, 3, 4, 5, 6, 7, 8], { minLength: 8 }), (order) => {
      const written: Buffer[] = []
      const turns = new Turns((bytes) => written.push(bytes))
      const taken = new Map([1, 2, 3, 4, 5, 6, 7, 8].map((id) => [id, turns.take()]))
      for (const id of order) {
        turns.answer(taken.get(id)!, plainAnswers('puback', [id]))
        turns.flush()
      }
      const ids = [1, 2, 3, 4, 5, 6, 7, 8].map((_, index) => Buffer.concat(written)[4 * index + 3])
      assert.deepEqual(ids, [1, 2, 3, 4, 5, 6, 7, 8])
    }),
  )
})
