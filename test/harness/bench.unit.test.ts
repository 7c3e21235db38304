// The harness itself: what it finds, what it refuses to believe. Costs are made up, so nothing here depends on the machine.

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type TestContext, test } from 'node:test'
import { repositoryRoot } from '@andon/platform'
import { failed, isPass, limit, lineOf, notMeasured } from './bench-measurement.ts'
import { randomFrom, ratioOf } from './bench-statistics.ts'
import { type Contender, type Cost, PeerMissing, type RaceOptions, inProcess, ratio, run } from './bench.ts'

/** Most samples near the floor, some far above it: what a machine that others use looks like. */
const noisy = (floorUs: number, random: () => number): number => floorUs * (1 + 0.01 * random() + (random() < 0.3 ? random() : 0))

const series = (floorUs: number, seed: number): number[] => {
  const random = randomFrom(seed)
  return Array.from({ length: 30 }, () => noisy(floorUs, random))
}

const contender = (name: string, floorUs: number, seed: number): Contender => {
  const random = randomFrom(seed)
  const run = (rounds: number): Promise<Cost> => {
    const us = noisy(floorUs, random) * rounds
    return Promise.resolve({ work: rounds, wallMs: us / 1000, cpuUs: us })
  }
  return { name, run }
}

const optionsFor = (t: TestContext, options: Partial<RaceOptions>): RaceOptions => {
  const rawFolder = mkdtempSync(join(tmpdir(), 'andon-bench-test-'))
  t.after(() => rmSync(rawFolder, { recursive: true, force: true }))
  let seed = 0
  const ours = (): Contender => contender('ours', 100, ++seed)
  return { id: 'test', judge: 'cpu', sampleMs: 20, samples: 30, ours, peers: {}, rawFolder, say: () => {}, ...options }
}

const P = { id: 'P', required: 1.1, unit: 'x' } as const

test('a difference of a tenth is found in the noise', () => {
  for (let seed = 0; seed < 20; seed++) {
    const { ofMinima, interval } = ratioOf(series(100, 2 * seed + 1), series(110, 2 * seed + 2))
    assert.ok(ofMinima > 1.08 && ofMinima < 1.12, `minima ${ofMinima}`)
    assert.ok(interval[0] < interval[1])
  }
})

test('the same code against itself gives 1', () => {
  for (let seed = 0; seed < 20; seed++) {
    const { ofMinima, interval } = ratioOf(series(100, 2 * seed + 1), series(100, 2 * seed + 2))
    assert.ok(ofMinima > 0.98 && ofMinima < 1.02, `minima ${ofMinima}`)
    assert.ok(interval[0] <= 1.1 && interval[1] >= 0.9, `interval ${interval.join('..')}`)
  }
})

test('a race says how many times cheaper the subject is, and keeps every sample', async (t) => {
  const race = await run(optionsFor(t, { peers: { theirs: () => contender('theirs', 120, 7) } }))
  const found = ratio(race, { ...P, peer: 'theirs' })
  assert.ok(found.value !== null && found.value > 1.18 && found.value < 1.22, `value ${found.value}`)
  assert.ok(isPass(found))
  assert.equal(found.samples, 60)
  const line = JSON.parse(lineOf(found)) as Record<string, unknown>
  assert.deepEqual(Object.keys(line), ['id', 'score', 'lo', 'value', 'required', 'unit', 'control', 'samples', 'detail'])
  const raw = JSON.parse(readFileSync(resolve(repositoryRoot, race.raw), 'utf8')) as { contenders: { costs: Cost[] }[] }
  assert.deepEqual(
    raw.contenders.map(({ costs }) => costs.length),
    [30, 30, 30],
  )
})

test('contenders take turns, each time the other way round', async (t) => {
  const order: string[] = []
  const listed = (name: string): Contender => {
    const inner = contender(name, 100, 1)
    const run = (rounds: number): Promise<Cost> => {
      order.push(name)
      return inner.run(rounds)
    }
    return { name, run }
  }
  let control = false
  const ours = (): Contender => {
    const name = control ? 'control' : 'ours'
    control = true
    return listed(name)
  }
  await run(optionsFor(t, { ours, peers: { a: () => listed('a') }, samples: 2 }))
  assert.deepEqual(order.slice(-6), ['ours', 'a', 'control', 'control', 'a', 'ours'])
})

test('a race with a control that is off is run three times and never counts', async (t) => {
  let started = 0
  const ours = (): Contender => contender('ours', started++ % 2 === 0 ? 100 : 115, started)
  const race = await run(optionsFor(t, { ours, peers: { theirs: () => contender('theirs', 1000, 7) } }))
  const found = ratio(race, { ...P, peer: 'theirs' })
  assert.equal(race.tries, 3)
  assert.equal(started, 6)
  assert.ok((found.score ?? 0) > 1)
  assert.match(found.why ?? '', /void after 3 tries: control 1\.1/)
  assert.equal(isPass(found), false)
})

test('a missing peer is skipped, which is no pass, and the others are measured', async (t) => {
  const peers = { theirs: () => contender('theirs', 200, 7), gone: () => Promise.reject(new PeerMissing('gone: not installed')) }
  const race = await run(optionsFor(t, { peers }))
  const gone = ratio(race, { ...P, peer: 'gone' })
  assert.equal(gone.skipped, true)
  assert.equal(gone.score, null)
  assert.match(lineOf(gone), /"skipped":true,"why":"gone: not installed"/)
  assert.equal(isPass(gone), false)
  assert.ok(isPass(ratio(race, { ...P, peer: 'theirs' })))
})

test('a figure whose interval reaches too far below the requirement is no pass', () => {
  const measured = { id: 'P', score: 1.2, lo: 0.9, value: 1.2, required: 1, unit: 'x', control: 1, samples: 60, detail: {}, isLimit: false }
  assert.equal(isPass(measured), false)
  assert.equal(isPass({ ...measured, lo: 0.93 }), true)
  assert.equal(isPass({ ...measured, lo: 0.93, control: 1.06 }), false)
})

test('what was not measured is null with a reason, and no pass', () => {
  const nothing = notMeasured({ ...P, isLimit: true }, 'no broker')
  assert.equal(isPass(nothing), false)
  assert.match(lineOf(nothing), /"score":null,"value":null,.*"why":"no broker"/)
})

test('a benchmark that fails is not measured, and says why', () => {
  const broken = failed('P1', new Error('the broker is gone'))
  assert.equal(isPass(broken), false)
  assert.match(lineOf(broken), /"score":null,"value":null,"required":null,.*"why":"failed: the broker is gone"/)
})

test('a limit scores 1 at its bound, and more below it', () => {
  assert.equal(limit('L', 20, 20, 's', 1, {}).score, 1)
  assert.equal(limit('L', 10, 20, 's', 1, {}).score, 2)
  assert.equal(isPass(limit('L', 21, 20, 's', 1, {})), false)
  assert.equal(limit('L', 0, 0, 'left', 1, {}).score, 1)
  assert.equal(limit('L', 1, 0, 'left', 1, {}).score, 0)
})

test('a subject whose work was optimised away is noticed', async () => {
  const removed = inProcess('removed', (rounds) => rounds) // what a compiler leaves of a loop without effect
  await assert.rejects(removed.run(10_000_000), /optimised away/)
})

test('a subject whose result depends on no round is noticed', async () => {
  const constant = inProcess('constant', () => 42)
  await constant.run(10)
  await assert.rejects(constant.run(20), /depends on no round/)
})
