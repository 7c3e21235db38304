// The judging half of `andon backtest`: vectors come in on stdin as frames and go through the judgement that the service runs, without a
// log and without a model; what it says of every window goes to stdout. Equal vectors give equal judgements.
// Starts by itself too: node services/clustering/src/tools/judge.ts --plan '{"learn":{"press-1":400}}'

import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { canonicalJson, emitter, localCodec, sha256Hex } from '@andon/kit'
import type { Input } from '@andon/kit'
import { messageOf } from '@andon/kit/errors'
import { FRAME, frameOf, framesOf } from '@andon/kit/pipe-frames'
import type { JudgedWindow } from '@andon/kit/row-frames'
import type { Features, Predictions, Vector } from '@andon/schemas'
import { newMemory } from '../asset-state.ts'
import { openArtefacts } from '../detector-artefacts.ts'
import { defaultDetectorSet } from '../detector-set.ts'
import type { DetectorSet } from '../detector-set.ts'
import { assetWords } from '../finding.ts'
import type { Judged } from '../judged.ts'
import { openJudge } from '../on-predictions.ts'

export interface JudgePlan {
  /** Windows to learn from, by asset. */
  readonly learn: Readonly<Record<string, number>>
}

/** Contributions that are told of a window. */
const MOST_TOLD = 5
const BATCH = 256

const lineOf = (judged: Judged): JudgedWindow => {
  const {
    assetId,
    windowEndUs,
    outcome,
    ratio,
    pValue,
    isOpen,
    isClosing,
    episodeId,
    severity,
    faultMode,
    faultModeId,
    clusterId,
    changed,
    isNewRegime,
  } = judged
  const isTold = isOpen || isClosing || (ratio ?? 0) > 1
  const told = isTold
    ? judged
        .contributions()
        .filter(({ share }) => share > 0)
        .slice(0, MOST_TOLD)
    : []
  return {
    assetId,
    windowEndUs,
    outcome,
    ratio,
    pValue,
    isOpen,
    episodeId: isOpen ? episodeId : null,
    severity,
    faultMode: isTold ? (faultMode ?? faultModeId ?? clusterId) : null,
    changed,
    isNewRegime,
    contributions: told.map(({ name, share, value, normalLow, normalHigh }) => ({
      name,
      share,
      value,
      low: normalLow ?? null,
      high: normalHigh ?? null,
    })),
  }
}

/** Judges vectors, one asset after the other or mixed; in the order of each. */
export const openRecordingJudge = ({ learn }: JudgePlan) => {
  let lines: JudgedWindow[] = []
  const judgeOf = (learningWindows: number) => {
    // Nothing is kept between runs here, so what a snapshot could carry is no bound.
    const set: DetectorSet = {
      ...defaultDetectorSet,
      detector: { ...defaultDetectorSet.detector, learningWindows, mostNumbers: Number.MAX_SAFE_INTEGER },
    }
    return openJudge({
      memory: newMemory(),
      set,
      detectorSet: sha256Hex(canonicalJson(set)),
      cardOf: () => undefined,
      artefacts: openArtefacts(),
      wordsOf: (assetId) => assetWords(undefined, assetId),
      settled: () => Promise.resolve(),
      countPrediction: () => undefined,
      countFinding: () => undefined,
      judged: (judged) => void lines.push(lineOf(judged)),
    })
  }
  const judges = new Map<string, ReturnType<typeof judgeOf>>()
  let offset = 0
  return async (vectors: readonly Features[]): Promise<JudgedWindow[]> => {
    for (const { assetId, vector } of vectors) {
      if (vector === null) continue
      let judge = judges.get(assetId)
      if (judge === undefined) judges.set(assetId, (judge = judgeOf(learn[assetId] ?? defaultDetectorSet.detector.learningWindows)))
      const input = inputOf(assetId, vector, offset++)
      await judge.prepare([input])
      judge.judge(input, emitter())
      await judge.stored()
    }
    const done = lines
    lines = []
    return done
  }
}

/** As inference writes it for an asset without a model. */
const predictionOf = (assetId: string, vector: Vector): Predictions => {
  const { quality, machineOff, young } = vector
  const type = quality === 'unmonitored' ? 'unmonitored' : machineOff ? 'machine-off' : young ? 'young' : 'learning'
  return { ...vector, type, assetId, predictionId: vector.vectorId, verdicts: [], complete: false, embeddings: [], remaining: [] }
}

const inputOf = (assetId: string, vector: Vector, offset: number): Input<Predictions> => ({
  topic: 'predictions',
  partition: 0,
  position: { leaderEpoch: 0, offset },
  key: assetId,
  value: predictionOf(assetId, vector),
  id: vector.vectorId,
  type: 'learning',
  timestampMs: 0,
  lane: 'live',
  order: undefined,
  traceparent: undefined,
})

const main = async (args: readonly string[]): Promise<number> => {
  const { values } = parseArgs({ args: [...args], options: { plan: { type: 'string' } } })
  const { stdin, stdout } = process
  stdout.on('error', () => process.exit(1)) // whoever read has ended, and says why
  try {
    const judge = openRecordingJudge(JSON.parse(values.plan ?? '{"learn":{}}') as JudgePlan)
    const codec = localCodec()
    let batch: Features[] = []
    const flush = async (): Promise<void> => {
      const lines = await judge(batch)
      batch = []
      if (!stdout.write(frameOf(FRAME.about, Buffer.from(JSON.stringify(lines))))) await once(stdout, 'drain')
    }
    for await (const { kind, body } of framesOf(stdin)) {
      if (kind === FRAME.record) batch.push(codec.decode<Features>('features', Buffer.from(body)))
      if (batch.length >= BATCH) await flush()
    }
    await flush()
    return 0
  } catch (error) {
    console.error(messageOf(error))
    return 1
  }
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2))
