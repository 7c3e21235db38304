// The scorers on cases made by hand, and with errors planted: each figure must move as its definition says.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { randomFrom } from '@andon/clustering/random'
import { faultKinds, planted } from './faults-planted.ts'
import { configDigest, isMet, lineOf, tableOf } from './line.ts'
import { nabCounts, nabProfiles, nabScore, probationOf, worthOf } from './nab-scores.ts'
import { matrixOfCells, parseCsv } from './recordings.ts'
import { withoutRows } from './skab.ts'
import { changeScore, rowScore } from './skab-scores.ts'

const seconds = (rows: number): number[] => Array.from({ length: rows }, (_, t) => t)
const flags = (rows: number, ...spans: (readonly [number, number])[]): number[] =>
  seconds(rows).map((t) => (spans.some(([from, to]) => t >= from && t < to) ? 1 : 0))
const isNear = (actual: number, expected: number): void => assert.ok(Math.abs(actual - expected) < 1e-9, `${actual}, expected ${expected}`)

test('rows are pooled over runs: F1, false and missed shares of a case counted by hand', () => {
  const run = (anomaly: number[], flag: number[]) => ({ timeS: seconds(anomaly.length), changepoint: flags(anomaly.length), anomaly, flag })
  // 2 found, 1 false, 1 missed, 4 rightly quiet; then 1 missed and 1 false more.
  const score = rowScore([run([0, 0, 1, 1, 1, 0, 0, 0], [0, 1, 1, 1, 0, 0, 0, 0]), run([1, 0], [0, 1])])
  isNear(score.F1, 2 / (2 + (2 + 2) / 2))
  isNear(score.FAR, 2 / 6)
  isNear(score.MAR, 2 / 4)
})

test('one hit in a long anomaly stays one hit: nothing is point-adjusted', () => {
  const anomaly = flags(100, [50, 100])
  const score = rowScore([{ timeS: seconds(100), changepoint: flags(100), anomaly, flag: flags(100, [60, 61]) }])
  isNear(score.MAR, 49 / 50)
  isNear(score.F1, 1 / (1 + 49 / 2))
})

const changes = (flag: number[]) =>
  changeScore([{ timeS: seconds(flag.length), anomaly: flags(flag.length), changepoint: flags(flag.length, [100, 101], [300, 301]), flag }])

test('a flip at the label is worth 100, none 0, one at the right edge as much as a false one', () => {
  isNear(changes(flags(500, [100, 300])).standard, 100)
  isNear(changes(flags(500)).standard, 0)
  const late = changes(flags(500, [160, 360]))
  // Both found at the last second: each worth the -0.11 of a false flip, against -1 for a miss.
  isNear(late.standard, (100 * (2 * -0.11 + 2)) / 4)
  assert.equal(late.delayS, 60)
  assert.equal(late.missed, 0)
})

test('a planted false flip costs 0.11, in the low-FP profile twice that', () => {
  const [clean, dirty] = [changes(flags(500, [100, 300])), changes(flags(500, [100, 300], [400, 500]))]
  assert.equal(dirty.falseFlips, 1)
  isNear(clean.standard - dirty.standard, (100 * 0.11) / 4)
  isNear(clean.lowFP - dirty.lowFP, (100 * 0.22) / 4)
})

test('a flip in the edge that two windows share counts for both; the cut window begins there', () => {
  const flag = flags(300, [160, 300])
  const score = changeScore([{ timeS: seconds(300), anomaly: flags(300), changepoint: flags(300, [100, 101], [130, 131]), flag }])
  assert.equal(score.missed, 0)
  assert.equal(score.falseFlips, 0)
})

test("nothing reported is 0 and a report on every window's first row is nearly 100, in every profile", () => {
  const windows = [[100, 199] as const, [300, 399] as const]
  const none = { scores: new Float64Array(500), probation: 50, windows }
  const perfect = { ...none, scores: Float64Array.from({ length: 500 }, (_, t) => (t === 100 || t === 300 ? 1 : 0)) }
  for (const profile of Object.values(nabProfiles)) {
    isNear(nabScore([none], profile, 0.5).score, 0)
    const { score } = nabScore([perfect], profile, 0.5)
    assert.ok(score > 98 && score <= 100, `${score}`)
  }
})

