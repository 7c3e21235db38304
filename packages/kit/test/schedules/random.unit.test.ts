// Random schedules of the processing loop on the simulated log: crashes, frozen owners, lost tails of each topic on its
// own, leader changes, lost and late requests, answers that come twice, rebalances. Each seed is one schedule and prints itself when it fails:
//   ANDON_TEST_SEED=<seed> runs that one alone and shows its trace; ANDON_TEST_SCHEDULES=<n> sets how many run.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { World } from './world.ts'

const THINGS = [
  ...Array<'send'>(10).fill('send'),
  ...(['crash', 'freeze', 'join', 'stop', 'leader', 'faults'] as const),
  ...(['power', 'power'] as const),
] as const

/** Draws and runs the schedule of a seed; returns the world after its fair end. */
export const runSchedule = async (seed: number): Promise<{ world: World; hadLoss: boolean }> => {
  const shape = { partitions: 1 + (seed % 2), maxBatchRecords: [1, 2, 500][seed % 3]!, standby: seed % 5 < 2 }
  const world = new World({ seed, ...shape })
  const { sim } = world
  const { random } = sim
  const isCutting = random.chance(0.7)
  let hadLoss = false
  let sent = 0
  world.launch('collector')
  world.launch('relay')
  const act = (): void => {
    const thing = random.pick(THINGS)
    const service = random.pick(world.services)
    if (thing === 'send') for (let n = random.int(4); n >= 0; n--) world.source.send(random.pick(['a', 'b', 'c']), ++sent)
    else if (thing === 'crash') service.log.crash()
    else if (thing === 'freeze') {
      service.log.pause()
      sim.clock.after(random.int(20_000), () => service.log.resume())
    } else if (thing === 'join') world.launch(random.pick(['collector', 'relay']))
    else if (thing === 'stop') void service.run.then((run) => run?.stop())
    else if (thing === 'leader') sim.changeLeader(random.pick(['numbers', 'totals', 'finals']), random.int(shape.partitions))
    else if (thing === 'faults') {
      sim.faults = { lostRequests: 0.03, lostAnswers: 0.03, lateRequests: 0.03, repeatedAnswers: 0.05, slowSteps: 0.05 }
      sim.clock.after(random.int(10_000), () => {
        sim.faults = {}
      })
    } else if (thing === 'power' && isCutting) {
      hadLoss = true
      sim.powerLoss((_topic, _partition, records) => (random.chance(0.5) ? 0 : random.int(Math.min(records, 8) + 1)))
      sim.clock.after(random.int(2000), () => world.source.doubt())
    }
  }
  for (let things = 5 + random.int(25), at = 0; things > 0; things--) {
    at += random.chance(0.3) ? random.int(5000) : random.int(200)
    sim.clock.after(at, act)
  }
  await sim.idle()
  await world.complete()
  return { world, hadLoss }
}

const first = Number(process.env['ANDON_TEST_SEED'] ?? 1)
const count = Number(process.env['ANDON_TEST_SCHEDULES'] ?? (process.env['ANDON_TEST_SEED'] === undefined ? 100 : 1))

void test(`${count} random schedules break no promise`, { timeout: 3_600_000 }, async () => {
  for (let seed = first; seed < first + count; seed++) {
    const { world, hadLoss } = await runSchedule(seed)
    const broken = world.judge(hadLoss)
    if (broken !== undefined) assert.fail(`ANDON_TEST_SEED=${seed}: ${broken}${count === 1 ? `\n${world.sim.trace.join('\n')}` : ''}`)
  }
})

void test('the same seed is the same schedule, event by event and byte by byte', async () => {
  for (const seed of [3, 8, 21]) {
    const [first, second] = [await runSchedule(seed), await runSchedule(seed)]
    assert.ok(first.world.sim.trace.length > 100)
    assert.deepEqual(first.world.sim.trace, second.world.sim.trace)
    for (const topic of ['numbers', 'totals', 'finals', 'collector.changelog'])
      assert.deepEqual(first.world.records(topic), second.world.records(topic))
  }
})
