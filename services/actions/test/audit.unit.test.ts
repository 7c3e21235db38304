// Two processes that both believe they own a partition, appends whose result is lost, and ends at any moment: the seals that count
// cover every offset once, and a verifier finds nothing to say.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import {
  auditRecord,
  canonicalJson,
  digestLine,
  fieldDigests,
  filesIn,
  introduce,
  newKey,
  recordLine,
  sealLine,
  verifyExport,
} from '@andon/audit'
import type { RangeSeal, SignedSeal } from '@andon/audit'
import { createHash } from 'node:crypto'
import { record } from '@andon/decisions'
import { createLogger, createMetrics, decodedOr, localCodec, openMemoryLog } from '@andon/kit'
import type { Log } from '@andon/kit'
import type { Actions } from '@andon/schemas'
import { openActionsLog } from '../src/actions-log.ts'
import type { ActionsLog } from '../src/actions-log.ts'
import { Anchors } from '../src/audit/anchors.ts'
import { PartitionAuditor } from '../src/audit/auditor.ts'
import type { PartitionOwner } from '../src/owner.ts'
import { PartitionLog, systemClock } from '../src/partition-log.ts'
import type { Term } from '../src/term.ts'
import { tempDir } from './rig.ts'

const codec = localCodec()
const logger = createLogger({ service: 'actions', level: 'silent' })
const sealed = createMetrics('actions').counter('andon_actions_range_seals_total', 'Ranges of the log that were sealed')
const key = newKey()

/** What an auditor sees of an owner: one that takes the partition when told, and may be late with its seal. */
const ownerOn = async (log: Log, actionsLog: ActionsLog, folder: string) => {
  const anchors = await Anchors.open(folder, key, 1, logger)
  const nowUs = (): number => systemClock.nowUs()
  const auditor = new PartitionAuditor({
    log,
    codec,
    partition: 0,
    key,
    anchors,
    everyRecords: 3,
    everyMs: 900_000,
    authorityUrl: null,
    nowUs,
    sealed,
    logger,
  })
  const partitionLog = new PartitionLog({
    log: actionsLog,
    partition: 0,
    clock: systemClock,
    logger,
    onCounted: (entry) => auditor.note(entry),
    onVoid: () => {},
  })
  let term: Term | undefined
  const rig = {
    beforeNote: async () => {},
    take: async () => {
      term = await partitionLog.take()
      assert.ok(term)
    },
    look: () => auditor.look(owner),
    read: () => partitionLog.read(),
  }
  const owner = {
    log: partitionLog,
    get epoch() {
      return term && !term.hasEnded ? term.epoch : 0
    },
    async note(facts: (atUs: number) => readonly Actions[]) {
      if (!term || term.hasEnded) return
      const noted = facts(partitionLog.stampUs())
      await rig.beforeNote()
      if (noted.length > 0) await partitionLog.append(term, noted)
    },
  } as unknown as PartitionOwner
  return rig
}

const world = async (t: TestContext) => {
  const log = openMemoryLog({ partitions: 1 })
  await log.admin.ensureTopics([{ name: 'actions', partitions: 1 }])
  const actionsLog = openActionsLog(log, codec, logger)
  const folder = join(tempDir(t), 'anchors')
  let asked = 0
  const ask = async (count: number) => {
    for (let n = 0; n < count; n += 1)
      await actionsLog.append(0, [record('CallRequested', `call-${(asked += 1)}`, 'line-1', Date.now() * 1000, { by: 'p-operator' })])
  }
  /** All records and seals as an export, judged with the anchors. */
  const verdict = async () => {
    const records: string[] = []
    const digests: string[] = []
    const seals: SignedSeal[] = []
    for await (const batch of log.read({ topic: 'actions', partition: 0, from: 'earliest', to: 'latest' }))
      for (const stored of batch.records) {
        const one = auditRecord(stored)
        records.push(`${recordLine(one)}\n`)
        digests.push(`${digestLine(one.offset, fieldDigests(one))}\n`)
        const { rangeSeal } = (await decodedOr<Actions>(codec, stored)) ?? {}
        if (rangeSeal)
          seals.push({
            offset: one.offset,
            seal: JSON.parse(rangeSeal.body) as RangeSeal,
            signature: rangeSeal.signature.toString('base64'),
          })
      }
    const files = new Map(
      [
        ['keys.jsonl', `${canonicalJson(introduce(key, key, 1))}\n`],
        ['records/actions-0.jsonl', records.join('')],
        ['digests/actions-0.jsonl', digests.join('')],
        ['seals/actions-0.jsonl', seals.map((one) => `${sealLine(one)}\n`).join('')],
      ].map(([name, text]) => [name!, Buffer.from(text!)]),
    )
    const manifest = {
      format: 'andon-audit-1',
      toEnd: true,
      partitions: [{ topic: 'actions', partition: 0, from: 0, to: records.length }],
      files: Object.fromEntries([...files].map(([name, content]) => [name, createHash('sha256').update(content).digest('hex')])),
    }
    files.set('manifest.json', Buffer.from(`${canonicalJson(manifest)}\n`))
    return { ...verifyExport(files, { keys: [key.fingerprint], anchors: filesIn(folder) }), all: seals }
  }
  return { log, actionsLog, folder, ask, verdict }
}

test('a seal that lands after another took the partition is void, and the range is sealed once', async (t) => {
  const { log, actionsLog, folder, ask, verdict } = await world(t)
  const [first, second] = [await ownerOn(log, actionsLog, folder), await ownerOn(log, actionsLog, folder)]
  await first.take()
  await ask(4)
  await first.read()
  first.beforeNote = async () => {
    await second.take()
    await second.look()
  }
  await first.look()
  await ask(4)
  await second.read()
  await second.look()
  const { problems, notes, all, partitions } = await verdict()
  assert.deepEqual(problems, [])
  assert.equal(all.length, (partitions[0]?.seals ?? 0) + 1, 'one seal is void')
  assert.match(notes.join(), /1 void seals/)
})

test('a seal whose acknowledgement is lost is not written twice; one that was never sent is made up for', async (t) => {
  for (const lands of [true, false]) {
    const { log, actionsLog, folder, ask, verdict } = await world(t)
    const flaky: ActionsLog = {
      ...actionsLog,
      async append(partition, records, traceparent) {
        if (records[0]?.type !== 'RangeSealed') return actionsLog.append(partition, records, traceparent)
        if (lands) await actionsLog.append(partition, records, traceparent)
        throw new Error('connection lost')
      },
    }
    const killed = await ownerOn(log, flaky, folder)
    await killed.take()
    await ask(4)
    await killed.read()
    await assert.rejects(killed.look())
    const next = await ownerOn(log, actionsLog, folder)
    await next.take()
    await next.look()
    await ask(3)
    await next.read()
    await next.look()
    const { problems, notes, all } = await verdict()
    assert.deepEqual(problems, [])
    assert.deepEqual(notes, [], 'every seal is anchored')
    assert.deepEqual(
      all.map(({ seal }) => seal.index),
      [0, 1],
    )
  }
})
