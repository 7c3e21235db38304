// telemetry → features as a whole: same rows in, same vectors out, however they were cut, batched, interleaved or restarted.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { localCodec } from '@andon/kit'
import type { Batch, Input, Output } from '@andon/kit'
import type { Features, Telemetry } from '@andon/schemas'
import { compileFeatureSet } from '../src/feature-set.ts'
import type { AssetPlan } from '../src/plan.ts'
import { onTelemetry } from '../src/on-telemetry.ts'
import type { Counts } from '../src/on-telemetry.ts'
import { keyedState, newMemory } from '../src/state.ts'
import type { PartitionMemory } from '../src/state.ts'
import { parseFeatureSet } from '@andon/schemas'
import { SECOND_US, blockOf, blockRecord, modelPlan, pressAsset, tickRecord, waveformOf } from './blocks.ts'
import type { Row } from './blocks.ts'

const settled = async () => {}
const servicedAt = () => null
const noCounts: Counts = { windowsClosed: () => {}, unmonitored: () => {}, rows: () => {}, malformed: () => {} }

const inputOf = (value: Telemetry, offset: number, partition = 0): Input<Telemetry> => ({
  topic: 'telemetry',
  partition,
  position: { leaderEpoch: 0, offset },
  key: value.assetId || null,
  value,
  id: `${partition}/${offset}`,
  type: value.type,
  timestampMs: 0,
  lane: 'live',
  order: undefined,
  traceparent: undefined,
})

const twoSources = modelPlan({ windowUs: SECOND_US, latenessUs: SECOND_US / 2, graceUs: SECOND_US / 4, sources: ['a', 'b'] })

interface Emitted {
  readonly cause: number
  readonly index: number
  readonly output: Output
}

class Features1 {
  memory: PartitionMemory = newMemory()
  readonly emitted: Emitted[] = []
  readonly plan: AssetPlan
  readonly partition: number

  constructor(plan: AssetPlan = twoSources, partition = 0) {
    this.plan = plan
    this.partition = partition
  }

  async run(records: readonly Telemetry[], batchSizes: readonly number[] = [records.length], from = 0) {
    const handle = onTelemetry({ memory: this.memory, settled, servicedAt, planAt: () => this.plan, gapBound: 16, counts: noCounts })
    let at = 0
    for (let b = 0; at < records.length; b++) {
      const size = Math.max(1, batchSizes[b % batchSizes.length] ?? 1)
      const inputs = records.slice(at, at + size).map((value, i) => inputOf(value, from + at + i, this.partition))
      const batch: Batch<Telemetry> = { topic: 'telemetry', partition: this.partition, inputs }
      const out = await handle(batch)
      for (const { cause, index, output } of out.outputs) this.emitted.push({ cause: cause.position.offset, index, output })
      at += size
    }
    return this
  }

  /** A snapshot of what changed, as the kit takes it. */
  snapshot(into: Map<string, Uint8Array>) {
    const state = keyedState(this.memory)
    for (const key of [...state.dirty()].toReversed()) {
      const bytes = Uint8Array.from(state.snapshot(key))
      assert.ok(bytes.byteLength < 1024 * 1024, 'a snapshot fits one record')
      into.set(key, bytes)
    }
    assert.equal([...state.dirty()].length, 0, 'a snapshotted key is clean')
  }

  restore(from: ReadonlyMap<string, Uint8Array>) {
    this.memory = newMemory()
    const state = keyedState(this.memory)
    for (const [key, bytes] of from) state.restore(key, bytes, state.version)
    return this
  }
}

/** Content of an output, without lineage. */
const content = ({ output }: Emitted): string => {
  const { topic, key, id, type, timeUs, value } = output
  return JSON.stringify({ topic, key, id, type, timeUs, value }, (_, v: unknown) => (Buffer.isBuffer(v) ? v.toString('hex') : v))
}
const contents = (features: Features1) => features.emitted.map(content)

/** Rows of two sources in order of time, sometimes with ticks between them. */
interface Step {
  readonly source: 'a' | 'b'
  readonly dtMs: number
  readonly value: number
  readonly tick: boolean
}
const steps = fc.array(
  fc.record({
    source: fc.constantFrom('a' as const, 'b' as const),
    dtMs: fc.integer({ min: 0, max: 400 }),
    value: fc.integer({ min: -50, max: 50 }),
    tick: fc.boolean(),
  }),
  { minLength: 1, maxLength: 60 },
)

