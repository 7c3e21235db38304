// Outgoing record → safe. Takes a place in its lane, writes it to the spool, wakes the pump, and tells when a sender may be acknowledged:
// on one node once the spool has it on disk, with three or more brokers once the brokers have it (DESIGN §3.1).

import { fromEntry, toEntry } from './outgoing.ts'
import type { Outgoing } from './outgoing.ts'
import type { Held, HeldEntry } from './held.ts'
import type { OpenedSpool } from './adapters/spool.ts'

export type AcknowledgeWhen = 'spooled' | 'published'

export interface Keeper {
  /** Resolves when the sender may be acknowledged; rejects when the record could not be written, and then it is forgotten. */
  keep(record: Outgoing): Promise<void>
  /** The record of a held entry, from memory or read back from the spool. */
  recordOf(entry: HeldEntry): Promise<Outgoing>
}

export interface KeeperDeps {
  readonly held: Held
  readonly spool: OpenedSpool['spool']
  readonly acknowledgeWhen: AcknowledgeWhen
  /** Something waits to be sent. */
  readonly wake: () => void
}

export const keeper = ({ held, spool, acknowledgeWhen, wake }: KeeperDeps): Keeper => ({
  keep: async (record) => {
    const entry = held.push(record)
    try {
      held.stored(entry, await spool.append(toEntry(record)), record)
    } catch (error) {
      held.abandon(entry, error)
      throw error
    }
    wake()
    if (acknowledgeWhen === 'published') await entry.published.promise
  },
  recordOf: async (entry) => entry.record ?? fromEntry(await spool.read(entry.ref!)),
})

/** Puts what an earlier process left in the spool back into its lanes, in order; all of it is sent again. Returns the records' identities. */
export const restoreHeld = (held: Held, opened: OpenedSpool): string[] => {
  const identities: string[] = []
  for (const { ref, body } of opened.found) {
    const record = fromEntry(body)
    held.stored(held.push(record), ref, record)
    identities.push(...record.identities)
  }
  return identities
}
