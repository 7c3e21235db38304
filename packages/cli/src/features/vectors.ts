// Vectors of the log as rows of a table: what identifies them, a column per feature, and where they come from.

import { type Codec, HEADER, type Log, type LogRecord, parseCause, parseOrder } from '@andon/kit'
import type { Features, Vector } from '@andon/schemas'
import { readDoubles } from '@andon/schemas/packed'
import type { Column, ColumnType, Row } from '../data/columns.ts'
import { type PartitionRange, mergedByTime } from '../data/ranges.ts'

/** Which vectors are asked for. */
export interface Selection {
  /** Assets; undefined = all. */
  readonly assets?: ReadonlySet<string> | undefined
  /** Name of a feature set (`features/press` or `press`) or the beginning of a digest; undefined = all. */
  readonly set?: string | undefined
}

export interface ReadRecord {
  readonly record: LogRecord
  /** Undefined when it could not be decoded. */
  readonly value: Features | undefined
  /** Microseconds UTC. */
  readonly knownFromUs: number
}

const DIGEST = /^[0-9a-f]{6,64}$/

export const isOfSet = (set: string | undefined, { featureSet, featureSetDigest }: Vector): boolean =>
  set === undefined || featureSet === set || featureSet === `features/${set}` || (DIGEST.test(set) && featureSetDigest.startsWith(set))

/**
 * From when on a record can be said to have been known: record time (the latest receive time of what it was made of) is cut
 * to a millisecond, so from the next one on; and never before a record that lies before it in its partition, since readers
 * saw that one first. A promotion keeps its record's old time: it was known when it came to lie there.
 */
class KnownTime {
  private readonly newestMs = new Map<number, number>()

  /** Records of a partition in their order. */
  of({ partition, timestampMs }: LogRecord): number {
    const ms = Math.max(timestampMs, this.newestMs.get(partition) ?? timestampMs)
    this.newestMs.set(partition, ms)
    return (ms + 1) * 1000
  }
}

/**
 * Records of the selected assets, oldest record time first; those of one partition keep their order. When each was known is
 * worked out over all records of the partition, so it is the same whatever is selected.
 */
export async function* readFeatures(
  log: Log,
  codec: Codec,
  topic: string,
  ranges: readonly PartitionRange[],
  { assets }: Selection,
): AsyncGenerator<ReadRecord> {
  const known = new KnownTime()
  for await (const record of mergedByTime(log, topic, ranges)) {
    const knownFromUs = known.of(record)
    if (record.value === null || (assets !== undefined && !assets.has(record.key ?? ''))) continue
    yield { record, value: await decode(codec, record.topic, record.value), knownFromUs }
  }
}

const decode = async (codec: Codec, topic: string, value: Buffer): Promise<Features | undefined> => {
  try {
    return await codec.decodeAsync<Features>(topic, value)
  } catch (error) {
    if ((error as { retriable?: boolean }).retriable) throw error
    return undefined
  }
}

const column = (name: string, type: ColumnType, nullable = false): Column => ({ name, type, nullable })

const windowColumns = [column('assetId', 'string'), column('windowStartUs', 'timestamp-us'), column('windowEndUs', 'timestamp-us')]

/** When the revision was the newest one known of its window: [knownFromUs, knownToUs), null = still. */
export const knownColumns = [column('knownFromUs', 'timestamp-us'), column('knownToUs', 'timestamp-us', true)]

const aboutColumns: readonly Column[] = [
  column('quality', 'string'),
  column('regime', 'string', true),
  column('machineOff', 'boolean'),
  column('health', 'string'),
  column('complete', 'boolean'),
  column('missing', 'string'),
  column('young', 'boolean'),
  column('historical', 'boolean'),
  column('uncertainRows', 'int'),
  column('badRows', 'int'),
  column('baselineEpochUs', 'timestamp-us', true),
  column('recordedStartUs', 'timestamp-us', true),
  column('vectorId', 'string'),
  column('revision', 'int'),
  column('supersedes', 'string', true),
  column('featureSet', 'string'),
  column('featureSetDigest', 'string'),
  column('plantDigest', 'string'),
  column('ranges', 'string'),
  column('topic', 'string'),
  column('partition', 'int'),
  column('leaderEpoch', 'int'),
  column('offset', 'long'),
  column('causeTopic', 'string', true),
  column('causePartition', 'int', true),
  column('causeLeaderEpoch', 'int', true),
  column('causeOffset', 'long', true),
  column('causeIndex', 'int', true),
  column('order', 'string', true),
  column('lane', 'string', true),
  column('run', 'string', true),
  column('emittedAtUs', 'timestamp-us'),
]

