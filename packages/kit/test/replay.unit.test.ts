// Replay runs on the log in memory: bounded, beside the live topics, the same records again, inert, resumable at any point.

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import {
  EncodedHeaders,
  MemoryStore,
  baseTopic,
  codeOf,
  headersAsMap,
  openBlobs,
  openMemoryLog,
  openReplayLog,
  runOf,
  runTopic,
} from '@andon/kit'
import type { Append, Blobs, KeyedState, Log, LogRecord, MemoryLog, ReplayOptions, ReplayPlan } from '@andon/kit'
import { findSnapshot, listSnapshots, loadSnapshot } from '../src/snapshot-history.ts'
import { putVarint } from '../src/log/varint.ts'
import { seedFrom } from '../src/replay/open.ts'
import { headerAdder, headerIn } from '../src/replay/run-headers.ts'
import { jsonCodec } from './json-codec.ts'
import { add, doubles, start, totals, until } from './process-rig.ts'

const folders: string[] = []
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))))
const blobs = async (): Promise<Blobs> => {
  const folder = await mkdtemp(join(tmpdir(), 'andon-replay-'))
  folders.push(folder)
  return openBlobs(folder)
}

const PARTITIONS = 3
const KEYS = ['press', 'oven', 'saw', 'lathe']

/** Inputs number `from` to `to` in three partitions, record time one second apart. */
const feed = async (log: Log, from: number, to: number): Promise<void> => {
  for (let i = from; i < to; i++) {
    const record = { key: KEYS[i % 4]!, value: jsonCodec.encode('numbers', { n: i }), timestampMs: 1_000_000 + i * 1000 }
    await log.append([{ topic: 'numbers', ...record, headers: { ce_id: `n-${i}` } }])
  }
}

const live = async (count = 60): Promise<{ store: MemoryStore; log: MemoryLog }> => {
  const store = new MemoryStore(PARTITIONS)
  const log = openMemoryLog({ store })
  await feed(log, 0, count)
  return { store, log }
}

const runLive = async (store: MemoryStore, extra: Parameters<typeof start>[1] = { open: totals }): Promise<void> => {
  const log = openMemoryLog({ store, maxBatchRecords: 2 })
  const expected = (await log.admin.watermarks('numbers')).reduce((sum, { high }) => sum + high, 0)
  const run = await start(log, extra)
  await until(async () => (await all(log, 'totals')).length >= expected, 'the live outputs', 60_000)
  await run.stop()
}

const all = async (log: Log, topic: string): Promise<LogRecord[]> => {
  const found: LogRecord[] = []
  for (const { partition } of await log.admin.watermarks(topic))
    for await (const batch of log.read({ topic, partition, from: 'earliest', to: 'latest' })) found.push(...batch.records)
  return found
}

/** What must be equal: place among its partition, key, bytes, id, type, subject, order and cause. */
const faceOf = (record: LogRecord) => {
  const { 'andon-run': run, ...headers } = record.headers()
  return { face: [record.partition, record.key, record.value?.toString('hex'), record.timestampMs, headers], run }
}
const faces = async (log: Log, topic: string) => (await all(log, topic)).map((record) => faceOf(record).face)

const planOf = async (log: Log, changes: Partial<ReplayPlan> = {}): Promise<ReplayPlan> => ({
  contract: 1,
  id: 'run-42',
  service: 'adder',
  input: { topic: 'numbers', from: 'numbers' },
  partitions: (await log.admin.watermarks('numbers')).map(({ partition, high }) => ({ partition, start: 0, from: 0, to: high })),
  writes: ['totals'],
  fromMs: 0,
  retentionMs: 86_400_000,
  speed: 'max',
  pins: [],
  models: [],
  ...changes,
})

const replay = async (
  store: MemoryStore,
  plan: ReplayPlan,
  open: Parameters<typeof start>[1]['open'] = totals,
  options: ReplayOptions = {},
) => {
  const log = await openReplayLog(openMemoryLog({ store, maxBatchRecords: 5 }), jsonCodec, plan, options)
  const run = await start(log, { open })
  await run.ended
  return log
}

