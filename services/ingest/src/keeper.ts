// Outgoing record → safe. Takes a place in the spool and in its lane, wakes the pump, and tells when a sender may be acknowledged:
// on one node once the spool has it on disk, with three or more brokers once the brokers have it (DESIGN §3.1).

import { entryBytes, fromEntry, putEntry } from './outgoing.ts'
import type { Outgoing } from './outgoing.ts'
import type { Held, HeldEntry } from './held.ts'
import type { Spool, SpoolGroup } from './adapters/spool.ts'

export type AcknowledgeWhen = 'spooled' | 'published'

export interface Keeper {
  /**
   * Resolves when the sender may be acknowledged; rejects when the record could not be written, and then it is forgotten.
   * Records that become safe together share the promise.
   */
  keep(record: Outgoing): Promise<void>
  /** The record of a held entry, from memory or read back from the spool. */
  recordOf(entry: HeldEntry): Outgoing | Promise<Outgoing>
}

export interface KeeperDeps {
  readonly held: Held
  readonly spool: Spool
  readonly acknowledgeWhen: AcknowledgeWhen
  /** Something waits to be sent. */
  readonly wake: () => void
}

export const keeper = ({ held, spool, acknowledgeWhen, wake }: KeeperDeps): Keeper => {
  const isAwaited = acknowledgeWhen === 'published'
  let gathering: SpoolGroup | undefined
  return {
    keep: (record) => {
      const ref = spool.append(entryBytes(record), (into, at) => putEntry(record, into, at))
      const { group } = ref
      if (group !== gathering) {
        gathering = group
        group.safe.then(wake, (error: unknown) => held.abandon(group, error)) // before any sender hears of it
      }
      const { published } = held.push(record, ref, isAwaited)
      return published?.promise ?? group.safe
    },
    recordOf: (entry) => entry.record ?? spool.read(entry.ref).then(fromEntry),
  }
}
