// Events by id and their lineage, on a log where one block led to a vector, a prediction and two findings.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HEADER, type MemoryLog, openMemoryLog } from '@andon/kit'
import { drawLineage, findEvents, walkDown, walkUp } from '../src/data/events.ts'

const append = async (log: MemoryLog, topic: string, id: string, timestampMs: number, cause?: string): Promise<void> => {
  await log.append([
    {
      topic,
      partition: 1,
      key: 'press-1',
      value: Buffer.from('x'),
      timestampMs,
      headers: {
        [HEADER.id]: id,
        [HEADER.type]: `andon.${topic}`,
        [HEADER.lane]: 'live',
        ...(cause === undefined ? {} : { [HEADER.cause]: cause }),
      },
    },
  ])
}

const chain = async (): Promise<MemoryLog> => {
  const log = openMemoryLog({ partitions: 2 })
  await append(log, 'telemetry', 'other', 90)
  await append(log, 'telemetry', 'block', 100)
  await append(log, 'features', 'foreign', 100, 'telemetry/1/0/0/0')
  await append(log, 'features', 'vector', 100, 'telemetry/1/0/1/0')
  await append(log, 'predictions', 'prediction', 100, 'features/1/0/1/0')
  await append(log, 'anomalies', 'finding-1', 100, 'predictions/1/0/0/0')
  await append(log, 'anomalies', 'finding-2', 100, 'predictions/1/0/0/1')
  return log
}

const ids = (events: readonly { id: string | null }[]) => events.map(({ id }) => id)

test('an event is found by its id, with its repeats, on any topic since the time', async () => {
  const log = await chain()
  await append(log, 'predictions', 'prediction', 100, 'features/1/0/1/0')
  assert.deepEqual(
    (await findEvents(log, 'prediction', 0)).map(({ topic, offset }) => [topic, offset]),
    [
      ['predictions', 0],
      ['predictions', 1],
    ],
  )
  assert.deepEqual(await findEvents(log, 'prediction', 101), [])
  assert.deepEqual(await findEvents(log, 'nobody', 0), [])
})

test('causes are walked up to the source', async () => {
  const log = await chain()
  const [finding] = await findEvents(log, 'finding-2', 0)
  assert.deepEqual(ids((await walkUp(log, finding!, 10)).events), ['prediction', 'vector', 'block'])
  assert.deepEqual(ids((await walkUp(log, finding!, 2)).events), ['prediction', 'vector'])
})

test('a cause that is gone, or was overwritten after a loss, is named instead of another record', async () => {
  const log = await chain()
  const [vector] = await findEvents(log, 'vector', 0)
  log.trim('telemetry', 1, 2)
  assert.deepEqual((await walkUp(log, vector!, 10)).gone?.offset, 1)
  const cut = await chain()
  cut.cut('telemetry', 1, 1)
  await append(cut, 'telemetry', 'something else', 100)
  const [after] = await findEvents(cut, 'vector', 0)
  assert.deepEqual(await walkUp(cut, after!, 10), {
    events: [],
    gone: { topic: 'telemetry', partition: 1, leaderEpoch: 0, offset: 1, index: 0 },
  })
})

test('effects are walked down over all hops, and no others', async () => {
  const log = await chain()
  const [block] = await findEvents(log, 'block', 0)
  const { tree, truncated } = await walkDown(log, block!, 10)
  assert.equal(truncated, false)
  assert.deepEqual(ids(tree.caused), ['vector'])
  assert.deepEqual(ids(tree.caused[0]!.caused), ['prediction'])
  assert.deepEqual(ids(tree.caused[0]!.caused[0]!.caused), ['finding-1', 'finding-2'])
  assert.deepEqual((await walkDown(log, block!, 1)).tree.caused[0]!.caused, [])
})

test('the lineage is drawn with the causes above and the event marked', async () => {
  const log = await chain()
  const [vector] = await findEvents(log, 'vector', 0)
  const drawn = drawLineage(await walkUp(log, vector!, 10), await walkDown(log, vector!, 10), vector!)
  assert.deepEqual(
    drawn.split('\n').map((line) => line.replace(/ {2}andon.*/, '')),
    ['telemetry/1@1', '└─ * features/1@1', '   └─ predictions/1@0', '      ├─ anomalies/1@0', '      └─ anomalies/1@1'],
  )
})
