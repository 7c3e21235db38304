// Door → reading: turns the bytes of a delivery into readings, one clear refusal per bad reading, the valid ones beside it untouched.
// Pure and without a schema library: this runs once per reading, and a refusal has to name field, found and expected.

import type { ReadingColumns } from './columns.ts'

/** A reading as a device means it, checked for shape but not yet against the plant. */
export interface Reading {
  readonly source: string
  /** Epoch of the device's counter; undefined together with `seq` when the door numbers the reading. */
  readonly epoch: number | undefined
  readonly seq: number | undefined
  /** Source time, microseconds UTC; of a waveform, the time of its first element. */
  readonly timeUs: number
  readonly asset: string | undefined
  /** Channel id → value; null = missing. Undefined for a waveform. */
  readonly values: Readonly<Record<string, number | null>> | undefined
  /** Units (UCUM) of the sender per channel; channels that are not in it, and all where it is undefined, are in the plant's unit. */
  readonly units: Readonly<Record<string, string>> | undefined
  readonly waveform: Waveform | undefined
  /** 0 good, 1 uncertain, 2 bad. */
  readonly quality: number
  /** When a replayed recording was originally taken, microseconds UTC. */
  readonly recordedUs: number | undefined
}

/** A snippet of one channel: one row of a block. */
export interface Waveform {
  readonly channel: string
  readonly sampleRateHz: number
  /** Sensor sensitivity that has been applied, mV per unit. */
  readonly sensitivity: number | undefined
  /** Little-endian float32 elements. */
  readonly f32: Buffer
  /** Where it is one part of a longer measurement. */
  readonly burst: Burst | undefined
}

/** One part of a waveform that is measured, or has to be sent, in parts. */
export interface Burst {
  /** Unique per source. */
  readonly id: string
  /** From 1 to `parts`. */
  readonly part: number
  readonly parts: number
  /** When the device was due to measure, microseconds UTC. */
  readonly scheduledUs: number | null
}

/** Why one reading was not taken. The message names the field, what was found and what is expected. */
export interface Refusal {
  readonly code: string
  readonly message: string
  /** What is known of the reading's identity, so that its number can be withheld from the block. */
  readonly source: string | undefined
  readonly asset: string | undefined
  readonly epoch: number | undefined
  readonly seq: number | undefined
}

export type Format = 'json' | 'ndjson'

/** One reading of a delivery: parsed value (undefined when it is not JSON) and the bytes it came in. */
export interface RawReading {
  readonly value: unknown
  readonly bytes: () => Buffer
  /** Why the door could make no reading of it: it goes to quarantine with that, and `value` is not looked at. */
  readonly refused?: Refusal
}

/** Longest waveform snippet: 512 KiB, so that a block and a quarantined reading stay below 1 MiB. */
export const maxWaveformBytes = 512 * 1024
/** Longest waveform that the door splits into such snippets itself: those need numbers, so it has to be one that the door numbers. */
const maxSplitBytes = 8 * 1024 * 1024
const maxParts = 10_000
/** Channels in one reading; more than any plant names on one asset. */
export const maxValues = 256
// Below this a time is in seconds or milliseconds by mistake: 2000-01-01 in microseconds.
const earliestTimeUs = 946_684_800_000_000
/** Sources of ingest's own, after what they carry: a release from quarantine, a correction, a file. */
export const isOwnSource = (source: string): boolean => /^(release|correction|file):/.test(source)

const sourceForm = /^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$/

export const isRefusal = <T extends object>(value: T | Refusal): value is Refusal => 'code' in value

