// The in-memory log keeps the promises of the log port.

import { MemoryStore, openMemoryLog } from '@andon/kit'
import { conformance } from './log-conformance.ts'

const stores = new Map<string, MemoryStore>()

conformance('memory', {
  patienceMs: 1000,
  open: async (namespace) => {
    const store = stores.get(namespace) ?? new MemoryStore(4)
    stores.set(namespace, store)
    return openMemoryLog({ namespace, store })
  },
})