/**
 * Cuts the steps into blocks: consecutive rows of a source share one until the source, a tick or a cut ends it. Ingest
 * receives a row by the time of the next tick at the latest, as ticks promise.
 */
const recordsOf = (sequence: readonly Step[], cutAfter: (i: number) => boolean): Telemetry[] => {
  const records: Telemetry[] = []
  const seqs = { a: 0, b: 0 }
  const times = sequence.map(
    (
      (timeMs) => (step: Step) =>
        (timeMs += step.dtMs)
    )(0),
  )
  let rows: Row[] = []
  let source: 'a' | 'b' = 'a'
  let receivedMs = 0
  const flush = () => {
    if (rows.length > 0) records.push(blockRecord(blockOf(rows, { sourceId: source, receivedUs: receivedMs * 1000 })))
    rows = []
  }
  sequence.forEach((step, i) => {
    if (step.source !== source) flush()
    source = step.source
    const tickAt = sequence.findIndex((each, j) => j >= i && each.tick)
    receivedMs = times[tickAt] ?? times.at(-1) ?? 0
    rows.push({ seq: ++seqs[source], timeS: times[i]! / 1000, values: [step.value] })
    if (step.tick) {
      flush()
      records.push(tickRecord('ingest-0', receivedMs / 1000))
    } else if (cutAfter(i)) flush()
  })
  flush()
  return records
}

test('nothing of a record`s bytes is kept: vectors are equal when they are written over after each batch', async () => {
  const records = Array.from({ length: 12 }, (_, n) => {
    const rows = Array.from({ length: 5 }, (_row, i) => ({
      seq: (n >> 1) * 5 + i + 1,
      timeS: (n * 5 + i) / 10,
      values: [Math.sin(n * 5 + i)],
    }))
    return blockRecord(blockOf(rows, { sourceId: n % 2 === 0 ? 'a' : 'b', qualities: Buffer.from([0, 1, 0, 0, 2]) }))
  })
  const codec = localCodec()
  const frames = records.map((record) => Buffer.from(codec.encode('telemetry', record)))
  const source = Buffer.alloc(Math.max(...frames.map(({ length }) => length)))
  const [owned, lent] = [new Features1(), new Features1()]
  for (const [n, frame] of frames.entries()) {
    frame.copy(source)
    await owned.run([codec.decode<Telemetry>('telemetry', frame)], [1], n)
    await lent.run([codec.decodeLent!<Telemetry>('telemetry', source, 0, frame.length)], [1], n)
    source.fill(0xff)
  }
  assert.ok(owned.emitted.length > 0)
  assert.deepEqual(lent.emitted, owned.emitted)
  const [kept, expected] = [new Map<string, Uint8Array>(), new Map<string, Uint8Array>()]
  lent.snapshot(kept)
  owned.snapshot(expected)
  assert.deepEqual(kept, expected)
})

test('any cut of the same rows into blocks and batches gives byte-equal vectors', async () => {
  await fc.assert(
    fc.asyncProperty(
      steps,
      fc.array(fc.boolean(), { minLength: 60, maxLength: 60 }),
      fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 }),
      async (sequence, cuts, sizes) => {
        const whole = await new Features1().run(recordsOf(sequence, () => false))
        const single = await new Features1().run(
          recordsOf(sequence, () => true),
          [1],
        )
        const some = await new Features1().run(
          recordsOf(sequence, (i) => cuts[i] ?? false),
          sizes,
        )
        assert.deepEqual(contents(single), contents(whole))
        assert.deepEqual(contents(some), contents(whole))
      },
    ),
    { numRuns: 150 },
  )
})

test('batching changes neither outputs nor their lineage: each has exactly one causing record', async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }), async (sequence, sizes) => {
      const records = recordsOf(sequence, (i) => i % 3 === 0)
      const one = await new Features1().run(records, [1])
      const many = await new Features1().run(records, sizes)
      const withLineage = (features: Features1) => features.emitted.map((each) => [each.cause, each.index, content(each)])
      assert.deepEqual(withLineage(many), withLineage(one))
    }),
  )
})

