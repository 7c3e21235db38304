// The spool on a disk that tears, fills up and loses what was not synced.

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openDisk } from '../src/adapters/disk.ts'
import { openInstanceFolder } from '../src/adapters/instance-folder.ts'
import { openSeenJournal } from '../src/adapters/seen-journal.ts'
import { openSpool } from '../src/adapters/spool.ts'
import { MemoryDisk } from './rig.ts'

const limits = { maxBytes: 10_000, segmentBytes: 100, segmentMs: 30_000 }
const atZero = () => 0
const body = (text: string) => Buffer.from(text)
const texts = (found: readonly { readonly body: Buffer }[]) => found.map((entry) => entry.body.toString())

test('a torn tail is cut on open wherever it tore, and everything synced before is there', async () => {
  const disk = new MemoryDisk()
  const { spool } = await openSpool(disk, { ...limits, segmentBytes: 10_000 }, atZero)
  await spool.append(body('first'))
  await spool.append(body('second'))
  const [name] = await disk.list()
  const whole = disk.files.get(name!)!.bytes
  const safe = whole.length - (8 + 'second'.length)
  for (let kept = safe; kept < whole.length; kept++) {
    const torn = new MemoryDisk()
    torn.files.set(name!, { bytes: Buffer.from(whole.subarray(0, kept)), synced: kept })
    const opened = await openSpool(torn, limits, atZero)
    assert.deepEqual(texts(opened.found), ['first'])
    assert.equal(opened.tornBytes, kept - safe)
    assert.equal(torn.files.get(name!)!.bytes.length, safe)
  }
})

test('a flipped bit ends its segment at the entry before', async () => {
  const disk = new MemoryDisk()
  const { spool } = await openSpool(disk, { ...limits, segmentBytes: 10_000 }, atZero)
  for (const text of ['first', 'second', 'third']) await spool.append(body(text))
  const [name] = await disk.list()
  const { bytes } = disk.files.get(name!)!
  bytes[bytes.indexOf('second')]! ^= 1
  assert.deepEqual(texts((await openSpool(disk, limits, atZero)).found), ['first'])
})

test('damage in an older segment is told from a torn tail, and the newer segments are read', async () => {
  const disk = new MemoryDisk()
  const { spool } = await openSpool(disk, { ...limits, segmentBytes: 1 }, atZero)
  for (const text of ['first', 'second', 'third']) await spool.append(body(text))
  const [, name] = await disk.list()
  disk.files.get(name!)!.bytes[10]! ^= 1
  const opened = await openSpool(disk, limits, atZero)
  assert.deepEqual(texts(opened.found), ['first', 'third'])
  assert.deepEqual([opened.tornBytes, opened.damagedBytes], [0, 8 + 'second'.length])
})

test('entries that wait together share one sync, and become safe in order', async () => {
  const disk = new MemoryDisk()
  const { spool } = await openSpool(disk, { ...limits, segmentBytes: 10_000 }, atZero)
  const order: number[] = []
  await Promise.all(Array.from({ length: 20 }, async (_, index) => spool.append(body(`entry ${index}`)).then(() => order.push(index))))
  assert.equal(disk.syncs, 1)
  assert.deepEqual(
    order,
    order.toSorted((a, b) => a - b),
  )
})

test('a segment is deleted once all of its entries are dropped, the others stay in order', async () => {
  const disk = new MemoryDisk()
  const { spool } = await openSpool(disk, limits, atZero)
  const refs = []
  for (let index = 0; index < 12; index++) refs.push(await spool.append(body(`entry ${index} ${'x'.repeat(40)}`)))
  const before = spool.bytes()
  for (const ref of refs.slice(0, 6)) spool.drop(ref)
  await spool.close()
  assert.ok(spool.bytes() < before)
  const left = texts((await openSpool(disk, limits, atZero)).found).map((text) => Number(text.split(' ')[1]))
  assert.deepEqual(left, [6, 7, 8, 9, 10, 11])
})

test('a failed write keeps nothing of its group, and the next one goes through', async () => {
  const disk = new MemoryDisk()
  const { spool } = await openSpool(disk, limits, atZero)
  await spool.append(body('first'))
  disk.fault = Object.assign(new Error('no space left'), { code: 'ENOSPC' })
  await assert.rejects(spool.append(body('second')), { code: 'ANDON_INGEST_SPOOL_FAILED', message: /ENOSPC/ })
  assert.equal(spool.failure()?.code, 'ANDON_INGEST_SPOOL_FAILED')
  disk.fault = undefined
  const ref = await spool.append(body('third'))
  assert.equal(spool.failure(), undefined)
  assert.equal((await spool.read(ref)).toString(), 'third')
  assert.deepEqual(texts((await openSpool(disk.afterPowerLoss(1), limits, atZero)).found), ['first', 'third'])
})

test('a spool at its bound says so until something is dropped', async () => {
  const disk = new MemoryDisk()
  const { spool } = await openSpool(disk, { ...limits, maxBytes: 120 }, atZero)
  const ref = await spool.append(body('x'.repeat(120)))
  assert.ok(spool.isFull())
  spool.drop(ref)
  await spool.close()
  assert.ok(!spool.isFull())
})

test('on a real disk entries survive a reopened folder', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'andon-spool-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const first = await openSpool(await openDisk(folder), limits, atZero)
  const ref = await first.spool.append(body('kept'))
  assert.equal((await first.spool.read(ref)).toString(), 'kept')
  await first.spool.close()
  const second = await openSpool(await openDisk(folder), limits, atZero)
  assert.deepEqual(texts(second.found), ['kept'])
})

test('the journal of identities is found again for ten to twenty minutes', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'andon-seen-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  let nowMs = 1_795_000_000_000
  const first = await openSeenJournal(folder, () => nowMs)
  const identities = ['a', 'b', 'c'].map((letter) => `${letter.repeat(32)}r0,1.`)
  await Promise.all([first.note(identities.slice(0, 2)), first.note(identities.slice(2))])
  await first.close()
  nowMs += 600_000
  assert.deepEqual((await openSeenJournal(folder, () => nowMs)).remembered, identities)
  nowMs += 600_001
  assert.deepEqual((await openSeenJournal(folder, () => nowMs)).remembered, [])
})

test('each start gets a higher door epoch, and a living owner keeps others out', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'andon-instance-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const first = await openInstanceFolder(folder, 'ingest-0')
  const second = await openInstanceFolder(folder, 'ingest-0') // the same process again: its own lock is no obstacle
  assert.ok(second.doorEpoch > first.doorEpoch)
  const { writeFile } = await import('node:fs/promises')
  await writeFile(join(folder, 'ingest', 'ingest-0', 'lock'), String(process.ppid))
  await assert.rejects(openInstanceFolder(folder, 'ingest-0'), { code: 'ANDON_INGEST_SPOOL_IN_USE' })
})
