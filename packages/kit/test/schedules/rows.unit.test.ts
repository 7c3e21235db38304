// The counterexamples of the data path's model (its rows) that the processing loop must rule out, each as the shortest
// schedule that shows it, on the in-memory log and on a simulated one. Rows 1 and 2 need a spool and rows 8 and 12 to 21
// services: they are in test/schedules/.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DedupeMarks, MemoryStore, compareOrders, openMemoryLog, openSimulation, parseCause, parseOrder, runProcess } from '@andon/kit'
import type { Clock, LogRecord, MemoryLog, ProcessOptions, Run, Simulation, SimulationFaults } from '@andon/kit'
import { jsonCodec } from '../json-codec.ts'
import { doubles, silent, totals, until } from '../process-rig.ts'
import type { Add, Total } from '../process-rig.ts'

interface Place {
  readonly store: MemoryStore
  /** Another process. */
  open(name: string, maxBatchRecords?: number): MemoryLog & { readonly clock?: Clock }
  /** Awaits something that needs the log. */
  settled<T>(promise: Promise<T>): Promise<T>
  until(check: () => boolean): Promise<void>
}

const inMemory = (): Place => {
  const store = new MemoryStore(1)
  return {
    store,
    open: (_name, maxBatchRecords = 500) => openMemoryLog({ store, maxBatchRecords }),
    settled: (promise) => promise,
    until: (check) => until(check),
  }
}

const simulated =
  (seed: number, faults: SimulationFaults = {}) =>
  (): Place & { readonly sim: Simulation } => {
    const sim = openSimulation({ seed, faults })
    return {
      sim,
      store: sim.store,
      open: (name, maxBatchRecords = 500) => sim.openLog(name, { maxBatchRecords }),
      settled: (promise) => sim.complete(promise),
      until: (check) => sim.until(check),
    }
  }

const places = { memory: inMemory, 'simulation 1': simulated(1), 'simulation 2': simulated(2), 'simulation 3': simulated(3) }

class Mesh {
  readonly place: Place
  private readonly outside: MemoryLog

  constructor(place: Place) {
    this.place = place
    this.outside = place.open('outside')
    for (const topic of ['numbers', 'totals', 'finals']) place.store.topic(topic)
  }

  async start(
    log: MemoryLog & { readonly clock?: Clock },
    options: Partial<ProcessOptions<Add>> & Pick<ProcessOptions<Add>, 'open'>,
  ): Promise<Run> {
    const every = { snapshotEveryRecords: 1000, snapshotEveryMs: 86_400_000 }
    const deps = { ...silent, ...(log.clock ? { clock: log.clock } : {}) }
    return this.place.settled(runProcess<Add>(log, jsonCodec, { service: 'adder', input: 'numbers', ...every, ...options }, deps))
  }

  async sendTo(key: string, n: number): Promise<void> {
    const value = jsonCodec.encode('numbers', { n })
    await this.place.settled(this.outside.append([{ topic: 'numbers', key, value, headers: { ce_id: `${key}${n}` } }]))
  }

  async send(...numbers: readonly (number | readonly [id: string, n: number, headers?: Record<string, string>])[]): Promise<void> {
    for (const each of numbers) {
      const [id, n, headers] = typeof each === 'number' ? [`n${each}`, each] : each
      const value = jsonCodec.encode('numbers', { n })
      await this.place.settled(this.outside.append([{ topic: 'numbers', key: 'a', value, headers: { ce_id: id, ...headers } }]))
    }
  }

  records(topic: string): readonly LogRecord[] {
    return this.place.store.partition(topic, 0).records
  }

  /** What a reader that drops repeats sees. */
  passed(topic = 'totals'): readonly LogRecord[] {
    const marks = new DedupeMarks()
    return this.records(topic).filter((record) =>
      marks.admit(parseCause(record.header('andon-cause')), record.header('andon-lane') ?? 'live'),
    )
  }

  /** Passed outputs whose cause is still in the input. */
  kept(): number[] {
    const causes = new Set(this.records('numbers').map(({ leaderEpoch, offset }) => `${leaderEpoch}/${offset}`))
    return this.passed()
      .filter((record) => {
        const { leaderEpoch, offset } = parseCause(record.header('andon-cause'))!
        return causes.has(`${leaderEpoch}/${offset}`)
      })
      .map(totalIn)
  }

  /** Power loss: what is left of each topic; every partition's leader epoch rises. */
  powerLoss(left: Readonly<Record<string, number>>): void {
    for (const topic of this.place.store.topics.keys()) this.place.store.cut(topic, 0, left[topic] ?? Number.MAX_SAFE_INTEGER)
  }

  totals(count: number): Promise<void> {
    return this.place.until(() => this.records('totals').length >= count)
  }
}

const totalIn = (record: LogRecord): number => jsonCodec.decode<Total>('totals', record.value!).total

/** Like `doubles`, from totals to finals: the order of what it read travels on. */
const relay = () => ({
  handle: (batch: Parameters<ReturnType<typeof doubles>['handle']>[0]) => {
    const out = doubles().handle(batch) as ReturnType<ReturnType<typeof doubles>['handle']> & { outputs: { output: { topic: string } }[] }
    for (const { output } of out.outputs) output.topic = 'finals'
    return out
  },
})

