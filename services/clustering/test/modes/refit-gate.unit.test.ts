import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type RefitMeasures, judgeRefit } from '../../src/modes/refit-gate.ts'

const good: RefitMeasures = { dbcv: 0.6, silhouette: 0.5, bootstrapAri: 0.95, noiseShare: 0.05, largestShare: 0.7, survival: 0.99 }
const previous = { dbcv: 0.62 }

test('a refit within all bounds is activated, at the bounds as well', () => {
  assert.deepEqual(judgeRefit(good, previous), { decision: 'activate' })
  const atBounds = { dbcv: 0.45, bootstrapAri: 0.8, noiseShare: 0.25, largestShare: 1, survival: 0.9 }
  assert.deepEqual(judgeRefit(atBounds, { dbcv: 0.5 }), { decision: 'activate' })
})

test('each measure beyond its bound is a reason of its own, and all are told', () => {
  const misses: [Partial<RefitMeasures>, string][] = [
    [{ bootstrapAri: 0.79 }, 'Agreement with fits to subsamples is 0.79, at least 0.8 is required'],
    [{ dbcv: 0.5 }, 'Density-based validity is 0.5, at least 0.57 is required'],
    [{ noiseShare: 0.3 }, 'Share of noise is 0.3, at most 0.25 is required'],
    [{ survival: 0.5 }, 'Share of mass that keeps its mode is 0.5, at least 0.9 is required'],
    [{ largestShare: 1.1 }, 'Share of the largest mode is 1.1, at most 1 is required'],
  ]
  const texts = (measures: RefitMeasures) => {
    const judgement = judgeRefit(measures, previous)
    return judgement.decision === 'activate' ? [] : judgement.reasons.map(({ text }) => text)
  }
  for (const [miss, text] of misses) assert.deepEqual(texts({ ...good, ...miss }), [text])
  const all = texts({ ...good, ...Object.assign({}, ...misses.map(([miss]) => miss)) })
  assert.deepEqual(all.toSorted(), misses.map(([, text]) => text).toSorted())
})

test('a first fit has nothing to fall behind', () => {
  const { survival: _survival, ...first } = good
  assert.deepEqual(judgeRefit({ ...first, dbcv: -0.2 }, undefined), { decision: 'activate' })
})

test('what could not be measured is not activated', () => {
  for (const miss of [{ dbcv: Number.NaN }, { bootstrapAri: Number.NaN }, { survival: Number.NaN }, { noiseShare: Number.NaN }]) {
    const judgement = judgeRefit({ ...good, ...miss }, previous)
    assert.equal(judgement.decision, 'refuse')
    assert.match(judgement.decision === 'refuse' ? (judgement.reasons[0]?.text ?? '') : '', /was not measured/)
  }
  const { survival: _survival, ...without } = good
  assert.equal(judgeRefit(without, previous).decision, 'refuse')
})
