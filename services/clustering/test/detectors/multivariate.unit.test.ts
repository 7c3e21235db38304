// The multivariate detector: the numbers of the design it was ported from, and what a stream promises whatever comes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { multivariateDefaults } from '../../src/detectors/constants.ts'
import { judgeAll, openMultivariate } from '../../src/detectors/multivariate.ts'
import type { MultivariateState, MultivariateStream } from '../../src/detectors/multivariate.ts'
import { fitMultivariate } from '../../src/detectors/multivariate-fit.ts'
import type { FittedMultivariate } from '../../src/detectors/multivariate-fit.ts'
import { packed, unpacked } from '../../src/detectors/packed.ts'
import { rowOf } from '../../src/matrix.ts'
import type { Matrix } from '../../src/matrix.ts'
import { randomFrom } from '../../src/random.ts'
import { goldenRows, sliceOf } from './golden-input.ts'

const rows = goldenRows()
const learned = 400
/** The design the golden numbers are of: the shape of a row alone. */
const shapeAlone = { ...multivariateDefaults, bands: [], slow: [], leastCycles: Number.POSITIVE_INFINITY }
const shape = fitMultivariate(sliceOf(rows, 0, learned), shapeAlone)
const fitted = fitMultivariate(sliceOf(rows, 0, learned))

const isNear = (actual: number, expected: number): void =>
  assert.ok(Math.abs(actual - expected) <= 1e-9 * Math.abs(expected), `${actual}, expected ${expected}`)

/** Everything a stream says, row by row. */
const said = (stream: MultivariateStream, { values, rows: count, width }: Matrix): number[] => {
  const out: number[] = []
  for (let t = 0; t < count; t++) {
    const judged = stream.push(values.subarray(t * width, (t + 1) * width))
    out.push(judged.ratio, judged.isEpisodeOpen ? 1 : 0, judged.isChanging ? 1 : 0, judged.pValue, stream.topChannel())
  }
  return out
}
const normal = (count: number, width: number, seed: number): Matrix => {
  const random = randomFrom(seed)
  return { values: Float64Array.from({ length: count * width }, () => random.normal()), rows: count, width }
}

test('the fit gives the golden numbers', () => {
  isNear(shape.alarms[0]?.correction as number, 1.2143648863142422)
  assert.equal(shape.keptShare, 1)
  const lines = [13.093482527089204, 20.257391646211982, 14.395532778261346]
  shape.families.forEach(({ line }, k) => isNear(line, lines[k] as number))
  const wander = [0.0009127861492241119, 0.0020987684931428525, 0.018997272977374094, 0]
  wander.forEach((q, j) => isNear(shape.families[0]?.wander[j] as number, q))
})

test('the stream gives the golden ratios, tops and episodes', () => {
  const stream = openMultivariate(shape)
  const golden: Record<number, readonly [number, number]> = {
    400: [0.39153945102054144, 3],
    500: [0.6091188270240722, 3],
    604: [2.096458771329437, 1],
    650: [3.4094800898408986, 1],
    700: [2.574721355774968, 1],
    780: [10.742039814054872, 0],
    899: [0.32262969296668603, 0],
  }
  const flips: number[] = []
  let wasOpen = false
  for (let t = learned; t < rows.rows; t++) {
    const judged = stream.push(rowOf(rows, t))
    if (judged.isEpisodeOpen !== wasOpen) flips.push(t)
    wasOpen = judged.isEpisodeOpen
    const expected = golden[t]
    if (expected === undefined) continue
    isNear(judged.ratio, expected[0])
    assert.equal(stream.topChannel(), expected[1])
  }
  assert.deepEqual(flips, [565, 750, 770, 812])
})

test('what comes later changes nothing that was said, and a state saved anywhere, packed and restored goes on with the same bits', () => {
  const stream = sliceOf(rows, learned)
  const whole = said(openMultivariate(fitted), stream)
  fc.assert(
    fc.property(fc.integer({ min: 0, max: stream.rows }), (cut) => {
      const first = openMultivariate(unpacked(packed(fitted)) as FittedMultivariate)
      const before = said(first, sliceOf(stream, 0, cut))
      const state = unpacked(packed(first.state())) as MultivariateState
      const after = said(openMultivariate(fitted, state), sliceOf(stream, cut))
      assert.deepEqual([...before, ...after], whole)
    }),
    { numRuns: 25 },
  )
})