/** Checks one parsed reading. `doorSource` is the source that the door's topic or subject names, if it does. */
export const checkReading = (value: unknown, doorSource?: string): Reading | Refusal => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refusal('ANDON_INGEST_NOT_A_READING', `A reading is a JSON object; found ${found(value)}`, { source: doorSource })
  }
  const raw = value as Record<string, unknown>
  const source = raw['source'] ?? doorSource
  const fault = sourceFault(source, doorSource)
  if (fault !== undefined) return fault
  const bad: Bad = (field, what, expected) => badField(field, what, expected, identityOf(raw, source as string))
  const { epoch: rawEpoch, seq: rawSeq, timeUs, asset, values, units, waveform, quality, recordedUs } = raw
  if (isGiven(rawSeq) && !isCount(rawSeq)) return bad('seq', rawSeq, 'an integer ≥ 0, or nothing')
  if (isGiven(rawEpoch) && !isCount(rawEpoch)) return bad('epoch', rawEpoch, 'an integer ≥ 0, or nothing')
  if (isGiven(rawEpoch) && !isGiven(rawSeq)) return bad('seq', rawSeq, 'a sequence number, since an epoch is given')
  if (!isTime(timeUs)) return bad('timeUs', timeUs, timeForm)
  if (isGiven(asset) && (typeof asset !== 'string' || asset === '')) return bad('asset', asset, 'an asset id, or nothing')
  if (isGiven(quality) && quality !== 0 && quality !== 1 && quality !== 2)
    return bad('quality', quality, '0 (good), 1 (uncertain) or 2 (bad)')
  if (isGiven(recordedUs) && !isCount(recordedUs)) return bad('recordedUs', recordedUs, 'microseconds since 1970, UTC, or null')
  if (isGiven(values) === isGiven(waveform)) return bad('values', values, 'either values or a waveform')

  if (isGiven(values)) {
    if (typeof values !== 'object' || Array.isArray(values)) return bad('values', values, 'an object of channel id and number')
    let channels = 0
    for (const channel in values) {
      const sample = (values as Record<string, unknown>)[channel]
      if (typeof sample !== 'number' && sample !== null) return bad(`values.${channel}`, sample, 'a number, or null for a missing one')
      if (typeof sample === 'number' && !Number.isFinite(sample)) return bad(`values.${channel}`, sample, 'a finite number')
      channels++
    }
    if (channels === 0 || channels > maxValues) return bad('values', `${channels} channels`, `1 to ${maxValues} channels`)
  }
  if (isGiven(units)) {
    if (typeof units !== 'object' || Array.isArray(units)) return bad('units', units, 'an object of channel id and UCUM unit')
    for (const [channel, unit] of Object.entries(units as Record<string, unknown>)) {
      if (typeof unit !== 'string' || unit === '') return bad(`units.${channel}`, unit, 'a UCUM unit, e.g. Cel')
      if (!isGiven(values) || !Object.hasOwn(values as object, channel)) return bad(`units.${channel}`, unit, 'a channel of this reading')
    }
  }
  const snippet = isGiven(waveform) ? checkWaveform(waveform, isGiven(rawSeq), bad) : undefined
  if (snippet !== undefined && 'code' in snippet) return snippet
  return {
    source: source as string,
    epoch: isGiven(rawSeq) ? ((rawEpoch as number | null | undefined) ?? 0) : undefined,
    seq: isGiven(rawSeq) ? (rawSeq as number) : undefined,
    timeUs,
    asset: isGiven(asset) ? (asset as string) : undefined,
    values: isGiven(values) ? (values as Record<string, number | null>) : undefined,
    units: isGiven(units) ? (units as Record<string, string>) : undefined,
    waveform: snippet,
    quality: isGiven(quality) ? (quality as number) : 0,
    recordedUs: isGiven(recordedUs) ? (recordedUs as number) : undefined,
  }
}

/** Why a source may not be named so. Its numbers stay untouched: they may be somebody else's. */
const sourceFault = (source: unknown, doorSource: string | undefined): Refusal | undefined => {
  if (source === doorSource && doorSource !== undefined) return undefined
  if (typeof source !== 'string' || !sourceForm.test(source)) {
    const expected = 'an id of up to 128 letters, digits and . _ : @ - that starts with a letter or digit'
    return badField('source', source, expected, { source: doorSource })
  }
  if (doorSource === undefined) return undefined
  return badField('source', source, `${doorSource}, as the topic or subject says`, { source: doorSource })
}

