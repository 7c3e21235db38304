import { test } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import {
  blockId,
  canonicalJson,
  episodeId,
  findingId,
  incidentId,
  predictionId,
  samplesDigest,
  stepAttemptId,
  stepId,
  uuid8,
  vectorId,
} from '../src/index.ts'

const golden = JSON.parse(readFileSync(new URL('../../../schemas/golden/ids.json', import.meta.url), 'utf8')) as {
  samples: { ranges: [string, number, number, number][]; digest: string }
  ids: { kind: string; parts: (string | number)[]; id: string }[]
}

const named: Record<string, (...parts: never[]) => string> = {
  block: (sourceId: string, epoch: number, seqFrom: number, seqTo: number) => blockId({ sourceId, epoch, seqFrom, seqTo }),
  vector: vectorId,
  prediction: predictionId,
  finding: findingId,
  episode: episodeId,
  incident: incidentId,
  step: stepId,
  attempt: stepAttemptId,
}

for (const { kind, parts, id } of golden.ids) {
  test(`the ${kind} id is the one of the golden file`, () => {
    assert.equal(uuid8(kind, ...parts), id)
    const helper = named[kind]
    if (helper !== undefined) assert.equal(helper(...(parts as never[])), id)
  })
}

test('the digest of samples does not depend on their order', () => {
  const ranges = golden.samples.ranges.map(([sourceId, epoch, seqFrom, seqTo]) => ({ sourceId, epoch, seqFrom, seqTo }))
  assert.equal(samplesDigest(ranges), golden.samples.digest)
  assert.equal(samplesDigest(ranges.toReversed()), golden.samples.digest)
})

test('every id is a UUID of version 8', () => {
  fc.assert(
    fc.property(
      fc.string().filter((text) => !text.includes('\u001f')),
      fc.maxSafeInteger(),
      (text, number) => {
        assert.match(uuid8('kind', text, number), /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      },
    ),
  )
})

test('parts cannot run into each other, and only integers are numbers', () => {
  assert.notEqual(uuid8('k', 'a', 'b'), uuid8('k', 'ab'))
  assert.throws(() => uuid8('k', 'a\u001fb'), RangeError)
  assert.throws(() => uuid8('k', 1.5), RangeError)
  assert.equal(uuid8('k', 7n), uuid8('k', 7))
})

test('canonical JSON does not depend on the order of keys and reads back equal', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (object) => {
      const shuffled = Object.fromEntries(Object.entries(object).toReversed())
      assert.equal(canonicalJson(shuffled), canonicalJson(object))
      assert.deepEqual(JSON.parse(canonicalJson(object)), JSON.parse(JSON.stringify(object)))
    }),
  )
  assert.equal(canonicalJson({ b: [1, { d: undefined, c: null }], a: 1e21 }), '{"a":1e+21,"b":[1,{"c":null}]}')
  assert.throws(() => canonicalJson({ a: NaN }), RangeError)
})
