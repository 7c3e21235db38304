// The verifier of fault runs on plain records: what senders were told against what lies on a topic. It knows ids, order and
// bytes and nothing of the code under test; record-ledger.unit.test.ts plants errors that it has to find.

/** A record as its reader found it. */
export interface FoundRecord {
  readonly id: string
  /** Records of one lane keep the order of their numbers. */
  readonly lane: string
  readonly number: number
  /** Bytes or a digest of them: two records with one id have to be equal. */
  readonly content: string
}

export interface RecordLedger {
  /** Ids that have to be there: senders were told so, or their cause was. */
  readonly acknowledged: ReadonlySet<string>
  /** Ids that may be there: sent, and never answered for. Default none. */
  readonly unanswered?: ReadonlySet<string>
  /** What a reader got, in reading order, after the deduplication that the promise under test includes. */
  readonly found: readonly FoundRecord[]
}

export interface RecordVerdict {
  readonly acknowledged: number
  readonly lost: number
  readonly duplicates: number
  readonly misordered: number
  /** First findings of each kind, in words; empty = the ledger is clean. */
  readonly problems: readonly string[]
}

/** At most this many findings of one kind are put into words. */
const WORDS_PER_KIND = 3

export const verifyRecords = ({ acknowledged, unanswered = new Set(), found }: RecordLedger): RecordVerdict => {
  const problems: string[] = []
  const tally = () => {
    let count = 0
    return {
      add: (problem: string): void => void (++count <= WORDS_PER_KIND && problems.push(problem)),
      get count() {
        return count
      },
    }
  }
  const [lost, duplicates, misordered, foreign] = [tally(), tally(), tally(), tally()]
  const contents = new Map<string, string>()
  const newest = new Map<string, number>()
  for (const { id, lane, number, content } of found) {
    const before = contents.get(id)
    if (before !== undefined) {
      duplicates.add(`${id} is there twice${before === content ? '' : ', with different contents'}`)
      continue
    }
    contents.set(id, content)
    if (!acknowledged.has(id) && !unanswered.has(id)) foreign.add(`${id} is there, and nobody sent it`)
    const last = newest.get(lane) ?? -Infinity
    if (number < last) misordered.add(`${id} of ${lane} comes after number ${last}`)
    newest.set(lane, Math.max(last, number))
  }
  for (const id of acknowledged) if (!contents.has(id)) lost.add(`${id} was acknowledged and is not there`)
  return { acknowledged: acknowledged.size, lost: lost.count, duplicates: duplicates.count, misordered: misordered.count, problems }
}

/** Several ledgers of one run judged as one. */
export const sumVerdicts = (verdicts: readonly RecordVerdict[]): RecordVerdict => {
  const total = (of: (verdict: RecordVerdict) => number): number => verdicts.reduce((sum, verdict) => sum + of(verdict), 0)
  return {
    acknowledged: Math.max(0, ...verdicts.map(({ acknowledged }) => acknowledged)),
    lost: total(({ lost }) => lost),
    duplicates: total(({ duplicates }) => duplicates),
    misordered: total(({ misordered }) => misordered),
    problems: verdicts.flatMap(({ problems }) => problems),
  }
}
