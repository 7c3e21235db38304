// Vectors on a log for tests of `andon features`: any history of revisions, late reports and silence, and what an independent
// reading of it says.

import { type Append, type Codec, HEADER } from '@andon/kit'
import type { FeaturesInput } from '@andon/schemas'
import { packDoubles } from '@andon/schemas/packed'

export interface Said {
  readonly assetId: string
  /** Number of the window; windows are 10 s long. */
  readonly window: number
  readonly revision: number
  readonly timestampMs: number
  readonly values?: Readonly<Record<string, number>>
  readonly digest?: string
  readonly promotion?: number
  /** Offset of the causing record, its place in the order. */
  readonly cause: number
  readonly run?: string
  readonly late?: boolean
}

export const WINDOW_US = 10_000_000
export const DIGEST = 'd'.repeat(64)

export const vectorIdOf = ({ assetId, window, revision, digest = DIGEST }: Said): string => {
  const name = Buffer.from(`${assetId} ${window} ${revision} ${digest.slice(0, 2)}`)
    .toString('hex')
    .padEnd(32, '0')
  // The beginning tells vectors apart, as it does with digests.
  const hash = name
    .split('')
    .reduce((sum, letter) => (Math.imul(sum, 31) + letter.charCodeAt(0)) >>> 0, 7)
    .toString(16)
    .padStart(8, '0')
  return `${hash}-${name.slice(0, 4)}-8${name.slice(4, 7)}-8${name.slice(7, 10)}-${name.slice(10, 22)}`
}

/** The record that the features service would have written. */
export const recordOf = (codec: Codec, said: Said, partition: number): Append => {
  const { assetId, window, revision, timestampMs, values = { 'temperatureC.mean': revision }, digest = DIGEST, cause, promotion = 0 } = said
  const names = Object.keys(values)
  const value: FeaturesInput = said.late
    ? {
        type: 'late',
        assetId,
        late: { windowStartUs: window * WINDOW_US, ranges: [{ sourceId: 'plc', epoch: 1, seqFrom: 1, seqTo: revision }], lost: false },
      }
    : {
        type: 'vector',
        assetId,
        vector: {
          vectorId: vectorIdOf(said),
          featureSet: 'features/oven',
          featureSetDigest: digest,
          windowStartUs: window * WINDOW_US,
          windowEndUs: (window + 1) * WINDOW_US,
          revision,
          supersedes: null,
          names,
          values: packDoubles(Float64Array.from(Object.values(values))),
          ranges: names.length === 0 ? [] : [{ sourceId: 'plc', epoch: 1, seqFrom: window * 10, seqTo: window * 10 + revision }],
          complete: names.length > 0,
          missing: [],
          quality: names.length === 0 ? 'unmonitored' : 'good',
          health: revision === 3 ? [{ channel: 'temperatureC', flags: ['gap', 'flat'] }] : [],
          plantDigest: 'p'.repeat(64),
        },
      }
  return {
    topic: said.run === undefined ? 'features' : `features.run.${said.run}`,
    partition,
    key: assetId,
    value: Buffer.from(codec.encode('features', value)),
    timestampMs,
    headers: {
      [HEADER.id]: vectorIdOf(said),
      [HEADER.type]: said.late ? 'late' : 'vector',
      [HEADER.lane]: promotion === 0 ? 'live' : 'promote:again',
      [HEADER.cause]: `telemetry/${partition}/4/${cause}/0`,
      [HEADER.order]: `${promotion}.4.${cause}.0`,
      ...(said.run === undefined ? {} : { [HEADER.run]: said.run }),
    },
  }
}
