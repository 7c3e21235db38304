// Files through the real process and a real broker: a watched folder, kill -9 in the middle of an import, and the same bytes again.

import assert from 'node:assert/strict'
import { readFile, readdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Manifest, Telemetry } from '@andon/schemas'
import { verifyRecords } from '../../../../test/harness/record-ledger.ts'
import { until } from '../until.ts'
import { openIngestProcess } from '../ingest-process.ts'
import type { IngestProcess } from '../ingest-process.ts'

let ingest: IngestProcess

before(
  async () => {
    ingest = await openIngestProcess('folder')
    await ingest.start()
  },
  { timeout: 180_000 },
)
after(() => ingest?.stop(), { timeout: 60_000 })

const startMs = Date.parse('2026-11-18T11:06:40Z')

/** Rows of two assets in turn; every `badEvery`-th has no number for a value. */
const csv = (rows: number, seed: string, badEvery = Infinity): string => {
  const lines = ['time,asset,temperatureC,pressureBar']
  for (let row = 0; row < rows; row++) {
    const value = row % badEvery === badEvery - 1 ? 'broken' : (row % 500) / 10
    lines.push(`${new Date(startMs + row * 1000).toISOString()},oven,${value},${seed}`)
  }
  return `${lines.join('\n')}\n`
}

const put = async (name: string, content: string | Buffer): Promise<void> => {
  await writeFile(join(ingest.inbox, `${name}.part`), content)
  await rename(join(ingest.inbox, `${name}.part`), join(ingest.inbox, name))
}

const doneWith = async (name: string, folder = 'done'): Promise<Manifest> => {
  let found: string | undefined
  await until(async () => {
    const names = await readdir(join(ingest.inbox, folder))
    found = names.find((each) => each.endsWith(`${name}.manifest.json`))
    return found !== undefined
  }, `${name} is in ${folder}`)
  return JSON.parse(await readFile(join(ingest.inbox, folder, found!), 'utf8')) as Manifest
}

/** Every row of a file on the log, once per sequence number, as readers see it. */
const rowsOf = (records: readonly Telemetry[], sha256: string) => {
  const seen = new Set<string>()
  const withheld = new Set<string>()
  const found: { id: string; lane: string; number: number; content: string }[] = []
  let repeats = 0
  for (const { block } of records) {
    if (!block?.sourceId.startsWith(`file:${sha256.slice(0, 16)}:`)) continue
    let row = 0
    for (let seq = block.seqFrom; seq <= block.seqTo; seq++) {
      const id = `${block.sourceId}/${block.epoch}/${seq}`
      if (block.withheld.includes(seq)) {
        withheld.add(id)
        continue
      }
      const at = row++
      if (seen.has(id)) {
        repeats++
        continue
      }
      seen.add(id)
      found.push({ id, lane: block.sourceId, number: seq, content: String(block.samples.readDoubleLE(at * 8)) })
    }
  }
  return { found, withheld, repeats }
}

/** Rows that the checkpoint of the import in hand names, 0 before the first one; undefined when no import is in hand any more. */
const rowsSafe = async (): Promise<number | undefined> => {
  if ((await readdir(join(ingest.inbox, 'done'))).length > 0) return undefined
  const progress = join(ingest.folder, 'data', 'ingest', 'ingest-0', 'files', 'progress')
  const name = (await readdir(progress)).find((each) => each.endsWith('.json'))
  if (name === undefined) return 0
  const text = await readFile(join(progress, name), 'utf8').catch(() => '{}')
  return (JSON.parse(text) as { tally?: { rows: number } }).tally?.rows ?? 0
}

test('kill -9 in the middle of an import: each row is on telemetry once by identity, and none is lost', { timeout: 240_000 }, async () => {
  const rows = 100_000
  const badEvery = 20
  await put('long.csv', csv(rows, '1.5', badEvery))
  let interrupted = 0
  let reached = 0
  for (let kills = 0; kills < 3; kills++) {
    await until(async () => {
      const rows = await rowsSafe()
      if (rows === undefined || rows > reached) {
        reached = rows ?? Infinity
        return true
      }
      return false
    }, 'a checkpoint further on, or the end')
    await ingest.kill('SIGKILL')
    if ((await rowsSafe()) !== undefined) interrupted++
    await ingest.start()
  }
  assert.ok(interrupted > 0, 'no kill hit the import')
  const manifest = await doneWith('long.csv')
  assert.deepEqual(
    [manifest.outcome, manifest.rows, manifest.accepted, manifest.rejected],
    ['applied', rows, rows - rows / badEvery, rows / badEvery],
  )
  assert.equal((manifest as unknown as { reasons: Record<string, number> }).reasons['ANDON_INGEST_FILE_ROW'], rows / badEvery)
  assert.equal(manifest.firstRejected[0]?.row, badEvery)
  const source = `file:${manifest.sha256.slice(0, 16)}:oven`
  const acknowledged = new Set<string>()
  for (let seq = 0; seq < rows; seq++) if (seq % badEvery !== badEvery - 1) acknowledged.add(`${source}/0/${seq}`)
  let verdict = verifyRecords({ acknowledged, found: [] })
  await until(async () => {
    const { found } = rowsOf(await ingest.telemetry(), manifest.sha256)
    verdict = verifyRecords({ acknowledged, found: found.toSorted((a, b) => a.number - b.number) })
    return verdict.lost === 0
  }, 'everything is on the log')
  assert.deepEqual(verdict.problems, [])
  const records = await ingest.telemetry()
  const { found, withheld } = rowsOf(records, manifest.sha256)
  assert.equal(found.length, acknowledged.size)
  assert.equal(withheld.size, rows / badEvery)
  for (const { number, content } of found.slice(0, 5000)) assert.equal(Number(content), (number % 500) / 10)
  const manifests = records.flatMap(({ type, manifest: each }) => (type === 'manifest' && each?.id === manifest.id ? [each] : []))
  assert.ok(manifests.length >= 1)
  assert.deepEqual([manifests[0]?.rows, manifests[0]?.sha256], [rows, manifest.sha256])
  const list = await readFile(
    join(
      ingest.inbox,
      'done',
      (await readdir(join(ingest.inbox, 'done'))).find((name) => name.endsWith('rejected.csv'))!,
    ),
    'utf8',
  )
  assert.equal(list.trimEnd().split('\n').length, 1 + rows / badEvery)
})

test('the same bytes under another name are answered with the first manifest, and add nothing', { timeout: 120_000 }, async () => {
  await put('first.csv', csv(50, '2.5'))
  const first = await doneWith('first.csv')
  const before = rowsOf(await ingest.telemetry(), first.sha256).found.length
  await put('again.csv', csv(50, '2.5'))
  const again = (await doneWith('again.csv')) as Manifest & { alreadyApplied?: string }
  assert.equal(again.alreadyApplied, first.id)
  const { found, repeats } = rowsOf(await ingest.telemetry(), first.sha256)
  assert.deepEqual([found.length, repeats], [before, 0])
})

test('a file that cannot be read is moved to failed/ with the reason, and nothing of it is on the log', { timeout: 120_000 }, async () => {
  await put('open.csv', 'time,asset,temperatureC\n2026-11-18T11:06:40Z,oven,"1\n')
  const manifest = await doneWith('open.csv', 'failed')
  assert.deepEqual([manifest.outcome, manifest.code, manifest.rows], ['refused', 'ANDON_INGEST_FILE_QUOTE', 0])
})
