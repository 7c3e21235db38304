// Windows of every kind against an oracle that knows the accepted rows only: in whatever order rows came, however they were
// cut into blocks, sent again, or interrupted by restarts, the last revision of every window says the same, with the same id.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Telemetry } from '@andon/schemas'
import type { AssetPlan } from '../src/plan.ts'
import { SECOND_US, blockOf, blockRecord, modelPlan, tickRecord } from './blocks.ts'
import type { PlanOptions } from './blocks.ts'
import { assertIsOracle, run } from './one-asset.ts'
import type { Outcome } from './one-asset.ts'
import type { OracleRow } from './oracle.ts'

const statistics = { x: ['count', 'mean', 'max', 'last'], y: ['count', 'mean', 'max', 'last'] } as const
const base: PlanOptions = { sources: ['a', 'b'], latenessUs: SECOND_US, graceUs: SECOND_US / 4, statistics }
const carrying: PlanOptions = {
  ...base,
  statistics: { x: ['increase', 'stateChanges', 'stateDurationS'], y: ['mean', 'timeInBandPct', 'increase'] },
  options: { states: [0], limits: [0, null] },
}
const kinds: Readonly<Record<string, AssetPlan>> = {
  tumbling: modelPlan({ ...base, windowUs: SECOND_US }),
  'tumbling, short, with little lateness': modelPlan({ ...base, windowUs: 100_000, latenessUs: 50_000, graceUs: 20_000 }),
  hopping: modelPlan({ ...base, windowUs: SECOND_US, hopUs: 300_000 }),
  'at every row, by rows': modelPlan({ ...base, isByRow: true, lengths: [{ rows: 4 }] }),
  'at every row, by time': modelPlan({ ...base, isByRow: true, lengths: [{ us: 700_000 }] }),
  'at every row, of several lengths': modelPlan({ ...base, isByRow: true, lengths: [{ rows: 5 }, { us: 300_000 }, { rows: 2 }] }),
  'hopping, of several lengths': modelPlan({ ...base, windowUs: SECOND_US, hopUs: 500_000, lengths: [{ us: SECOND_US }, { us: 250_000 }] }),
  'hopping, with a length in rows': modelPlan({ ...base, windowUs: SECOND_US, hopUs: 500_000, lengths: [{ us: SECOND_US }, { rows: 3 }] }),
  'tumbling, with carried values': modelPlan({ ...carrying, windowUs: 250_000, latenessUs: 100_000, graceUs: 50_000 }),
  'tumbling, with carried values and much lateness': modelPlan({ ...carrying, windowUs: 200_000, latenessUs: 1_500_000 }),
  'hopping, with carried values': modelPlan({ ...carrying, windowUs: 300_000, hopUs: 200_000, latenessUs: 150_000 }),
  'hopping, with carried values, of several lengths': modelPlan({
    ...carrying,
    windowUs: SECOND_US,
    hopUs: 500_000,
    lengths: [{ us: SECOND_US }, { us: 250_000 }, { rows: 3 }],
  }),
  'at every row, without lateness': modelPlan({ ...base, latenessUs: 0, isByRow: true, lengths: [{ rows: 3 }] }),
}

/** A source whose rows carry one channel or both; now and then it packs them another way. */
interface Sent {
  readonly source: 'a' | 'b'
  readonly timeMs: number
  readonly value: number
  readonly quality: number
  readonly isSingle: boolean
}
const sent = fc.record({
  source: fc.constantFrom('a' as const, 'b' as const),
  timeMs: fc.integer({ min: 0, max: 2500 }),
  value: fc.oneof({ weight: 9, arbitrary: fc.integer({ min: -50, max: 50 }) }, { weight: 1, arbitrary: fc.constant(Number.NaN) }),
  quality: fc.constantFrom(0, 0, 0, 0, 1, 2),
  isSingle: fc.boolean(),
})
/** Where blocks end, which of them wait and for how long, which come twice, and ticks. */
const delivery = fc.record({
  cuts: fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }),
  delays: fc.array(fc.nat(6), { minLength: 1, maxLength: 12 }),
  repeats: fc.array(fc.boolean(), { minLength: 1, maxLength: 7 }),
  ticks: fc.array(fc.integer({ min: 0, max: 2800 }), { maxLength: 4 }),
})
type Delivery = typeof delivery extends fc.Arbitrary<infer D> ? D : never

const channelsOf = { a: ['x', 'y'], b: ['y'] }

/** Rows in the order in which their sources number them; most come in order of time, some jump. */
const rowsOf = (all: readonly Sent[], jitter: boolean): (OracleRow & { isSingle: boolean })[] => {
  const ordered = jitter ? all : all.toSorted((p, q) => p.timeMs - q.timeMs)
  const seqs = { a: 0, b: 0 }
  return ordered.map(({ source, timeMs, value, quality, isSingle }) => ({
    source,
    seq: ++seqs[source],
    timeUs: timeMs * 1000,
    quality,
    isSingle,
    values: source === 'a' ? { x: value, y: value + 1 } : { y: value * 2 },
  }))
}

