import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openBlobs, sha256Hex } from '../src/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'andon-blobs-'))
after(() => rmSync(folder, { recursive: true }))
const blobs = await openBlobs(join(folder, 'store'))

test('content is found under its digest, whether it came as bytes or as a file', async () => {
  const content = Buffer.alloc(300_000, 'press')
  const file = join(folder, 'clip.mp4')
  writeFileSync(file, content)
  const stored = await blobs.put(content)
  assert.deepEqual(stored, { sha256: sha256Hex(content), uri: `sha256:${sha256Hex(content)}`, bytes: content.length })
  assert.deepEqual(await blobs.put(file), stored)
  assert.ok((await blobs.get(stored.uri)).equals(content))
  assert.equal(await blobs.has(stored.uri), true)
  assert.deepEqual(readdirSync(join(folder, 'store', 'incoming')), [])
})

test('writers of the same content at once do not disturb each other', async () => {
  const stored = await Promise.all(Array.from({ length: 20 }, () => blobs.put(Buffer.from('same'))))
  assert.equal(new Set(stored.map((each) => each.uri)).size, 1)
  assert.equal((await blobs.get(stored[0]?.uri ?? '')).toString(), 'same')
})

test('an empty blob is a blob', async () => {
  const { uri, bytes } = await blobs.put(new Uint8Array())
  assert.equal(bytes, 0)
  assert.equal((await blobs.get(uri)).length, 0)
})

test('what is missing, damaged or misnamed is told apart', async () => {
  const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected
  const missing = `sha256:${'0'.repeat(64)}`
  assert.equal(await blobs.has(missing), false)
  await assert.rejects(blobs.get(missing), code('ANDON_BLOB_MISSING'))
  const { uri } = await blobs.put(Buffer.from('evidence'))
  writeFileSync(blobs.path(uri), 'evidence, changed')
  await assert.rejects(blobs.get(uri), code('ANDON_BLOB_CORRUPT'))
  assert.throws(() => blobs.path('sha256:../../etc/passwd'), code('ANDON_BLOB_URI'))
  await assert.rejects(blobs.put(join(folder, 'no such file')), code('ENOENT'))
})
