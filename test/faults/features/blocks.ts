// What features are made of in fault runs: telemetry of several assets and sources, the same for the same seed, with everything that makes
// windows hard: late, repeated, swapped, withheld and missing numbers, bad qualities, a clock that steps, a counter that starts anew, silence.

import { seeded } from '@andon/kit'
import type { TelemetryInput } from '@andon/schemas'
import { blockOf, blockRecord, tickRecord } from '../../../services/features/test/blocks.ts'
import type { Row } from '../../../services/features/test/blocks.ts'

const START_S = 1_790_000_000
const ROWS = 10
const ROWS_PER_S = 20
const ROUND_S = ROWS / ROWS_PER_S
const SUFFIXES = ['a', 'b'] as const

const CLASSES = [
  { id: 'press', assets: 14, windows: { windowMs: 1000 } },
  { id: 'fan', assets: 9, windows: { windowMs: 2000, hopMs: 500 } },
  { id: 'oven', assets: 1, windows: { windowRows: 20, closes: 'every-row', scales: ['5rows'] } },
] as const

const ASSETS = CLASSES.flatMap(({ id, assets }) => Array.from({ length: assets }, (_, i) => ({ id: `${id}-${i}`, class: id })))
const BLOCKS_PER_ROUND = ASSETS.length * SUFFIXES.length

export interface Document {
  readonly name: string
  readonly kind: string
  readonly value: unknown
}

/** The plant, a feature set per class, and a service of one asset in the middle of the run. */
export const documentsFor = (blocks: number): readonly Document[] => {
  const plant = {
    version: 1,
    site: { id: 'works', name: 'Works', timezone: 'UTC' },
    lines: [{ id: 'line-1', name: 'Line 1', area: 'hall' }],
    assetClasses: CLASSES.map(({ id }) => ({ id, featureSet: `features/${id}` })),
    assets: ASSETS.map((asset) => ({
      id: asset.id,
      name: asset.id,
      line: 'line-1',
      class: asset.class,
      sources: SUFFIXES.map((suffix) => `${asset.id}-${suffix}`),
      channels: SUFFIXES.map((suffix) => ({ id: `channel-${suffix}`, unit: '1', kind: 'scalar' })),
    })),
  }
  const sets = CLASSES.map(({ id, windows }) => ({
    name: `features/${id}`,
    kind: 'feature-set',
    value: {
      version: 1,
      name: `features/${id}`,
      ...windows,
      latenessMs: 1500,
      graceMs: 250,
      features: [{ channel: '*', statistics: ['mean', 'std', 'max', 'slope'] }],
    },
  }))
  const atUs = (START_S + (blocks / BLOCKS_PER_ROUND / 2) * ROUND_S) * 1e6
  const serviced = { name: 'serviced/press-3', kind: 'serviced', value: { version: 1, asset: 'press-3', atUs, what: 'bearing changed' } }
  return [{ name: 'plant', kind: 'plant', value: plant }, ...sets, serviced]
}

export interface Telemetry {
  readonly key: string | null
  /** A tick goes to every partition. */
  readonly isTick: boolean
  readonly id: string
  readonly timeUs: number
  readonly value: TelemetryInput
}

/** So many blocks in the order in which they arrive, with a tick per second, and ticks behind them that close every window. */
export function* telemetry(seed: number, blocks: number): Generator<Telemetry> {
  const { fraction: random } = seeded(seed)
  const rounds = Math.ceil(blocks / BLOCKS_PER_ROUND)
  const delayed: { readonly round: number; readonly record: Telemetry }[] = []
  const sources = ASSETS.flatMap(({ id }) =>
    SUFFIXES.map((suffix) => ({ assetId: id, suffix, sourceId: `${id}-${suffix}`, epoch: 1, seq: 0 })),
  )
  let given = 0
  for (let round = 0; given < blocks; round++) {
    const at = round / rounds
    for (const source of sources) {
      const { assetId, suffix, sourceId } = source
      if (assetId === 'press-2' && at > 0.55 && at < 0.62) continue // nothing comes for a while
      if (assetId === 'fan-1' && at >= 0.7 && source.epoch === 1) Object.assign(source, { epoch: 2, seq: 0 }) // its device was restarted
      const steppedS = assetId === 'press-1' && at > 0.4 && at < 0.43 ? 7 : 0
      const firstS = START_S + round * ROUND_S + steppedS
      const rows: Row[] = Array.from({ length: ROWS }, (_, i) => ({
        seq: source.seq + i,
        timeS: firstS + (i + (suffix === 'b' ? 0.5 : 0)) / ROWS_PER_S,
        values: [Math.sin((round * ROWS + i) / 13) + random()],
      }))
      source.seq += ROWS
      const draw = random()
      if (draw < 0.01) continue // lost on its way, for good
      const kept = draw < 0.04 ? rows.filter((_, i) => i !== 3 && i !== 4) : rows // withheld numbers
      const qualities = draw > 0.97 ? Buffer.from(kept.map((_, i) => i % 3)) : Buffer.alloc(0)
      const block = blockOf(kept, { sourceId, epoch: source.epoch, channels: [`channel-${suffix}`], qualities })
      const id = `${sourceId}/${source.epoch}/${block.seqFrom}`
      const record = { key: assetId, isTick: false, id, timeUs: Math.round(firstS * 1e6), value: blockRecord(block, assetId) }
      const delay = random()
      if (delay < 0.1) delayed.push({ round: round + 1 + Math.floor(random() * 2), record }) // out of order, in time
      else if (delay < 0.13) delayed.push({ round: round + 6 + Math.floor(random() * 6), record }) // too late
      else {
        given++
        yield record
        if (delay > 0.97) delayed.push({ round: round + Math.floor(random() * 3), record }) // twice
      }
    }
    for (let i = delayed.length - 1; i >= 0; i--) {
      if (delayed[i]!.round > round) continue
      given++
      yield delayed.splice(i, 1)[0]!.record
    }
    if (round % 2 === 1) yield tick(START_S + round * ROUND_S)
  }
  yield tick(START_S + rounds * ROUND_S + 60)
}

const tick = (upToS: number): Telemetry => ({
  key: null,
  isTick: true,
  id: `tick/${upToS}`,
  timeUs: Math.round(upToS * 1e6),
  value: tickRecord('ingest-0', upToS),
})
