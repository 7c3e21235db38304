// Contender `micro-clusters.ts <centres>`: our micro-clusters on points around that many centres. One round = 1 000 points.

import { MicroClusters } from '@andon/clustering/modes/micro-clusters'
import { randomFrom } from '@andon/clustering/random'
import { serveContender } from '../../../harness/bench-process.ts'

const [centres = 0] = process.argv.slice(2).map(Number)
const WIDTH = 16
const POINTS = 20_000
const ROUND = 1000

// The points of micro-clusters.py: centres three standard deviations of theirs apart and more, points 0.1 around them.
const random = randomFrom(16)
const places = Array.from({ length: centres }, () => Float64Array.from({ length: WIDTH }, () => 3 * random.normal()))
const points = Array.from({ length: POINTS }, () =>
  (places[random.below(centres)] as Float64Array).map((value) => value + 0.1 * random.normal()),
)

const clusters = new MicroClusters({ width: WIDTH, most: centres + 10, radius: 1.5, halfLifeUs: 86_400_000_000 })
let at = 0
let timeUs = 1_790_000_000_000_000
const learn = (count: number): void => {
  for (let i = 0; i < count; i++) {
    clusters.absorb(points[at] as Float64Array, timeUs)
    timeUs += 1000
    at = at + 1 === POINTS ? 0 : at + 1
  }
}
learn(POINTS)

await serveContender(
  { clusters: clusters.count },
  (rounds) => {
    const before = clusters.points
    learn(rounds * ROUND)
    return Promise.resolve(clusters.points - before)
  },
  () => Promise.resolve(),
)
process.exit(0)