test('names of a run extend the topic, keep the ending of what derives from a group, and lead back', () => {
  assert.equal(runTopic('features', 'run-42'), 'features.run.run-42')
  assert.equal(runTopic('features.changelog', 'run-42'), 'features.run.run-42.changelog')
  assert.equal(runTopic('telemetry.features.dlq', 'run-42'), 'telemetry.features.run.run-42.dlq')
  assert.deepEqual(runOf('features.run.run-42.changelog'), { topic: 'features.changelog', id: 'run-42' })
  assert.equal(baseTopic('features.run.run-42'), 'features')
  assert.equal(baseTopic('telemetry'), 'telemetry')
})

test('a replay gives what the live service gave: keys, bytes, ids, headers and timestamps, with the run in a header', async () => {
  const { store, log } = await live()
  await runLive(store)
  const replayed = await replay(store, await planOf(log))
  assert.deepEqual(await faces(log, 'totals.run.run-42'), await faces(log, 'totals'))
  for (const record of await all(log, 'totals.run.run-42')) assert.equal(record.header('andon-run'), 'run-42')
  assert.equal(replayed.progress().isDone, true)
  assert.deepEqual(await log.admin.committed('adder.run.run-42', 'numbers'), new Map(), 'no group was joined')
})

test('only the range gives outputs; records before it build state without a trace', async () => {
  const { store, log } = await live()
  await runLive(store)
  const whole = await planOf(log)
  const partitions = whole.partitions.map((range) => ({ ...range, from: Math.min(5, range.to), to: Math.max(0, range.to - 2) }))
  await replay(store, { ...whole, partitions })
  const inRange = (await all(log, 'totals')).filter((record) => {
    const [, partition, , offset] = record.header('andon-cause')!.split('/').map(Number)
    const range = partitions[partition!]!
    return offset! >= range.from && offset! < range.to
  })
  assert.ok(inRange.length > 20)
  assert.deepEqual(
    await faces(log, 'totals.run.run-42'),
    inRange.map((record) => faceOf(record).face),
  )
})

test('an undecodable record of the range goes to the run`s own dead letters, one before the range nowhere', async () => {
  const { store, log } = await live(4)
  const bad = async () => log.append([{ topic: 'numbers', partition: 0, key: 'press', value: Buffer.from('rubbish') }])
  await bad()
  const plan = await planOf(log)
  await bad()
  const to = (await log.admin.watermarks('numbers'))[0]!.high
  await replay(store, { ...plan, partitions: [{ partition: 0, start: 0, from: to - 1, to }] })
  assert.equal((await all(log, 'numbers.adder.run.run-42.dlq')).length, 1)
  assert.equal((await all(log, 'numbers.adder.dlq')).length, 0)
})

test('a header block is searched and extended as bytes, and says what a map would say', () => {
  const template = fc.dictionary(fc.stringMatching(/^[a-z_-]{1,12}$/), fc.string({ maxLength: 40 }), { maxKeys: 6 })
  fc.assert(
    fc.property(template, fc.stringMatching(/^[a-z0-9-]{1,40}$/), fc.nat(9), (map, id, gap) => {
      const block = blockOf(map, gap)
      assert.deepEqual(headersAsMap(headerAdder('andon-run', id)(block)), { ...map, 'andon-run': id })
      assert.deepEqual(headerAdder('andon-run', id)(map), { ...map, 'andon-run': id })
      for (const name of [...Object.keys(map), 'absent']) assert.equal(headerIn(block, name), map[name])
    }),
    { numRuns: 50 },
  )
})

/** The map as a block that begins `gap` bytes into its buffer. */
const blockOf = (map: Record<string, string>, gap: number): EncodedHeaders => {
  const bytes = Buffer.alloc(
    gap + 16 + Object.entries(map).reduce((sum, [name, value]) => sum + 20 + name.length + Buffer.byteLength(value), 0),
  )
  let at = putVarint(bytes, gap, Object.keys(map).length)
  for (const part of Object.entries(map).flat()) {
    at = putVarint(bytes, at, Buffer.byteLength(part))
    at += bytes.write(part, at)
  }
  return new EncodedHeaders(bytes, gap, at)
}

