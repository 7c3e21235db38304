// A range of vectors as a table: the newest revision of each window, or every revision with the time in which it was the
// newest one known. Reads the range twice: first which records count and which columns there are, then the rows.

import { mkdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Codec, Log } from '@andon/kit'
import { AndonError } from '@andon/kit/errors'
import type { Row } from '../data/columns.ts'
import type { PartitionRange } from '../data/ranges.ts'
import { type RowWriter, type WrittenFormat, writerOf } from '../data/table-file.ts'
import { Revisions, WINDOWS_PER_PASS } from './revisions.ts'
import { type Selection, isOfSet, lateColumns, lateRow, lateRows, readFeatures, vectorColumns, vectorRow } from './vectors.ts'

export const TABLE_FORMATS = ['parquet', 'arrow', 'csv'] as const satisfies readonly WrittenFormat[]
export type TableFormat = (typeof TABLE_FORMATS)[number]

export interface FeaturesExport {
  readonly topic: string
  readonly ranges: readonly PartitionRange[]
  readonly selection: Selection
  readonly format: TableFormat
  /** A file, or a folder (ends in /) that gets one file per version of a feature set. */
  readonly out: string
  /** Every revision with its interval, instead of the newest ones. */
  readonly isPointInTime: boolean
  /** File for reports of samples that came too late. */
  readonly late?: string | undefined
  readonly windowsPerPass?: number
  readonly groupRows?: number
}

/** One version of a feature set, as the range has it. */
export interface SetSurvey {
  readonly featureSet: string
  readonly featureSetDigest: string
  /** Names of its vectors, in the order in which they were first seen. */
  readonly names: ReadonlySet<string>
  vectors: number
  firstUs: number
  lastUs: number
}

export interface Survey {
  readonly sets: readonly SetSurvey[]
  readonly revisions: Revisions
}

/** What a table was made of: every record of the range is in one of these counts. */
export interface ExportCounts {
  /** Rows written. */
  rows: number
  /** Of these, windows without telemetry: they have no values. */
  unmonitored: number
  /** Revisions that a later one of the range superseded; written with --point-in-time, left out otherwise. */
  superseded: number
  /** Copies of a record: a process that began again wrote it a second time. */
  repeats: number
  /** Older revisions that came after a newer one. */
  outranked: number
  /** Vectors of other feature sets. */
  ofOtherSets: number
  lateReports: number
  /** Samples that they speak of; they are in no vector. */
  lateSamples: number
  undecodable: number
}

export interface ExportedTable {
  readonly file: string
  readonly rows: number
  readonly featureSet: string
  readonly featureSetDigest: string
}

/** Reads the range and says which sets it has and which records count. */
export const survey = async (
  log: Log,
  codec: Codec,
  topic: string,
  ranges: readonly PartitionRange[],
  selection: Selection,
  windowsPerPass: number = WINDOWS_PER_PASS,
): Promise<Survey> => {
  const records = ranges.reduce((sum, { from, to }) => sum + Math.max(0, to - from), 0)
  const passes = Math.max(1, Math.ceil(records / windowsPerPass))
  const sets = new Map<string, SetSurvey & { names: Set<string> }>()
  let revisions: Revisions | undefined
  for (let pass = 0; pass < passes; pass++) {
    revisions = new Revisions({ index: pass, of: passes }, revisions)
    for await (const { record, value, knownFromUs } of readFeatures(log, codec, topic, ranges, selection)) {
      const vector = value?.vector
      if (value === undefined || vector === undefined || vector === null) continue
      revisions.note(record, value.assetId, vector, knownFromUs)
      if (pass > 0 || !isOfSet(selection.set, vector)) continue
      const { featureSet, featureSetDigest, windowEndUs } = vector
      const set = sets.get(featureSetDigest) ?? {
        featureSet,
        featureSetDigest,
        names: new Set<string>(),
        vectors: 0,
        firstUs: windowEndUs,
        lastUs: windowEndUs,
      }
      sets.set(featureSetDigest, set)
      for (const name of vector.names) set.names.add(name)
      set.vectors += 1
      set.firstUs = Math.min(set.firstUs, windowEndUs)
      set.lastUs = Math.max(set.lastUs, windowEndUs)
    }
  }
  return { sets: [...sets.values()], revisions: revisions as Revisions }
}

/** A table has the columns of one version of one set. Throws ANDON_CLI_FEATURE_SETS, which lists them, when there are several. */
export const requireOneSet = (sets: readonly SetSurvey[]): void => {
  if (sets.length < 2) return
  const time = (us: number) => new Date(us / 1000).toISOString()
  const list = sets.map(
    ({ featureSet, featureSetDigest, vectors, names, firstUs, lastUs }) =>
      `  ${featureSet}  ${featureSetDigest.slice(0, 12)}  ${vectors} vectors of ${names.size} features, windows to ${time(firstUs)} … ${time(lastUs)}`,
  )
  throw new AndonError(
    'ANDON_CLI_FEATURE_SETS',
    [
      `The range has vectors of ${sets.length} versions of feature sets, and a table has the columns of one:`,
      ...list,
      'Choose one with --set <name> or --set <digest>, or give a folder (--out features/) for a file each.',
    ].join('\n'),
    { status: 400 },
  )
}