test('two partitions interleaved in any way give what each gives alone', async () => {
  await fc.assert(
    fc.asyncProperty(steps, steps, fc.array(fc.boolean(), { minLength: 1, maxLength: 40 }), async (left, right, turns) => {
      const [a, b] = [recordsOf(left, () => true), recordsOf(right, () => true)]
      const alone = [await new Features1(twoSources, 0).run(a), await new Features1(twoSources, 1).run(b)]
      const mixed = [new Features1(twoSources, 0), new Features1(twoSources, 1)]
      const at = [0, 0]
      for (let turn = 0; at[0]! < a.length || at[1]! < b.length; turn++) {
        const which = at[0]! >= a.length ? 1 : at[1]! >= b.length ? 0 : turns[turn % turns.length] ? 1 : 0
        await mixed[which]!.run([(which === 0 ? a : b)[at[which]!]!], [1], at[which]!)
        at[which]!++
      }
      assert.deepEqual(mixed.map(contents), alone.map(contents))
    }),
    { numRuns: 50 },
  )
})

test('a restart from any snapshot gives the same outputs with the same ids, causes and numbers', async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.nat(), fc.nat(), async (sequence, first, second) => {
      const records = recordsOf(sequence, (i) => i % 2 === 0)
      const whole = await new Features1().run(records, [1])
      const snapshotAt = first % (records.length + 1)
      const crashAt = snapshotAt + (second % (records.length - snapshotAt + 1))

      const kept = new Map<string, Uint8Array>()
      const before = await new Features1().run(records.slice(0, snapshotAt), [1])
      before.snapshot(kept)
      await before.run(records.slice(snapshotAt, crashAt), [1], snapshotAt)
      const after = await new Features1().restore(kept).run(records.slice(snapshotAt), [1], snapshotAt)

      const until = whole.emitted.filter(({ cause }) => cause < snapshotAt)
      const line = (each: Emitted) => `${each.cause}/${each.index} ${content(each)}`
      assert.deepEqual([...until, ...after.emitted].map(line), whole.emitted.map(line))
      assert.deepEqual(before.emitted.map(line), whole.emitted.filter(({ cause }) => cause < crashAt).map(line))
    }),
  )
})

test('later snapshots hold only what changed, and together they restore everything', async () => {
  const sequence: Step[] = Array.from({ length: 40 }, (_, i) => ({ source: i % 2 ? 'a' : 'b', dtMs: 150, value: i, tick: i % 5 === 0 }))
  const records = recordsOf(sequence, () => true)
  const whole = await new Features1().run(records, [1])
  const kept = new Map<string, Uint8Array>()
  const live = new Features1()
  for (let i = 0; i < 20; i++) {
    await live.run([records[i]!], [1], i)
    live.snapshot(kept)
  }
  const rest = await new Features1().restore(kept).run(records.slice(20), [1], 20)
  assert.deepEqual([...contents(live), ...contents(rest)], contents(whole))
})

test('out-of-order rows end in the same last revision, or are reported late, however they were cut', async () => {
  const row = fc.record({ timeMs: fc.integer({ min: 0, max: 3000 }), value: fc.integer({ min: 0, max: 9 }) })
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 30 }), async (times) => {
      const plan = modelPlan({ windowUs: SECOND_US, latenessUs: 10 * SECOND_US, graceUs: 0, sources: ['a'] })
      const rows: Row[] = times.map(({ timeMs, value }, i) => ({ seq: i + 1, timeS: timeMs / 1000, values: [value] }))
      const last = { seq: rows.length + 1, timeS: 9, values: [0] }
      const single = await new Features1(plan).run([...rows, last].map((each) => blockRecord(blockOf([each], { sourceId: 'a' }))))
      const whole = await new Features1(plan).run([blockRecord(blockOf([...rows, last], { sourceId: 'a' }))])
      const kept = (features: Features1) => {
        const windows = new Map<number, string>()
        for (const { output } of features.emitted) {
          const { vector } = output.value as Features
          assert.ok(vector, 'within the lateness nothing is late')
          windows.set(vector.windowStartUs, `${vector.vectorId} ${vector.revision} ${vector.values.toString('hex')}`)
        }
        return [...windows].toSorted(([a], [b]) => a - b)
      }
      assert.deepEqual(kept(single), kept(whole))
    }),
  )
})