test('later in a window is worth less, a false report costs, and the first 15 % are not looked at', () => {
  const windows = [[100, 199] as const]
  const at = (...rows: number[]) => ({
    scores: Float64Array.from({ length: 500 }, (_, t) => (rows.includes(t) ? 1 : 0)),
    probation: 50,
    windows,
  })
  const standard = (...rows: number[]) => nabScore([at(...rows)], nabProfiles.standard, 0.5).score
  assert.ok(standard(100) > standard(150) && standard(150) > standard(199) && standard(199) > 50)
  isNear(standard(150, 450) - standard(150), (100 * 0.11 * (worthOf(500, windows).worth[450] as number)) / 2)
  isNear(nabScore([at(150, 60)], nabProfiles.standard, 0.5).score, standard(150) - (100 * 0.11) / 2)
  isNear(standard(150, 20), standard(150))
  isNear(standard(150, 190), standard(150))
  assert.deepEqual(nabCounts([at(150, 160, 450)], 0.5), { hit: 1, windows: 1, false: 1 })
  assert.equal(probationOf(1000), 150)
  assert.equal(probationOf(10_000), 750)
})

test('without a threshold the best one is found, and no other is better', () => {
  const random = randomFrom(4)
  const scores = Float64Array.from({ length: 600 }, (_, t) => random.uniform() + (t >= 300 && t < 320 ? 0.3 : 0))
  const series = [{ scores, probation: 90, windows: [[290, 330] as const] }]
  const best = nabScore(series, nabProfiles.standard)
  for (const threshold of [0.2, 0.5, 0.8, 0.9, 0.95, 1, 1.1, 1.2, 1.3]) {
    assert.ok(nabScore(series, nabProfiles.standard, threshold).score <= best.score + 1e-9)
  }
  isNear(nabScore(series, nabProfiles.standard, best.threshold).score, best.score)
})

test('rows removed after the prefix are gone from values and labels alike', () => {
  const rows = 600
  const run = {
    name: 'made by hand',
    values: { values: Float64Array.from({ length: rows * 2 }, (_, i) => i), rows, width: 2 },
    timeS: Float64Array.from(seconds(rows)),
    anomaly: Uint8Array.from(flags(rows, [500, 600])),
    changepoint: Uint8Array.from(flags(rows, [500, 501])),
  }
  const shorter = withoutRows(run, 50)
  assert.equal(shorter.values.rows, 550)
  assert.equal(shorter.timeS[399], 399)
  assert.equal(shorter.timeS[400], 450)
  assert.equal(shorter.values.values[400 * 2], 450 * 2)
  assert.equal(shorter.changepoint.indexOf(1), 450)
})

test('a planted fault has the size it says', () => {
  const normal = { mean: 5, std: 2 }
  const values = Float64Array.from({ length: 200 }, (_, t) => 5 + Math.cos(t))
  const by = Object.fromEntries(faultKinds.map((kind) => [kind, planted(values, kind, 3, normal, randomFrom(1))]))
  const step = (kind: string, t: number): number => (by[kind]?.[t] as number) - (values[t] as number)
  isNear(step('offset', 0), 6)
  isNear(step('offset', 199), 6)
  isNear(by['gain']?.[0] as number, 5 + 4)
  isNear(step('drift', 0), 0)
  isNear(step('drift', 150), 6)
  isNear(by['stuck']?.[100] as number, 6)
  isNear(step('oscillation', 3), 6)
  const spread = Math.sqrt(values.reduce((sum, _, t) => sum + step('noise', t) ** 2, 0) / 200)
  assert.ok(spread > 5 && spread < 7)
})

test('cells become numbers, an empty one is missing', () => {
  const { header, rows } = parseCsv('time;a;b\r\n1;2;\r\n2;;4\r\n', ';')
  assert.deepEqual(header, ['time', 'a', 'b'])
  assert.deepEqual([...matrixOfCells(rows, 1, 3).values], [2, Number.NaN, Number.NaN, 4])
})

test('a figure below what is required fails the line; what could not be measured is null and no pass', () => {
  const line = lineOf('made', {
    figures: [
      { name: 'F1', value: 0.84999, atLeast: 0.85 },
      { name: 'blind.F1', value: Number.NaN },
    ],
    seeds: [1],
  })
  assert.deepEqual(line, { set: 'made', F1: 0.85, blind: { F1: null }, config: configDigest(), pass: false, seeds: [1] })
  assert.equal(isMet({ name: 'x', value: Number.NaN }), false)
  assert.match(
    tableOf([{ set: 'made', result: { figures: [{ name: 'F1', value: 0.8, atLeast: 0.85 }] } }]),
    /made +F1 +0.8 +≥ 0.85 +MISSED/,
  )
})
