// The detector of an asset, learned and judged in the stream: what it finds, what it leaves alone, and that no cut shows.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Predictions } from '@andon/schemas'
import { defaultDetectorSet } from '../src/detector-set.ts'
import { openMultivariate } from '../src/detectors/multivariate.ts'
import { fitMultivariate } from '../src/detectors/multivariate-fit.ts'
import { Plant, SECOND_US, plantRows, shortSet, unscoredWindow } from './detector-stream.ts'
import { inputOf, verdictOf } from './predictions.ts'

const learned = shortSet.detector.learningWindows
const windowsOf = (rows: readonly Float64Array[], from = 0, overrides: Partial<Predictions> = {}) =>
  rows.map((row, i) => unscoredWindow(from + i, row, overrides))

/** Rows whose channel 1 is offset by so many of its standard deviations from one row to another. */
const offset = (rows: Float64Array[], from: number, to: number, sigmas: number): Float64Array[] =>
  rows.map((row, t) => (t >= from && t < to ? row.map((value, j) => (j === 1 ? value + sigmas * 0.28 : value)) : row))

test('a detector learns from the first windows, asks to be registered, and finds an offset with the channel that has it', async () => {
  const plant = await new Plant().feed(windowsOf(offset(plantRows(2000, 4, 1), 1750, 1850, 12)))
  const [request] = plant.requests()
  assert.deepEqual(
    [request?.model, request?.kind, request?.effectiveFromUs, request?.role],
    ['detector.press-1', 'detector', 1600 * SECOND_US, 'advisory'],
  )
  assert.ok(plant.blobs.held.has(request?.uri ?? ''), 'what was learnt is in the blob store')
  const [opened, ...later] = plant.findings()
  assert.equal(opened?.transition, 'opened')
  assert.ok((opened?.atUs ?? 0) > 1750 * SECOND_US && (opened?.atUs ?? 0) < 1770 * SECOND_US)
  assert.equal(opened?.contributions[0]?.name, 'channel1.mean')
  assert.ok((opened?.contributions[0]?.normalHigh ?? 0) > (opened?.contributions[0]?.normalLow ?? 0))
  assert.deepEqual(
    opened?.sources.map(({ name, kind, digest }) => [name, kind, digest]),
    [['detector.press-1', 'detector', request?.digest]],
  )
  assert.ok((opened?.pValue ?? 1) < 0.01)
  assert.deepEqual([opened?.model, opened?.doubts], ['', ['non-champion']], 'nobody released it to act without a person')
  assert.equal(later.at(-1)?.transition, 'closed')
})

test('of 10,000 healthy windows one episode is too many', async () => {
  for (const seed of [1, 2]) {
    const plant = await new Plant().feed(windowsOf(plantRows(6600, 8, seed)))
    assert.deepEqual(plant.findings(), [], `seed ${seed}`)
    assert.equal(plant.judged.filter(({ ratio }) => ratio !== null).length, 5000)
  }
})

test('without models the episodes are those of the detector itself', async () => {
  const rows = offset(plantRows(700, 4, 5), 400, 460, 12)
  const plant = await new Plant(shortSet).feed(windowsOf(rows))
  const prefix = new Float64Array(learned * 4)
  rows.slice(0, learned).forEach((row, t) => prefix.set(row, t * 4))
  const stream = openMultivariate(fitMultivariate({ values: prefix, rows: learned, width: 4 }))
  const expected = rows.slice(learned).map((row) => {
    const { isEpisodeOpen, ratio, pValue } = stream.push(row)
    return [isEpisodeOpen, ratio, pValue]
  })
  assert.ok(expected.some(([isOpen]) => isOpen === true))
  assert.deepEqual(
    plant.judged.slice(learned).map(({ isOpen, ratio, pValue }) => [isOpen, ratio, pValue]),
    expected,
  )
})

test('a revised newest window is judged in its place, as if its first revision had never been', async () => {
  const rows = offset(plantRows(330, 3, 6), 200, 260, 12)
  const plain = await new Plant(shortSet).feed(windowsOf(rows))
  // First revisions are wild; before the second of them arrives, the state may be cut.
  const revised = new Plant(shortSet)
  for (let n = 0; n < rows.length; n++) {
    const row = rows[n] as Float64Array
    const isWild = n % 7 === 3
    if (isWild)
      await revised.take([
        inputOf(
          unscoredWindow(
            n,
            row.map((value) => value * 3),
            { vectorId: `wild-${n}` },
          ),
          2 * n,
        ),
      ])
    if (n % 50 === 3) revised.restart()
    await revised.take([inputOf(unscoredWindow(n, row), 2 * n + 1)])
  }
  const last = (plant: Plant) => [...new Map(plant.judged.map((judged) => [judged.windowEndUs, judged.ratio])).values()]
  assert.deepEqual(last(revised), last(plain))
  assert.equal(
    revised.memory.assets.get('press-1')?.machine.episode?.episodeId,
    plain.memory.assets.get('press-1')?.machine.episode?.episodeId,
  )
})

