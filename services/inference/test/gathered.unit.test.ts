// Rows on their way to a model: what goes together, how much is on its way, and what becomes of a full queue and of a row that fails.

import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import type { Models } from '@andon/schemas'
import { modelSuspended, queueFull, runFailed, runTimeout, workerLost } from '../src/errors.ts'
import { gathered } from '../src/scoring/gathered.ts'
import type { RowAnswer, RunRows } from '../src/scoring/scorer.ts'

const modelOf = (name: string): Models => ({ model: name, version: 1, digest: name, features: ['a'] }) as unknown as Models
const answerTo = (value: number): RowAnswer => ({
  score: value,
  ratio: value,
  contributions: new Float64Array(),
  embedding: undefined,
  hasVerdict: true,
  provider: 'test',
})
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('every row gets its own answer, the bound on rows under way holds, and rows of one model go together', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 1, max: 1000 })), { maxLength: 120 }),
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 16 }),
      fc.infiniteStream(fc.nat(3)),
      async (asked, mostRows, mostTogether, delays) => {
        let underWay = 0
        const run: RunRows = async (model, rows) => {
          underWay += rows.length
          assert.ok(underWay <= mostRows && rows.length <= mostTogether)
          for (let turns = delays.next().value ?? 0; turns > 0; turns--) await turn()
          underWay -= rows.length
          return rows.map(([value]) => answerTo(value! + model.model.charCodeAt(0) / 1000))
        }
        const scorer = gathered(run, { mostRows, mostTogether })
        const answers = await Promise.all(asked.map(([name, value]) => scorer.row(modelOf(name), Float64Array.of(value))))
        assert.deepEqual(
          answers.map(({ score }) => score),
          asked.map(([name, value]) => value + name.charCodeAt(0) / 1000),
        )
        assert.equal(underWay, 0)
      },
    ),
    { numRuns: 100 },
  )
})

test('rows that are asked for in one go run together', async () => {
  const sizes: number[] = []
  const scorer = gathered(
    async (_model, rows) => {
      sizes.push(rows.length)
      return rows.map(([value]) => answerTo(value!))
    },
    { mostRows: 1000, mostTogether: 64 },
  )
  await Promise.all(Array.from({ length: 130 }, (_, i) => scorer.row(modelOf('a'), Float64Array.of(i))))
  assert.deepEqual(sizes, [64, 64, 2])
})

test('a full queue is asked again, and after some tries it is for the caller to try again', async () => {
  let tries = 0
  const isFullFor = (times: number) =>
    gathered(
      async (_model, rows) => {
        if (tries++ < times) throw queueFull(8)
        return rows.map(([value]) => answerTo(value!))
      },
      { mostRows: 10, mostTogether: 10, waitMs: turn },
    )
  assert.equal((await isFullFor(3).row(modelOf('a'), Float64Array.of(5))).score, 5)
  tries = 0
  await assert.rejects(isFullFor(1000).row(modelOf('a'), Float64Array.of(5)), { code: 'ANDON_INFERENCE_QUEUE_FULL', retriable: true })
})

test('a row that fails is told so alone', async () => {
  const run: RunRows = async (_model, rows) => {
    if (rows.some(([value]) => value === 3)) throw runFailed('a', 'three')
    return rows.map(([value]) => answerTo(value!))
  }
  const settle = (runs: RunRows) => {
    const scorer = gathered(runs, { mostRows: 10, mostTogether: 10 })
    return Promise.allSettled([1, 2, 3, 4].map((value) => scorer.row(modelOf('a'), Float64Array.of(value))))
  }
  assert.deepEqual(
    (await settle(run)).map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'rejected', 'fulfilled'],
  )
})

const codes = async (run: RunRows, values: readonly number[]): Promise<string[]> => {
  const scorer = gathered(run, { mostRows: 100, mostTogether: 100, waitMs: turn })
  const settled = await Promise.allSettled(values.map((value) => scorer.row(modelOf('a'), Float64Array.of(value))))
  return settled.map((each) => (each.status === 'fulfilled' ? 'scored' : (each.reason as { code: string }).code))
}

test('a row that its model hangs on is left unscored after two runs, the second alone; the rows beside it are scored', async () => {
  let hung = 0
  const run: RunRows = async (_model, rows) => {
    if (rows.some(([value]) => value === 3)) {
      hung++
      throw runTimeout('a', 1)
    }
    return rows.map(([value]) => answerTo(value!))
  }
  assert.deepEqual(await codes(run, [1, 2, 3, 4]), ['scored', 'scored', 'ANDON_INFERENCE_UNSCORED', 'scored'])
  assert.equal(hung, 2) // with the others, then alone
})

test('a model that is left alone is not asked again', async () => {
  let asked = 0
  const refused = await codes(async () => {
    asked++
    throw modelSuspended('a', 1000)
  }, [1, 2])
  assert.deepEqual(refused, ['ANDON_INFERENCE_UNSCORED', 'ANDON_INFERENCE_UNSCORED'])
  assert.equal(asked, 1)
})

test('a lost worker is no verdict on its rows until it is lost again and again', async () => {
  let lost = 0
  const run: RunRows = async (_model, rows) => {
    if (lost++ < 3) throw workerLost('another model')
    return rows.map(([value]) => answerTo(value!))
  }
  assert.deepEqual(await codes(run, [1, 2]), ['scored', 'scored'])
  const poison: RunRows = async (_model, rows) => {
    if (rows.some(([value]) => value === 3)) throw workerLost('it crashed')
    return rows.map(([value]) => answerTo(value!))
  }
  assert.deepEqual(await codes(poison, [1, 3, 4]), ['scored', 'ANDON_INFERENCE_UNSCORED', 'scored'])
})
