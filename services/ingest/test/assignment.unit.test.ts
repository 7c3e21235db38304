// Which instance polls which source, on the log in memory.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createLogger, MemoryStore, openMemoryLog } from '@andon/kit'
import { groupAssignment } from '../src/adapters/assignment.ts'
import { until } from './until.ts'

const logger = createLogger({ service: 'ingest', level: 'silent' })
const sources = Array.from({ length: 60 }, (_, index) => `plc-${index}`)

const instance = (t: TestContext, store: MemoryStore) => {
  const log = openMemoryLog({ store })
  const assignment = groupAssignment({ log: () => log, logger, settleMs: 20 })
  t.after(() => assignment.close())
  return { log, assignment, own: () => sources.filter((source) => assignment.isMine(source)) }
}

test('nobody joins a group before somebody asks about a source', async (t) => {
  const store = new MemoryStore(12)
  const { assignment } = instance(t, store)
  assignment.onChange(() => undefined)
  await new Promise((resolve) => setTimeout(resolve, 5))
  assert.equal(store.groups.size, 0)
  assert.equal(assignment.isMine('plc-1'), false)
  await until(() => store.groups.size === 1)
})

test('every source has one owner, never two, and they move when an instance leaves or dies', { timeout: 20_000 }, async (t) => {
  const store = new MemoryStore(12)
  const all = [instance(t, store), instance(t, store), instance(t, store)] as const
  const dead = new Set<object>()
  const twice: string[] = []
  const check = () => {
    const alive = all.filter((one) => !dead.has(one))
    twice.push(...sources.filter((source) => alive.filter(({ assignment }) => assignment.isMine(source)).length > 1))
  }
  let changes = 0
  for (const { assignment } of all)
    assignment.onChange(() => {
      changes++
      check()
    })
  const shares = () => all.map(({ own }) => own().length)
  await until(() => shares().reduce((sum, share) => sum + share) === sources.length && shares().every((share) => share > 0))
  await all[0].assignment.close()
  await until(() => all[1].own().length + all[2].own().length === sources.length)
  assert.equal(all[0].own().length, 0)
  const before = changes
  dead.add(all[1])
  all[1].log.crash()
  await until(() => all[2].own().length === sources.length)
  assert.ok(changes > before)
  assert.deepEqual(twice, [])
})
