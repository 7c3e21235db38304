import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { openAdwin } from '../../src/drift/adwin.ts'
import { openCusum } from '../../src/drift/cusum.ts'
import { openKswin } from '../../src/drift/kswin.ts'
import { openPageHinkley } from '../../src/drift/page-hinkley.ts'
import { randomFrom } from '../../src/random.ts'
import { golden, isNear, streamOf } from './streams.ts'

const valuesOf = (name: string): Float64Array => streamOf(golden.streams[name] as NonNullable<(typeof golden.streams)[string]>)

const changesOf = (stream: { push(value: number): boolean }, values: Float64Array): number[] => {
  const found: number[] = []
  values.forEach((value, i) => {
    if (stream.push(value)) found.push(i)
  })
  return found
}

for (const { stream, options, anew, shrink, width, mean } of golden.adwin)
  test(`ADWIN finds on "${stream}" what river finds (delta ${options.delta}, clock ${options.clock})`, () => {
    const ours = {
      delta: options.delta,
      clock: options.clock,
      maxBuckets: options.max_buckets,
      minWindow: options.min_window_length,
      grace: options.grace_period,
    }
    const values = valuesOf(stream)
    assert.deepEqual(changesOf(openAdwin({ ...ours, afterChange: 'anew' }), values), anew)
    const window = openAdwin(ours)
    assert.deepEqual(changesOf(window, values), shrink)
    assert.equal(window.width(), width)
    assert.ok(isNear(window.mean(), mean), `${window.mean()} against ${mean}`)
  })

for (const { stream, options, changes } of golden.pageHinkley)
  test(`Page-Hinkley finds on "${stream}" what river finds (${JSON.stringify(options)})`, () => {
    const { min_instances: minCount = 30, mode: direction = 'both', delta = 0.005, threshold = 50, alpha = 0.9999 } = options
    assert.deepEqual(changesOf(openPageHinkley({ minCount, direction, delta, threshold, alpha }), valuesOf(stream)), changes)
  })

for (const { stream, options, changes } of golden.kswin)
  test(`KSWIN that draws the whole rest finds on "${stream}" what river finds (${JSON.stringify(options)})`, () => {
    const { alpha = 0.005, window_size: windowSize, stat_size: statSize } = options
    assert.deepEqual(changesOf(openKswin({ alpha, windowSize, statSize, afterChange: 'anew' }), valuesOf(stream)), changes)
  })

for (const { stream, changes } of golden.cusum)
  test(`CUSUM finds on "${stream}" what its recursion says`, () => {
    const cusum = openCusum({ learnCount: 200 })
    const found: [number, number][] = []
    valuesOf(stream)
      .subarray(0, 1600)
      .forEach((value, i) => {
        const side = cusum.push(value)
        if (side !== 0) found.push([i, side])
      })
    assert.deepEqual(found, changes)
  })

test('CUSUM with its defaults raises a false alarm about every 465 values', () => {
  const random = randomFrom(5)
  const cusum = openCusum({ normal: { mean: 0, std: 1 } })
  let alarms = 0
  for (let i = 0; i < 465_000; i++) if (cusum.push(random.normal()) !== 0) alarms++
  // 1 000 are expected, and alarms that begin anew each time count as Poisson: four standard deviations.
  assert.ok(Math.abs(alarms - 1000) < 4 * Math.sqrt(1000), `${alarms} alarms`)
})

test('KSWIN finds a step soon, and its rate without one is near alpha', () => {
  const random = randomFrom(7)
  const kswin = openKswin({ alpha: 1e-6 })
  const found = changesOf(
    kswin,
    Float64Array.from({ length: 2000 }, (_, i) => random.normal() + (i >= 1000 ? 4 : 0)),
  )
  assert.equal(found.length, 1)
  assert.ok((found[0] as number) >= 1000 && (found[0] as number) < 1030, String(found[0]))
})

test('KSWIN of the same seed draws the same, of another seed something else', () => {
  const values = valuesOf('still')
  const run = (seed: number): number[] => {
    const kswin = openKswin({ seed, afterChange: 'keep' })
    return Array.from(values.subarray(0, 500), (value) => {
      kswin.push(value)
      return kswin.distance()
    })
  }
  assert.deepEqual(run(3), run(3))
  assert.notDeepEqual(run(3), run(4))
})

interface Opened {
  push(value: number): boolean | number
  state(): unknown
}

const kinds: Readonly<Record<string, (state?: unknown) => Opened>> = {
  ADWIN: (state) => openAdwin({ delta: 0.2, clock: 7, maxBuckets: 3 }, state as Parameters<typeof openAdwin>[1]),
  'ADWIN anew': (state) => openAdwin({ delta: 0.2, clock: 4, afterChange: 'anew' }, state as Parameters<typeof openAdwin>[1]),
  'Page-Hinkley': (state) => openPageHinkley({ threshold: 6, minCount: 5 }, state as Parameters<typeof openPageHinkley>[1]),
  KSWIN: (state) => openKswin({ alpha: 0.05, windowSize: 40, statSize: 10 }, state as Parameters<typeof openKswin>[1]),
  CUSUM: (state) => openCusum({ learnCount: 10, threshold: 2 }, state as Parameters<typeof openCusum>[1]),
}

for (const [name, open] of Object.entries(kinds)) {
  test(`${name} continues from its state, as JSON, with equal bits wherever it is cut`, () => {
    const random = randomFrom(9)
    const values = Array.from({ length: 600 }, (_, i) => random.normal() * (1 + (i % 200 > 100 ? 1 : 0)) + (i % 150 > 75 ? 1.5 : 0))
    const whole = open()
    const answers = values.map((value) => [whole.push(value), JSON.stringify(whole.state())])
    assert.ok(
      answers.some(([answer]) => Boolean(answer)),
      'the stream has changes',
    )
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 598 }), (cut) => {
        const rest = open(JSON.parse(answers[cut - 1]?.[1] as string))
        assert.deepEqual(
          values.slice(cut).map((value) => [rest.push(value), JSON.stringify(rest.state())]),
          answers.slice(cut),
        )
      }),
      { numRuns: 25, seed: 1 },
    )
  })

  test(`${name} leaves out what is not finite`, () => {
    const plain = open()
    const holed = open()
    for (const value of valuesOf('steps').subarray(0, 700)) {
      assert.equal(holed.push(Number.NaN), name === 'CUSUM' ? 0 : false)
      holed.push(Number.POSITIVE_INFINITY)
      assert.equal(holed.push(value), plain.push(value))
    }
    assert.deepEqual(holed.state(), plain.state())
  })

  test(`${name} keeps a bounded state`, () => {
    const random = randomFrom(2)
    const stream = open()
    for (let i = 0; i < 30_000; i++) stream.push(random.normal())
    assert.ok(JSON.stringify(stream.state()).length < 6000)
  })
}

test('options that make no sense are refused', () => {
  assert.throws(() => openAdwin({ delta: 0 }), RangeError)
  assert.throws(() => openAdwin({ clock: 0 }), RangeError)
  assert.throws(() => openKswin({ windowSize: 50, statSize: 30 }), RangeError)
  assert.throws(() => openKswin({ alpha: 1 }), RangeError)
  assert.throws(() => openCusum({ learnCount: 1 }), RangeError)
})
