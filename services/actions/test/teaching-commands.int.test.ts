// The commands of people who teach, each a process of its own, against the service with the log in memory.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { localCodec, openMemoryLog } from '@andon/kit'
import { plantDocuments, publishDocuments, readActions, startActions, tempDir, TOPICS } from './rig.ts'
import type { Person } from './rig.ts'

const main = join(import.meta.dirname, '../../../packages/cli/src/main.ts')

const start = async (t: TestContext) => {
  const log = openMemoryLog({ partitions: 4 })
  const codec = localCodec()
  await log.admin.ensureTopics(TOPICS.map((name) => ({ name, partitions: name === 'config' ? 1 : 4 })))
  await publishDocuments(log, codec, plantDocuments())
  const { door } = await startActions(t, { log, codec, executors: {} })
  const dir = tempDir(t)
  const andon = (person: Person, ...args: string[]): Promise<{ code: number | null; out: string; err: string }> =>
    new Promise((resolve) => {
      const env = {
        ...process.env,
        ANDON_HOME: join(dir, 'home'),
        ANDON_ACTIONS_URL: door.base,
        // nobody listens there: names can be given without clustering
        ANDON_CLUSTERING_URL: 'http://127.0.0.1:1',
        ANDON_TOKEN: `token-${person}`,
      }
      const child = spawn(process.execPath, [main, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
      let out = ''
      let err = ''
      child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
      child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
      child.once('close', (code) => resolve({ code, out, err }))
    })
  return { andon, dir, records: await readActions(t, log, codec) }
}

test('an import takes valid rows, tells every other with its line, and changes nothing when repeated', async (t) => {
  const { andon, dir, records } = await start(t)
  const file = join(dir, 'failures.csv')
  const rows = [
    'asset,at,mode,mechanism,workOrder,kind',
    'furnace-fan,2026-09-01T08:00:00Z,VIB,2.4,WO-1,',
    'furnace-fan,2026-10-01T08:00:00Z,OHE,,WO-2,failure',
    'furnace-fan,2026-10-02T08:00:00Z,VIBR,,,',
    'lathe-9,2026-10-02T08:00:00Z,VIB,,,',
    'furnace-fan,2026-10-05,VIB,,,',
    'furnace-fan,2026-10-06T06:00:00Z,,,,intervention',
    'furnace-fan,2026-09-01T08:00:00Z,VIB,2.4,WO-1,',
    'furnace-fan,2026-09-01T08:00:00Z,VIB,2.6,WO-1,',
  ]
  writeFileSync(file, rows.join('\n'))
  const dry = await andon('integrator', 'failures', 'import', file, '--dry-run')
  assert.equal(dry.out, 'Would be: 3 recorded, 0 changed, 1 known already, 4 refused. Leave --dry-run out to do it.\n')
  assert.equal(records.filter(({ failure }) => failure !== null).length, 0)

  const first = await andon('integrator', 'failures', 'import', file)
  assert.deepEqual([first.code, first.out], [4, '3 recorded, 0 changed, 1 known already, 4 refused.\n'])
  const told = first.err.trimEnd().split('\n')
  assert.deepEqual(
    told.map((line) => line.slice(file.length + 1, file.length + 2)),
    ['4', '5', '6', '9'],
  )
  assert.match(told[0] ?? '', /ANDON_ACTIONS_BAD_FAILURE: mode: expected a failure mode of ISO 14224, found VIBR; nearby: VIB vibration/)
  assert.match(told[1] ?? '', /ANDON_ACTIONS_UNKNOWN_PLACE: The plant has no asset lathe-9/)
  assert.match(told[2] ?? '', /at: expected a time with a zone/)
  assert.match(told[3] ?? '', /says something else of the failure in line 2/)

  const written = records.length
  const again = await andon('integrator', 'failures', 'import', file)
  assert.equal(again.out, '0 recorded, 0 changed, 4 known already, 4 refused.\n')
  assert.equal(records.length, written)
})

test('a failure is recorded, listed and withdrawn; an import does not bring it back', async (t) => {
  const { andon, dir } = await start(t)
  const at = '2026-09-01T08:00:00Z'
  const recorded = await andon('integrator', 'failures', 'record', '--asset', 'furnace-fan', '--at', at, '--mode', 'VIB', '--json')
  const { failureId } = JSON.parse(recorded.out) as { failureId: string }
  assert.match(
    (await andon('operator', 'failures', 'ls', '--class', 'slow-machine')).out,
    new RegExp(`${failureId} +2026-09-01.*furnace-fan`),
  )
  const withdrawn = await andon('integrator', 'failures', 'withdraw', failureId, '--reason', 'other fan')
  assert.equal(withdrawn.out, `Withdrawn: ${failureId}\n`)
  assert.equal((await andon('operator', 'failures', 'ls')).out, 'No failures are recorded.\n')
  const file = join(dir, 'failures.ndjson')
  writeFileSync(file, JSON.stringify({ asset: 'furnace-fan', at, mode: 'VIB' }))
  const repeated = await andon('integrator', 'failures', 'import', file)
  assert.deepEqual([repeated.code, repeated.out], [0, '0 recorded, 0 changed, 0 known already, 1 left out, withdrawn before, 0 refused.\n'])
})

test('a mode is named, found by its name, and an episode judged as one of it', async (t) => {
  const { andon } = await start(t)
  const named = await andon('lead', 'modes', 'name', 'mode-1', 'Worn bearing', '--class', 'slow-machine')
  assert.equal(named.out, 'Said of mode-1 (slow-machine): name\n', named.err)
  const set = await andon('lead', 'modes', 'set', 'Worn bearing', '--standing', 'known', '--time-to-respond', '4h', '--label', 'bearing')
  assert.equal(set.code, 0, set.err)
  const shown = JSON.parse((await andon('operator', 'modes', 'show', 'Worn', '--json')).out || '{}') as { said?: unknown }
  assert.equal(shown.said, undefined)
  const { said } = JSON.parse((await andon('operator', 'modes', 'show', 'mode-1', '--json')).out) as { said: Record<string, unknown> }
  assert.deepEqual([said['name'], said['standing'], said['timeToRespondS'], said['labels']], ['Worn bearing', 'known', 14_400, ['bearing']])
  assert.match(
    (await andon('operator', 'modes', 'ls')).out,
    /does not answer: only what people said[^]*mode-1 +slow-machine +Worn bearing +known/,
  )
  const judged = await andon('operator', 'verdict', 'e-1', 'confirmed', '--mode', 'Worn bearing', '--asset', 'furnace-fan')
  assert.equal(judged.out, 'Said of episode e-1: confirmed\n', judged.err)
  assert.match((await andon('operator', 'verdict', 'e-1', 'maybe')).err, /Allowed choices are confirmed, false-alarm, normal-now/)
})
