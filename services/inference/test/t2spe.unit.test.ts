import assert from 'node:assert/strict'
import '../src/runtime/no-telemetry.ts'
import { createHash } from 'node:crypto'
import test from 'node:test'
import * as ort from 'onnxruntime-node'
import { matrix, row } from '../src/learning/linear-algebra.ts'
import type { Matrix } from '../src/learning/linear-algebra.ts'
import { sessionOptions } from '../src/runtime/session-options.ts'
import { t2SpeGraph } from '../src/learning/t2spe-graph.ts'
import { TrainingRefused, scoreRow, trainT2Spe } from '../src/learning/t2spe.ts'
import type { Score, T2SpeModel } from '../src/learning/t2spe.ts'
import { featureNames, healthyRows } from './rows.ts'

const d = 9
const train = (rows: Matrix): T2SpeModel => trainT2Spe(featureNames(rows.columns), rows)
const open = (bytes: Uint8Array): Promise<ort.InferenceSession> => ort.InferenceSession.create(bytes, sessionOptions)
const infer = async (session: ort.InferenceSession, rows: Matrix): Promise<Record<string, Float64Array>> => {
  const results = await session.run({ features: new ort.Tensor('float64', rows.data, [rows.rows, rows.columns]) })
  return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, tensor.data as Float64Array]))
}

test('T², SPE and contributions are what their definitions give by brute force', () => {
  const model = train(healthyRows(300, d))
  const x = Float64Array.from(row(healthyRows(1, d, 99), 0))
  x[3]! += 5
  const components = model.loadings.columns
  const z = (values: ArrayLike<number>): number[] => model.features.map((_, j) => (values[j]! - model.mean[j]!) / model.std[j]!)
  const definition = (values: number[]): { t2: number; spe: number; score: number } => {
    const t = Array.from({ length: components }, (_, k) => values.reduce((sum, value, j) => sum + value * row(model.loadings, j)[k]!, 0))
    const t2 = t.reduce((sum, value, k) => sum + value ** 2 * model.componentWeight[k]!, 0)
    const back = values.map((_, j) => t.reduce((sum, value, k) => sum + value * row(model.loadings, j)[k]!, 0))
    const spe = values.reduce((sum, value, j) => sum + (value - back[j]!) ** 2, 0)
    return { t2, spe, score: t2 / model.t2Limit + spe / model.speLimit }
  }
  const scored = scoreRow(model, x)
  const expected = definition(z(x))
  for (const key of ['t2', 'spe', 'score'] as const) assert.ok(Math.abs(scored[key] - expected[key]) < 1e-9, key)
  // By how much would the score fall if feature j took the value that suits the others best? The score is a parabola in it.
  const gains = z(x).map((value, j) => {
    const at = (shift: number): number => definition(z(x).map((other, i) => (i === j ? value + shift : other))).score
    const [left, centre, right] = [at(-1), at(0), at(1)]
    const curvature = (left + right - 2 * centre) / 2
    return ((right - left) / 2) ** 2 / (4 * curvature)
  })
  const sum = gains.reduce((a, b) => a + b, 0)
  scored.contributions.forEach((share, j) => assert.ok(Math.abs(share - gains[j]! / sum) < 1e-8))
})

test('the ONNX graph computes what the training code computes', async () => {
  for (const [features, rows] of [
    [1, 60],
    [2, 80],
    [9, 300],
    [40, 300],
  ] as const) {
    const model = train(healthyRows(rows, features))
    const session = await open(t2SpeGraph(model, {}))
    const fresh = healthyRows(200, features, 5)
    for (let i = 0; i < 200; i += 10) fresh.data[i * features]! += i
    const outputs = await infer(session, fresh)
    for (let i = 0; i < fresh.rows; i++) {
      const expected = scoreRow(model, row(fresh, i))
      for (const key of ['score', 'ratio', 't2', 'spe'] as const)
        assert.ok(Math.abs(outputs[key]![i]! - expected[key]) <= 1e-9 * (1 + expected[key]), `${key} of row ${i}`)
      expected.contributions.forEach((share, j) => assert.ok(Math.abs(outputs['contributions']![i * features + j]! - share) <= 1e-9))
    }
    await session.release()
  }
})

