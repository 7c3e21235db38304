// What people put right afterwards, as deliveries: readings released from quarantine, and corrections of a range. Each is a source of its own
// (`release:<id>`, `correction:<id>`, DESIGN §3.2), with an identity that follows from what it is: sent again it changes nothing. Pure.

import { uuid8 } from '@andon/kit/ids'
import { z } from 'zod'
import { isOwnSource } from './reading.ts'

const releasePrefix = 'release:'
const correctionPrefix = 'correction:'

/** A payload that its source file could not map, to be mapped again: base64, with what it came with. */
const mapped = z.strictObject({
  file: z.string().min(1),
  arrival: z.strictObject({
    levels: z.array(z.string()).optional(),
    names: z.record(z.string(), z.string()).optional(),
    receivedUs: z.int().positive(),
    deviceId: z.string().optional(),
  }),
  payload: z.base64(),
})

export const releasesShape = z.strictObject({
  reason: z.string().min(1),
  releases: z
    .array(
      z.union([
        z.strictObject({ quarantineId: z.uuid(), reading: z.record(z.string(), z.unknown()) }),
        z.strictObject({ quarantineId: z.uuid(), mapped }),
      ]),
    )
    .min(1)
    .max(1000),
})

export const correctionShape = z.strictObject({
  asset: z.string().min(1),
  /** Samples in [fromUs, toUs) are superseded, microseconds UTC. */
  fromUs: z.int().positive(),
  toUs: z.int().positive(),
  /** Channels whose samples are superseded. */
  channels: z.array(z.string().min(1)).min(1).max(256),
  reason: z.string().min(1).max(1000),
  /** What takes their place; empty: nothing does. */
  readings: z
    .array(
      z.strictObject({
        timeUs: z.int().positive(),
        values: z.record(z.string(), z.number().nullable()),
        quality: z.int().min(0).max(2).optional(),
      }),
    )
    .max(100_000),
})

export type CorrectionRequest = z.output<typeof correctionShape>

/** What a block says of the correction it belongs to. */
export interface Correction {
  readonly id: string
  readonly assetId: string
  readonly fromUs: number
  readonly toUs: number
  readonly channels: readonly string[]
  readonly reason: string
  readonly by: string
}

/** A reading in the form of a device's, under its release's source. `assetOf`: asset of the source that sent it. */
export const releasedReading = (
  { quarantineId, reading }: { readonly quarantineId: string; readonly reading: Readonly<Record<string, unknown>> },
  assetOf: (source: string) => string | undefined,
): Record<string, unknown> => {
  const { source, asset } = reading
  const named = asset ?? (typeof source === 'string' && !isOwnSource(source) ? assetOf(source) : undefined)
  return {
    ...reading,
    source: `${releasePrefix}${quarantineId}`,
    epoch: 0,
    seq: 1,
    ...(named === undefined ? {} : { asset: named }),
  }
}

/** The correction and its readings, under the correction's source. Throws a RangeError that says which part of the request contradicts another. */
export const correctionReadings = (
  request: CorrectionRequest,
  by: string,
): { readonly correction: Correction; readonly source: string; readonly readings: readonly Record<string, unknown>[] } => {
  const { asset, fromUs, toUs, channels, reason, readings } = request
  if (fromUs >= toUs) throw new RangeError(`toUs: found ${toUs}, expected a time after fromUs (${fromUs})`)
  const outside = readings.findIndex(({ timeUs }) => timeUs < fromUs || timeUs >= toUs)
  if (outside >= 0)
    throw new RangeError(
      `readings[${outside}].timeUs: found ${readings[outside]?.timeUs}, expected a time from fromUs up to, not including, toUs`,
    )
  const stranger = readings.findIndex(({ values }) => Object.keys(values).some((channel) => !channels.includes(channel)))
  if (stranger >= 0)
    throw new RangeError(
      `readings[${stranger}].values: found ${Object.keys(readings[stranger]?.values ?? {}).join(', ')}, expected channels of the correction (${channels.join(', ')})`,
    )
  const id = uuid8('correction', asset, fromUs, toUs, channels.join(','), JSON.stringify(readings))
  const source = `${correctionPrefix}${id}`
  return {
    correction: { id, assetId: asset, fromUs, toUs, channels, reason, by },
    source,
    readings: readings.map((reading, index) => ({ ...reading, source, asset, epoch: 0, seq: index + 1 })),
  }
}
