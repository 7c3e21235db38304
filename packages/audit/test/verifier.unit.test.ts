// The verifier finds whatever is done to an export, and says where. What is planted is what is named.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { introduce, merkleRoot, newKey, revoke, verifyExport } from '../src/index.ts'
import type { AuditRecord, Problem } from '../src/index.ts'
import { anchorsOf, exportOf, plant, recordAt, seal, sealedLog } from './plant.ts'
import type { SealedLog } from './plant.ts'

const { key, logs, statements } = plant()
const named = { keys: [key.fingerprint] }
const problemsOf = (files: ReadonlyMap<string, Buffer>, options: Parameters<typeof verifyExport>[1] = named): readonly Problem[] =>
  verifyExport(files, options).problems
const kinds = (problems: readonly Problem[]): string[] => problems.map(({ problem, offset }) => `${problem} ${offset}`)
const copy = (): SealedLog[] => logs.map(({ records, seals }) => ({ records: [...records], seals: [...seals] }))
const damaged = (change: (log: SealedLog) => void) => {
  const changed = copy()
  change(changed[1]!)
  return kinds(problemsOf(exportOf(changed, statements, { digests: logs })))
}

test('an export as it was made is whole, and its tail is called unsealed', () => {
  const verdict = verifyExport(exportOf(logs, statements), { ...named, anchors: anchorsOf(logs) })
  assert.deepEqual(verdict.problems, [])
  assert.ok(verdict.isWhole)
  assert.deepEqual(verdict.notes, [])
  assert.deepEqual(verdict.partitions[1], { partition: 'actions/1', sealed: 14, seals: 3, unsealed: 3, startsAtSeal: 0 })
})

const FLIPPED = ['offset', 'timestampMs', 'key', 'value', 'headers', 'topic', 'partition'] as const

/** The record with one bit of one byte of a field turned. */
const flipped = (record: AuditRecord, field: (typeof FLIPPED)[number], at: number, bit: number): AuditRecord => {
  const turn = (bytes: Uint8Array): Buffer => {
    const turned = Buffer.from(bytes)
    turned[at % turned.length]! ^= 1 << bit
    return turned
  }
  if (field === 'headers') {
    const [first, ...others] = record.headers
    return { ...record, headers: [[first![0], turn(first![1])], ...others] }
  }
  if (field === 'topic') return { ...record, topic: `actionS${bit}` }
  const value = record[field]
  return { ...record, [field]: typeof value === 'number' ? value ^ (1 << bit) : turn(value ?? Buffer.of(0)) }
}

/** First and last offset of each sealed range. */
const RANGES = [
  [0, 3],
  [4, 8],
  [9, 13],
] as const

test('1 000 random flips in the bytes of records are found, and each is named by partition, offset and field', () => {
  let flips = 0
  // one flip in every range at once: ranges prove themselves one by one
  const places = RANGES.map(([from, to]) =>
    fc.record({ offset: fc.integer({ min: from, max: to }), field: fc.constantFrom(...FLIPPED), at: fc.nat(500), bit: fc.nat(6) }),
  )
  fc.assert(
    fc.property(fc.tuple(...places), fc.tuple(...places), (...partitions) => {
      const changed = copy()
      for (const [partition, all] of partitions.entries())
        for (const { offset, field, at, bit } of all) {
          const record = changed[partition]!.records[offset]!
          changed[partition]!.records[offset] = flipped(record, field, at, bit)
        }
      const problems = problemsOf(exportOf(changed, statements, { digests: logs, to: 17 }))
      for (const [partition, all] of partitions.entries())
        for (const { offset, field } of all) {
          // a record that says it lies elsewhere is missing where it lay
          const isNamed = (one: Problem): boolean =>
            one.where === `actions/${partition}` &&
            one.offset === offset &&
            (one.field === field || (field === 'offset' && /gap|missing|changed/.test(one.problem)))
          assert.ok(problems.some(isNamed), `${partition} ${offset} ${field}: ${JSON.stringify(problems)}`)
          flips += 1
        }
    }),
    { numRuns: 167 },
  )
  assert.ok(flips >= 1_000)
})

