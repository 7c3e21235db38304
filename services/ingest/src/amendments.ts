// What people put right afterwards, as deliveries: readings released from quarantine, and corrections of a range. Each is a source of its own
// (`release:<id>`, `correction:<id>`, DESIGN §3.2), with an identity that follows from what it is: sent again it changes nothing. What is
// refused stays where it is - the letter in quarantine, the file with the person - and goes to no quarantine again. Pure.

import { uuid8 } from '@andon/kit/ids'
import { z } from 'zod'
import { isOwnSource, refusal } from './reading.ts'
import type { RawReading } from './reading.ts'

const releasePrefix = 'release:'
const correctionPrefix = 'correction:'

/** Readings of one correction; a longer one is several, range by range. */
const maxCorrected = 100_000
/** Readings that one payload may be mapped to when it is released. */
const maxMapped = 10_000

const reasonShape = z.string().trim().min(1).max(1000)
const dryRun = z.boolean().default(false).describe('Only says what would become of it')

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value)

const areSamples = (value: unknown): boolean =>
  isObject(value) && Object.values(value as object).every((each) => each === null || (typeof each === 'number' && Number.isFinite(each)))

const quarantineId = z.uuid().toLowerCase().describe('`ce_id` of the record in quarantine: the identity of the release')

const readingShape = z
  .custom<Readonly<Record<string, unknown>>>(isObject)
  .meta({ type: 'object', description: 'A reading as POST /v1/telemetry takes it' })

const timeUs = z.int().positive()

const samples = z
  .custom<Readonly<Record<string, number | null>>>(areSamples, 'expected an object of channel id and number, or null for a missing one')
  .meta({ type: 'object', additionalProperties: { type: ['number', 'null'] } })

/** A payload that its source file could not map, to be mapped again: base64, with what it came with. */
const mapped = z.strictObject({
  file: z.string().min(1).describe('Id of its source file'),
  arrival: z.strictObject({
    levels: z.array(z.string()).optional(),
    names: z.record(z.string(), z.string()).optional(),
    receivedUs: z.int().positive(),
    deviceId: z.string().optional(),
  }),
  payload: z.base64(),
})

export const releasesShape = z.strictObject({
  reason: reasonShape,
  dryRun,
  releases: z
    .array(
      z.union([z.strictObject({ quarantineId, reading: readingShape }), z.strictObject({ quarantineId, mapped })], {
        error: 'expected { quarantineId, reading } or { quarantineId, mapped: { file, arrival, payload } }, the id a UUID',
      }),
    )
    .min(1)
    .max(1000),
})

export type Release = z.output<typeof releasesShape>['releases'][number]

export const correctionShape = z.strictObject({
  asset: z.string().min(1),
  fromUs: timeUs.describe('Samples from here on are superseded, microseconds UTC'),
  toUs: timeUs.describe('Up to here, not included; at most now'),
  channels: z.array(z.string().min(1)).min(1).max(256).describe('Channels whose samples are superseded'),
  reason: reasonShape,
  dryRun,
  readings: z
    .array(z.strictObject({ timeUs, values: samples, quality: z.int().min(0).max(2).optional() }))
    .max(maxCorrected)
    .describe('What takes their place; empty: nothing does'),
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

/**
 * Readings under their release's source: one each, since a payload may be mapped to readings of several assets. `assetOf`: asset of the
 * source that sent them.
 */
export const releasedReadings = (
  releaseId: string,
  readings: readonly RawReading[],
  assetOf: (source: string) => string | undefined,
): RawReading[] => {
  if (readings.length === 0 || readings.length > maxMapped)
    return [refusedAmendment(`mapped.payload: found ${readings.length} readings in it, expected 1 to ${maxMapped}`)]
  return readings.map((reading, index) => {
    if (reading.refused !== undefined) return reading
    const { source, asset, ...rest } = reading.value as Record<string, unknown>
    const named = asset ?? (typeof source === 'string' && !isOwnSource(source) ? assetOf(source) : undefined)
    const own = `${releasePrefix}${releaseId}${index === 0 ? '' : `.${index}`}`
    return { ...reading, value: { ...rest, source: own, epoch: 0, seq: 1, ...(named === undefined ? {} : { asset: named }) } }
  })
}

/** In the place of readings that cannot even be looked at. */
export const refusedAmendment = (message: string): RawReading => ({
  value: undefined,
  bytes: () => Buffer.alloc(0),
  refused: refusal('ANDON_INGEST_BAD_AMENDMENT', message, {}),
})

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
  const id = uuid8('correction', asset, fromUs, toUs, channels.join(','), reason, JSON.stringify(readings))
  const source = `${correctionPrefix}${id}`
  return {
    correction: { id, assetId: asset, fromUs, toUs, channels, reason, by },
    source,
    readings: readings.map((reading, index) => ({ ...reading, source, asset, epoch: 0, seq: index + 1 })),
  }
}