const row = (name: string, body: (mesh: Mesh) => Promise<void>): void => {
  for (const [place, open] of Object.entries(places)) void test(`${name} (${place})`, { timeout: 60_000 }, () => body(new Mesh(open())))
}

row('row 3: offsets that are used again below a running consumer are read again', async (mesh) => {
  const log = mesh.place.open('adder')
  const run = await mesh.start(log, { open: totals })
  await mesh.send(1, 2, 3)
  await mesh.totals(3)
  mesh.powerLoss({ numbers: 1 })
  await mesh.send(20, 30, 40)
  await mesh.place.until(() => mesh.kept().length === 4)
  assert.deepEqual(mesh.kept(), [1, 21, 51, 91])
  await mesh.place.settled(run.stop())
})

row('row 4: the position comes from the snapshot, never from the commit', async (mesh) => {
  const first = mesh.place.open('adder-1', 1)
  await mesh.start(first, { open: totals, snapshotEveryRecords: 2 })
  await mesh.send(1, 2, 3)
  await mesh.totals(3)
  await mesh.place.until(() => mesh.place.store.group('adder').committed.get('numbers/0') === 3)
  first.crash()
  const second = mesh.place.open('adder-2')
  const run = await mesh.start(second, { open: totals })
  await mesh.send(4)
  await mesh.place.until(() => mesh.kept().length === 4)
  assert.deepEqual(mesh.kept(), [1, 3, 6, 10])
  await mesh.place.settled(run.stop())
})

row('row 5: a snapshot whose outputs are lost is passed over', async (mesh) => {
  const first = mesh.place.open('adder-1')
  const run = await mesh.start(first, { open: totals, snapshotEveryRecords: 1 })
  await mesh.send(1, 2, 3)
  await mesh.totals(3)
  await mesh.place.settled(run.stop())
  mesh.powerLoss({ totals: 1 })
  const second = mesh.place.open('adder-2')
  const next = await mesh.start(second, { open: totals })
  await mesh.totals(3)
  assert.deepEqual(mesh.kept(), [1, 3, 6])
  await mesh.place.settled(next.stop())
})

row('row 6: a record that lies on its offset again, above others than before, is not the record of the mark', async (mesh) => {
  const first = mesh.place.open('adder-1')
  const run = await mesh.start(first, { open: totals, snapshotEveryRecords: 1 })
  await mesh.send(['first', 1], ['again', 2])
  await mesh.totals(2)
  await mesh.place.settled(run.stop())
  mesh.powerLoss({ numbers: 0 })
  await mesh.send(['other', 100], ['again', 2])
  const second = mesh.place.open('adder-2')
  const next = await mesh.start(second, { open: totals })
  await mesh.place.until(() => mesh.kept().length === 2)
  assert.deepEqual(mesh.kept(), [100, 102])
  await mesh.place.settled(next.stop())
})

row('row 6: lineage of needed outputs is not taken for that of lost ones', async (mesh) => {
  const log = mesh.place.open('adder')
  const run = await mesh.start(log, { open: totals })
  await mesh.send(1, 2)
  await mesh.totals(2)
  mesh.powerLoss({ numbers: 0 })
  await mesh.send(100, 2)
  await mesh.place.until(() => mesh.records('totals').length >= 4)
  assert.deepEqual(mesh.kept(), [100, 102])
  await mesh.place.settled(run.stop())
})

row('row 7: outputs of a batch that was cut in the middle are told apart, however the batch comes again', async (mesh) => {
  await mesh.send(1, 2)
  const first = mesh.place.open('adder-1', 2)
  await mesh.start(first, { open: totals })
  await mesh.totals(2)
  first.crash()
  mesh.powerLoss({ totals: 1 }) // of both outputs the first was stored
  const second = mesh.place.open('adder-2', 1)
  const run = await mesh.start(second, { open: totals })
  await mesh.totals(3)
  assert.deepEqual(mesh.kept(), [1, 3])
  await mesh.place.settled(run.stop())
})

row('row 9: what is passed on twice, from two places of the log, is one thing by its order', async (mesh) => {
  const first = mesh.place.open('adder')
  const run = await mesh.start(first, { open: totals })
  const next = mesh.place.open('relay')
  const relaying = await mesh.start(next, { service: 'relay', input: 'totals', outputs: ['finals'], open: relay })
  await mesh.send(1, 2)
  await mesh.place.until(() => mesh.records('finals').length === 2)
  mesh.powerLoss({ totals: 0 })
  await mesh.place.until(() => mesh.records('totals').length === 2 && mesh.records('finals').length >= 4)
  const orders = mesh.passed('finals').map((record) => parseOrder(record.header('andon-order'))!)
  assert.equal(orders.length, 4, 'the mark alone lets them pass')
  assert.equal(compareOrders(orders[0]!, orders[2]!), 0)
  assert.equal(compareOrders(orders[1]!, orders[3]!), 0)
  await mesh.place.settled(Promise.all([run.stop(), relaying.stop()]))
})

