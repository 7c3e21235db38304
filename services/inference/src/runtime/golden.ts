// Golden vectors: inputs with the outputs that the model gave where it was made. Checked before a model takes requests, so a runtime,
// a machine or an execution provider whose numbers are others is noticed before anybody relies on them.

import type { Runner } from './runner.ts'

/** What a golden file says: recorded runs and how far a number may be off. */
export interface GoldenVectors {
  /** As the file calls itself, for messages. */
  readonly source: string
  readonly maxAbsDifference: number
  readonly maxRelDifference: number
  readonly runs: readonly GoldenRun[]
}

export interface GoldenRun {
  readonly inputs: readonly GoldenTensor[]
  readonly outputs: readonly GoldenTensor[]
}

export interface GoldenTensor {
  readonly name: string
  readonly shape: readonly number[]
  readonly data: readonly (number | bigint | string | boolean)[]
}

/** Where the numbers differ, all that is needed to look into it. */
export interface GoldenMismatch {
  readonly run: number
  readonly output: string
  readonly row: number
  readonly expected: string
  readonly got: string
}

/** `golden.json` or `golden.ndjson` beside the model; throws with the line and what is wrong about it. */
export const readGolden = (source: string, text: string): GoldenVectors => {
  throw new Error(`${source}: not read yet: ${text.length} characters`)
}

/** Rejects with ANDON_INFERENCE_GOLDEN_MISMATCH, which names run, output, row, expected and got, or with the run's own error. */
export const checkGolden = async (label: string, runner: Runner, golden: GoldenVectors): Promise<void> => {
  await Promise.reject(new Error(`${label}: ${golden.source} is not checked yet on ${runner.provider}`))
}
