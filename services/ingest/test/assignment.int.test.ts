// Pull sources shared by real processes on a real broker: one owner each, at any time, whoever joins, leaves or is killed.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { openKafkaLog } from '@andon/kit'
import { startKafka } from '@andon/platform'
import { until } from './until.ts'

const sources = Array.from({ length: 40 }, (_, index) => `plc-${index}`)
const namespace = 'owners.'

interface Owner {
  readonly process: ChildProcess
  mine: readonly string[]
}

test('every source has exactly one owner, and those of a killed process move', { timeout: 120_000 }, async (t) => {
  const kafka = await startKafka()
  t.after(() => kafka.stop())
  const log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'judge', namespace })
  t.after(() => log.close())
  await log.admin.ensureTopics([{ name: 'telemetry', partitions: 12 }])

  const owners = new Set<Owner>()
  const twice = new Set<string>()
  const isSettled = () => [...owners].flatMap(({ mine }) => mine).length === sources.length
  const start = (): Owner => {
    const child = spawn(
      process.execPath,
      [new URL('workers/owner.ts', import.meta.url).pathname, kafka.brokers.join(','), namespace, sources.join(',')],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    t.after(() => child.kill('SIGKILL'))
    const owner: Owner = { process: child, mine: [] }
    owners.add(owner)
    createInterface({ input: child.stdout }).on('line', (line) => {
      owner.mine = line === '' ? [] : line.split(' ')
      for (const source of sources) if ([...owners].filter(({ mine }) => mine.includes(source)).length > 1) twice.add(source)
    })
    return owner
  }
  const ended = (owner: Owner) => new Promise<void>((resolve) => owner.process.once('exit', () => resolve()))

  const first = start()
  await until(isSettled)
  const second = start()
  await until(() => isSettled() && second.mine.length > 0)
  assert.ok(first.mine.length > 0, 'they share')

  const killed = ended(second)
  second.process.kill('SIGKILL')
  owners.delete(second)
  await killed
  await until(isSettled)
  assert.deepEqual([...first.mine].toSorted(), sources.toSorted())

  const third = start()
  await until(() => isSettled() && third.mine.length > 0)
  const left = ended(first)
  first.process.kill('SIGTERM')
  await left
  owners.delete(first)
  await until(isSettled)
  assert.deepEqual([...twice], [], 'no source had two owners')
})
