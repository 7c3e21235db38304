// The spool: what it promised is found again after a crash, whatever the disk did to its neighbours.

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodeHeaders } from '@andon/kit'
import { openDisk } from '../src/adapters/disk.ts'
import type { Disk } from '../src/adapters/disk.ts'
import { openInstanceFolder } from '../src/adapters/instance-folder.ts'
import { openSeenJournal } from '../src/adapters/seen-journal.ts'
import { frameHeadBytes, segmentHeader } from '../src/adapters/spool-frames.ts'
import { openSpool } from '../src/adapters/spool.ts'
import type { Spool, SpoolLimits, SpoolRef } from '../src/adapters/spool.ts'
import { entryBytes, fromEntry, putEntry } from '../src/outgoing.ts'
import type { Outgoing } from '../src/outgoing.ts'
import { limits, MemoryDisk } from './rig.ts'

const keptIn = (spool: Spool, body: Buffer): SpoolRef => spool.append(body.length, (into, at) => into.set(body, at))

const entryOf = (record: Outgoing): Buffer => {
  const entry = Buffer.alloc(entryBytes(record))
  putEntry(record, entry, 0)
  return entry
}

const open = async (disk: Disk, own: Partial<SpoolLimits> = {}) => {
  const found: string[] = []
  const damaged: Buffer[] = []
  const refs: SpoolRef[] = []
  const { spool, tornBytes } = await openSpool(disk, { ...limits, ...own }, () => 0, {
    found: (ref, body) => {
      refs.push(ref)
      found.push(body.toString())
    },
    damaged: (_ref, bytes) => damaged.push(Buffer.from(bytes)),
  })
  /** Resolves when the entry is safe. */
  const put = async (text: string) => {
    const ref = keptIn(spool, Buffer.from(text))
    await ref.group.safe
    return ref
  }
  return { spool, put, found, damaged, refs, tornBytes }
}

/** A disk with these files, as synced. */
const diskOf = (files: readonly (readonly [string, Buffer])[]): MemoryDisk => {
  const disk = new MemoryDisk()
  for (const [name, bytes] of files) disk.files.set(name, { bytes: Buffer.from(bytes), synced: bytes.length })
  return disk
}

const oneSegment = { segmentBytes: 100_000 }

test('a torn tail is cut at any byte, and everything synced before is there', async () => {
  const disk = new MemoryDisk()
  const { put } = await open(disk, oneSegment)
  await put('first')
  await put('second')
  const [name] = await disk.list()
  const whole = disk.files.get(name!)!.bytes
  const safe = whole.length - (frameHeadBytes + 'second'.length)
  for (let kept = safe; kept < whole.length; kept++) {
    const torn = diskOf([[name!, whole.subarray(0, kept)]])
    const opened = await open(torn)
    assert.deepEqual(opened.found, ['first'])
    assert.deepEqual([opened.tornBytes, opened.damaged], [kept - safe, []])
    assert.equal(torn.files.get(name!)!.bytes.length, safe)
  }
})

test('room that a file system had made before the power went is a torn tail, not damage', async () => {
  const disk = new MemoryDisk()
  const { put } = await open(disk, oneSegment)
  await put('first')
  const [name] = await disk.list()
  const opened = await open(diskOf([[name!, Buffer.concat([disk.files.get(name!)!.bytes, Buffer.alloc(500)])]]))
  assert.deepEqual([opened.found, opened.tornBytes, opened.damaged], [['first'], 500, []])
})

test('any flipped bit costs the entry it lies in, and no other one is lost, repeated or changed', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 12 }),
      fc.array(fc.nat(), { minLength: 1, maxLength: 3 }),
      fc.boolean(),
      async (lengths, flips, hasSmallSegments) => {
        const disk = new MemoryDisk()
        const { put } = await open(disk, hasSmallSegments ? { segmentBytes: 300 } : oneSegment)
        const texts = lengths.map((length, index) => `${index}:`.padEnd(length + 4, 'x'))
        for (const text of texts) await put(text)
        const files = await disk.list()
        const whole = new Map(files.map((name) => [name, Buffer.from(disk.files.get(name)!.bytes)]))
        const touched = new Set<number>()
        for (const flip of flips) {
          const name = files[flip % files.length]!
          const { bytes } = disk.files.get(name)!
          const at = flip % bytes.length
          const index = entryAt(whole.get(name)!, at)
          if (index !== undefined) touched.add(index)
          bytes[at]! ^= 1 << (flip % 8)
        }
        const opened = await open(disk)
        const untouched = texts.filter((_, index) => !touched.has(index))
        const came = opened.found.filter((text) => untouched.includes(text))
        assert.deepEqual(came, untouched, 'every other entry, once and in order')
        assert.ok(
          opened.found.every((text) => texts.includes(text)),
          'none changed',
        )
      },
    ),
    { numRuns: 500 },
  )
})

