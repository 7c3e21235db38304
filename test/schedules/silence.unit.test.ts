// An asset whose source falls silent and comes back, through features, inference and clustering: one finding opens and closes.

import assert from 'node:assert/strict'
import type { Anomalies, Finding, Predictions } from '@andon/schemas'
import { codec } from './line.ts'
import { assertAccounted, feed, schedule } from './plant.ts'
import type { Plant } from './plant.ts'

const told = ({ line }: Plant): Finding[] =>
  line.store.partition('anomalies', 0).records.flatMap((record) => {
    const { type, finding } = codec.decode<Anomalies>('anomalies', record.value!)
    return type === 'AssetUnmonitored' && finding !== null ? [finding] : []
  })
const types = ({ line }: Plant): string[] =>
  line.store.partition('predictions', 0).records.map((record) => codec.decode<Predictions>('predictions', record.value!).type)

schedule('an asset without telemetry for three windows is told once, and once more when it comes again', async (plant, ingest) => {
  await feed(plant, ingest, 1, 17)
  await plant.line.seconds(60, ingest)
  await plant.settled()
  assert.equal(types(plant).filter((type) => type === 'unmonitored').length, 1)
  const [opened, ...more] = told(plant)
  assert.deepEqual([opened?.transition, opened?.about, more], ['opened', 'telemetry', []])
  assert.match(opened!.title, /; its open finding stays open, unjudged$/) // every window of this model is above the line
  await plant.line.accept(ingest, [18, 78], [19, 79])
  await plant.line.seconds(15, ingest)
  await plant.settled()
  const [, closed] = told(plant)
  assert.deepEqual([closed?.transition, closed?.episodeId], ['closed', opened?.episodeId])
  assertAccounted(plant, 19)
})
