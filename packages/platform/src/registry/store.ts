// `_schemas` through the log port: follows the topic into the state and appends to it. One writer at a time: a registry that starts says so
// with a NOOP record; one that already runs answers with another, and the newcomer ends.

import { randomUUID } from 'node:crypto'
import { AndonError } from '@andon/kit/errors'
import type { Follow, Log } from '@andon/kit/log/port'
import { type Entry, decodeEntry, encodeEntry } from './records.ts'
import { RegistryState } from './state.ts'

export const SCHEMAS_TOPIC = '_schemas'

/** Id a removed version had, on its tombstone: ids lie in stored records and are never given twice. */
const RETIRED_ID = 'andon-retired-id'
const CLAIM = 'andon-registry'

export interface RegistryStore {
  readonly state: RegistryState
  /** Resolves when the state holds everything that is in the topic now. Rejects when another registry has the topic. */
  catchUp(): Promise<void>
  /** Appends, then catches up. */
  append(entries: readonly Entry[]): Promise<void>
  /** Rejects when following ends: the topic is gone, or another registry has it. */
  readonly failed: Promise<never>
  close(): Promise<void>
}

/** Opens the topic (and creates it), reads it whole, and claims it. `claimMs`: how long a running registry has to object. */
export const openRegistryStore = async (log: Log, claimMs = 400): Promise<RegistryStore> => {
  await log.admin.ensureTopics([
    {
      name: SCHEMAS_TOPIC,
      partitions: 1,
      configs: {
        'cleanup.policy': 'compact',
        'flush.messages': '1',
        // Tombstones carry retired ids: they stay.
        'delete.retention.ms': '9223372036854775807',
      },
    },
  ])

  const state = new RegistryState()
  const name = randomUUID()
  let hasClaimed = false
  let isKept = false
  let fail: (error: Error) => void = () => undefined
  const failed = new Promise<never>((_, reject) => (fail = reject))
  failed.catch(() => undefined) // whoever works with the store sees it through `check` or `failed`
  let failure: AndonError | undefined

  const append = async (entries: readonly Entry[], claim?: 'start' | 'keep'): Promise<void> => {
    await log.append(
      entries.map((entry) => {
        const removed =
          entry.kind === 'schema' && entry.value === null
            ? state.versions(entry.subject, true).find((each) => each.version === entry.version)
            : undefined
        const headers: Record<string, string> = {
          ...(removed === undefined ? {} : { [RETIRED_ID]: String(removed.id) }),
          ...(claim === undefined ? {} : { [CLAIM]: `${claim} ${name}` }),
        }
        return { topic: SCHEMAS_TOPIC, partition: 0, ...encodeEntry(entry), headers }
      }),
    )
  }

  const onClaim = async (claim: string): Promise<void> => {
    const [what, who] = claim.split(' ')
    if (!hasClaimed || who === name) return
    if (what === 'start' && isKept) await append([{ kind: 'noop' }], 'keep')
    if (what === 'keep') {
      failure = new AndonError(
        'ANDON_REGISTRY_SECOND_WRITER',
        `Another schema registry writes ${SCHEMAS_TOPIC} of this cluster. Use that one, or stop it first.`,
      )
      fail(failure)
    }
  }

  const follow: Follow = await log.follow({
    topics: [SCHEMAS_TOPIC],
    async onBatch(batch) {
      for (const record of batch.records) {
        const entry = decodeEntry(record.key, record.value)
        if (entry !== undefined) state.apply(entry, Number(record.header(RETIRED_ID) ?? 0))
        const claim = record.header(CLAIM)
        if (claim !== undefined) await onClaim(claim)
      }
    },
  })
  follow.ended.catch((error: Error) => fail(error))

  const catchUp = async (): Promise<void> => {
    if (failure !== undefined) throw failure
    await Promise.race([follow.caughtUp(), failed])
    if (failure !== undefined) throw failure
  }

  await catchUp()
  hasClaimed = true
  await append([{ kind: 'noop' }], 'start')
  await new Promise((resolve) => setTimeout(resolve, claimMs))
  await catchUp()
  isKept = true

  return {
    state,
    catchUp,
    failed,
    async append(entries) {
      await append(entries)
      await catchUp()
    },
    close: () => follow.stop(),
  }
}