test('an append to a live topic is refused, and so are groups on other topics and deleting', async () => {
  const { store, log } = await live(4)
  const fenced = await openReplayLog(openMemoryLog({ store }), jsonCodec, await planOf(log))
  const before = (await all(log, 'numbers')).length
  const refused = async (work: () => Promise<unknown>) => assert.rejects(work, (error: unknown) => codeOf(error) === 'ANDON_REPLAY_FENCED')
  for (const topic of ['numbers', 'actions', 'config', 'models', 'totals.run.another'])
    await refused(() => fenced.append([{ topic, key: 'k', value: Buffer.from('x') }]))
  await refused(() =>
    fenced.append([
      { topic: 'totals', key: 'k', value: Buffer.from('x') },
      { topic: 'config', key: 'k', value: null },
    ]),
  )
  await refused(() => fenced.run({ group: 'g', topics: ['actions'], onBatch: async () => undefined }))
  await refused(() => fenced.admin.deleteTopics(['totals']))
  assert.equal((await all(log, 'numbers')).length, before)
  assert.equal((await all(log, 'totals.run.run-42')).length, 0, 'a batch with one foreign record is refused whole')
})

/** Makes a process die at its n-th append, before or after the brokers have it; resolves with its death. */
const crashAt = (log: MemoryLog, n: number, isStored: boolean): Promise<void> => {
  let appends = 0
  const { promise, resolve } = Promise.withResolvers<void>()
  log.failAppends((records: readonly Append[]) => {
    if (records.some(({ topic }) => topic === 'numbers') || ++appends < n) return undefined
    if (appends === n)
      setImmediate(() => {
        log.crash()
        resolve()
      })
    const error = Object.assign(new Error('the process died'), { code: 'TEST_DEAD', retriable: true })
    return { error, afterStoring: isStored && appends === n }
  })
  return promise
}

for (const [what, open] of [
  ['with state', totals],
  ['without state', doubles],
] as const)
  test(`a run ${what} that dies at any append and is resumed ends with byte-equal topics`, async () => {
    const { store: source, log: reference } = await live(40)
    const plan = await planOf(reference)
    await replay(source, plan, open)
    const expected = await faces(reference, 'totals.run.run-42')
    assert.equal(expected.length, 40)
    for (let n = 1; n < 30; n += 2)
      for (const isStored of [false, true]) {
        const { store, log } = await live(40)
        const dying = openMemoryLog({ store, maxBatchRecords: 3 })
        const death = crashAt(dying, n, isStored)
        const run = await start(await openReplayLog(dying, jsonCodec, plan, { storeEveryMs: 5 }), { open })
        await Promise.race([run.ended.catch(() => undefined), death]) // what comes late in the count never happens
        dying.crash()
        await run.stop() // of a dead process: only its timers are left
        await replay(store, plan, open)
        assert.deepEqual(await faces(log, 'totals.run.run-42'), expected, `append ${n}, ${isStored ? 'stored' : 'not stored'}`)
      }
  })

test('a finished run that is started again opens no partition', async () => {
  const { store, log } = await live(40)
  const plan = await planOf(log)
  await replay(store, plan, doubles)
  let opened = 0
  const again = await replay(store, plan, () => {
    opened++
    return doubles()
  })
  assert.equal(opened, 0)
  assert.equal(again.progress().isDone, true)
})

test('an append whose answer is lost is looked for before it is tried again', async () => {
  const { store, log } = await live(40)
  const lossy = openMemoryLog({ store, maxBatchRecords: 4 })
  const opened = await openReplayLog(lossy, jsonCodec, await planOf(log))
  let appends = 0
  lossy.failAppends((records) => {
    if (records[0]?.topic !== 'totals.run.run-42' || ++appends % 3 !== 1) return undefined
    return { error: Object.assign(new Error('no answer'), { retriable: true }), afterStoring: true }
  })
  const run = await start(opened, { open: doubles })
  await run.ended
  assert.ok(appends > 6)
  assert.equal((await all(log, 'totals.run.run-42')).length, 40)
})

test('1x hands records on as far apart as they were received, and does not wait for those before the range', async () => {
  const { store, log } = await live(40)
  const plan = await planOf(log)
  let nowMs = 0
  const slept: number[] = []
  const clock = {
    nowMs: () => nowMs,
    sleep: async (ms: number) => {
      slept.push(ms)
      nowMs += ms
    },
  }
  const range = plan.partitions.find(({ to }) => to >= 10)!
  await replay(store, { ...plan, speed: '1x', partitions: [{ ...range, from: 4 }] }, totals, { clock })
  const stamps = (await all(log, 'numbers'))
    .filter(({ partition, offset }) => partition === range.partition && offset >= 4)
    .map(({ timestampMs }) => timestampMs)
  assert.equal(nowMs, stamps.at(-1)! - stamps[0]!)
  assert.ok(slept.every((ms) => ms > 0))
})

