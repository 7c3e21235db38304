// Row 10 with the services that meet it: a superseded revision that inference could not read is sent back, twice and under two
// ids, with the command's code. The newer revision stays.

import assert from 'node:assert/strict'
import { originalOf, planRedrive, readLetters } from '../../packages/cli/src/data/letters.ts'
import { recordsAt } from '../../packages/cli/src/data/records.ts'
import { assertAccounted, feed, schedule } from './plant.ts'

const LETTERS = 'features.inference.dlq'

schedule('row 10: a superseded revision that is redriven twice, and under two ids, supersedes nothing', async (plant, ingest) => {
  const { line } = plant
  plant.isPoison = ({ vector }) => vector?.revision === 2
  await feed(plant, ingest, 1, 9, 2) // window 0 closes by ticks, with samples 1 and 3: inference cannot read it
  await line.accept(ingest, [2, 2])
  await ingest.pump()
  await plant.settled()
  const [letter, ...others] = await readLetters(line.log, LETTERS)
  assert.ok(letter !== undefined && others.length === 0)
  plant.isPoison = () => false
  const order = plant.orderOf(0)
  const before = plant.outcomes.length
  const [record] = await recordsAt(line.log, [letter])
  for (const id of ['first', 'first', 'second']) {
    for (const { lane } of planRedrive(id, [letter])) await line.log.append([originalOf(record!, letter.from!, lane)])
  }
  await plant.settled()
  assert.deepEqual(plant.outcomes.slice(before), ['repeated', 'repeated'], 'once per redrive, and each superseded')
  assert.equal(plant.orderOf(0), order)
  await feed(plant, ingest, 10, 20)
  await line.seconds(10, ingest)
  await plant.settled()
  assertAccounted(plant, 20)
})