/** Why a sender may not speak as this source; again its numbers stay untouched. */
export const reservedFault = (source: string): Refusal | undefined =>
  isOwnSource(source)
    ? refusal(
        'ANDON_INGEST_RESERVED_SOURCE',
        `source: found ${source}; names that start with release:, correction: or file: are ingest's own`,
        {},
      )
    : undefined

/** Source times that are taken, by the clock of one delivery. */
export interface TimeBounds {
  readonly receivedUs: number
  readonly earliestUs: number
  readonly latestUs: number
}

/** @param maxAheadUs one further ahead would close every window behind it. @param maxBehindUs one further behind has the wrong year. */
export const timeBounds = (receivedUs: number, maxAheadUs: number, maxBehindUs: number): TimeBounds => ({
  receivedUs,
  earliestUs: Math.max(earliestTimeUs, receivedUs - maxBehindUs),
  latestUs: receivedUs + maxAheadUs,
})

/** Why a source time is not taken. */
export const timeFault = (of: Identity, timeUs: number, { receivedUs, earliestUs, latestUs }: TimeBounds): Refusal | undefined => {
  if (timeUs >= earliestUs && timeUs <= latestUs && Number.isInteger(timeUs)) return undefined
  if (!isTime(timeUs)) return badField('timeUs', timeUs, timeForm, of)
  const isAhead = timeUs > latestUs
  const seconds = Math.round(Math.abs(timeUs - receivedUs) / 1e6)
  const most = Math.round(Math.abs((isAhead ? latestUs : earliestUs) - receivedUs) / 1e6)
  const message = `timeUs: found ${timeUs}, ${seconds} s ${isAhead ? 'ahead of' : 'behind'} the receive time; expected at most ${most} s`
  return refusal(isAhead ? 'ANDON_INGEST_TIME_AHEAD' : 'ANDON_INGEST_TIME_BEHIND', message, of)
}

/** Who and what the first row of columns is; its epoch and number where the rows have numbers. */
export const firstOf = ({ source, asset, epoch, seqFrom }: ReadingColumns) => ({
  source,
  asset,
  epoch: seqFrom === undefined ? undefined : (epoch ?? 0),
  seq: seqFrom,
})

/** Why no row of these columns can be a reading; throws where the door has put them together wrongly. */
export const columnsFault = (columns: ReadingColumns, doorSource: string | undefined): Refusal | undefined => {
  const { source, epoch, seqFrom, rows, channels, units, timesUs, values, qualities } = columns
  if (units !== undefined && units.length !== channels.length)
    throw new RangeError(`${channels.length} channels have ${units.length} units`)
  if (timesUs.length !== rows || values.length !== rows * channels.length || (qualities?.length ?? rows) !== rows) {
    throw new RangeError(`${rows} rows of ${channels.length} channels have ${timesUs.length} times and ${values.length} values`)
  }
  const fault = sourceFault(source, doorSource)
  if (fault !== undefined) return fault
  if (epoch !== undefined && seqFrom === undefined)
    return badField('seqFrom', seqFrom, 'a sequence number, since an epoch is given', { source })
  if (seqFrom !== undefined && !(isCount(seqFrom) && isCount(seqFrom + rows)))
    return badField('seqFrom', seqFrom, 'an integer ≥ 0, or nothing', { source })
  if (epoch !== undefined && !isCount(epoch)) return badField('epoch', epoch, 'an integer ≥ 0, or nothing', { source })
  if (channels.length > 0 && channels.length <= maxValues && new Set(channels).size === channels.length) return undefined
  return badField('channels', channels, `1 to ${maxValues} different channels`, firstOf(columns))
}

type Bad = (field: string, what: unknown, expected: string) => Refusal