test('any cut, any batch and any redelivery give the same findings', async () => {
  const rows = offset(plantRows(420, 3, 7), 220, 280, 12)
  const inputs = windowsOf(rows).map((prediction, n) => inputOf(prediction, n))
  const whole = await new Plant(shortSet).take(inputs)
  assert.ok(whole.findings().length >= 2)
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.integer({ min: 1, max: rows.length - 1 }), { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 0, max: 20 }),
      async (cuts, again) => {
        const plant = new Plant(shortSet)
        let at = 0
        for (const cut of [...cuts.toSorted((a, b) => a - b), rows.length]) {
          await plant.take(inputs.slice(Math.max(0, at - again), cut))
          plant.restart()
          at = cut
        }
        assert.deepEqual(plant.outputs, whole.outputs)
      },
    ),
    { numRuns: 12 },
  )
})

test('windows of a machine that is off, young ones and gaps neither teach nor count', async () => {
  const rows = plantRows(300, 3, 8)
  const plain = await new Plant(shortSet).feed(windowsOf(rows))
  const wild = new Float64Array(3).fill(1e6)
  const mixed = rows.flatMap((row, n) => {
    const window = unscoredWindow(2 * n, row)
    const idle = { windowEndUs: (2 * n + 2) * SECOND_US, vectorId: `idle-${n}` }
    return n % 2 === 0
      ? [window, unscoredWindow(2 * n, wild, { ...idle, type: 'machine-off', machineOff: true })]
      : [window, unscoredWindow(2 * n, wild, { ...idle, type: 'young' })]
  })
  const plant = await new Plant(shortSet).feed(mixed)
  const ratios = ({ judged }: Plant) => judged.flatMap(({ ratio }) => ratio ?? [])
  assert.deepEqual(ratios(plant), ratios(plain))
})

test('a silence longer than the windows empties them: nothing is said until they are full again', async () => {
  const rows = plantRows(260, 3, 9)
  const plant = await new Plant(shortSet).feed(windowsOf(rows.slice(0, 200)))
  await plant.feed(windowsOf(rows.slice(200), 10_000), 200)
  const after = plant.judged.slice(200)
  const first = after.findIndex(({ ratio }) => ratio !== null)
  assert.ok(first >= 10 && first < 60, `judged again after ${first} windows`)
})

test('a suspected sensor and a missing number raise no alarm, and close none that they led', async () => {
  const rows = plantRows(400, 4, 10)
  const health = [{ channel: 'channel1', flags: ['stuck'], names: ['channel1.mean'] }]
  const masked = rows.map((row, n) =>
    n < 200
      ? unscoredWindow(n, row)
      : unscoredWindow(
          n,
          row.map((value, j) => (j === 1 ? 0 : value)),
          { health },
        ),
  )
  const plant = await new Plant(shortSet).feed(masked)
  const gone = rows.map((row, n) => unscoredWindow(n, n < 200 ? row : row.map((value, j) => (j === 1 ? Number.NaN : value))))
  const ratiosOf = ({ judged }: Plant) => judged.map(({ ratio }) => ratio)
  assert.deepEqual(ratiosOf(plant), ratiosOf(await new Plant(shortSet).feed(gone)), 'whatever it says is no evidence')
  const missing = rows.map((row, n) => unscoredWindow(n, n < 200 ? row : row.map((value, j) => (j < 3 ? Number.NaN : value))))
  const blind = await new Plant(shortSet).feed(missing)
  assert.equal(blind.judged.at(-1)?.ratio, null, 'of a window of which less than half is there nothing is said')

  const faulty = offset(rows, 200, 400, 15).map((row, n) =>
    n < 230
      ? unscoredWindow(n, row)
      : unscoredWindow(
          n,
          row.map((value, j) => (j === 1 ? 20 : value)),
          { health },
        ),
  )
  const held = await new Plant(shortSet).feed(faulty)
  assert.equal(
    held.findings().some(({ transition }) => transition === 'closed'),
    false,
  )
  assert.notEqual(held.memory.assets.get('press-1')?.machine.episode, null)
})

