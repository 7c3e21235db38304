import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MicroClusters, mergeAll } from '../../src/modes/micro-clusters.ts'
import { randomFrom } from '../../src/random.ts'

const HOUR_US = 3_600_000_000
const START_US = 1_790_000_000_000_000
const options = { width: 5, most: 40, radius: 4, halfLifeUs: 7 * HOUR_US }

interface Point {
  readonly row: Float64Array
  readonly timeUs: number
  readonly blob: number
}

/** Points around blobs that lie far further apart than the radius, a minute after another. */
const stream = (seed: number, count: number, blobs: number, noise = 0.3): Point[] => {
  const random = randomFrom(seed)
  return Array.from({ length: count }, (_, i) => {
    const blob = random.below(blobs)
    const row = Float64Array.from({ length: options.width }, (_unused, axis) => 40 * ((blob >> axis) & 1) + noise * random.normal())
    return { row, timeUs: START_US + i * 60_000_000, blob }
  })
}

const absorbed = (points: readonly Point[], given = options): MicroClusters => {
  const clusters = new MicroClusters(given)
  for (const { row, timeUs } of points) clusters.absorb(row, timeUs)
  return clusters
}

const isNear = (found: number, expected: number, what: string, tolerance = 1e-9): void =>
  assert.ok(Math.abs(found - expected) <= tolerance * Math.max(1, Math.abs(expected)), `${what}: ${found}, expected ${expected}`)

const decayed = (points: readonly Point[], halfLifeUs = options.halfLifeUs): number[] => {
  const newestUs = Math.max(...points.map(({ timeUs }) => timeUs))
  return points.map(({ timeUs }) => 2 ** ((timeUs - newestUs) / halfLifeUs))
}

/** Weight, centre and spread of the points of each blob, computed in the plain way. */
const oracle = (points: readonly Point[]): Map<string, { weight: number; centre: number[]; spread: number }> => {
  const weights = decayed(points)
  return new Map(
    [...new Set(points.map(({ blob }) => blob))].map((blob) => {
      const of = points.map((point, i) => ({ ...point, weight: weights[i] as number })).filter((point) => point.blob === blob)
      const weight = of.reduce((sum, point) => sum + point.weight, 0)
      const centre = Array.from(
        { length: options.width },
        (_, axis) => of.reduce((sum, p) => sum + p.weight * (p.row[axis] as number), 0) / weight,
      )
      const squares = of.reduce(
        (sum, p) => sum + p.weight * centre.reduce((all, middle, axis) => all + ((p.row[axis] as number) - middle) ** 2, 0),
        0,
      )
      return [centre.map(Math.round).join(), { weight, centre, spread: Math.sqrt(squares / weight) }] as const
    }),
  )
}

const compare = (clusters: MicroClusters, points: readonly Point[]): void => {
  const { centres, weights, spreads } = clusters.centres()
  const expected = oracle(points)
  assert.equal(centres.rows, expected.size)
  for (let i = 0; i < centres.rows; i++) {
    const centre = [...centres.values.subarray(i * centres.width, (i + 1) * centres.width)]
    const blob = expected.get(centre.map((value) => Math.round(value) + 0).join())
    assert.ok(blob !== undefined, `no blob at ${centre.join(' ')}`)
    isNear(weights[i] as number, blob.weight, 'weight')
    isNear(spreads[i] as number, blob.spread, 'spread')
    centre.forEach((value, axis) => isNear(value, blob.centre[axis] as number, 'centre'))
  }
}

test('weights, centres and spreads are those of the decayed points', () => {
  for (const seed of [1, 2, 3]) {
    const points = stream(seed, 800, 12)
    compare(absorbed(points), points)
  }
})

test('a summary that was stored and read again goes on bit by bit as if it had not been', () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.integer({ min: 0, max: 300 }), (seed, cut) => {
      const points = stream(seed, 300, 32, 2)
      const whole = absorbed(points)
      const first = MicroClusters.fromBytes(absorbed(points.slice(0, cut)).toBytes())
      for (const { row, timeUs } of points.slice(cut)) first.absorb(row, timeUs)
      assert.deepEqual(first.toBytes(), whole.toBytes())
    }),
    { numRuns: 30 },
  )
})

test('the order of partitions changes no bit, and neither does where weights are counted from', () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.integer({ min: 2, max: 5 }), (seed, partitions) => {
      const points = stream(seed, 400, 30, 1.5)
      const parts = Array.from({ length: partitions }, (_, part) => absorbed(points.filter((_point, i) => i % partitions === part)))
      const merged = mergeAll(parts).toBytes()
      assert.deepEqual(mergeAll(parts.toReversed()).toBytes(), merged)
      assert.deepEqual(mergeAll([...parts.slice(1), parts[0] as MicroClusters]).toBytes(), merged)
    }),
    { numRuns: 30 },
  )
})

test('well separated clusters do not show how their points were divided among partitions', () => {
  for (const seed of [4, 5]) {
    const points = stream(seed, 900, 16)
    for (const partitions of [1, 2, 7]) {
      compare(
        mergeAll(Array.from({ length: partitions }, (_, part) => absorbed(points.filter((_point, i) => (i * 31) % partitions === part)))),
        points,
      )
    }
    // by time instead: the parts end hours apart
    compare(mergeAll([absorbed(points.slice(0, 300)), absorbed(points.slice(300, 450)), absorbed(points.slice(450))]), points)
  }
})