/** The number in the text of the entry whose frame has this byte. */
const entryAt = (bytes: Buffer, at: number): number | undefined => {
  for (let from = segmentHeader.length; from < bytes.length;) {
    const end = from + frameHeadBytes + bytes.readUInt32LE(from + 4)
    if (at >= from && at < end) return Number(bytes.toString('latin1', from + frameHeadBytes, end).split(':')[0])
    from = end
  }
  return undefined
}

test('damaged bytes are handed over and stay until they are dropped', async () => {
  const disk = new MemoryDisk()
  const { put } = await open(disk, { segmentBytes: 1 })
  for (const text of ['first', 'second', 'third']) await put(text)
  const name = (await disk.list())[1]!
  disk.files.get(name)!.bytes[segmentHeader.length + frameHeadBytes]! ^= 1
  for (let times = 0; times < 2; times++) {
    const opened = await open(disk)
    assert.deepEqual(opened.found, ['first', 'third'])
    assert.deepEqual(
      opened.damaged.map((bytes) => bytes.subarray(frameHeadBytes + 1).toString()),
      ['econd'],
    )
  }
})

test('an entry inside a payload is not taken for one when the disk damages what is around it', async () => {
  const disk = new MemoryDisk()
  const { put } = await open(disk, oneSegment)
  await put('forged')
  const [name] = await disk.list()
  const forged = disk.files.get(name!)!.bytes.subarray(segmentHeader.length)
  const other = new MemoryDisk()
  const device = await open(other, oneSegment)
  const ref = keptIn(device.spool, Buffer.concat([Buffer.from('head '), forged]))
  await ref.group.safe
  const [segment] = await other.list()
  other.files.get(segment!)!.bytes[segmentHeader.length + frameHeadBytes]! ^= 1
  assert.deepEqual((await open(other)).found, [])
})

test('a spool of another format is refused, not skipped', async () => {
  const disk = new MemoryDisk()
  const { put } = await open(disk)
  await put('first')
  const [name] = await disk.list()
  const later = Buffer.concat([Buffer.from('ANDONSP'), Buffer.from([2])])
  const { crc32c } = await import('@andon/kit')
  const crc = Buffer.alloc(4)
  crc.writeUInt32LE(crc32c(later))
  await assert.rejects(open(diskOf([[name!, Buffer.concat([later, crc])]])), { code: 'ANDON_INGEST_SPOOL_VERSION', message: /format 2/ })
  await assert.rejects(open(diskOf([['0000000001.spool', Buffer.from('old')]])), { code: 'ANDON_INGEST_SPOOL_VERSION' })
})

test('entries that wait together share one sync, and become safe in order', async () => {
  const disk = new MemoryDisk()
  const { put } = await open(disk, oneSegment)
  const order: number[] = []
  await Promise.all(Array.from({ length: 20 }, async (_, index) => put(`entry ${index}`).then(() => order.push(index))))
  assert.equal(disk.syncs, 1)
  assert.deepEqual(
    order,
    order.toSorted((a, b) => a - b),
  )
})

test('an entry is safe only once its group is synced', async () => {
  const disk = new MemoryDisk()
  const { spool, put } = await open(disk)
  const ref = keptIn(spool, Buffer.from('early'))
  assert.equal(ref.group.isSafe, false)
  await put('later')
  assert.equal(ref.group.isSafe, true)
  assert.deepEqual((await open(disk.afterPowerLoss(0))).found, ['early', 'later'])
})