test('the same with missing values in both parts, and a wild value among them', () => {
  const random = randomFrom(61)
  const holes = { ...rows, values: rows.values.map((x) => (random.uniform() < 0.1 ? Number.NaN : x)) }
  holes.values[620 * 4] = 1e15
  holes.values[621 * 4] = 1e15
  const learnt = fitMultivariate(sliceOf(holes, 0, learned))
  const stream = sliceOf(holes, learned)
  const whole = said(openMultivariate(learnt), stream)
  for (const cut of [0, 1, 19, 20, 57, 219, 222, 300, 499]) {
    const first = openMultivariate(learnt)
    const before = said(first, sliceOf(stream, 0, cut))
    const state = unpacked(packed(first.state())) as MultivariateState
    assert.deepEqual([...before, ...said(openMultivariate(learnt, state), sliceOf(stream, cut))], whole, `cut at ${cut}`)
  }
})

test('equal rows give equal fits', () => {
  assert.equal(packed(fitMultivariate(sliceOf(rows, 0, learned))), packed(fitted))
})

test('the shares of the channels sum to the joint score', () => {
  const stream = openMultivariate(shape)
  const reconstruction = new Float64Array(4)
  const shares = new Float64Array(4)
  const scales = shape.families.map(({ line }) => line * (shape.alarms[0]?.correction as number))
  let jointLed = 0
  for (let t = learned; t < rows.rows; t++) {
    const { ratio } = stream.push(rowOf(rows, t))
    stream.contributions(reconstruction, shares)
    const joint = shares.reduce((sum, share) => sum + share, 0)
    // The ratio is the joint score's, or that of a channel alone, which is larger then.
    const parts = scales.map((scale) => joint / scale / ratio)
    assert.ok(Math.min(...parts) <= 1 + 1e-9)
    if (parts.some((part) => Math.abs(part - 1) < 1e-9)) jointLed++
    if (t === 650) assert.equal(reconstruction.indexOf(Math.max(...reconstruction)), 1)
  }
  assert.ok(jointLed > 50, `${jointLed} rows`)
})

test('an offset in any channel opens an episode that names the channel', () => {
  const calm = normal(900, 6, 5)
  for (let channel = 0; channel < 6; channel++) {
    const faulty = { ...calm, values: calm.values.slice() }
    for (let t = 700; t < 800; t++) faulty.values[t * 6 + channel] = (faulty.values[t * 6 + channel] as number) + 4
    const stream = openMultivariate(fitMultivariate(sliceOf(faulty, 0, 500)))
    const openings: [number, number][] = []
    for (let t = 500; t < 900; t++) if (stream.push(rowOf(faulty, t)).isOpening) openings.push([t, stream.topChannel()])
    assert.equal(openings.length, 1, `channel ${channel}: ${JSON.stringify(openings)}`)
    const [at, top] = openings[0] as [number, number]
    assert.ok(at >= 700 && at < 715)
    assert.equal(top, channel)
  }
})

test('an oscillation that keeps level and roughness is found by its band, and not without the bands', () => {
  const calm = normal(1200, 3, 9)
  for (let t = 800; t < 1000; t++) calm.values[t * 3 + 1] = (calm.values[t * 3 + 1] as number) + 2.5 * Math.sin((2 * Math.PI * t) / 12)
  const opens = (constants: typeof multivariateDefaults): number =>
    judgeAll(openMultivariate(fitMultivariate(sliceOf(calm, 0, 600), constants)), sliceOf(calm, 600)).open.indexOf(1)
  const at = opens(multivariateDefaults)
  assert.ok(at >= 200 && at < 260, `row ${at}`)
  assert.equal(opens(shapeAlone), -1)
})

test('small offsets that short windows do not tell from memory are found by longer ones, and not without them', () => {
  const soon = (constants: typeof multivariateDefaults): number => {
    let found = 0
    for (const seed of [44, 45, 46, 47, 48]) {
      const random = randomFrom(seed)
      const values = new Float64Array(1800 * 4)
      for (let t = 0; t < 1800; t++)
        for (let j = 0; j < 4; j++) values[t * 4 + j] = 0.8 * (t === 0 ? 0 : (values[(t - 1) * 4 + j] as number)) + 0.6 * random.normal() // of variance 1
      for (let t = 1400; t < 1600; t++) values[t * 4 + 2] = (values[t * 4 + 2] as number) + 2.4
      const remembering: Matrix = { values, rows: 1800, width: 4 }
      const learnt = fitMultivariate(sliceOf(remembering, 0, 1000), constants)
      const at = judgeAll(openMultivariate(learnt), sliceOf(remembering, 1000)).open.indexOf(1)
      if (at >= 400 && at < 460) found++
    }
    return found
  }
  assert.equal(soon({ ...shapeAlone, slow: multivariateDefaults.slow }), 5)
  assert.equal(soon(shapeAlone), 0)
})