test('a pinned document is the only version the run sees', async () => {
  const { store, log } = await live(4)
  await log.append(['v1', 'v2', 'v3'].map((text) => ({ topic: 'config', partition: 0, key: 'policies/a', value: Buffer.from(text) })))
  await log.append([{ topic: 'config', partition: 0, key: 'plant', value: Buffer.from('plant') }])
  const plan = await planOf(log, { pins: [{ name: 'policies/a', offset: 1 }] })
  const opened = await openReplayLog(openMemoryLog({ store }), jsonCodec, plan)
  const seen: string[] = []
  const follow = await opened.follow({
    topics: ['config'],
    onBatch: (batch) => void seen.push(...batch.records.map(({ value }) => value!.toString())),
  })
  await follow.caughtUp()
  await follow.stop()
  assert.deepEqual(seen, ['v2', 'plant'])
})

test('a pinned model version is in force from the beginning, and nothing else of its model is', async () => {
  const { store, log } = await live(4)
  const fact = (type: string, model: string, version: number, effectiveFromUs: number) => ({
    topic: 'models',
    partition: 0,
    key: model,
    value: jsonCodec.encode('models', { type, model, version, role: 'champion', effectiveFromUs }),
    headers: { ce_type: type },
  })
  await log.append([
    fact('ModelRegistered', 'a', 1, 0),
    fact('ModelActivated', 'a', 1, 5),
    fact('ModelRegistered', 'a', 2, 0),
    fact('ModelActivated', 'a', 2, 9),
    fact('ModelRegistered', 'b', 1, 0),
    fact('ModelActivated', 'b', 1, 7),
    fact('ModelActivated', 'c', 1, 8),
  ])
  const models = [
    { model: 'a', version: 1, offset: 0, role: 'shadow' },
    { model: 'b', version: 0, offset: -1, role: 'shadow' },
  ]
  const opened = await openReplayLog(openMemoryLog({ store }), jsonCodec, await planOf(log, { models }))
  const seen: string[] = []
  const follow = await opened.follow({
    topics: ['models'],
    onBatch: (batch) => {
      for (const record of batch.records) {
        const { type, model, version, role, effectiveFromUs } = jsonCodec.decode<Record<string, string>>('models', record.value!)
        assert.equal(record.header('ce_type'), type)
        if (type === 'ModelActivated') seen.push(`${model}@${version} ${role} from ${effectiveFromUs}`)
      }
    },
  })
  await follow.caughtUp()
  await follow.stop()
  assert.deepEqual(seen, ['a@1 shadow from 0', 'c@1 champion from 8'])
})

/** A live run over `count` inputs that retains snapshots every ten seconds of record time. */
const retain = async (count: number, into: Blobs): Promise<{ store: MemoryStore; log: MemoryLog }> => {
  const { store, log } = await live(0)
  const history = { blobs: async () => into, everyMs: 10_000, everyRecords: 1_000_000 }
  const run = await start(openMemoryLog({ store, maxBatchRecords: 2 }), { open: totals, snapshotEveryRecords: 2, history })
  const entriesOf = async () =>
    (await Promise.all([0, 2].map((at) => listSnapshots(log, jsonCodec, 'adder', at)))).map(({ length }) => length)
  for (let fed = 0; fed < count; fed += 20) {
    const before = await entriesOf()
    await feed(log, fed, fed + 20)
    await until(async () => (await entriesOf()).every((entries, i) => entries > before[i]!), 'an entry of each partition', 60_000)
    await until(async () => (await all(log, 'totals')).length === fed + 20, 'the outputs', 60_000)
  }
  await run.stop()
  return { store, log }
}

test('a replay that starts from a retained snapshot gives what one from the beginning gives', async () => {
  const kept = await blobs()
  const { store, log } = await retain(120, kept)
  const whole = await planOf(log)
  const partitions = await Promise.all(
    whole.partitions.map(async (range) => {
      const from = Math.min(range.to, 30)
      const found = await findSnapshot(log, jsonCodec, kept, { group: 'adder', topic: 'numbers', partition: range.partition, before: from })
      return found ? { ...range, start: found.input.offset + 1, from, snapshot: found.uri } : { ...range, from }
    }),
  )
  assert.ok(
    partitions.some(({ start: at }) => at > 10),
    'a snapshot was found',
  )
  await replay(store, { ...whole, partitions }, totals, { seed: seedFrom(kept, jsonCodec) })
  await replay(store, { ...whole, id: 'run-43', partitions: partitions.map((range) => ({ ...range, start: 0 })) })
  const seeded = await faces(log, 'totals.run.run-42')
  assert.ok(seeded.length > 0)
  assert.deepEqual(seeded, await faces(log, 'totals.run.run-43'))
})

