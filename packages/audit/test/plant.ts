// A sealed log of two partitions as an export in memory, and ways to damage it.

import { createHash } from 'node:crypto'
import { canonicalJson, digestLine, fieldDigests, introduce, newKey, recordLine, SEAL_TYPE, sealLine, sealRange } from '../src/index.ts'
import type { AuditRecord, KeyStatement, RangeSeal, SealingKey, SignedSeal } from '../src/index.ts'

export interface SealedLog {
  readonly records: AuditRecord[]
  readonly seals: SignedSeal[]
}

export const recordAt = (partition: number, offset: number, value = `decision ${partition}/${offset} `.repeat(5)): AuditRecord => ({
  topic: 'actions',
  partition,
  offset,
  timestampMs: 1_700_000_000_000 + offset,
  key: offset % 5 === 4 ? null : Buffer.from('line-1'),
  value: Buffer.from(value),
  headers: [
    ['ce_id', Buffer.from(`id-${offset}`)],
    ['ce_type', Buffer.from('StepApproved')],
  ],
})

/** Owns from offset `ownedFrom` and seals everything that is there; the seal goes on the log. */
export const seal = (log: SealedLog, partition: number, key: SealingKey, owned: { epoch: number; ownedFrom: number }): RangeSeal => {
  const before = log.seals.at(-1)?.seal
  const from = before?.to ?? 0
  const to = (log.records.at(-1)?.offset ?? -1) + 1
  const digests = log.records.filter(({ offset }) => offset >= from).map(fieldDigests)
  const made = sealRange({ topic: 'actions', partition, from, to, ...owned, atUs: to * 1000 }, digests, before, key)
  const value = Buffer.concat([Buffer.from('seal '), made.signature])
  log.records.push({ ...recordAt(partition, to), value, headers: [['ce_type', Buffer.from(SEAL_TYPE)]] })
  log.seals.push({ offset: to, seal: made.seal, signature: made.signature.toString('base64') })
  return made.seal
}

/** `seals` seals over four records each, then an unsealed tail of two. */
export const sealedLog = (partition: number, keyOf: (index: number) => SealingKey, seals = 3): SealedLog => {
  const log: SealedLog = { records: [], seals: [] }
  const add = (count: number): void => {
    for (let n = 0; n < count; n += 1) log.records.push(recordAt(partition, (log.records.at(-1)?.offset ?? -1) + 1))
  }
  for (let index = 0; index < seals; index += 1) {
    add(4)
    seal(log, partition, keyOf(index), { epoch: 1, ownedFrom: 0 })
  }
  add(2)
  return log
}

const lines = (all: readonly string[]): Buffer => Buffer.from(all.map((line) => `${line}\n`).join(''))

/** Files of an export; `digests`: what was kept at sealing, where the records are no longer that. */
export const exportOf = (
  logs: readonly SealedLog[],
  statements: readonly KeyStatement[],
  more: { readonly digests?: readonly SealedLog[]; readonly to?: number; readonly toEnd?: boolean } = {},
): Map<string, Buffer> => {
  const files = new Map<string, Buffer>([['keys.jsonl', lines(statements.map(canonicalJson))]])
  for (const [partition, { records, seals }] of logs.entries()) {
    const kept = more.digests?.[partition]?.records ?? records
    files.set(`records/actions-${partition}.jsonl`, lines(records.map(recordLine)))
    files.set(`digests/actions-${partition}.jsonl`, lines(kept.map((record) => digestLine(record.offset, fieldDigests(record)))))
    files.set(`seals/actions-${partition}.jsonl`, lines(seals.map(sealLine)))
  }
  const digests = Object.fromEntries([...files].map(([name, content]) => [name, createHash('sha256').update(content).digest('hex')]))
  const partitions = logs.map(({ records }, partition) => ({
    topic: 'actions',
    partition,
    from: records[0]?.offset ?? 0,
    to: more.to ?? (records.at(-1)?.offset ?? -1) + 1,
  }))
  const manifest = { format: 'andon-audit-1', toEnd: more.toEnd ?? true, partitions, files: digests }
  return files.set('manifest.json', lines([canonicalJson(manifest)]))
}

/** A folder of anchors with these seals, as the owners fill it. */
export const anchorsOf = (logs: readonly SealedLog[]): Map<string, Buffer> =>
  new Map(
    logs.flatMap(({ seals }, partition) =>
      seals.flatMap((one): [string, Buffer][] => {
        const content = Buffer.from(sealLine(one))
        const digest = createHash('sha256').update(content).digest('hex')
        return [
          [`holds/seal-actions-${partition}-${one.seal.index}.json`, Buffer.from(JSON.stringify([`sha256:${digest}`]))],
          [`${digest.slice(0, 2)}/${digest}`, content],
        ]
      }),
    ),
  )

export const plant = () => {
  const key = newKey()
  const logs = [0, 1].map((partition) => sealedLog(partition, () => key))
  return { key, logs, statements: [introduce(key, key, 1)] }
}
