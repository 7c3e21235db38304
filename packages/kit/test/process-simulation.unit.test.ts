// Random schedules of everything that can go wrong around the processing loop, on the in-memory log: crashes, restarts,
// lost tails of either log, refused appends, late joiners. Whatever happens, the totals end as a replay of the log gives
// them, and a reader that drops repeats sees each of them once and in order.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DedupeMarks, LogError, MemoryStore, openMemoryLog, parseCause } from '@andon/kit'
import type { MemoryLog } from '@andon/kit'
import fc from 'fast-check'
import { jsonCodec } from './json-codec.ts'
import { add, doubles, outputs, start, totals, until } from './process-rig.ts'
import type { Add } from './process-rig.ts'

type Step =
  | { readonly do: 'add'; readonly key: string; readonly n: number }
  | { readonly do: 'settle' | 'crash' | 'restart' | 'join' | 'snapshot' }
  | { readonly do: 'cutInput' | 'cutOutput' | 'cutBoth'; readonly lose: number }
  | { readonly do: 'refuse'; readonly times: number; readonly stored: boolean }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('add' as const), key: fc.constantFrom('a', 'b', 'c'), n: fc.integer({ min: 1, max: 100 }) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('settle' as const, 'crash' as const, 'restart' as const, 'join' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('cutInput' as const, 'cutOutput' as const, 'cutBoth' as const),
      lose: fc.integer({ min: 0, max: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('refuse' as const), times: fc.integer({ min: 1, max: 2 }), stored: fc.boolean() }) },
)

const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve)
  })

class World {
  readonly store = new MemoryStore(1)
  readonly outside: MemoryLog
  private readonly stateful: boolean
  private readonly maxBatchRecords: number
  private services: MemoryLog[] = []
  private refusals = 0
  private refusedAfterStoring = false

  constructor(stateful: boolean, maxBatchRecords: number) {
    this.stateful = stateful
    this.maxBatchRecords = maxBatchRecords
    this.outside = openMemoryLog({ store: this.store })
    for (const topic of ['numbers', 'totals']) this.store.topic(topic)
  }

  async launch(): Promise<void> {
    const log = openMemoryLog({ store: this.store, maxBatchRecords: this.maxBatchRecords })
    log.failAppends((records) => {
      if (records[0]?.topic !== 'totals' || this.refusals === 0) return undefined
      this.refusals--
      return { error: new LogError('retriable', 'ANDON_TEST_AWAY', 'away'), afterStoring: this.refusedAfterStoring }
    })
    this.services.push(log)
    const snapshotEveryRecords = 3
    await start(log, { open: this.stateful ? totals : doubles, snapshotEveryRecords })
  }

  async do(action: Step): Promise<void> {
    switch (action.do) {
      case 'add':
        return add(this.outside, action.key, action.n)
      case 'settle':
        for (let turns = 0; turns < 8; turns++) await turn()
        return undefined
      case 'crash':
        this.services.pop()?.crash()
        if (this.services.length === 0) await this.launch()
        return undefined
      case 'restart':
        await this.services.pop()?.close()
        if (this.services.length === 0) await this.launch()
        return undefined
      case 'join':
        return this.services.length < 2 ? this.launch() : undefined
      case 'refuse':
        this.refusals = action.times
        this.refusedAfterStoring = action.stored
        return undefined
      case 'snapshot':
        return undefined
      default:
        if (action.do !== 'cutOutput') this.cut('numbers', action.lose)
        if (action.do !== 'cutInput') this.cut('totals', action.lose)
        return undefined
    }
  }

  /** A broker that lost power lost the tails, and every reader's connection with it. */
  private cut(topic: string, lose: number): void {
    const { high } = this.store.partition(topic, 0)
    this.store.cut(topic, 0, Math.max(0, high - lose))
    for (const other of ['numbers', 'totals']) if (other !== topic) this.store.cut(other, 0, this.store.partition(other, 0).high)
  }

  async surviving(): Promise<{ cause: string; key: string; n: number }[]> {
    const found: { cause: string; key: string; n: number }[] = []
    for await (const batch of this.outside.read({ topic: 'numbers', partition: 0, from: 'earliest', to: 'latest' }))
      for (const record of batch.records)
        found.push({
          cause: `numbers/0/${record.leaderEpoch}/${record.offset}/0`,
          key: record.key ?? '',
          n: jsonCodec.decode<Add>('numbers', record.value!).n,
        })
    return found
  }

  async end(): Promise<void> {
    await Promise.all(this.services.map((log) => log.close()))
    await this.outside.close()
  }
}

const check = async (stateful: boolean, maxBatchRecords: number, steps: readonly Step[]): Promise<void> => {
  const world = new World(stateful, maxBatchRecords)
  await world.launch()
  for (const action of steps) {
    await world.do(action)
    await turn()
  }
  await add(world.outside, 'a', 1) // the fair end: no fault any more, one more record
  const expected: { cause: string; total: number }[] = []
  const sums = new Map<string, number>()
  for (const { cause, key, n } of await world.surviving()) {
    sums.set(key, (sums.get(key) ?? 0) + n)
    expected.push({ cause, total: stateful ? sums.get(key)! : n * 2 })
  }
  const wanted = new Set(expected.map(({ cause }) => cause))
  const live = async () => {
    const marks = new DedupeMarks()
    return (await outputs(world.outside))
      .filter(({ cause }) => marks.admit(parseCause(cause), 'live'))
      .map(({ cause, value }) => ({ cause: cause!, total: value.total }))
  }
  try {
    await until(async () => (await live()).at(-1)?.cause === expected.at(-1)!.cause, 'the last output', 8000)
    // Outputs of lost inputs may have gone out before the loss; what survived is there once, in order, with the right total.
    assert.deepEqual(
      (await live()).filter(({ cause }) => wanted.has(cause)),
      expected,
    )
  } finally {
    await world.end()
  }
}

const runs = Number(process.env['ANDON_TEST_RUNS'] ?? 60)

for (const stateful of [true, false])
  void test(
    `whatever fails, a ${stateful ? 'stateful' : 'stateless'} process ends with the totals of its log`,
    { timeout: 300_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(1, 2, 500), fc.array(step, { minLength: 3, maxLength: 40 }), (maxBatchRecords, steps) =>
          check(stateful, maxBatchRecords, steps),
        ),
        { numRuns: runs, endOnFailure: process.env['ANDON_TEST_SHRINK'] === undefined },
      )
    },
  )