test('random flips anywhere in the files of an export are found, and each is named by its file', () => {
  const files = exportOf(logs, statements)
  const all = [...files.keys()]
  fc.assert(
    fc.property(fc.constantFrom(...all), fc.nat(), fc.nat(7), (file, at, bit) => {
      const content = Buffer.from(files.get(file)!)
      content[at % content.length]! ^= 1 << bit
      const problems = problemsOf(new Map([...files, [file, content]]))
      assert.ok(problems.length > 0, `${file} ${at % content.length}`)
      if (file !== 'manifest.json') assert.ok(problems.some(({ where }) => where === file))
      // whoever writes the manifest anew is found by the seals
      if (file === 'manifest.json' || file === 'keys.jsonl') return
      const line = content
        .subarray(0, at % content.length)
        .toString('latin1')
        .split('\n').length
      const around = new Set([line - 2, line - 1, line])
      const isTail = file.startsWith('records/') && line > 14
      const isUsed = file.startsWith('digests/') ? line <= 14 : !isTail
      if (!isUsed) return
      const own = problems.filter(({ problem }) => problem !== 'changed file')
      assert.ok(own.length > 0, `${file}:${line}`)
      if (!file.startsWith('seals/')) assert.ok(own.some(({ offset }) => offset === null || around.has(offset)))
    }),
    { numRuns: 200 },
  )
})

test('a gap, a reorder, an added record and a cut-off end are named', () => {
  assert.ok(damaged(({ records }) => records.splice(6, 1)).includes('gap 6'))
  assert.ok(damaged(({ records }) => records.splice(6, 2, records[7]!, records[6]!)).includes('out of order 6'))
  assert.ok(damaged(({ records }) => records.splice(7, 0, { ...records[6]! })).includes('out of order 6'))
  assert.ok(damaged(({ records }) => records.push(recordAt(1, 40))).length === 0, 'a record after the last seal is unsealed')
  const short = copy()
  short[1]!.records.length = 12
  assert.ok(kinds(problemsOf(exportOf(short, statements, { digests: logs }))).includes('cut off 12'))
})

test('a missing, doubled or moved seal is named', () => {
  assert.deepEqual(
    damaged(({ seals }) => seals.splice(1, 1)),
    ['missing seal 4', 'missing seal 9'],
  )
  assert.ok(damaged(({ seals }) => seals.splice(1, 0, { ...seals[1]!, offset: 8 })).some((one) => one.startsWith('doubled seal')))
  assert.ok(damaged(({ seals }) => seals.reverse()).some((one) => one.startsWith('out of order')))
  assert.ok(damaged(({ seals }) => seals.shift()).includes('missing seal 0'))
  assert.ok(damaged(({ seals }) => seals.pop()).includes('missing seal 14'))
})

test('a log cut off with its seals, or sealed anew, is found by its anchors alone', () => {
  const short = [sealedLog(0, () => key, 3), sealedLog(1, () => key, 2)]
  const files = exportOf(short, statements)
  assert.deepEqual(problemsOf(files), [])
  assert.deepEqual(kinds(problemsOf(files, { ...named, anchors: anchorsOf(logs) })), ['cut off 12'])
  const rewritten = copy()
  rewritten[0] = { records: [recordAt(0, 0, 'another decision')], seals: [] }
  seal(rewritten[0], 0, key, { epoch: 1, ownedFrom: 0 })
  const anew = exportOf(rewritten, statements)
  assert.deepEqual(problemsOf(anew), [])
  assert.deepEqual(kinds(problemsOf(anew, { ...named, anchors: anchorsOf(logs) })), ['rewritten 1', 'cut off 2'])
  assert.deepEqual(kinds(problemsOf(exportOf(logs.slice(0, 1), statements), { ...named, anchors: anchorsOf(logs) })), ['cut off null'])
  const asked = verifyExport(exportOf(short, statements, { toEnd: false }), { ...named, anchors: anchorsOf(logs) })
  assert.ok(asked.isWhole)
  assert.match(asked.notes.join(), /after the end that was asked for/)
})

test('an export may start at any seal', () => {
  const late = logs.map(({ records, seals }) => ({ records: records.filter(({ offset }) => offset >= 4), seals: seals.slice(1) }))
  const verdict = verifyExport(exportOf(late, statements), named)
  assert.deepEqual(verdict.problems, [])
  assert.equal(verdict.partitions[0]?.startsAtSeal, 1)
})

test('where the kept digests are rewritten as well, the range is named', () => {
  const changed = copy()
  changed[0]!.records[2] = recordAt(0, 2, 'another decision')
  assert.deepEqual(kinds(problemsOf(exportOf(changed, statements))), ['changed 0'])
})

