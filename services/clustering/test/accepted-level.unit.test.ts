// What people say of an episode, applied to the windows that follow.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Anomalies, Finding } from '@andon/schemas'
import { keyedState, newMemory } from '../src/asset-state.ts'
import { openArtefacts } from '../src/detector-artefacts.ts'
import { defaultDetectorSet, detectorSetDigest } from '../src/detector-set.ts'
import { openFaultModes } from '../src/fault-modes.ts'
import { onPredictions } from '../src/on-predictions.ts'
import { Teachings } from '../src/teachings.ts'
import { inputOf, predictionOf } from './predictions.ts'

/** An asset whose open episode somebody may call normal. */
const plant = () => {
  let memory = newMemory()
  const normalNow = new Set<string>()
  const teachings = new Teachings()
  teachings.verdictOf = (episodeId) => (normalNow.has(episodeId) ? 'normal-now' : undefined)
  const set = defaultDetectorSet
  const open = () =>
    onPredictions({
      memory,
      set,
      detectorSet: detectorSetDigest(set),
      cardOf: () => undefined,
      artefacts: openArtefacts({ put: () => Promise.reject(new Error('not used')), get: () => Promise.reject(new Error('not used')) }),
      faultModes: openFaultModes({ memory, teachings: () => teachings }),
      wordsOf: (assetId) => ({ name: assetId, classId: assetId, unitOf: () => '', sources: [], isControl: false, zoneLimitsMmS: null }),
      settled: async () => {},
      countPrediction: () => {},
      countFinding: () => {},
    })
  let handle = open()
  let n = 0
  const told: { type: string; finding: Finding }[] = []
  return {
    told,
    normalNow,
    async ratios(count: number, ratio: number, fields = {}): Promise<void> {
      for (let i = 0; i < count; i++, n++) {
        const { outputs } = await handle({ topic: 'predictions', partition: 0, inputs: [inputOf(predictionOf(n, ratio, fields), n)] })
        for (const { output } of outputs) {
          const { finding } = output.value as Anomalies
          if (finding) told.push({ type: output.type, finding })
        }
      }
    },
    restart(): void {
      const saved = keyedState(memory).snapshot('press-1')
      memory = newMemory()
      const state = keyedState(memory)
      state.restore('press-1', saved, state.version)
      handle = open()
    },
    types: () => told.map(({ type }) => type),
  }
}

test('an episode that people call normal closes at once, and its level opens no other', async () => {
  const press = plant()
  await press.ratios(10, 5)
  press.normalNow.add(press.told[0]?.finding.episodeId ?? '')
  await press.ratios(1, 5)
  assert.deepEqual(press.types(), ['EpisodeOpened', 'EpisodeClosed'])
  assert.match(press.told[1]?.finding.title ?? '', /steady at a new level after 9 windows/)
  press.restart()
  await press.ratios(60, 4.9)
  assert.equal(press.told.length, 2)
})

test('what goes beyond the accepted level opens an episode of its own', async () => {
  const press = plant()
  await press.ratios(10, 5)
  press.normalNow.add(press.told[0]?.finding.episodeId ?? '')
  await press.ratios(25, 5)
  await press.ratios(3, 12)
  assert.deepEqual(press.types(), ['EpisodeOpened', 'EpisodeClosed', 'EpisodeOpened'])
  assert.notEqual(press.told[2]?.finding.episodeId, press.told[0]?.finding.episodeId)
})

test('back in its old normal, the asset is judged as before', async () => {
  const press = plant()
  await press.ratios(10, 5)
  press.normalNow.add(press.told[0]?.finding.episodeId ?? '')
  await press.ratios(25, 5)
  await press.ratios(10, 0.3)
  await press.ratios(3, 5)
  assert.deepEqual(press.types(), ['EpisodeOpened', 'EpisodeClosed', 'EpisodeOpened'])
})

test('a service ends what was accepted', async () => {
  const press = plant()
  await press.ratios(10, 5)
  press.normalNow.add(press.told[0]?.finding.episodeId ?? '')
  await press.ratios(25, 5)
  await press.ratios(3, 5, { baselineEpochUs: 1 })
  assert.deepEqual(press.types(), ['EpisodeOpened', 'EpisodeClosed', 'EpisodeOpened'])
})