/** Columns of vectors with these features. */
export const vectorColumns = (names: readonly string[], isPointInTime: boolean): Column[] => [
  ...windowColumns,
  ...(isPointInTime ? knownColumns : []),
  ...names.map((name) => column(name, 'double', true)),
  ...aboutColumns,
]

/** Sample ranges as text: source/epoch:from-to, joined by a semicolon. */
export const rangesText = (ranges: Vector['ranges']): string =>
  ranges.map(({ sourceId, epoch, seqFrom, seqTo }) => `${sourceId}/${epoch}:${seqFrom}-${seqTo}`).join(';')

const placeRow = (record: LogRecord): Row => {
  const cause = parseCause(record.header(HEADER.cause))
  const order = parseOrder(record.header(HEADER.order))
  return {
    topic: record.topic,
    partition: record.partition,
    leaderEpoch: record.leaderEpoch,
    offset: record.offset,
    causeTopic: cause?.topic ?? null,
    causePartition: cause?.partition ?? null,
    causeLeaderEpoch: cause?.leaderEpoch ?? null,
    causeOffset: cause?.offset ?? null,
    causeIndex: cause?.index ?? null,
    order: order === undefined ? null : `${order.promotion}.${order.leaderEpoch}.${order.offset}.${order.index}`,
    lane: record.header(HEADER.lane) ?? null,
    run: record.header(HEADER.run) ?? null,
    emittedAtUs: record.timestampMs * 1000,
  }
}

/** The row of a vector; a feature that could not be computed is null. */
export const vectorRow = (record: LogRecord, assetId: string, vector: Vector): Row => {
  const values = readDoubles(vector.values)
  const features = vector.names.map((name, i) => {
    const value = values[i] ?? Number.NaN
    return [name, Number.isNaN(value) ? null : value] as const
  })
  return {
    assetId,
    windowStartUs: vector.windowStartUs,
    windowEndUs: vector.windowEndUs,
    ...Object.fromEntries(features),
    quality: vector.quality,
    regime: vector.regime,
    machineOff: vector.machineOff,
    health: vector.health.map(({ channel, flags }) => `${channel}:${flags.join('+')}`).join(';'),
    complete: vector.complete,
    missing: vector.missing.join(';'),
    young: vector.young,
    historical: vector.historical,
    uncertainRows: vector.uncertainRows,
    badRows: vector.badRows,
    baselineEpochUs: vector.baselineEpochUs,
    recordedStartUs: vector.recordedStartUs,
    vectorId: vector.vectorId,
    revision: vector.revision,
    supersedes: vector.supersedes,
    featureSet: vector.featureSet,
    featureSetDigest: vector.featureSetDigest,
    plantDigest: vector.plantDigest,
    ranges: rangesText(vector.ranges),
    ...placeRow(record),
  }
}

/** Samples that came after their window was final: a file of their own, beside the vectors. */
export const lateColumns: readonly Column[] = [
  column('assetId', 'string'),
  column('windowUs', 'timestamp-us'),
  column('lost', 'boolean'),
  column('rows', 'long'),
  column('ranges', 'string'),
  column('knownFromUs', 'timestamp-us'),
  ...aboutColumns.slice(aboutColumns.findIndex(({ name }) => name === 'topic')),
]

export const lateRow = (record: LogRecord, assetId: string, late: NonNullable<Features['late']>, knownFromUs: number): Row => ({
  assetId,
  windowUs: late.windowStartUs,
  lost: late.lost,
  rows: lateRows(late),
  ranges: rangesText(late.ranges),
  knownFromUs,
  ...placeRow(record),
})

/** How many samples a report speaks of. */
export const lateRows = (late: NonNullable<Features['late']>): number =>
  late.ranges.reduce((sum, { seqFrom, seqTo }) => sum + seqTo - seqFrom + 1, 0)
