// The one place where tools use the engine: telemetry in, vectors and late reports out, through the handler that the service
// runs. So what is previewed or recomputed has the windows, order and arithmetic of production.

import type { Input } from '@andon/kit'
import type { FeaturesInput, Telemetry } from '@andon/schemas'
import { onTelemetry } from '../on-telemetry.ts'
import type { AssetPlan } from '../plan.ts'
import { newMemory } from '../state.ts'

export type EmittedVector = Required<NonNullable<FeaturesInput['vector']>>
export type EmittedLate = NonNullable<FeaturesInput['late']>

export type Emitted = { readonly assetId: string } & ({ readonly vector: EmittedVector } | { readonly late: EmittedLate })

const BATCH = 200
/** As many missing ranges as a file may have. */
const GAPS_KEPT = 1 << 16

/** What the service would write for these records, with this plan throughout; `servicedUs`: rows before it join no window that ends after it. */
export async function* emittedFrom(
  plan: AssetPlan,
  records: Iterable<Telemetry> | AsyncIterable<Telemetry>,
  servicedUs: number | null = null,
): AsyncGenerator<Emitted> {
  const handle = onTelemetry({
    memory: newMemory(),
    planAt: () => plan,
    servicedAt: () => servicedUs,
    settled: () => Promise.resolve(),
    gapBound: GAPS_KEPT,
    counts: { windowsClosed: () => undefined, rows: () => undefined, malformed: () => undefined, unmonitored: () => undefined },
  })
  let offset = 0
  let inputs: Input<Telemetry>[] = []
  const flush = async (): Promise<Emitted[]> => {
    const out = await handle({ topic: 'telemetry', partition: 0, inputs })
    inputs = []
    return out.outputs.flatMap(({ output }): Emitted[] => {
      const { assetId, vector, late } = output.value as FeaturesInput
      if (vector) return [{ assetId, vector: vector as EmittedVector }]
      return late ? [{ assetId, late }] : []
    })
  }
  for await (const value of records) {
    inputs.push(inputOf(value, offset++))
    if (inputs.length >= BATCH) yield* await flush()
  }
  if (inputs.length > 0) yield* await flush()
}

const inputOf = (value: Telemetry, offset: number): Input<Telemetry> => ({
  topic: 'telemetry',
  partition: 0,
  position: { leaderEpoch: 0, offset },
  key: value.assetId || null,
  value,
  id: String(offset),
  type: value.type,
  timestampMs: 0,
  lane: 'live',
  order: undefined,
  traceparent: undefined,
})

export const blockRecord = (assetId: string, block: NonNullable<Telemetry['block']>): Telemetry => ({
  type: 'block',
  assetId,
  block,
  tick: null,
  manifest: null,
})

export const tickRecord = (upToUs: number): Telemetry => ({
  type: 'tick',
  assetId: '',
  block: null,
  tick: { instance: 'file', upToUs },
  manifest: null,
})