test('no point is lost from the mass, however full it is, and there are never more clusters than allowed', () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.integer({ min: 2, max: 12 }), fc.integer({ min: 1, max: 4 }), (seed, most, partitions) => {
      const points = stream(seed, 400, 32, 6)
      const limited = { ...options, most }
      const parts = Array.from({ length: partitions }, (_, part) =>
        absorbed(
          points.filter((_point, i) => i % partitions === part),
          limited,
        ),
      )
      const merged = mergeAll(parts)
      assert.ok(merged.count <= most)
      for (const part of parts) assert.ok(part.count <= most)
      const { kept, dropped } = merged.mass
      isNear(
        kept + dropped,
        decayed(points).reduce((a, b) => a + b, 0),
        'mass',
      )
      assert.equal(merged.points, points.length)
    }),
    { numRuns: 40 },
  )
})

test('the centre of mass does not depend on how clusters were joined when nothing was dropped', () => {
  const points = stream(9, 500, 32, 6)
  const eager = absorbed(points, { ...options, most: 6, faint: 0 } as typeof options)
  const { centres, weights } = eager.centres()
  const mass = decayed(points)
  const total = mass.reduce((a, b) => a + b, 0)
  for (let axis = 0; axis < options.width; axis++) {
    const found = weights.reduce((sum, weight, i) => sum + weight * (centres.values[i * centres.width + axis] as number), 0) / total
    isNear(found, points.reduce((sum, { row }, i) => sum + (mass[i] as number) * (row[axis] as number), 0) / total, 'centre of mass')
  }
})

test('when room is needed what has faded leaves first, then the nearest pair becomes one', () => {
  const clusters = new MicroClusters({ width: 1, most: 4, radius: 1, halfLifeUs: HOUR_US })
  const at = (value: number, hour: number) => clusters.absorb(Float64Array.of(value), START_US + hour * HOUR_US)
  at(0, 0) // faded to an eighth when room is needed
  for (const value of [10, 13, 30]) at(value, 3)
  at(50, 3)
  assert.deepEqual([...clusters.centres().centres.values], [10, 13, 30, 50])
  isNear(clusters.mass.dropped, 1 / 8, 'dropped')
  at(70, 3)
  assert.deepEqual([...clusters.centres().centres.values], [11.5, 30, 50, 70])
  assert.deepEqual([...clusters.centres().weights], [2, 1, 1, 1])
  isNear(clusters.centres().spreads[0] as number, 1.5, 'spread')
})

test('the nearest centre is found, of equals the first, and none beyond the radius', () => {
  fc.assert(
    fc.property(fc.nat(10_000), fc.integer({ min: 1, max: 19 }), (seed, width) => {
      const random = randomFrom(seed)
      const clusters = new MicroClusters({ width, most: 60, radius: 1.2 * Math.sqrt(width), halfLifeUs: Number.POSITIVE_INFINITY })
      const row = () => Float64Array.from({ length: width }, () => Math.round(3 * random.normal()) / 2)
      for (let i = 0; i < 100; i++) clusters.absorb(row(), START_US)
      const { centres } = clusters.centres()
      for (let i = 0; i < 20; i++) {
        const point = row()
        const distances = Array.from({ length: centres.rows }, (_, at) =>
          Math.hypot(...point.map((value, axis) => value - (centres.values[at * width + axis] as number))),
        )
        const nearest = Math.min(...distances)
        const { place, distance } = clusters.find(point)
        if (nearest > 1.2 * Math.sqrt(width) + 1e-9) assert.equal(place, -1)
        else if (nearest < 1.2 * Math.sqrt(width) - 1e-9) {
          isNear(distance, nearest, 'distance')
          isNear(distances[place] as number, nearest, 'place')
        }
      }
    }),
    { numRuns: 60 },
  )
})

test('years of points keep their weights finite', () => {
  const clusters = new MicroClusters({ width: 1, most: 3, radius: 1, halfLifeUs: HOUR_US })
  for (let hour = 0; hour < 20_000; hour += 7) clusters.absorb(Float64Array.of(hour % 2), START_US + hour * HOUR_US)
  const { kept, dropped } = clusters.mass
  isNear(kept + dropped, 1 / (1 - 2 ** -7), 'mass')
})

test('a late point counts as little as if it had come in time', () => {
  const row = Float64Array.of(1)
  const one = { width: 1, most: 3, radius: 1, halfLifeUs: HOUR_US }
  const [inTime, late] = [new MicroClusters(one), new MicroClusters(one)]
  inTime.absorb(row, START_US)
  inTime.absorb(row, START_US + 5 * HOUR_US)
  late.absorb(row, START_US + 5 * HOUR_US)
  late.absorb(row, START_US)
  assert.deepEqual(late.centres(), inTime.centres())
})

test('bytes that are none of ours, are cut off or are of another version are refused', () => {
  const bytes = absorbed(stream(1, 50, 4)).toBytes()
  assert.throws(() => MicroClusters.fromBytes(bytes.subarray(0, bytes.length - 8)), /do not hold/)
  assert.throws(() => MicroClusters.fromBytes(new Uint8Array(200)), /no micro-clusters/)
  const newer = bytes.slice()
  newer[4] = 2
  assert.throws(() => MicroClusters.fromBytes(newer), /version 2/)
  assert.throws(() => mergeAll([absorbed([]), new MicroClusters({ ...options, radius: 3 })]), /other options/)
})
