// andon quarantine: readings that ingest refused, with why; release puts them back after the plant file, the mapping or the range was
// corrected. Looked at and discarded as dead letters are (dlq.ts); only the way back is another: through ingest's door.

import type { Log } from '@andon/kit'
import { settlement } from '@andon/kit/dead-letters'
import { type Context, CommandError, tokenOf } from '../context.ts'
import { placeOf } from '../data/letters.ts'
import type { Letter } from '../data/letters.ts'
import { chunksByPartition, recordsAt } from '../data/records.ts'
import { QUARANTINE_TOPIC, type Release, releaseOf } from '../data/releases.ts'
import { callDoor } from '../door.ts'
import { EXIT } from '../exit.ts'
import { withLog } from '../kafka.ts'
import { print, table } from '../output.ts'
import { type ChooseOptions, choose, discardDlq, listDlq, showDlq } from './dlq.ts'

export const listQuarantine = (context: Context, options: ChooseOptions): Promise<void> => listDlq(context, QUARANTINE_TOPIC, options)

export const showQuarantine = (context: Context, place: string | undefined, options: ChooseOptions): Promise<void> =>
  showDlq(context, QUARANTINE_TOPIC, place, options)

export const discardQuarantine = (context: Context, options: ChooseOptions & { readonly reason: string }): Promise<void> =>
  discardDlq(context, QUARANTINE_TOPIC, options)

export interface ReleaseOptions extends ChooseOptions {
  readonly as: string
  readonly reason: string
}

/** What ingest answers: per release that it refuses, its place in the request and why. */
interface Receipt {
  readonly accepted: number
  readonly refused: readonly { readonly index: number; readonly code: string; readonly message: string }[]
}

/** What became of one chosen letter. */
interface Outcome {
  readonly at: string
  readonly outcome: 'released' | 'would release' | 'still refused' | 'cannot'
  readonly why: string
}

interface Ready {
  readonly letter: Letter
  readonly release: Release
}

// What ingest takes in one request: 1000 releases, 16 MiB.
const maxReleases = 1000
const maxBytes = 8 * 1024 * 1024
const timeoutMs = 60_000

/**
 * Sends chosen readings to the ingest door again; those it takes are settled, those it refuses say why and stay open. Without --yes ingest
 * says what it would do.
 */
export const releaseQuarantine = (context: Context, options: ReleaseOptions): Promise<void> =>
  withLog(context, async (log) => {
    const letters = await choose(log, QUARANTINE_TOPIC, options)
    if (letters.length === 0)
      throw new CommandError(EXIT.failed, 'Nothing to release. `andon quarantine ls --all` shows settled readings too.')
    const outcomes: Outcome[] = []
    for (const chunk of chunksByPartition(letters, ({ partition }) => partition, maxReleases)) {
      const { ready, cannot } = await prepared(log, chunk)
      outcomes.push(...cannot)
      for (const request of requestsOf(ready)) outcomes.push(...(await send(context, log, request, options)))
    }
    print(options.json === true, { outcomes, sent: options.yes === true }, () =>
      [
        table([['AT', 'OUTCOME', 'WHY'], ...outcomes.map(({ at, outcome, why }) => [at, outcome, why || '-'])]),
        ...(options.yes ? [] : ['Nothing was sent. Add --yes to do it.']),
      ].join('\n'),
    )
  })

const prepared = async (log: Log, letters: readonly Letter[]): Promise<{ ready: Ready[]; cannot: Outcome[] }> => {
  const byOffset = new Map((await recordsAt(log, letters)).map((record) => [record.offset, record]))
  const ready: Ready[] = []
  const cannot: Outcome[] = []
  for (const letter of letters) {
    const record = byOffset.get(letter.offset)
    const release = record === undefined ? { whyNot: 'the record is gone' } : releaseOf(record)
    if ('whyNot' in release) cannot.push({ at: placeOf(letter), outcome: 'cannot', why: release.whyNot })
    else ready.push({ letter, release })
  }
  return { ready, cannot }
}

/** As many in one request as fit. A reading is below 1 MiB. */
const requestsOf = (ready: readonly Ready[]): Ready[][] => {
  const requests: Ready[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const each of ready) {
    const length = JSON.stringify(each.release).length
    if (bytes + length > maxBytes) {
      requests.push([])
      bytes = 0
    }
    requests.at(-1)!.push(each)
    bytes += length
  }
  return requests
}

const send = async (context: Context, log: Log, ready: readonly Ready[], options: ReleaseOptions): Promise<Outcome[]> => {
  const { reason, yes = false } = options
  const { body } = await callDoor<Receipt>('POST', `${context.doors.ingest}/v1/releases`, {
    token: tokenOf(context, options.as),
    body: { reason, dryRun: !yes, releases: ready.map(({ release }) => release) },
    timeoutMs,
  })
  const refused = new Map(body.refused.map((each) => [each.index, each]))
  const taken = ready.filter((_, index) => !refused.has(index))
  if (yes) await log.append(taken.map(({ letter }) => settlement(letter, { as: 'released', reason })))
  return ready.map(({ letter }, index): Outcome => {
    const still = refused.get(index)
    if (still !== undefined) return { at: placeOf(letter), outcome: 'still refused', why: `${still.code}: ${still.message}` }
    return { at: placeOf(letter), outcome: yes ? 'released' : 'would release', why: yes ? reason : '' }
  })
}