test('after a service an asset learns anew, and what its detector held open is over', async () => {
  const rows = offset(plantRows(420, 3, 11), 150, 420, 15)
  const baselineEpochUs = 200 * SECOND_US
  const plant = await new Plant(shortSet).feed(rows.map((row, n) => unscoredWindow(n, row, n < 200 ? {} : { baselineEpochUs })))
  assert.deepEqual(
    plant
      .findings()
      .filter(({ transition }) => transition !== 'updated')
      .map(({ transition, atUs }) => [transition, atUs >= baselineEpochUs]),
    [
      ['opened', false],
      ['closed', true],
    ],
  )
  assert.equal(plant.requests().length, 2, 'learnt twice')
  assert.equal(plant.judged.at(-1)?.isOpen, false, 'what was abnormal before the service is its normal now')
})

test('what models hold for abnormal is not learnt from, and either source opens an episode', async () => {
  const rows = plantRows(500, 3, 12)
  const withModel = (n: number, ratio: number) =>
    unscoredWindow(n, rows[n] as Float64Array, { type: 'verdicts', complete: true, verdicts: [verdictOf(ratio)] })
  const plant = new Plant(shortSet)
  await plant.feed(rows.map((_, n) => withModel(n, n >= 20 && n < 60 ? 5 : 0.2)))
  // From the third window above the line to the tenth quiet one the episode is open: 22 to 68.
  assert.equal(
    plant.judged.findIndex(({ sources }) => sources.some(({ kind }) => kind === 'detector')),
    learned + 46 + 1,
  )
  const [opened] = plant.findings()
  assert.deepEqual([opened?.atUs, opened?.doubts, opened?.pValue], [23 * SECOND_US, [], null])

  const both = new Plant(shortSet)
  await both.feed(
    offset(rows, 300, 360, 15).map((row, n) => unscoredWindow(n, row, { type: 'verdicts', complete: true, verdicts: [verdictOf(0.2)] })),
  )
  const [found] = both.findings()
  assert.deepEqual(
    found?.sources.map(({ kind }) => kind),
    ['detector', 'model'],
  )
  assert.deepEqual([found?.model, found?.doubts], ['t2spe.press-1', ['non-champion']])
})

test('a single number is judged by the profile for one series', async () => {
  const rows = plantRows(800, 1, 13).map((row, t) => (t >= 600 && t < 620 ? row.map((value) => value + 5) : row))
  const plant = await new Plant(shortSet).feed(windowsOf(rows))
  const card = JSON.parse(plant.requests()[0]?.card ?? '{}') as { detector?: string }
  assert.equal(card.detector, 'univariate')
  assert.ok(plant.findings().some(({ transition, atUs }) => transition === 'opened' && atUs > 600 * SECOND_US && atUs < 625 * SECOND_US))
})

test('of a wide vector the numbers that tell most are kept, and a snapshot stays small', async () => {
  const wide = plantRows(200, 150, 14).map((row) =>
    Float64Array.from({ length: 320 }, (_, j) => (j < 150 ? (row[j] as number) : j < 300 ? 2 * (row[j - 150] as number) : 7)),
  )
  const plant = await new Plant(shortSet).feed(windowsOf(wide.slice(0, 100)))
  assert.ok(plant.snapshotBytes() < 1_000_000)
  plant.restart()
  await plant.feed(windowsOf(wide.slice(100), 100), 100)
  const [request] = plant.requests()
  assert.equal(request?.features.length, learned / defaultDetectorSet.detector.windowsPerColumn)
  const places = (request?.features ?? []).map((name) => Number(/\d+/.exec(name)?.[0]))
  assert.ok(
    places.every((at) => at < 300),
    'none that never moved',
  )
  assert.equal(new Set(places.map((at) => at % 150)).size, places.length, 'none twice')
  const again = await new Plant(shortSet).feed(windowsOf(wide))
  assert.deepEqual(again.requests(), plant.requests())
})

test('an artefact that the blob store has lost is learnt anew', async () => {
  const rows = plantRows(300, 3, 15)
  const plant = await new Plant(shortSet).feed(windowsOf(rows.slice(0, 150)))
  plant.blobs.held.clear()
  plant.restart()
  await plant.feed(windowsOf(rows.slice(150), 150), 150)
  assert.equal(plant.requests().length, 2)
  assert.notEqual(plant.judged.at(-1)?.ratio, null)
})
