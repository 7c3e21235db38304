// When the life that models give a machine is told.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Anomalies, Predictions, RemainingLife } from '@andon/schemas'
import { lifeAfter } from '../src/remaining-life.ts'
import type { LifeState, LifeTransition } from '../src/remaining-life.ts'
import { namesOf, Plant, shortSet, unscoredWindow } from './detector-stream.ts'

const HOUR_US = 3_600_000_000
const DAY_US = 24 * HOUR_US

const answer = (leftUs: number, changes: Partial<RemainingLife> = {}): RemainingLife => ({
  model: 'life',
  version: 1,
  digest: 'life-1',
  role: 'champion',
  lowUs: Math.round(leftUs * 0.8),
  medianUs: Math.round(leftUs),
  highUs: Math.round(leftUs * 1.3),
  coverage: 0.9,
  provider: 'CPUExecutionProvider',
  ...changes,
})

/** One answer an hour; undefined: none. */
const told = (answers: readonly (RemainingLife | undefined)[]): (LifeTransition & { readonly hour: number })[] => {
  let state: LifeState | undefined
  return answers.flatMap((remaining, hour) => {
    const step = lifeAfter(state, { atUs: hour * HOUR_US, vectorId: `vector-${hour}`, remaining })
    state = step.state
    return step.transition === undefined ? [] : [{ ...step.transition, hour }]
  })
}
const hours = (count: number, leftUs: (hour: number) => number): RemainingLife[] =>
  Array.from({ length: count }, (_, hour) => answer(leftUs(hour)))

test('an end that comes as expected is told once, when it is near', () => {
  const transitions = told(hours(24 * 30, (hour) => 110 * DAY_US - hour * HOUR_US))
  assert.deepEqual(
    transitions.map(({ kind, hour }) => [kind, Math.floor(hour / 24)]),
    [['opened', 20]],
  )
})

test('it is told again when it moves by a quarter of what remains; answers that jump now and then move nothing', () => {
  assert.deepEqual(
    told(hours(200, (hour) => (hour % 7 === 3 ? 2 : 30) * DAY_US - hour * HOUR_US)).map(({ kind }) => kind),
    ['opened'],
  )
  const moved = told(hours(200, (hour) => (hour < 100 ? 40 : 20) * DAY_US - hour * HOUR_US))
  assert.deepEqual(
    moved.map(({ kind, hour }) => [kind, hour]),
    [
      ['opened', 4],
      ['updated', 102],
    ],
  )
  assert.equal(moved[1]?.told.openingVectorId, 'vector-4')
})

test('it is over when the end is far again, when nobody answers and when another version answers', () => {
  const near = hours(10, () => 10 * DAY_US)
  const far = told([...near, ...hours(10, () => 300 * DAY_US)])
  assert.deepEqual([far.at(-1)?.kind, far.at(-1)?.remaining], ['closed', undefined])
  for (const next of [undefined, answer(10 * DAY_US, { digest: 'life-2', version: 2 })])
    assert.deepEqual(
      told([...near, next]).map(({ kind }) => kind),
      ['opened', 'closed'],
    )
})

const ofType = (plant: Plant): Anomalies[] =>
  plant.outputs.filter(({ type }) => type === 'PrognosisUpdated').map(({ value }) => value as Anomalies)
const windows = (count: number, remaining: readonly RemainingLife[], changes: Partial<Predictions> = {}): Predictions[] =>
  Array.from({ length: count }, (_, n) => ({ ...unscoredWindow(n, new Float64Array(namesOf(3).length).fill(10)), remaining, ...changes }))

test('a finding carries the interval and the model; shadows and old data tell nothing; a service ends it; a restart changes nothing', async () => {
  const near = [answer(10 * DAY_US)]
  const plant = await new Plant(shortSet).feed(windows(10, near))
  const [first] = ofType(plant)
  assert.deepEqual(
    [first?.finding?.transition, first?.prognosis?.medianUs, first?.prognosis?.coverage, first?.prognosis?.basis],
    ['opened', 10 * DAY_US, 0.9, 'model life version 1 (life-1)'],
  )
  assert.match(first?.finding?.title ?? '', /end of life by life expected in 10 days, 90 % between 8 days and 13 days/)
  for (const quiet of [windows(10, [answer(DAY_US, { role: 'shadow' })]), windows(10, near, { historical: true })])
    assert.deepEqual(ofType(await new Plant(shortSet).feed(quiet)), [])

  plant.restart()
  const serviced = windows(14, near)
    .slice(10)
    .map((window) => ({ ...window, baselineEpochUs: window.windowStartUs }))
  await plant.feed(serviced.slice(0, 1), 10)
  assert.deepEqual(
    ofType(plant).map(({ finding }) => [finding?.transition, finding?.episodeId === first?.finding?.episodeId]),
    [
      ['opened', true],
      ['closed', true],
    ],
  )
})