const badField = (field: string, what: unknown, expected: string, of: Identity): Refusal =>
  refusal('ANDON_INGEST_BAD_FIELD', `${field}: found ${found(what)}, expected ${expected}`, of)

const checkWaveform = (value: unknown, isNumbered: boolean, bad: Bad): Waveform | Refusal => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return bad('waveform', value, 'an object')
  const { channel, sampleRateHz, sensitivity, f32, burst } = value as Record<string, unknown>
  if (typeof channel !== 'string' || channel === '') return bad('waveform.channel', channel, 'a channel id')
  if (typeof sampleRateHz !== 'number' || !(sampleRateHz > 0) || !Number.isFinite(sampleRateHz)) {
    return bad('waveform.sampleRateHz', sampleRateHz, 'elements per second, above 0')
  }
  if (isGiven(sensitivity) && (typeof sensitivity !== 'number' || !Number.isFinite(sensitivity))) {
    return bad('waveform.sensitivity', sensitivity, 'mV per unit, or nothing')
  }
  if (typeof f32 !== 'string') return bad('waveform.f32', f32, 'base64 of little-endian float32 elements')
  const bytes = Buffer.from(f32, 'base64')
  const maxBytes = isNumbered || isGiven(burst) ? maxWaveformBytes : maxSplitBytes
  if (bytes.length === 0 || bytes.length % 4 !== 0 || bytes.length > maxBytes) {
    const expected = `1 to ${maxBytes / 4} elements of 4 bytes, in base64; a longer waveform in parts, each with "burst" and a number of its own`
    return bad('waveform.f32', `${bytes.length} bytes`, expected)
  }
  const part = isGiven(burst) ? burstOf(burst) : undefined
  if (isGiven(burst) && part === undefined) return bad('waveform.burst', burst, burstForm)
  return { channel, sampleRateHz, sensitivity: isGiven(sensitivity) ? (sensitivity as number) : undefined, f32: bytes, burst: part }
}

const burstForm = `an object of id (1 to 128 characters), part (1 to parts), parts (1 to ${maxParts}) and, if it was due at a time, scheduledUs`

const burstOf = (value: unknown): Burst | undefined => {
  if (typeof value !== 'object' || value === null) return undefined
  const { id, part, parts, scheduledUs } = value as Record<string, unknown>
  if (typeof id !== 'string' || id.length === 0 || id.length > 128) return undefined
  if (!isCount(part) || !isCount(parts) || part < 1 || part > parts || parts > maxParts) return undefined
  if (isGiven(scheduledUs) && !isTime(scheduledUs)) return undefined
  return { id, part, parts, scheduledUs: isGiven(scheduledUs) ? (scheduledUs as number) : null }
}

interface Identity {
  readonly source?: string | undefined
  readonly asset?: string | undefined
  readonly epoch?: number | undefined
  readonly seq?: number | undefined
}

// A sequence without an epoch belongs to epoch 0.
const identityOf = (raw: Record<string, unknown>, source: string): Identity => {
  const seq = isCount(raw['seq']) ? raw['seq'] : undefined
  const epoch = seq === undefined ? undefined : isCount(raw['epoch']) ? raw['epoch'] : isGiven(raw['epoch']) ? undefined : 0
  const asset = typeof raw['asset'] === 'string' ? raw['asset'] : undefined
  return { source, asset, epoch, seq: epoch === undefined ? undefined : seq }
}

export const refusal = (code: string, message: string, of: Identity): Refusal => ({
  code,
  message,
  source: of.source,
  asset: of.asset,
  epoch: of.epoch,
  seq: of.seq,
})

const isGiven = (value: unknown): boolean => value !== undefined && value !== null
const timeForm = 'microseconds since 1970, UTC, after the year 2000'
const isTime = (value: unknown): value is number => isCount(value) && value >= earliestTimeUs
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

const found = (value: unknown): string => {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 80 ? `${text.slice(0, 80)}…` : text
}