row('row 10: a redriven record keeps its own order and passes once per redrive, so that a newer revision stays', async (mesh) => {
  const log = mesh.place.open('relay')
  const run = await mesh.start(log, { service: 'relay', outputs: ['finals'], open: relay })
  const revision = (offset: number, lane: string): [string, number, Record<string, string>] => [
    `r${offset}`,
    offset,
    { 'andon-cause': `telemetry/0/0/${offset}/0`, 'andon-order': `0.0.${offset}.0`, 'andon-lane': lane },
  ]
  await mesh.send(revision(1, 'live'), revision(2, 'live'))
  await mesh.send(revision(1, 'redrive:7'), revision(1, 'redrive:7'), revision(1, 'redrive:8'))
  await mesh.send(revision(3, 'live'), revision(2, 'live'))
  await mesh.place.until(() => mesh.records('finals').length >= 5)
  await mesh.place.settled(run.stop())
  const passed = mesh.passed('finals').map((record) => `${record.header('andon-lane')} ${parseOrder(record.header('andon-order'))!.offset}`)
  assert.deepEqual(passed, ['live 1', 'live 2', 'redrive:7 1', 'redrive:8 1', 'live 3'])
  const orders = mesh.passed('finals').map((record) => parseOrder(record.header('andon-order'))!)
  assert.equal(orders.toSorted(compareOrders).at(-1)!.offset, 3)
})

row('row 11: nothing is appended behind an output that the log has lost, whoever owned the partition meanwhile', async (mesh) => {
  const log = mesh.place.open('adder')
  const run = await mesh.start(log, { open: totals })
  await mesh.send(1)
  await mesh.totals(1)
  mesh.place.store.cut('totals', 0, 0) // its input goes on as if nothing had happened
  await mesh.send(2)
  await mesh.place.until(() => mesh.kept().length === 2)
  assert.deepEqual(mesh.kept(), [1, 3])
  await mesh.place.settled(run.stop())
})

row('a changelog that lost rounds under its owner is made whole: the next owner misses nothing', async (mesh) => {
  const rounds = (): number => mesh.records('adder.changelog').filter(({ key }) => key === '0:').length
  const first = mesh.place.open('adder-1')
  await mesh.start(first, { open: totals, snapshotEveryRecords: 1 })
  await mesh.sendTo('a', 1)
  await mesh.place.until(() => rounds() === 1)
  const left = mesh.records('adder.changelog').length
  await mesh.sendTo('a', 2)
  await mesh.place.until(() => rounds() === 2)
  mesh.powerLoss({ 'adder.changelog': left }) // its input and its outputs are all there
  await mesh.sendTo('b', 5)
  await mesh.place.until(() => mesh.kept().length === 3 && rounds() >= 2)
  first.crash()
  const run = await mesh.start(mesh.place.open('adder-2'), { open: totals })
  await mesh.sendTo('a', 10)
  await mesh.place.until(() => mesh.kept().length === 4)
  assert.deepEqual(mesh.kept(), [1, 3, 5, 13])
  await mesh.place.settled(run.stop())
})

row('a rebalance leaves a snapshot behind of all that was handled', async (mesh) => {
  const first = await mesh.start(mesh.place.open('adder-1'), { open: totals })
  await mesh.send(1, 2)
  await mesh.totals(2)
  assert.equal(mesh.place.store.topic('adder.changelog').partitions[0]!.high, 0)
  const second = await mesh.start(mesh.place.open('adder-2'), { open: totals })
  assert.ok(
    mesh.records('adder.changelog').some(({ key }) => key === '0:a'),
    'written before the second one had joined',
  )
  await mesh.place.settled(Promise.all([first.stop(), second.stop()]))
})

row('the crash of an owner between any two steps leaves the outputs of its log, in order and once', async (mesh) => {
  await mesh.send(1, 2, 3, 4)
  for (let outputs = 1; outputs <= 4; outputs++) {
    const log = mesh.place.open(`adder-${outputs}`, 1)
    await mesh.start(log, { open: totals, snapshotEveryRecords: 2 })
    await mesh.place.until(() => mesh.kept().length >= outputs)
    log.crash()
  }
  const run = await mesh.start(mesh.place.open('adder-last'), { open: totals })
  await mesh.send(5)
  await mesh.place.until(() => mesh.kept().length === 5)
  assert.deepEqual(mesh.kept(), [1, 3, 6, 10, 15])
  await mesh.place.settled(run.stop())
})

void test('answers of fetches that come twice are handled once', { timeout: 60_000 }, async () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const place = simulated(seed, { repeatedAnswers: 1, slowSteps: 0.2 })()
    const { sim } = place
    const mesh = new Mesh(place)
    const run = await mesh.start(place.open('adder', 2), { open: totals })
    for (let n = 1; n <= 12; n++) await mesh.send(1)
    await sim.idle()
    assert.ok(sim.trace.some((line) => line.includes('the answer again')))
    assert.deepEqual(
      mesh.records('totals').map(totalIn),
      Array.from({ length: 12 }, (_, i) => i + 1),
    )
    await sim.complete(run.stop())
  }
})