/** Blocks of following rows of one source, brought in some order, with ticks between them; at the end all windows are closed. */
const recordsOf = (rows: ReturnType<typeof rowsOf>, { cuts, delays, repeats, ticks }: Delivery): Telemetry[] => {
  const blocks: Telemetry[] = []
  for (const source of ['a', 'b'] as const) {
    let open: ReturnType<typeof rowsOf> = []
    const flush = () => {
      const channels = channelsOf[source]
      if (open.length > 0) {
        const isSingle = open[0]!.isSingle
        const given = open.map(({ seq, timeUs, values }) => ({ seq, timeS: timeUs / SECOND_US, values: channels.map((id) => values[id]!) }))
        const block = blockOf(given, {
          sourceId: source,
          channels,
          receivedUs: 2500 * 1000,
          qualities: Buffer.from(open.map(({ quality }) => quality)),
        })
        const packed = channels.flatMap((id) => open.map(({ values }) => values[id]!))
        blocks.push(blockRecord(isSingle ? { ...block, dtype: 'f32', samples: Buffer.from(Float32Array.from(packed).buffer) } : block))
      }
      open = []
    }
    rows
      .filter((row) => row.source === source)
      .forEach((row, i) => {
        if (open.length > 0 && open[0]!.isSingle !== row.isSingle) flush()
        open.push(row)
        if (cuts[i % cuts.length]) flush()
      })
    flush()
  }
  const place = (i: number) => i + 2 * delays[i % delays.length]!
  const brought = blocks.map((block, i) => ({ block, at: place(i) })).toSorted((p, q) => p.at - q.at)
  const records = brought.flatMap(({ block }, i) => (repeats[i % repeats.length] ? [block, block] : [block]))
  ticks.forEach((upToMs, i) =>
    records.splice(Math.floor(((i + 1) * records.length) / (ticks.length + 1)), 0, tickRecord('t', upToMs / 1000)),
  )
  return [...records, tickRecord('t', 1000)]
}

for (const [kind, plan] of Object.entries(kinds)) {
  test(`windows ${kind}: the last revisions are those of the accepted rows, whatever came when`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(sent, { minLength: 1, maxLength: 30 }), fc.boolean(), delivery, async (all, jitter, how) => {
        const rows = rowsOf(all, jitter)
        assertIsOracle(plan, rows, await run(plan, recordsOf(rows, how)))
      }),
      { numRuns: 100 },
    )
  })

  test(`windows ${kind}: any order within the lateness gives the same last revisions, byte for byte`, async () => {
    const patient = { ...plan, latenessUs: 10 * SECOND_US }
    await fc.assert(
      fc.asyncProperty(fc.array(sent, { minLength: 1, maxLength: 25 }), delivery, delivery, async (all, one, other) => {
        const rows = rowsOf(all, true)
        const outcomes = [await run(patient, recordsOf(rows, one)), await run(patient, recordsOf(rows, other))]
        const last = ({ kept }: Outcome) =>
          [...kept.values()]
            .map(({ windowEndUs, vectorId, revision, values, ranges, complete, young }) => {
              return [windowEndUs, vectorId, revision, values.toString('hex'), ranges, complete, young]
            })
            .toSorted(([p], [q]) => (p as number) - (q as number))
        assert.deepEqual(last(outcomes[0]!), last(outcomes[1]!))
        assert.ok(outcomes.every(({ late }) => late.size === 0))
      }),
      { numRuns: 60 },
    )
  })

  test(`windows ${kind}: a restart after any record changes nothing`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(sent, { minLength: 1, maxLength: 20 }), fc.boolean(), delivery, async (all, jitter, how) => {
        const records = recordsOf(rowsOf(all, jitter), how)
        assert.deepEqual((await run(plan, records, true)).outputs, (await run(plan, records)).outputs)
      }),
      { numRuns: 30 },
    )
  })

  test(`windows ${kind}: rows from before a service are in no window that ends after it`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(sent, { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 2500 }),
        delivery,
        async (all, servicedMs, how) => {
          const rows = rowsOf(all, false)
          const servicedUs = servicedMs * 1000
          const outcome = await run(plan, recordsOf(rows, how), false, (_, endUs) => (servicedUs < endUs ? servicedUs : null))
          assertIsOracle(plan, rows, outcome, servicedUs)
          for (const { windowEndUs, baselineEpochUs } of outcome.kept.values())
            assert.equal(baselineEpochUs, windowEndUs > servicedUs ? servicedUs : null)
        },
      ),
      { numRuns: 30 },
    )
  })
}

test('a record that moves the time of the asset, and for which room is made, takes no rows from the windows that it closes', async () => {
  const plan = kinds['tumbling, short, with little lateness']!
  const block = (seqFrom: number, timesS: readonly number[], dtype: 'f32' | 'f64') => {
    const rows = timesS.map((timeS, i) => ({ seq: seqFrom + i, timeS, values: [timeS, 0] }))
    const packed = [...timesS, ...timesS.map(() => 0)]
    const samples = dtype === 'f32' ? { dtype, samples: Buffer.from(Float32Array.from(packed).buffer) } : {}
    return blockRecord(blockOf(rows, { sourceId: 'a', channels: ['x', 'y'], receivedUs: 2_500_000, ...samples }))
  }
  // Number 1 is missing; the second block is of another lane.
  const { kept } = await run(plan, [block(2, [1.3, 1.45], 'f32'), tickRecord('t', 2.42), block(5, [1.451], 'f64'), tickRecord('t', 1000)])
  assert.deepEqual(
    [...kept.values()].map(({ windowEndUs, revision }) => [windowEndUs, revision]),
    [
      [1_400_000, 1],
      [1_500_000, 2],
    ],
  )
})
