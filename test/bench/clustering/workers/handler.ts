// Contender `handler.ts <numbers>`: predictions of healthy assets through the whole handler of clustering, in batches of 500 as a partition
// has them. One round = 500 windows. Every asset has learnt before: what is measured is judging.

import { newMemory } from '@andon/clustering/asset-state'
import { openArtefacts } from '@andon/clustering/detector-artefacts'
import { defaultDetectorSet, detectorSetDigest } from '@andon/clustering/detector-set'
import { fitDriftWatch } from '@andon/clustering/drift-watch'
import { openFaultModes } from '@andon/clustering/fault-modes'
import { onPredictions } from '@andon/clustering/on-predictions'
import { openPlantWords } from '@andon/clustering/plant-words'
import { randomFrom } from '@andon/clustering/random'
import type { Input } from '@andon/kit'
import type { Plant, Predictions } from '@andon/schemas'
import { serveContender } from '../../../harness/bench-process.ts'

const [width = 8] = process.argv.slice(2).map(Number)
const ASSETS = width > 16 ? 2 : 10
const ASSETS_OF_PLANT = 200
const BATCH = 500
const SECOND_US = 1_000_000
const STATISTICS = ['mean', 'std', 'rms', 'max'] as const

const assetId = (k: number): string => `pump-${k}`
const names = Array.from({ length: width }, (_, j) => `sensor${Math.floor(j / 4)}.${STATISTICS[j % 4]}@60s`)
const plant = {
  assets: Array.from({ length: ASSETS_OF_PLANT }, (_, k) => ({
    id: assetId(ASSETS_OF_PLANT - 1 - k),
    name: `Pump ${k}`,
    class: 'pump',
    sources: [],
    channels: [],
  })),
  assetClasses: [],
} as unknown as Plant

const random = randomFrom(width)
const state = Array.from({ length: ASSETS }, () => new Float64Array(width))
const common = new Float64Array(ASSETS)
let window = 0

/** The next window of one asset after the other: numbers that wander and share a part. */
const next = (): Input<Predictions> => {
  const k = window % ASSETS
  const n = Math.floor(window / ASSETS)
  const own = state[k] as Float64Array
  common[k] = 0.8 * (common[k] as number) + 0.6 * random.normal()
  const values = Float64Array.from(names, (_, j) => {
    own[j] = 0.7 * (own[j] as number) + 0.7 * random.normal()
    return 10 * (j + 1) + (j + 1) * 0.1 * ((own[j] as number) + (common[k] as number))
  })
  const value: Predictions = {
    type: 'learning',
    assetId: assetId(k),
    predictionId: `prediction-${window}`,
    vectorId: `vector-${window}`,
    featureSet: 'features/pump',
    featureSetDigest: 'f'.repeat(64),
    windowStartUs: n * SECOND_US,
    windowEndUs: (n + 1) * SECOND_US,
    revision: 1,
    names: [...names], // a decoded record has names of its own
    values: Buffer.from(values.buffer),
    verdicts: [],
    complete: false,
    missing: [],
    historical: false,
    recordedStartUs: null,
    quality: 'good',
    regime: null,
    machineOff: false,
    health: [],
    baselineEpochUs: null,
    embeddings: [],
    remaining: [],
  }
  const position = { leaderEpoch: 0, offset: window }
  window++
  return {
    topic: 'predictions',
    partition: 0,
    position,
    key: value.assetId,
    value,
    id: value.predictionId,
    type: value.type,
    timestampMs: 0,
    lane: 'live',
    order: { promotion: 0, ...position, index: 0 },
    traceparent: undefined,
  }
}

const memory = newMemory()
const { wordsOf, classOf } = openPlantWords(() => plant)
let judged = 0
const handle = onPredictions({
  memory,
  set: defaultDetectorSet,
  detectorSet: detectorSetDigest(defaultDetectorSet),
  cardOf: () => undefined,
  artefacts: openArtefacts(),
  faultModes: openFaultModes({ memory, classOf }),
  wordsOf,
  settled: async () => {},
  fitDrift: (prefix) => fitDriftWatch(prefix),
  countPrediction: (outcome) => {
    if (outcome === 'judged') judged++
  },
  countFinding: () => {},
})
const take = (inputs: readonly Input<Predictions>[]) => handle({ topic: 'predictions', partition: 0, inputs })
const batch = (): Input<Predictions>[] => Array.from({ length: BATCH }, next)

while (judged < 10 * BATCH) await take(batch())

let batches: Input<Predictions>[][] = []
await serveContender(
  { numbers: width, assets: ASSETS },
  async (rounds) => {
    const before = judged
    for (const inputs of batches.slice(0, rounds)) await take(inputs)
    return judged - before
  },
  () => Promise.resolve(),
  (rounds) => {
    batches = Array.from({ length: rounds }, batch)
  },
)
process.exit(0)
