// actions → what people have said about fault modes, failures and episodes. A side input, followed whole; only facts of the
// partition's owner count. A word holds from the moment it lay on the log, so that replaying older windows does not know it yet.

import { emptyState, evolve } from '@andon/decisions'
import type { State } from '@andon/decisions'
import { followTopic } from '@andon/kit'
import type { Codec, Follow, Input, Log, Logger } from '@andon/kit'
import type { Actions, EpisodeVerdict, FailureRecord, FaultModeNote } from '@andon/schemas'

/** What a mode means for alarms: fault; normal and ignore want none; known is accepted for now. */
export type Standing = 'fault' | 'normal' | 'known' | 'ignore'
export type EpisodeWord = 'confirmed' | 'false-alarm' | 'normal-now' | 'planned' | 'unsure'

/** What a plant may teach before the oldest is forgotten. */
const MOST_MODES = 5_000
const MOST_NOTES_OF_A_MODE = 16
const MOST_FAILURES_OF_AN_ASSET = 1_000
const MOST_VERDICTS = 20_000
/** A word holds this long after it came onto the log: by then every instance has read it, whatever its clock says. */
export const WORD_DELAY_US = 2_000_000

const STANDINGS = new Set<string>(['fault', 'normal', 'known', 'ignore'] satisfies Standing[])

interface Said<T> {
  /** When it came onto the log, µs UTC. */
  readonly saidUs: number
  readonly what: T
}

/** A failure or an intervention that counts. */
export interface KnownFailure {
  readonly failureId: string
  readonly assetId: string
  /** Event time. */
  readonly atUs: number
  readonly record: FailureRecord
}

/** Whose failures: of one asset, or of all assets of a class. */
export type Whose = { readonly assetId: string } | { readonly classId: string }

/** `asOfUs` is always log time, µs UTC: the record time of the window in hand. Left out: all that is known. */
export class Teachings {
  private readonly classOf: (assetId: string) => string | undefined
  private readonly onUnfoldable: (partition: number, offset: number, error: unknown) => void
  private readonly states = new Map<number, State>()
  /** Newest last. */
  private readonly notes = new Map<string, Said<FaultModeNote>[]>()
  private readonly verdicts = new Map<string, Said<EpisodeVerdict>[]>()
  /** By asset, then by failure; newest word last. */
  private readonly failures = new Map<string, Map<string, Said<FailureRecord>[]>>()
  /** Modes by class, in the order in which they were first spoken of. */
  private readonly modes = new Map<string, Set<string>>()

  constructor(
    classOf: (assetId: string) => string | undefined = () => undefined,
    onUnfoldable: (partition: number, offset: number, error: unknown) => void = () => {},
  ) {
    this.classOf = classOf
    this.onUnfoldable = onUnfoldable
  }

  /** Records of one partition in log order; those that count for nobody change nothing. */
  apply(input: Pick<Input<Actions>, 'partition' | 'position' | 'timestampMs' | 'value'>): void {
    const { partition, position, timestampMs, value: record } = input
    const state = this.states.get(partition) ?? emptyState()
    this.states.set(partition, state)
    const appendedUs = timestampMs * 1000
    try {
      if (evolve(state, { record, offset: position.offset, appendedUs }) !== 'counted') return
    } catch (error) {
      this.onUnfoldable(partition, position.offset, error)
      return
    }
    this.learn(record, appendedUs)
  }

  /** Name that people gave, null where there is none. */
  nameOf(modeId: string, asOfUs?: number): string | null {
    return this.noteOf(modeId, asOfUs)?.name ?? null
  }

  standingOf(modeId: string, asOfUs?: number): Standing {
    const standing = this.noteOf(modeId, asOfUs)?.standing ?? 'fault'
    return STANDINGS.has(standing) ? (standing as Standing) : 'fault' // a word of a later version: alarms go on
  }

  /** All that was said of a mode: labels, causes, what to do. */
  noteOf(modeId: string, asOfUs?: number): FaultModeNote | undefined {
    return lastSaid(this.notes.get(modeId), asOfUs)
  }

  /** Modes of a class that somebody has spoken of. */
  modesOf(classId: string): string[] {
    return [...(this.modes.get(classId) ?? [])]
  }

  verdictOf(episodeId: string, asOfUs?: number): EpisodeWord | undefined {
    return lastSaid(this.verdicts.get(episodeId), asOfUs)?.verdict as EpisodeWord | undefined
  }

  /** The whole word: which mode the person says it was, and the note. */
  verdictNoteOf(episodeId: string, asOfUs?: number): EpisodeVerdict | undefined {
    return lastSaid(this.verdicts.get(episodeId), asOfUs)
  }

  /** Failures in event-time order; withdrawn ones are not among them. */
  failuresOf(whose: Whose, asOfUs?: number): KnownFailure[] {
    return this.recordsOf(whose, asOfUs).filter(({ record }) => record.kind !== 'intervention')
  }

  /** Service, repair and exchange that may have prevented a failure, in event-time order. */
  interventionsOf(whose: Whose, asOfUs?: number): KnownFailure[] {
    return this.recordsOf(whose, asOfUs).filter(({ record }) => record.kind === 'intervention')
  }