test('a seal of an owner who had lost the partition is void', () => {
  const log: SealedLog = { records: [recordAt(0, 0), recordAt(0, 1)], seals: [] }
  const old: SealedLog = { records: [...log.records], seals: [] }
  log.records.push(recordAt(0, 2, 'epoch 2 is taken here'))
  // the old owner's seal lands after that
  seal(old, 0, key, { epoch: 1, ownedFrom: 0 })
  const late = { ...old.seals[0]!, offset: 3 }
  log.records.push({ ...old.records.at(-1)!, offset: 3 })
  seal(log, 0, key, { epoch: 2, ownedFrom: 2 })
  const verdict = verifyExport(exportOf([{ records: log.records, seals: [late, ...log.seals] }], statements), named)
  assert.deepEqual(verdict.problems, [])
  assert.match(verdict.notes.join(), /1 void seals/)
})

test('a new key counts when the old one introduced it, and no other', () => {
  const next = newKey()
  const rotated = [0, 1].map((partition) => sealedLog(partition, (index) => (index < 2 ? key : next)))
  assert.deepEqual(problemsOf(exportOf(rotated, [...statements, introduce(next, key, 2)])), [])
  const selfMade = problemsOf(exportOf(rotated, [...statements, introduce(next, next, 2)]))
  assert.deepEqual(kinds(selfMade), ['unknown key 14', 'unknown key 14'])
  const forged = { ...introduce(next, next, 2), by: key.fingerprint }
  assert.ok(kinds(problemsOf(exportOf(rotated, [...statements, forged]))).includes('key null'))
  const unnamed = verifyExport(exportOf(rotated, [...statements, introduce(next, key, 2)]))
  assert.ok(unnamed.isWhole)
  assert.match(unnamed.notes.join(), /No key was named/)
})

test('of a stolen key, seals before the revocation hold when anchored; later ones, and what a thief says, do not', () => {
  const root = newKey()
  const [first, second, thief] = [newKey(), newKey(), newKey()]
  const log = [sealedLog(0, (index) => (index < 2 ? first : second))]
  const known = [introduce(root, root, 1), introduce(first, root, 2), introduce(second, root, 3)]
  const by = { keys: [root.fingerprint], anchors: anchorsOf(log) }
  const from = { 'actions/0': 9 }
  const revoked = exportOf(log, [...known, revoke(first.fingerprint, second, 4, from)])
  assert.deepEqual(problemsOf(revoked, by), [])
  assert.deepEqual(kinds(problemsOf(revoked, { keys: by.keys })), ['revoked key 4', 'revoked key 9'])
  const earlier = exportOf(log, [...known, revoke(first.fingerprint, root, 4, { 'actions/0': 8 })])
  assert.deepEqual(kinds(problemsOf(earlier, by)), ['revoked key 9'])
  // the thief introduces a key of his own and revokes the plant's
  const stolen = exportOf(log, [...known, introduce(thief, first, 5), revoke(second.fingerprint, first, 5, {})])
  assert.deepEqual(kinds(problemsOf(stolen, by)).slice(0, 1), ['revoked key 14'], 'until the theft is told of')
  const told = exportOf(log, [
    ...known,
    introduce(thief, first, 5),
    revoke(first.fingerprint, root, 6, from),
    revoke(root.fingerprint, thief, 7, {}),
  ])
  assert.deepEqual(kinds(problemsOf(told, by)), ['key null'])
  const sealedByThief = [sealedLog(0, (index) => (index < 2 ? first : thief))]
  const hidden = exportOf(sealedByThief, [...known, introduce(thief, first, 5), revoke(first.fingerprint, root, 6, from)])
  assert.ok(kinds(problemsOf(hidden, { keys: by.keys, anchors: anchorsOf(sealedByThief) })).includes('unknown key 14'))
})

test('the root is that of RFC 6962', () => {
  const leaves = Array.from({ length: 7 }, (_, at) => Buffer.alloc(32, at))
  const node = (...parts: Buffer[]) => merkleRoot(parts)
  const left = node(node(leaves[0]!, leaves[1]!), node(leaves[2]!, leaves[3]!))
  assert.deepEqual(merkleRoot(leaves), node(left, node(node(leaves[4]!, leaves[5]!), leaves[6]!)))
})
