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

interface Receipt {
  readonly accepted: number
  readonly duplicates: number
  readonly quarantined: readonly { readonly index: number; readonly code: string; readonly message: string }[]
}

/** What became of one chosen letter. */
interface Outcome {
  readonly at: string
  readonly outcome: 'released' | 'would release' | 'still refused' | 'cannot'
  readonly why: string
}

const CHUNK = 200

/** Sends chosen readings to the ingest door again; those it takes are settled, those it refuses say why and stay open. */
export const releaseQuarantine = (context: Context, options: ReleaseOptions): Promise<void> =>
  withLog(context, async (log) => {
    const letters = await choose(log, QUARANTINE_TOPIC, options)
    if (letters.length === 0)
      throw new CommandError(EXIT.failed, 'Nothing to release. `andon quarantine ls --all` shows settled readings too.')
    const outcomes: Outcome[] = []
    for (const chunk of chunksByPartition(letters, ({ partition }) => partition, CHUNK))
      outcomes.push(...(await releaseChunk(context, log, chunk, options)))
    print(options.json === true, { outcomes, sent: options.yes === true }, () =>
      [
        table([['AT', 'OUTCOME', 'WHY'], ...outcomes.map(({ at, outcome, why }) => [at, outcome, why || '-'])]),
        ...(options.yes ? [] : ['Nothing was sent. Add --yes to do it.']),
      ].join('\n'),
    )
  })

const releaseChunk = async (context: Context, log: Log, letters: readonly Letter[], options: ReleaseOptions): Promise<Outcome[]> => {
  const byOffset = new Map((await recordsAt(log, letters)).map((record) => [record.offset, record]))
  const outcomes: Outcome[] = []
  const ready: { letter: Letter; release: Release }[] = []
  for (const letter of letters) {
    const record = byOffset.get(letter.offset)
    const release = record === undefined ? { whyNot: 'the record is gone' } : releaseOf(record)
    if ('whyNot' in release) outcomes.push({ at: placeOf(letter), outcome: 'cannot', why: release.whyNot })
    else ready.push({ letter, release })
  }
  if (ready.length === 0) return outcomes
  if (!options.yes)
    return [...outcomes, ...ready.map(({ letter }) => ({ at: placeOf(letter), outcome: 'would release' as const, why: '' }))]
  const { body } = await callDoor<Receipt>('POST', `${context.doors.ingest}/v1/releases`, {
    token: tokenOf(context, options.as),
    body: { reason: options.reason, releases: ready.map(({ release }) => release) },
  })
  const refused = new Map(body.quarantined.map((each) => [each.index, each]))
  const taken = ready.filter((_, index) => !refused.has(index))
  await log.append(taken.map(({ letter }) => settlement(letter, { as: 'released', reason: options.reason })))
  return [
    ...outcomes,
    ...ready.map(({ letter }, index) => {
      const still = refused.get(index)
      return still === undefined
        ? ({ at: placeOf(letter), outcome: 'released', why: options.reason } as const)
        : ({ at: placeOf(letter), outcome: 'still refused', why: `${still.code}: ${still.message}` } as const)
    }),
  ]
}