test('few rows raise the line: normal rows after a short prefix seldom open an episode', () => {
  let open = 0
  for (const seed of [51, 52, 53, 54, 55]) {
    const calm = normal(2150, 4, seed)
    open += judgeAll(openMultivariate(fitMultivariate(sliceOf(calm, 0, 150))), sliceOf(calm, 150)).open.reduce((a, b) => a + b, 0)
  }
  assert.ok(open < 0.06 * 5 * 2000, `${open} rows`)
})

test('a shift that a daily cycle hides from short windows is found by the mean of whole cycles', () => {
  const cycle = 60
  const random = randomFrom(3)
  const values = Float64Array.from(
    { length: 2600 },
    (_, t) => 4 * Math.sin((2 * Math.PI * t) / cycle) + random.normal() + (t >= 2200 ? 4 : 0),
  )
  const series: Matrix = { values, rows: 2600, width: 1 }
  const learnt = fitMultivariate(sliceOf(series, 0, 1500))
  assert.equal(learnt.families.at(-1)?.window, cycle)
  assert.deepEqual(
    learnt.alarms.map(({ name }) => name),
    ['shape', 'slow', 'band', 'cycle'],
  )
  const at = judgeAll(openMultivariate(learnt), sliceOf(series, 1500)).open.indexOf(1)
  assert.ok(at >= 700 && at < 760, `row ${at}`)
})

test('a channel that stood still while learning is left out, and reported when it moves', () => {
  const still = normal(700, 3, 7)
  for (let t = 0; t < 600; t++) still.values[t * 3 + 2] = 5
  const learnt = fitMultivariate(sliceOf(still, 0, 400))
  assert.deepEqual(learnt.cleaning.channels, [0, 1])
  assert.deepEqual(
    learnt.cleaning.constants.map(({ channel }) => channel),
    [2],
  )
  const stream = openMultivariate(learnt)
  said(stream, sliceOf(still, 400, 600))
  assert.deepEqual(stream.health().moved, [])
  said(stream, sliceOf(still, 600))
  assert.deepEqual(stream.health().moved, [{ channel: 2, rows: 100 }])
})

test('a single wild value is held back for one row and counted; a jump that stays is believed on the next', () => {
  const calm = normal(700, 2, 11)
  const stream = openMultivariate(fitMultivariate(sliceOf(calm, 0, 400)))
  const wild = sliceOf(calm, 400)
  wild.values[100 * 2] = 500
  const { open } = judgeAll(stream, wild)
  assert.equal(open.indexOf(1), -1)
  assert.deepEqual(stream.health().held, [{ channel: 0, rows: 1 }])

  const jumped = sliceOf(calm, 400)
  for (let t = 100; t < 300; t++) jumped.values[t * 2] = (jumped.values[t * 2] as number) + 500
  const after = judgeAll(openMultivariate(fitMultivariate(sliceOf(calm, 0, 400))), jumped).open.indexOf(1)
  assert.ok(after > 100 && after < 106, `row ${after}`)
})

test('missing values are no evidence: a channel that falls silent opens nothing, and what is wrong elsewhere is still found', () => {
  const calm = normal(900, 4, 14)
  for (let t = 450; t < 900; t++) calm.values[t * 4 + 3] = Number.NaN
  const quiet = judgeAll(openMultivariate(fitMultivariate(sliceOf(calm, 0, 400))), sliceOf(calm, 400))
  assert.equal(quiet.open.indexOf(1), -1)
  assert.ok(quiet.ratio.every(Number.isFinite))
  for (let t = 700; t < 900; t++) calm.values[t * 4] = (calm.values[t * 4] as number) + 4
  const found = judgeAll(openMultivariate(fitMultivariate(sliceOf(calm, 0, 400))), sliceOf(calm, 400)).open.indexOf(1)
  assert.ok(found >= 300 && found < 315, `row ${found}`)
})

