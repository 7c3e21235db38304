// The hysteresis, row by row: when an episode opens, is told about again, and closes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { defaultDetectorSet } from '../src/detector-set.ts'
import type { DetectorSet } from '../src/detector-set.ts'
import { judge, quietMachine, severityOf } from '../src/episode.ts'
import type { Machine, Transition } from '../src/episode.ts'
import { oneOnOne } from './predictions.ts'

const run = (ratios: readonly number[], set: DetectorSet = defaultDetectorSet) => {
  let machine: Machine = quietMachine
  const transitions: (Transition & { readonly at: number })[] = []
  ratios.forEach((ratio, at) => {
    const step = judge(
      machine,
      { ratio, vectorId: `v${at}`, atUs: at, historical: false, mayQuieten: true },
      set,
      (opening) => `episode of ${opening}`,
    )
    machine = step.machine
    if (step.transition !== undefined) transitions.push({ ...step.transition, at })
  })
  return { machine, told: transitions.map(({ kind, at }) => `${kind}@${at}`), transitions }
}
const times = (n: number, ratio: number) => Array.from({ length: n }, () => ratio)

const table: readonly [string, readonly number[], readonly string[]][] = [
  ['two windows above the line open nothing', [1.5, 1.5, 0.9, 1.5, 1.5], []],
  ['three in a row open', [1.5, 1.5, 1.5], ['opened@2']],
  ['exactly on the line is not above it', [1, 1, 1, 1], []],
  ['nine quiet windows do not close', [2, 2, 2, ...times(9, 0.5), 2], ['opened@2']],
  ['ten quiet windows close', [2, 2, 2, ...times(10, 0.5)], ['opened@2', 'closed@12']],
  ['between 0.7 and 1 is not quiet', [2, 2, 2, ...times(40, 0.8)], ['opened@2']],
  ['after a close three are needed again', [2, 2, 2, ...times(10, 0.5), 2, 2, 0.5, 2, 2, 2], ['opened@2', 'closed@12', 'opened@18']],
]
for (const [name, ratios, expected] of table) {
  test(name, () => assert.deepEqual(run(ratios).told, expected))
}

test('a hysteresis of 1/1 opens and closes at once', () => {
  assert.deepEqual(run([0.5, 1.1, 0.6, 1.1], { ...defaultDetectorSet, ...oneOnOne }).told, ['opened@1', 'closed@2', 'opened@3'])
})

test('a level that falls to a tenth counts as the new normal after 30 windows, and settles unjudged', () => {
  const { told, machine } = run([...times(33, 40), ...times(10, 2), ...times(20, 2)])
  assert.deepEqual(told, ['opened@2', 'closed@42'])
  assert.equal(machine.settling, 0)
  assert.deepEqual(run([...times(33, 40), ...times(10, 2), ...times(23, 2)]).told, ['opened@2', 'closed@42', 'opened@65'])
})

test('before 30 windows a fall above the quiet level closes nothing', () => {
  assert.deepEqual(run([...times(10, 40), ...times(15, 2)]).told, ['opened@2'])
})

test('a graver severity is told at once', () => {
  const { told, transitions } = run([1.5, 1.5, 1.5, 5, 40])
  assert.deepEqual(told, ['opened@2', 'updated@3', 'updated@4'])
  assert.deepEqual(
    transitions.map(({ episode }) => episode.severity),
    [3, 2, 1],
  )
})

test('a growing peak is told once a quarter is added, and at most every ten windows', () => {
  const growing = Array.from({ length: 40 }, (_, i) => 40 * 1.1 ** i)
  const { told } = run(growing)
  assert.deepEqual(told, ['opened@2', 'updated@12', 'updated@22', 'updated@32'])
  assert.deepEqual(run([8, 8, 8, ...times(60, 9.9)]).told, ['opened@2'])
})

test('severity never falls within an episode', () => {
  const { machine } = run([40, 40, 40, 1.2, 1.2])
  assert.equal(machine.episode?.severity, 1)
  assert.equal(machine.episode?.peakRatio, 40)
})

test('severity has its lines at two and six times the distance, ratios 4 and 36', () => {
  assert.deepEqual(
    [1.01, 3.99, 4, 35.9, 36].map((ratio) => severityOf(ratio, defaultDetectorSet)),
    [3, 3, 2, 2, 1],
  )
})

test('old data that reaches the present is told again', () => {
  const set = defaultDetectorSet
  let machine: Machine = quietMachine
  const told: string[] = []
  for (const [at, historical] of [true, true, true, true, false, false].entries()) {
    const step = judge(machine, { ratio: 3, vectorId: `v${at}`, atUs: at, historical, mayQuieten: true }, set, (opening) => opening)
    machine = step.machine
    if (step.transition !== undefined) told.push(`${step.transition.kind}@${at}:${step.transition.episode.historical}`)
  }
  assert.deepEqual(told, ['opened@2:true', 'updated@4:false'])
})

test('smoothing carries a single peak over, and delays the line', () => {
  const smooth = { ...defaultDetectorSet, ewmaAlpha: 0.2 }
  assert.deepEqual(run([0, 2, 2, 2, 2, 2, 2], smooth).told, ['opened@6'])
})

test('transitions alternate: opened, any number of updates, closed', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 20, noNaN: true }), { maxLength: 300 }), (ratios) => {
      let isOpen = false
      for (const { kind, episode } of run(ratios).transitions) {
        assert.equal(kind === 'opened', !isOpen)
        assert.ok(episode.peakRatio > 1)
        isOpen = kind !== 'closed'
      }
    }),
  )
})