test('a segment is deleted once all of its entries are dropped, the others stay in order', async () => {
  const disk = new MemoryDisk()
  const { spool, put } = await open(disk, { segmentBytes: 400 })
  const refs = []
  for (let index = 0; index < 120; index++) refs.push(await put(`entry ${index} ${'x'.repeat(40)}`))
  const before = spool.bytes()
  for (const ref of refs.slice(0, 60)) spool.drop(ref)
  await spool.close()
  assert.ok(spool.bytes() < before)
  const left = (await open(disk)).found.map((text) => Number(text.split(' ')[1]))
  assert.deepEqual(
    left.slice(-60),
    Array.from({ length: 60 }, (_, index) => 60 + index),
  )
  assert.ok(left.length < 120)
})

test('what an earlier process left can be read and dropped', async () => {
  const disk = new MemoryDisk()
  const first = await open(disk)
  await first.put('kept')
  const second = await open(disk)
  assert.equal((await second.spool.read(second.refs[0]!)).toString(), 'kept')
  second.spool.drop(second.refs[0]!)
  await second.spool.close()
  assert.deepEqual(await disk.list(), [])
})

test('a failed write keeps nothing of its group, and the next one goes through', async () => {
  const disk = new MemoryDisk()
  const { spool, put } = await open(disk)
  await put('first')
  disk.fault = Object.assign(new Error('no space left'), { code: 'ENOSPC' })
  await assert.rejects(put('second'), { code: 'ANDON_INGEST_SPOOL_FAILED', message: /ENOSPC/ })
  assert.equal(spool.failure()?.code, 'ANDON_INGEST_SPOOL_FAILED')
  await spool.probe()
  assert.equal(spool.failure()?.code, 'ANDON_INGEST_SPOOL_FAILED')
  disk.fault = undefined
  await spool.probe()
  assert.equal(spool.failure(), undefined)
  const ref = await put('third')
  assert.equal((await spool.read(ref)).toString(), 'third')
  assert.deepEqual((await open(disk.afterPowerLoss(1))).found, ['first', 'third'])
})

test('a read-back that differs from what was written is refused', async () => {
  const disk = new MemoryDisk()
  const { spool, put } = await open(disk)
  const ref = await put('entry')
  const [name] = await disk.list()
  disk.files.get(name!)!.bytes[segmentHeader.length + frameHeadBytes]! ^= 4
  await assert.rejects(spool.read(ref), { code: 'ANDON_INGEST_SPOOL_DAMAGED' })
  assert.equal((await spool.raw(ref)).toString(), 'antry')
})

test('a spool at its bound says so until something is dropped', async () => {
  const disk = new MemoryDisk()
  const { spool, put } = await open(disk, { maxBytes: 120 })
  const ref = await put('x'.repeat(120))
  assert.ok(spool.fullness() >= 1)
  spool.drop(ref)
  await spool.close()
  assert.ok(spool.fullness() < 1)
})

test('a record comes back from its entry as it went in', () => {
  fc.assert(
    fc.property(
      fc.record({
        topic: fc.constantFrom('telemetry', 'telemetry.ingest.quarantine'),
        partition: fc.integer({ min: 0, max: 1000 }),
        key: fc.option(fc.string({ unit: 'binary' })),
        value: fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes)),
        headers: fc.dictionary(fc.string({ minLength: 1 }), fc.string({ unit: 'binary' })),
        timestampMs: fc.integer({ min: 0, max: 4e12 }),
        oldestReceivedUs: fc.integer({ min: 0, max: 4e15 }),
        identities: fc.array(fc.stringMatching(/^[0-9a-f:@.-]{1,60}$/)),
        isControl: fc.boolean(),
      }),
      (record) => {
        const outgoing = { ...record, headers: encodeHeaders(record.headers) }
        const { headers, ...rest } = fromEntry(entryOf(outgoing))
        assert.deepEqual({ ...rest, headers: headers.toMap() }, outgoing.headers && { ...record, headers: outgoing.headers.toMap() })
      },
    ),
  )
})

test('on a real disk entries survive a reopened folder', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'andon-spool-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const first = await open(await openDisk(folder))
  const ref = await first.put('kept')
  assert.equal((await first.spool.read(ref)).toString(), 'kept')
  await first.spool.close()
  assert.deepEqual((await open(await openDisk(folder))).found, ['kept'])
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