  private recordsOf(whose: Whose, asOfUs?: number): KnownFailure[] {
    const assets = 'assetId' in whose ? [whose.assetId] : [...this.failures.keys()].filter((id) => this.classOf(id) === whose.classId)
    const found: KnownFailure[] = []
    for (const assetId of assets)
      for (const [failureId, said] of this.failures.get(assetId) ?? []) {
        const record = lastSaid(said, asOfUs)
        if (record !== undefined && !record.withdrawn) found.push({ failureId, assetId, atUs: record.atUs, record })
      }
    return found.toSorted((a, b) => a.atUs - b.atUs || (a.failureId < b.failureId ? -1 : 1))
  }

  private learn({ type, faultMode, failure, episodeVerdict }: Actions, saidUs: number): void {
    if (type === 'FaultModeNamed' && faultMode !== null) this.learnMode({ saidUs, what: faultMode })
    else if ((type === 'FailureRecorded' || type === 'FailureWithdrawn') && failure !== null)
      this.learnFailure({ saidUs, what: type === 'FailureWithdrawn' ? { ...failure, withdrawn: true } : failure })
    else if (type === 'VerdictRecorded' && episodeVerdict !== null) {
      say(this.verdicts, episodeVerdict.episodeId, { saidUs, what: episodeVerdict })
      forgetOldest(this.verdicts, MOST_VERDICTS)
    }
  }

  private learnMode(said: Said<FaultModeNote>): void {
    const { modeId, classId } = said.what
    say(this.notes, modeId, said)
    this.modes.set(classId, (this.modes.get(classId) ?? new Set()).add(modeId))
    for (const forgotten of forgetOldest(this.notes, MOST_MODES)) for (const modes of this.modes.values()) modes.delete(forgotten)
  }

  private learnFailure(said: Said<FailureRecord>): void {
    const { assetId, failureId } = said.what
    const ofAsset = this.failures.get(assetId) ?? new Map<string, Said<FailureRecord>[]>()
    this.failures.set(assetId, ofAsset)
    say(ofAsset, failureId, said)
    if (ofAsset.size <= MOST_FAILURES_OF_AN_ASSET) return
    // the one that lies furthest back in event time says least about what comes next
    const timeOf = ([, words]: [string, Said<FailureRecord>[]]): number => words.at(-1)?.what.atUs ?? 0
    const [oldest] = [...ofAsset].reduce((least, one) => (timeOf(one) < timeOf(least) ? one : least))
    ofAsset.delete(oldest)
  }
}

/** Adds a word to its subject's list, in the order of the log, and moves the subject to the end. */
const say = <T>(all: Map<string, Said<T>[]>, key: string, said: Said<T>): void => {
  const words = all.get(key) ?? []
  // partitions are read side by side, and a class's home moves with its first asset: the time on the log decides
  const after = words.findLastIndex(({ saidUs }) => saidUs <= said.saidUs)
  words.splice(after + 1, 0, said)
  if (words.length > MOST_NOTES_OF_A_MODE) words.shift()
  all.delete(key)
  all.set(key, words)
}

const forgetOldest = <T>(all: Map<string, T>, most: number): string[] => {
  const forgotten = [...all.keys()].slice(0, Math.max(0, all.size - most))
  for (const key of forgotten) all.delete(key)
  return forgotten
}

const lastSaid = <T>(words: readonly Said<T>[] | undefined, asOfUs = Number.POSITIVE_INFINITY): T | undefined =>
  words?.findLast(({ saidUs }) => saidUs + WORD_DELAY_US <= asOfUs)?.what

export interface TeachingsFollow extends Follow {
  readonly teachings: Teachings
  /** Resolves once every word that holds for windows of this record time has been read; asks the log at most once per two seconds. */
  settled(recordUs: number): Promise<void>
}

/** Follows `actions` from its beginning. */
export const followTeachings = async (
  log: Log,
  codec: Codec,
  {
    logger,
    classOf,
    nowUs = () => Date.now() * 1000,
  }: { logger: Logger; classOf: (assetId: string) => string | undefined; nowUs?: () => number },
): Promise<TeachingsFollow> => {
  const teachings = new Teachings(classOf, (partition, offset, error) =>
    logger.error({ err: error, partition, offset }, 'record on actions cannot be folded and is left out'),
  )
  const follow = await followTopic<Actions>(log, codec, 'actions', (input) => teachings.apply(input), {
    onUndecodable: (record, error) => logger.error({ err: error, offset: record.offset }, 'undecodable record on actions is left out'),
  })
  let readUntilUs = 0
  const caughtUp = async (): Promise<void> => {
    const askedUs = nowUs()
    await follow.caughtUp()
    readUntilUs = Math.max(readUntilUs, askedUs)
  }
  return {
    teachings,
    ended: follow.ended,
    stop: () => follow.stop(),
    caughtUp,
    settled: async (recordUs) => {
      if (recordUs - WORD_DELAY_US > readUntilUs) await caughtUp()
    },
  }
}
