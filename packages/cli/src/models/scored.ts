// Vectors through a model version by the inference service's own code, as a process of its own: its image has the tool too. Vectors of
// files go to it over a pipe, predictions come back over another.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { type Codec, localCodec } from '@andon/kit'
import { FRAME, frameOf, framesOf } from '@andon/kit/pipe-frames'
import { repositoryRoot } from '@andon/platform'
import type { FeaturesInput, Predictions } from '@andon/schemas'
import { type Context, CommandError } from '../context.ts'
import type { PartitionRange } from '../data/ranges.ts'
import { EXIT } from '../exit.ts'

/** Where the tool lies, from the root of a checkout or an image. */
const TOOL = 'services/inference/src/tools/score.ts'

export interface ScorePlan {
  readonly model: string
  readonly topic?: string
  /** None: the vectors of `vectors`. */
  readonly ranges?: readonly PartitionRange[]
  readonly assets?: readonly string[]
}

export interface ScoreSummary {
  readonly model: string
  readonly version: number
  readonly digest: string
  readonly role: string
  readonly vectors: number
  readonly scored: number
  readonly idle: number
  readonly failed: number
  readonly otherAssets: number
  readonly otherSets: number
  readonly repeated: number
  readonly undecodable: number
  readonly wallMs: number
}

export interface Scoring {
  readonly onPrediction: (prediction: Predictions) => Promise<void> | void
  readonly onProgress: (read: number, total: number | undefined) => void
  readonly vectors?: AsyncIterable<FeaturesInput>
}

/** Resolves when every prediction has been handed out; the tool has said why itself when it ends badly. */
export const scoreWith = async (
  context: Context,
  plan: ScorePlan,
  { onPrediction, onProgress, vectors }: Scoring,
): Promise<ScoreSummary> => {
  const child = spawn(process.execPath, [join(repositoryRoot, TOOL), '--plan', JSON.stringify(plan)], {
    stdio: [vectors === undefined ? 'ignore' : 'pipe', 'pipe', 'inherit'],
    env: {
      ...process.env,
      ANDON_KAFKA_BROKERS: context.brokers.join(','),
      ANDON_REGISTRY_URL: context.registryUrl,
      ANDON_NAMESPACE: context.namespace,
      ANDON_BLOB_DIR: context.blobDir,
    },
  })
  const closed = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  const codec = localCodec()
  const sent = vectors === undefined ? Promise.resolve() : send(child.stdin!, codec, vectors)
  sent.catch(() => child.kill()) // its error is the one to show
  let summary: ScoreSummary | undefined
  try {
    for await (const { kind, body } of framesOf(child.stdout as AsyncIterable<Buffer>)) {
      if (kind === FRAME.record) {
        await onPrediction(codec.decode<Predictions>('predictions', body))
        continue
      }
      const about = JSON.parse(body.toString()) as { read?: number; total?: number; summary?: ScoreSummary }
      if (about.summary === undefined) onProgress(about.read ?? 0, about.total)
      else summary = about.summary
    }
    await sent
  } catch (error) {
    child.kill()
    throw error
  }
  const code = await closed
  if (summary === undefined) throw new CommandError(code ?? EXIT.failed, '')
  return summary
}

const send = async (stdin: Writable, codec: Codec, vectors: AsyncIterable<FeaturesInput>): Promise<void> => {
  stdin.on('error', () => {}) // the tool ended: it says why
  for await (const vector of vectors) {
    const frame = frameOf(FRAME.record, codec.encode('features', vector))
    if (stdin.destroyed) return
    if (!stdin.write(frame)) await Promise.race([once(stdin, 'drain'), once(stdin, 'close')])
  }
  stdin.end()
}