const isFolder = (path: string): boolean => path.endsWith('/') || (statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false)

export const newCounts = (): ExportCounts => ({
  rows: 0,
  unmonitored: 0,
  superseded: 0,
  repeats: 0,
  outranked: 0,
  ofOtherSets: 0,
  lateReports: 0,
  lateSamples: 0,
  undecodable: 0,
})

const GROUP_ROWS = 5000

/** Rows in groups, so that memory holds one group. The file is made with its first row, or when it is closed. */
export class TableWriter {
  rows = 0
  private group: Row[] = []
  private readonly open: () => Promise<RowWriter>
  private readonly groupRows: number
  private writer: RowWriter | undefined

  constructor(open: () => Promise<RowWriter>, groupRows: number = GROUP_ROWS) {
    this.open = open
    this.groupRows = groupRows
  }

  async add(row: Row): Promise<void> {
    this.group.push(row)
    this.rows += 1
    if (this.group.length >= this.groupRows) await this.flush()
  }

  private async flush(): Promise<RowWriter> {
    this.writer ??= await this.open()
    await this.writer.write(this.group)
    this.group = []
    return this.writer
  }

  async close(): Promise<void> {
    await (await this.flush()).close()
  }
}

/** Writes the table, or one per version of a set. Rows in the order of record time, those of a partition as they lie on the log. */
export const exportFeatures = async (
  log: Log,
  codec: Codec,
  options: FeaturesExport,
): Promise<{ files: ExportedTable[]; counts: ExportCounts }> => {
  const { topic, ranges, selection, format, out, isPointInTime, late, windowsPerPass, groupRows } = options
  const { sets, revisions } = await survey(log, codec, topic, ranges, selection, windowsPerPass)
  const isMany = isFolder(out)
  if (!isMany) requireOneSet(sets)
  mkdirSync(isMany ? out : dirname(out), { recursive: true })
  const tables = new Map<string, TableWriter>()
  const fileOf = ({ featureSet, featureSetDigest }: SetSurvey): string =>
    isMany ? join(out, `${featureSet.replace(/^features\//, '').replaceAll('/', '-')}-${featureSetDigest.slice(0, 12)}.${format}`) : out
  for (const set of sets) {
    const columns = vectorColumns([...set.names], isPointInTime)
    const metadata = { 'andon.topic': topic, 'andon.featureSet': set.featureSet, 'andon.featureSetDigest': set.featureSetDigest }
    tables.set(set.featureSetDigest, new TableWriter(() => writerOf(format, fileOf(set), columns, metadata), groupRows))
  }
  // Nothing to tell is a table without rows, so that a pipeline finds the file that it waits for.
  if (sets.length === 0 && !isMany)
    tables.set('', new TableWriter(() => writerOf(format, out, vectorColumns([], isPointInTime), { 'andon.topic': topic })))
  const lates =
    late === undefined
      ? undefined
      : new TableWriter(async () => {
          mkdirSync(dirname(late), { recursive: true })
          return writerOf(format, late, lateColumns, { 'andon.topic': topic })
        }, groupRows)

  const counts = newCounts()
  for await (const { record, value, knownFromUs } of readFeatures(log, codec, topic, ranges, selection)) {
    if (value === undefined) counts.undecodable += 1
    else if (value.late !== null) {
      counts.lateReports += 1
      counts.lateSamples += lateRows(value.late)
      await lates?.add(lateRow(record, value.assetId, value.late, knownFromUs))
    } else if (value.vector !== null) {
      const table = isOfSet(selection.set, value.vector) ? tables.get(value.vector.featureSetDigest) : undefined
      const standing = revisions.standingOf(record)
      if (table === undefined) counts.ofOtherSets += 1
      else if (standing.kind === 'repeat') counts.repeats += 1
      else if (standing.kind === 'outranked') counts.outranked += 1
      else {
        if (standing.kind === 'superseded') counts.superseded += 1
        if (standing.kind === 'superseded' && !isPointInTime) continue
        if (value.vector.quality === 'unmonitored') counts.unmonitored += 1
        counts.rows += 1
        const row = vectorRow(record, value.assetId, value.vector)
        const knownToUs = standing.kind === 'superseded' ? standing.knownToUs : null
        await table.add(isPointInTime ? { ...row, knownFromUs, knownToUs } : row)
      }
    }
  }
  for (const table of tables.values()) await table.close()
  await lates?.close()
  const files = sets.map((set) => ({
    file: fileOf(set),
    rows: tables.get(set.featureSetDigest)?.rows ?? 0,
    featureSet: set.featureSet,
    featureSetDigest: set.featureSetDigest,
  }))
  return { files, counts }
}
