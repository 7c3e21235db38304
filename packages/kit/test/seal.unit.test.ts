// Sealed inputs: one order, one digest, nothing that changes unnoticed.

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import {
  manifestBytes,
  openBlobs,
  openMemoryLog,
  positionOf,
  sealManifest,
  sealedRecord,
  unsealedRecord,
  verifySeal,
} from '../src/index.ts'
import type { LogRecord, SealManifest } from '../src/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'andon-seal-'))
after(() => rmSync(folder, { recursive: true }))
let stores = 0
const store = () => openBlobs(join(folder, `store-${(stores += 1)}`))

const recordOf = async (value: Buffer | null, headers: Record<string, string>): Promise<LogRecord> => {
  const log = openMemoryLog({ partitions: 1 })
  await log.append([{ topic: 'telemetry', partition: 0, key: 'press-1', value, headers, timestampMs: 5 }])
  for await (const batch of log.read({ topic: 'telemetry', partition: 0, from: 0, to: 1 }))
    for (const record of batch.records) return record
  throw new Error('nothing was stored')
}

const text = fc.string({ maxLength: 6 })
const items = fc.array(
  fc.record({
    kind: fc.constantFrom('block', 'vector'),
    id: text,
    digest: fc.constant('0'.repeat(64)),
    bytes: fc.nat(),
    position: fc.option(text),
  }),
  { maxLength: 8 },
)
const gaps = fc.array(fc.record({ what: text, why: text }), { maxLength: 5 })

const of = { incidentId: 'i-1', findingId: 'f-1', line: 'line-1', assetId: 'press-1' }

test('the order in which items and gaps were found does not show in the manifest', () => {
  fc.assert(
    fc.property(items, gaps, fc.array(fc.nat(), { minLength: 16, maxLength: 16 }), (found, missing, by) => {
      const unique = [...new Map(found.map((item) => [`${item.kind}\n${item.id}\n${item.position ?? ''}`, item])).values()]
      const shuffled = <T>(list: readonly T[]): T[] =>
        list
          .map((one, at) => ({ one, by: by[at] ?? 0 }))
          .toSorted((a, b) => a.by - b.by)
          .map(({ one }) => one)
      const first = manifestBytes(sealManifest({ ...of, items: unique, gaps: missing }))
      const second = manifestBytes(sealManifest({ ...of, items: shuffled([...unique, ...unique]), gaps: shuffled(missing) }))
      assert.ok(first.equals(second))
    }),
  )
})

test('a sealed record gives the record back, with nothing left out', async () => {
  for (const value of [Buffer.from([0, 0, 0, 0, 7, 255]), Buffer.alloc(0), null]) {
    const record = await recordOf(value, { ce_id: 'b-1', 'andon-lane': 'live', empty: '' })
    const { headers, ...again } = unsealedRecord(sealedRecord(record))
    const { topic, partition, leaderEpoch, offset, timestampMs, key } = record
    assert.deepEqual(again, { topic, partition, leaderEpoch, offset, timestampMs, key, value: record.value })
    assert.deepEqual(headers, record.headers())
  }
})

const sealed = async () => {
  const blobs = await store()
  const record = await recordOf(Buffer.from('samples'), { ce_id: 'b-1' })
  const other = await recordOf(Buffer.from('others'), { ce_id: 'b-2' })
  const { sha256, bytes } = await blobs.put(sealedRecord(record))
  const artefact = await blobs.put(Buffer.from('model'))
  const found = [
    { kind: 'block', id: 'b-1', digest: sha256, bytes, position: positionOf(record) },
    { kind: 'artefact', id: 'm@1', digest: artefact.sha256, bytes: artefact.bytes, position: null },
  ]
  const manifest = sealManifest({ ...of, items: found, gaps: [] })
  const { uri, sha256: digest } = await blobs.put(manifestBytes(manifest))
  await blobs.hold('i-1', [uri, ...found.map((item) => `sha256:${item.digest}`)])
  return { blobs, manifest, digest, block: `sha256:${sha256}`, artefact: artefact.uri, other }
}

test('verification names a flipped byte and a missing content, and nothing else', async () => {
  const { blobs, digest, block, artefact } = await sealed()
  assert.deepEqual((await verifySeal(blobs, 'i-1', digest)).problems, [])
  const content = readFileSync(blobs.path(block))
  content[content.length - 1]! ^= 1
  writeFileSync(blobs.path(block), content)
  const flipped = await verifySeal(blobs, 'i-1')
  assert.deepEqual(
    flipped.problems.map(({ kind, id, problem }) => ({ kind, id, problem })),
    [{ kind: 'block', id: 'b-1', problem: 'changed' }],
  )
  rmSync(blobs.path(artefact))
  const both = await verifySeal(blobs, 'i-1')
  assert.deepEqual(
    both.problems.map(({ id, problem }) => `${id} ${problem}`),
    ['m@1 missing', 'b-1 changed'],
  )
})

test('another record under an item of the manifest is named', async () => {
  const { blobs, manifest, other } = await sealed()
  const { sha256, bytes } = await blobs.put(sealedRecord(other))
  const forged: SealManifest = {
    ...manifest,
    items: manifest.items.map((item) => (item.kind === 'block' ? { ...item, digest: sha256, bytes } : item)),
  }
  const { uri } = await blobs.put(manifestBytes(forged))
  await blobs.hold('i-1', [uri])
  assert.deepEqual(
    (await verifySeal(blobs, 'i-1')).problems.map(({ problem }) => problem),
    ['another record'],
  )
})

test('without a hold, with a changed manifest, or one of another incident, there is nothing to verify', async () => {
  const { blobs, digest } = await sealed()
  const code = { code: 'ANDON_SEAL_UNKNOWN' }
  await assert.rejects(verifySeal(blobs, 'i-2'), code)
  await assert.rejects(verifySeal(blobs, 'i-2', digest), code)
  writeFileSync(blobs.path(`sha256:${digest}`), '{}')
  await assert.rejects(verifySeal(blobs, 'i-1'), code)
})

test('a sweep leaves what a hold keeps until it is released', async () => {
  const { blobs, block } = await sealed()
  const free = (await blobs.put(Buffer.from('nobody keeps this'))).uri
  const makeOld = (uri: string): void => utimesSync(blobs.path(uri), 0, 0)
  for (const uri of [block, free]) makeOld(uri)
  assert.equal(await blobs.sweep(60_000), 1)
  assert.deepEqual([await blobs.has(block), await blobs.has(free)], [true, false])
  await blobs.release('i-1')
  assert.equal(await blobs.held('i-1'), undefined)
  makeOld(block)
  assert.equal(await blobs.sweep(60_000), 1)
  assert.equal(await blobs.has(block), false)
})
