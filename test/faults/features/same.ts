// The verifier of replays on plain records: what a disturbed run gave against what an undisturbed one gave, record by record. It knows ids,
// order and bytes and nothing of the code under test; same.unit.test.ts plants errors that it has to find.

import type { RecordVerdict } from '../../harness/record-ledger.ts'

/** A record as its reader found it. */
export interface ReadRecord {
  readonly id: string
  readonly partition: number
  /** Key, headers and body in one text: two records with one id have to be equal in all of them. */
  readonly content: string
}

export interface SameOptions {
  /** Readers drop what comes twice, so it may; in transactions nobody may see anything twice. */
  readonly mayRepeat: boolean
}

/** At most this many findings of one kind are put into words. */
const WORDS_PER_KIND = 3

/** Both lists are in reading order per partition. */
export const verifySame = (
  expected: readonly ReadRecord[],
  found: readonly ReadRecord[],
  { mayRepeat }: SameOptions,
): RecordVerdict & { readonly repeats: number } => {
  const problems: string[] = []
  const counts = { lost: 0, duplicates: 0, misordered: 0, different: 0 }
  const tell = (kind: keyof typeof counts, words: string): void => void (++counts[kind] <= WORDS_PER_KIND && problems.push(words))
  const wanted = new Map(expected.map((record) => [record.id, record]))
  if (wanted.size < expected.length) tell('duplicates', `the undisturbed run gave ${expected.length - wanted.size} records twice`)
  const first = new Map<string, ReadRecord>()
  let repeats = 0
  for (const record of found) {
    const { id, content } = record
    const before = first.get(id)
    if (before === undefined) {
      first.set(id, record)
      if (!wanted.has(id)) tell('different', `${id} is there, and the undisturbed run has no such record`)
      else if (wanted.get(id)!.content !== content)
        tell('different', `${id} is not the same: ${difference(wanted.get(id)!.content, content)}`)
      continue
    }
    repeats++
    if (!mayRepeat) tell('duplicates', `${id} is there twice`)
    else if (before.content !== content) tell('different', `${id} came again as another: ${difference(before.content, content)}`)
  }
  for (const { id } of expected) if (!first.has(id)) tell('lost', `${id} is not there`)
  const foundIds = byPartition([...first.values()])
  for (const [partition, ids] of byPartition(expected)) {
    const others = foundIds.get(partition) ?? []
    const at = ids.findIndex((id, i) => others[i] !== id)
    if (at >= 0 && others.length >= ids.length)
      tell('misordered', `record ${at} of partition ${partition} is ${others[at]}, expected ${ids[at]}`)
  }
  const { lost, duplicates, misordered } = counts
  return { acknowledged: wanted.size, lost, duplicates, misordered, problems, repeats }
}

const byPartition = (records: readonly ReadRecord[]): Map<number, string[]> => {
  const lists = new Map<number, string[]>()
  for (const { partition, id } of records) {
    const list = lists.get(partition)
    if (list) list.push(id)
    else lists.set(partition, [id])
  }
  return lists
}

/** The first place where they differ, with a little around it. */
const difference = (a: string, b: string): string => {
  let at = 0
  while (at < a.length && a[at] === b[at]) at++
  const around = (text: string): string => text.slice(Math.max(0, at - 20), at + 20)
  return `…${around(a)}… and …${around(b)}…`
}
