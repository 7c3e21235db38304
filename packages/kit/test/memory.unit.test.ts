// The in-memory log keeps the promises of the log port.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore, openMemoryLog } from '@andon/kit'
import type { MemoryLog } from '@andon/kit'
import { conformance } from './log-conformance.ts'

const stores = new Map<string, MemoryStore>()

conformance('memory', {
  patienceMs: 1000,
  open: async (namespace) => {
    const store = stores.get(namespace) ?? new MemoryStore(4)
    stores.set(namespace, store)
    return openMemoryLog({ namespace, store })
  },
  trim: (log, topic, partition, before) => (log as MemoryLog).trim(topic, partition, before),
  crash: (log) => (log as MemoryLog).crash(),
})

test('memory: nothing is appended after a record that the log has lost, until the caller starts afresh', async () => {
  const log = openMemoryLog({ partitions: 1 })
  const record = { topic: 'numbers', key: 'a', value: Buffer.from('x') }
  const [first, second] = await log.append([record, record])
  log.cut('numbers', 0, 1)
  await log.append([record], { after: [first!] })
  // Another record lies on the lost one's offset now; only the leader epoch tells.
  await assert.rejects(log.append([record], { after: [second!] }), { code: 'ANDON_LOG_TAIL_LOST', retriable: true })
  await log.append([record])
})