test('no input, however odd, gives anything but numbers', () => {
  const value = fc.oneof(
    fc.double({ min: -1e6, max: 1e6 }),
    fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0),
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(value, value, value, value), { minLength: 1, maxLength: 60 }), (odd) => {
      const stream = openMultivariate(fitted)
      for (const row of odd) {
        const { ratio, pValue } = stream.push(row)
        assert.ok(Number.isFinite(ratio) && ratio >= 0 && pValue > 0 && pValue <= 1, `${ratio} ${pValue}`)
      }
    }),
    { numRuns: 50 },
  )
})

test('a counter is judged by its steps', () => {
  const counting = normal(900, 2, 17)
  let count = 1000
  for (let t = 0; t < 900; t++)
    counting.values[t * 2 + 1] = count += 5 + Math.abs(counting.values[t * 2 + 1] as number) * (t >= 700 ? 8 : 1)
  const learnt = fitMultivariate(sliceOf(counting, 0, 400))
  assert.deepEqual(learnt.cleaning.counter, [0, 1])
  const at = judgeAll(openMultivariate(learnt), sliceOf(counting, 400)).open.indexOf(1)
  assert.ok(at >= 300 && at < 320, `row ${at}`)
})

test('after a gap the windows are empty, nothing is judged until they are full, and the seam opens nothing', () => {
  const calm = normal(700, 2, 19)
  const learnt = fitMultivariate(sliceOf(calm, 0, 400))
  const stream = openMultivariate(learnt, undefined, { periodUs: 1_000_000 })
  for (let t = 400; t < 500; t++) stream.push(rowOf(calm, t), t * 1e6)
  const judgedAt: number[] = []
  for (let t = 500; t < 700; t++) {
    const judged = stream.push(rowOf(calm, t), (t + 3600) * 1e6)
    if (judged.isJudged) judgedAt.push(t)
    assert.equal(judged.isEpisodeOpen, false)
  }
  assert.equal(judgedAt[0], 510)
})

test('gross faults within the rows to learn from are trimmed: the same fault is found later', () => {
  const calm = normal(900, 3, 23)
  for (const [from, to] of [
    [150, 170],
    [700, 800],
  ] as const)
    for (let t = from; t < to; t++) calm.values[t * 3 + 1] = (calm.values[t * 3 + 1] as number) + 20
  const learnt = fitMultivariate(sliceOf(calm, 0, 400))
  assert.ok(learnt.keptShare < 1 && learnt.keptShare > 0.85)
  const at = judgeAll(openMultivariate(learnt), sliceOf(calm, 400)).open.indexOf(1)
  assert.ok(at >= 300 && at < 310, `row ${at}`)
})

test('a wandering channel that wanders on is told once as an unknown regime and does not stay in alarm', () => {
  const random = randomFrom(29)
  const count = 6000
  const values = new Float64Array(count * 3)
  for (let t = 0; t < count; t++) {
    values[t * 3] = random.normal()
    values[t * 3 + 1] = random.normal()
    // Warms up while learning and goes on twice as fast.
    values[t * 3 + 2] = (t < 600 ? t * 0.005 : 3 + (t - 600) * 0.01) + random.normal()
  }
  const warming: Matrix = { values, rows: count, width: 3 }
  const stream = openMultivariate(fitMultivariate(sliceOf(warming, 0, 500)))
  let alarms = 0
  let told = 0
  let isUnknown = false
  for (let t = 500; t < count; t++) {
    const judged = stream.push(rowOf(warming, t))
    if (judged.isEpisodeOpen) alarms++
    if (judged.isNewRegime) told++
    isUnknown = judged.isUnknownRegime
  }
  assert.equal(told, 1)
  assert.equal(isUnknown, true)
  assert.ok(alarms < 0.1 * (count - 500), `${alarms} rows`)
})

test('too few rows, or none that moves, are refused; few are said to be few', () => {
  assert.throws(() => fitMultivariate(sliceOf(rows, 0, 99)), RangeError)
  assert.throws(() => fitMultivariate({ values: new Float64Array(400), rows: 200, width: 2 }), RangeError)
  assert.equal(fitMultivariate(sliceOf(rows, 0, 150)).isShortLearning, true)
  assert.equal(fitted.isShortLearning, false)
})