test('a revision names the one it supersedes and carries more inputs', async () => {
  const plan = modelPlan({ sources: ['a'] })
  const block = (seq: number, timeS: number) => blockRecord(blockOf([{ seq, timeS, values: [seq] }], { sourceId: 'a' }))
  const features = await new Features1(plan).run([block(1, 0), block(2, 4), block(3, 1)])
  const [first, second] = features.emitted.map(({ output }) => (output.value as Features).vector!)
  assert.deepEqual([first?.revision, second?.revision], [1, 2])
  assert.equal(second?.supersedes, first?.vectorId)
  assert.notEqual(second?.vectorId, first?.vectorId)
  assert.deepEqual(
    features.emitted.map(({ output }) => output.order),
    ['own', 'own'],
  )
})

test('a window without a good sample of a channel says so', async () => {
  const plan = modelPlan({
    sources: ['a'],
    statistics: { temperatureC: ['mean'], pressureBar: ['max'] },
  })
  const channels = ['temperatureC', 'pressureBar']
  const rows: Row[] = [
    { seq: 1, timeS: 0, values: [20, Number.NaN] },
    { seq: 2, timeS: 1, values: [30, 7] },
    { seq: 3, timeS: 4, values: [0, 0] },
  ]
  const { emitted } = await new Features1(plan).run([
    blockRecord(blockOf(rows, { sourceId: 'a', channels, qualities: Buffer.from([1, 2, 0]) })),
  ])
  const { vector } = emitted[0]!.output.value as Features
  assert.equal(vector?.complete, false)
  assert.deepEqual(vector?.missing, ['pressureBar'])
  assert.deepEqual([vector?.values.readDoubleLE(0), vector?.values.readDoubleLE(8)], [20, Number.NaN])
})

test('recorded time and age travel with the vector', async () => {
  const recordedUs = Buffer.alloc(16)
  recordedUs.writeBigInt64LE(1_000_000n, 0)
  recordedUs.writeBigInt64LE(9_000_000n, 8)
  const rows: Row[] = [
    { seq: 1, timeS: 0, values: [1] },
    { seq: 2, timeS: 4, values: [1] },
  ]
  const { emitted } = await new Features1(modelPlan({ sources: ['a'] })).run([
    blockRecord(blockOf(rows, { sourceId: 'a', recordedUs, historical: true })),
  ])
  const { vector } = emitted[0]!.output.value as Features
  assert.deepEqual([vector?.recordedStartUs, vector?.historical], [1_000_000, true])
})

test('the waveform of the press becomes one vector a second', async () => {
  const document = {
    version: 1,
    name: 'features/press-vibration',
    windowMs: 1000,
    latenessMs: 500,
    graceMs: 250,
    features: [
      { channel: 'vibrationG', statistics: ['rms', 'crest'] },
      {
        channel: 'vibrationG',
        bandsHz: [
          [10, 250],
          [2000, 3000],
        ],
        statistics: ['bandRms'],
      },
    ],
  }
  const plan = compileFeatureSet(parseFeatureSet(document), 'f'.repeat(64), pressAsset, 'p'.repeat(64))
  const snippet = (k: number) =>
    Float32Array.from({ length: 2048 }, (_, i) => 1 + 2 * Math.sin((2 * Math.PI * 2500 * (i + 2048 * k)) / 8192))
  const records = Array.from({ length: 9 }, (_, k) => blockRecord(waveformOf(k + 1, k * 0.25, snippet(k), 8192), 'press-1'))
  const features = await new Features1(plan).run(records)
  const vectors = features.emitted.map(({ output }) => (output.value as Features).vector!)
  assert.deepEqual(
    vectors.map((v) => v.windowStartUs),
    [0, SECOND_US],
  )
  const values = Object.fromEntries(vectors[0]!.names.map((name, i) => [name, vectors[0]!.values.readDoubleLE(i * 8)]))
  assert.ok(Math.abs(values['vibrationG.rms']! - Math.SQRT2) < 1e-3)
  assert.ok(Math.abs(values['vibrationG.bandRms2000to3000Hz']! - Math.SQRT2) < 1e-3)
  assert.ok(values['vibrationG.bandRms10to250Hz']! < 1e-2)

  const kept = new Map<string, Uint8Array>()
  const half = await new Features1(plan).run(records.slice(0, 3))
  half.snapshot(kept)
  const rest = await new Features1(plan).restore(kept).run(records.slice(3), [1], 3)
  assert.deepEqual(contents(rest), contents(features))
})