test('history has an entry per stretch of record time, each whole; one that is torn is passed over', async () => {
  const kept = await blobs()
  const { log } = await retain(200, kept)
  const partition = (await log.admin.watermarks('numbers')).find(({ high }) => high > 40)!.partition
  const entries = await listSnapshots(log, jsonCodec, 'adder', partition)
  assert.ok(entries.length >= 2)
  entries.reduce((before, entry) => {
    assert.ok(entry.input.timestampMs - before.input.timestampMs >= 10_000)
    return entry
  })
  for (const { uri, input } of entries) {
    const { keys } = await loadSnapshot(kept, uri)
    const expected = new Map<string, number>()
    for (const record of await all(log, 'numbers'))
      if (record.partition === partition && record.offset <= input.offset) expected.set(record.key!, (expected.get(record.key!) ?? 0) + 1)
    const counts = new Map(keys.map(({ key, state }) => [key, (JSON.parse(Buffer.from(state).toString()) as { count: number }).count]))
    assert.deepEqual(Object.fromEntries(counts), Object.fromEntries(expected))
  }
  const last = entries.at(-1)!
  await rm(kept.path(last.uri))
  const found = await findSnapshot(log, jsonCodec, kept, { group: 'adder', topic: 'numbers', partition, before: 1e9 })
  assert.equal(found?.uri, entries.at(-2)!.uri)
})

test('a service whose snapshots cannot be retained goes on, and says so', async () => {
  const { store, log } = await live(20)
  const told: string[] = []
  const logger = { warn: (_fields: object, message: string) => void told.push(message) }
  const history = { blobs: () => Promise.reject(new Error('read-only file system')), everyMs: 1, everyRecords: 1, logger }
  await runLive(store, { open: totals, snapshotEveryRecords: 2, history })
  assert.equal((await all(log, 'totals')).length, 20)
  assert.match(told[0]!, /a snapshot was not retained/)
})

test('a snapshot on records that the log has lost is none to start from', async () => {
  const kept = await blobs()
  const { log } = await retain(120, kept)
  const { partition } = (await log.admin.watermarks('numbers')).find(({ high }) => high > 20)!
  const entries = await listSnapshots(log, jsonCodec, 'adder', partition)
  log.cut('numbers', partition, entries.at(-1)!.input.offset)
  for (let i = 0; i < 50; i++) await add(log, KEYS[i % 4]!, i)
  const found = await findSnapshot(log, jsonCodec, kept, { group: 'adder', topic: 'numbers', partition, before: 1e9 })
  assert.notEqual(found?.uri, entries.at(-1)!.uri)
})

test('what nobody kept is swept, what was kept stays', async () => {
  const kept = await blobs()
  const [old, young] = [await kept.put(Buffer.from('old')), await kept.put(Buffer.from('young'))]
  await sleep(20)
  assert.equal(await kept.keep(young.uri), true)
  assert.equal(await kept.sweep(10), 1)
  assert.deepEqual([await kept.has(old.uri), await kept.has(young.uri), await kept.keep(old.uri)], [false, true, false])
})

test('the state of a key at the end of a range is described, and nothing is written', async () => {
  const { store, log } = await live(40)
  await runLive(store)
  const describable = () => {
    const process = totals()
    const state: KeyedState = { ...process.state!, describe: (key) => process.kept.get(key) }
    return { ...process, state }
  }
  const plan = await planOf(log)
  const { partition } = (await all(log, 'totals')).find(({ key }) => key === 'press')!
  const to = plan.partitions[partition]!.to - 3
  const told: unknown[] = []
  await replay(store, { ...plan, partitions: [{ partition, start: 0, from: to, to }], describe: { key: 'press', file: '' } }, describable, {
    onDescribed: (state) => void told.push(state),
  })
  const seen = (await all(log, 'numbers')).filter(({ key, partition: at, offset }) => key === 'press' && at === partition && offset < to)
  assert.equal((told[0] as { count: number }).count, seen.length)
  assert.equal((await all(log, 'totals.run.run-42')).length, 0)
})
