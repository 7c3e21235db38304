// The plant's documents as a side input: `config` followed from its beginning, every version kept, read by event time.

import { documentKind, parseNamed } from '@andon/schemas'
import type { Config, DocumentKind } from '@andon/schemas'
import type { Codec } from './codec-port.ts'
import { followTopic } from './follow-topic.ts'
import { messageOf } from './errors.ts'
import type { Follow, Log } from './log/port.ts'
import type { Logger } from './logger.ts'

/** One version of a document. `value` has the type its kind says (Plant, FeatureSet, Policy, Commands, …). */
export interface ActiveDocument<T = unknown> {
  readonly name: string
  readonly kind: string
  /** SHA-256 (hex) of the body. */
  readonly digest: string
  readonly effectiveFromUs: number
  readonly value: T
}

export interface Documents {
  /** Newest version. */
  get<T>(name: string): ActiveDocument<T> | undefined
  /** Version that holds at an event time; where none was in force yet, the first one. */
  at<T>(name: string, timeUs: number): ActiveDocument<T> | undefined
  /** Newest version of every document of a kind, by name. */
  list<T>(kind: DocumentKind): ActiveDocument<T>[]
  /** Called after every new version, in log order. Returns what ends it. */
  onChange(listener: (document: ActiveDocument) => void): () => void
  /** Resolves when everything that was on `config` at the call has been read. */
  caughtUp(): Promise<void>
  stop(): Promise<void>
}

export interface FollowDocumentsOptions {
  /** Told about a document this build cannot read; the version before it stays in force. */
  readonly logger?: Pick<Logger, 'warn'>
}

/** Follows `config`. A version equal to the newest one changes nothing, so a repeated apply is no news. */
export const followDocuments = async (log: Log, codec: Codec, options: FollowDocumentsOptions = {}): Promise<Documents> => {
  const versions = new Map<string, ActiveDocument[]>()
  const listeners = new Set<(document: ActiveDocument) => void>()

  const apply = (record: Config): void => {
    let document: ActiveDocument
    try {
      const { name, kind, digest, effectiveFromUs } = record
      const body: unknown = JSON.parse(record.body)
      const value = documentKind(name) === undefined ? body : parseNamed(name, body).value
      document = { name, kind, digest, effectiveFromUs, value }
    } catch (error) {
      options.logger?.warn({ document: record.name, reason: messageOf(error) }, 'document ignored, the version before it stays in force')
      return
    }
    const known = versions.get(document.name) ?? []
    if (known.at(-1)?.digest === document.digest) return
    versions.set(document.name, [...known, document])
    for (const listener of listeners) listener(document)
  }

  const follow: Follow = await followTopic<Config>(log, codec, 'config', (input) => apply(input.value), {
    onUndecodable: (record, error) =>
      options.logger?.warn({ offset: record.offset, reason: messageOf(error) }, 'undecodable document ignored'),
    onReset: () => versions.clear(),
  })

  return {
    get: <T>(name: string) => versions.get(name)?.at(-1) as ActiveDocument<T> | undefined,
    at: <T>(name: string, timeUs: number) => {
      const known = versions.get(name)
      if (known === undefined) return undefined
      let at = known.length - 1
      while (at >= 0 && known[at]!.effectiveFromUs > timeUs) at--
      return known[Math.max(0, at)] as ActiveDocument<T>
    },
    list: <T>(kind: DocumentKind) =>
      [...versions.keys()]
        .toSorted()
        .map((name) => versions.get(name)?.at(-1))
        .filter((each) => each?.kind === kind) as ActiveDocument<T>[],
    onChange: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    caughtUp: () => follow.caughtUp(),
    stop: () => follow.stop(),
  }
}