test('windows too large for one record are restored from their parts, also beside parts of a longer snapshot', async () => {
  const plan = modelPlan({ sources: ['a'], statistics: { v: ['rms'] } })
  const snippet = (k: number) => Float32Array.from({ length: 100_000 }, (_, i) => Math.sin(i * (k + 1)))
  const record = (k: number, timeS: number) =>
    blockRecord({ ...waveformOf(k + 1, timeS, snippet(k), 100_000), sourceId: 'a', channels: ['v'] })
  const records = [...Array.from({ length: 8 }, (_, k) => record(k, k * 0.5)), record(8, 12), record(9, 16), record(10, 20)]
  const whole = await new Features1(plan).run(records, [1])
  const kept = new Map<string, Uint8Array>()
  const live = new Features1(plan)
  for (const [i, at] of [8, 9].entries()) {
    const from = i === 0 ? 0 : 8
    await live.run(records.slice(from, at), [1], from)
    live.snapshot(kept)
    const rest = await new Features1(plan).restore(kept).run(records.slice(at), [1], at)
    assert.deepEqual(contents(rest), contents(whole).slice(-rest.emitted.length))
    assert.equal(live.emitted.length + rest.emitted.length, whole.emitted.length)
  }
  assert.ok(kept.size > 3, 'it was split')
})

test('what the plant does not describe is counted and leaves no memory', async () => {
  const counted: Record<string, number> = {}
  const memory = newMemory()
  const handle = onTelemetry({
    memory,
    settled,
    servicedAt,
    planAt: () => undefined,
    gapBound: 16,
    counts: { ...noCounts, rows: (outcome, n) => (counted[outcome] = (counted[outcome] ?? 0) + n) },
  })
  const out = await handle({
    topic: 'telemetry',
    partition: 0,
    inputs: [inputOf(blockRecord(blockOf([{ seq: 1, timeS: 0, values: [1] }])), 0)],
  })
  assert.deepEqual([out.outputs.length, counted['unplanned'], memory.assets.size], [0, 1, 0])
})

test('a block that contradicts itself is counted and stops nothing', async () => {
  let malformed = 0
  const memory = newMemory()
  const handle = onTelemetry({
    memory,
    settled,
    servicedAt,
    planAt: () => twoSources,
    gapBound: 16,
    counts: { ...noCounts, malformed: () => malformed++ },
  })
  const bad = blockRecord(blockOf([{ seq: 1, timeS: 0, values: [1] }], { rows: 3 }))
  await handle({ topic: 'telemetry', partition: 0, inputs: [inputOf(bad, 0), inputOf(tickRecord('ingest-0', 5), 1)] })
  assert.deepEqual([malformed, memory.time.timeUs], [1, 5 * SECOND_US])
})

test('a block that overtakes the plant file waits for it', async () => {
  const memory = newMemory()
  let plan: AssetPlan | undefined
  const published = async () => {
    plan = twoSources
  }
  const handle = onTelemetry({ memory, settled: published, servicedAt, planAt: () => plan, gapBound: 16, counts: noCounts })
  await handle({ topic: 'telemetry', partition: 0, inputs: [inputOf(blockRecord(blockOf([{ seq: 1, timeS: 0, values: [1] }])), 0)] })
  assert.equal(memory.assets.size, 1)
})

test('ticks that close nothing of an asset store nothing of it', async () => {
  const asset = 'press-1-process'
  const bench = new Features1(modelPlan())
  const changedBy = async (record: Telemetry): Promise<boolean> => {
    bench.memory.changed.clear()
    await bench.run([record])
    return bench.memory.changed.has(asset)
  }
  const rows = (seq: number, timeS: number): Telemetry => blockRecord(blockOf([{ seq, timeS, values: [1] }]), asset)
  assert.equal(await changedBy(rows(1, 1)), true)
  for (const timeS of [2, 3, 4, 6.9]) assert.equal(await changedBy(tickRecord('t', timeS)), false, `at ${timeS} s`)
  assert.equal(await changedBy(tickRecord('t', 7)), true, 'the window and the grace are over')
  assert.equal(bench.emitted.length, 1)
  // Row 3 is missing: a gap holds the time of the asset, and may let it go at any tick.
  await bench.run([rows(2, 8), rows(4, 12)])
  assert.equal(await changedBy(tickRecord('t', 12.5)), true)
})