test('a row scores bit for bit the same alone and within any batch', async () => {
  const model = train(healthyRows(300, 13))
  const session = await open(t2SpeGraph(model, {}))
  const fresh = healthyRows(192, 13, 6)
  const whole = await infer(session, fresh)
  for (const size of [1, 2, 3, 5, 7, 16, 31, 64]) {
    for (let at = 0; at + size <= fresh.rows; at += size) {
      const part = await infer(session, matrix(size, 13, fresh.data.slice(at * 13, (at + size) * 13)))
      for (const [name, values] of Object.entries(part)) {
        const width = values.length / size
        assert.deepEqual(values, whole[name]!.slice(at * width, (at + size) * width), `${name}, batch of ${size} at row ${at}`)
      }
    }
  }
  await session.release()
})

test('the same rows give the same artefact, byte for byte', () => {
  const digest = (): string =>
    createHash('sha256')
      .update(t2SpeGraph(train(healthyRows(300, d)), { 'andon.kind': 't2spe' }))
      .digest('hex')
  assert.equal(digest(), digest())
})

test('healthy rows stay below the line and a shifted feature is found and named', () => {
  const model = train(healthyRows(300, d))
  const fresh = healthyRows(4000, d, 7)
  const ratios = Array.from({ length: fresh.rows }, (_, i) => scoreRow(model, row(fresh, i)).ratio)
  assert.ok(ratios.filter((ratio) => ratio > 1).length / ratios.length < 0.01, 'at most 1 % false alarms on single rows')
  for (let j = 0; j < d; j++) {
    const shifted: Score[] = Array.from({ length: 200 }, (_, i) => {
      const x = Float64Array.from(row(fresh, i))
      x[j]! += 6 * model.std[j]!
      return scoreRow(model, x)
    })
    assert.ok(shifted.filter(({ ratio }) => ratio > 1).length >= 199)
    assert.ok(shifted.filter(({ contributions }) => contributions.indexOf(Math.max(...contributions)) === j).length >= 190)
    for (const { contributions } of shifted) assert.ok(Math.abs(contributions.reduce((a, b) => a + b, 0) - 1) < 1e-9)
  }
})

test('a few gross rows in the training range do not widen the limits', () => {
  const clean = train(healthyRows(300, d))
  const rows = healthyRows(300, d)
  for (let i = 0; i < 6; i++) for (let j = 0; j < d; j++) rows.data[i * d + j]! += 1000
  const trimmed = train(rows)
  assert.equal(trimmed.rowsTrimmed, 6)
  assert.ok(trimmed.speLimit < 1.2 * clean.speLimit)
})

test('features that never move or are mostly missing take no part', () => {
  const rows = healthyRows(300, d)
  for (let i = 0; i < 300; i++) {
    rows.data[i * d + 2] = 7
    if (i % 10 === 0) rows.data[i * d + 5] = Number.NaN
  }
  const model = train(rows)
  assert.deepEqual(
    [...model.unused].toSorted(([a], [b]) => a.localeCompare(b)),
    [
      ['channel2.mean', 'constant'],
      ['channel5.mean', 'missing'],
    ],
  )
  const x = Float64Array.from(row(healthyRows(1, d, 3), 0))
  const before = scoreRow(model, x)
  x[2] = 1e6
  x[5] = Number.NaN
  assert.deepEqual(scoreRow(model, x), before)
})

test('too few rows or rows without movement are refused', () => {
  assert.throws(() => train(healthyRows(59, d)), TrainingRefused)
  assert.throws(() => train(matrix(100, 3, new Float64Array(300).fill(4))), TrainingRefused)
})
