// A range of a topic to files and back. What comes back has the same partition, key, bytes, headers and timestamp, so ids
// and lineage are those of the records that were exported. Memory holds one group of rows.

import { mkdirSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Append, type Codec, HEADER, type Log, type LogRecord } from '@andon/kit'
import { AndonError } from '@andon/kit/errors'
import { RUN_ID, runOf, runTopic } from '@andon/kit/replay/names'
import { schemaIdOf } from '@andon/kit/dead-letters'
import { canonicalJson } from '@andon/kit/ids'
import { type AvroRecord, topicNames } from '@andon/schemas'
import { type Row, columnsOf, rowOf, storedRow } from './columns.ts'
import type { Filter } from './filter.ts'
import { type PartitionRange, mergedByTime } from './ranges.ts'
import { showRecord } from './readable.ts'
import { FORMATS, type Format, type Metadata, type RowWriter, formatOf, readerOf, writerOf } from './table-file.ts'

/** Name under which a file carries the schemas of its values: pairs of id and schema, as JSON. */
export const SCHEMAS = 'andon.schemas'

/** A group ends with so many rows, or so many bytes of values. */
const GROUP_ROWS = 5000
const GROUP_BYTES = 16 * 1024 * 1024

export interface Export {
  readonly topic: string
  readonly ranges: readonly PartitionRange[]
  readonly format: Format
  /** A file name, or a folder that gets one file per partition. */
  readonly out: string
  readonly filter?: Filter | undefined
  readonly metadata?: Metadata
  /** Most rows of a group. Default 5000. */
  readonly groupRows?: number
}

export interface ExportedFile {
  readonly file: string
  readonly records: number
  /** Records whose fields could not be decoded; their bytes are there. */
  readonly undecodable: number
}

const isFolder = (path: string): boolean => path.endsWith('/') || (statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false)

/** Writes the records of the ranges; one file by time over all partitions, or one file per partition in a folder. */
export const exportTopic = async (log: Log, codec: Codec, options: Export): Promise<ExportedFile[]> => {
  const { topic, ranges, format, out } = options
  if (!isFolder(out)) {
    mkdirSync(dirname(out), { recursive: true })
    return [await exportFile(log, codec, options, out, ranges)]
  }
  mkdirSync(out, { recursive: true })
  const files: ExportedFile[] = []
  for (const range of ranges.filter(({ from, to }) => from < to)) {
    const file = join(out, `${topic}-${String(range.partition).padStart(3, '0')}.${format}`)
    files.push(await exportFile(log, codec, options, file, [range]))
  }
  return files
}

const exportFile = async (
  log: Log,
  codec: Codec,
  options: Export,
  file: string,
  ranges: readonly PartitionRange[],
): Promise<ExportedFile> => {
  const { topic, format, filter, metadata = {}, groupRows = GROUP_ROWS } = options
  const columns = columnsOf(topic)
  const writer: RowWriter = await writerOf(format, file, columns, { 'andon.topic': topic, ...metadata })
  let group: Row[] = []
  let groupBytes = 0
  let records = 0
  let undecodable = 0
  const flush = async (): Promise<void> => {
    await writer.write(group)
    group = []
    groupBytes = 0
  }
  for await (const record of mergedByTime(log, topic, ranges)) {
    if (filter !== undefined && !filter.matches(await showRecord(codec, record))) continue
    const decoded = await decode(codec, record)
    if (decoded === undefined && record.value !== null) undecodable += 1
    group.push(rowOf(record, decoded))
    records += 1
    groupBytes += record.value?.length ?? 0
    if (group.length >= groupRows || groupBytes >= GROUP_BYTES) await flush()
  }
  await flush()
  await writer.close()
  return { file, records, undecodable }
}

const decode = async (codec: Codec, record: LogRecord): Promise<unknown> => {
  if (record.value === null) return undefined
  try {
    return await codec.decodeAsync(record.topic, record.value)
  } catch (error) {
    if ((error as { retriable?: boolean }).retriable) throw error
    return undefined
  }
}

/**
 * Where an import of `to` writes: a topic of its own name, or that of a run. The mesh's own topics and what derives from
 * their readers are refused (ANDON_CLI_IMPORT_LIVE): records put there would be taken for what the services wrote.
 */
export const importTarget = (to: string, run: string | undefined): string => {
  if (run !== undefined) {
    if (!RUN_ID.test(run))
      throw new AndonError('ANDON_CLI_RUN_ID', `--as-run: expected lower-case letters, digits and dashes, found "${run}".`, { status: 400 })
    return runTopic(to, run)
  }
  if (runOf(to) === undefined && ((topicNames as readonly string[]).includes(to) || /\.(changelog|dlq|quarantine)$/.test(to)))
    throw new AndonError(
      'ANDON_CLI_IMPORT_LIVE',
      `${to} is a live topic, and nothing is imported into those. Take a topic of your own, or --as-run <id>: it writes ${runTopic(to, '<id>')}.`,
      { status: 400 },
    )
  return to
}

/** The files of an import, in order: the one named, or every export in a folder. */
export const importFiles = (path: string): string[] => {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found?.isDirectory())
    return readdirSync(path)
      .filter((name) => FORMATS.some((format) => name.endsWith(`.${format}`)))
      .toSorted()
      .map((name) => join(path, name))
  if (found === undefined) throw new AndonError('ANDON_CLI_FILE', `There is no file or folder ${path}.`)
  formatOf(path)
  return [path]
}

const APPEND_BYTES = 4 * 1024 * 1024

/** Appends the rows of files to a topic as the records they were; `run` is noted in their headers. Gives their number. */
export const importRows = async (log: Log, files: readonly string[], topic: string, run: string | undefined): Promise<number> => {
  let records = 0
  let batch: Append[] = []
  let bytes = 0
  const flush = async (): Promise<void> => {
    if (batch.length > 0) await log.append(batch)
    records += batch.length
    batch = []
    bytes = 0
  }
  for (const file of files) {
    for await (const group of (await readerOf(file)).groups()) {
      for (const row of group) {
        const { partition, timestampMs, key, headers, value } = storedRow(row)
        batch.push({ topic, partition, timestampMs, key, value, headers: run === undefined ? headers : { ...headers, [HEADER.run]: run } })
        bytes += value?.length ?? 0
        if (bytes >= APPEND_BYTES || batch.length >= GROUP_ROWS) await flush()
      }
    }
    await flush()
  }
  return records
}

export interface FilesSurvey {
  readonly lastPartition: number
  /** Schema ids that the values claim. */
  readonly schemaIds: ReadonlySet<number>
  /** Schemas by id, as the registry of the export knew them. */
  readonly schemas: ReadonlyMap<number, AvroRecord>
}

/** Reads the files once and says what an import will need. */
export const surveyFiles = async (files: readonly string[]): Promise<FilesSurvey> => {
  let lastPartition = 0
  const schemaIds = new Set<number>()
  const schemas = new Map<number, AvroRecord>()
  for (const file of files) {
    const reader = await readerOf(file)
    for (const [id, schema] of JSON.parse(reader.metadata[SCHEMAS] ?? '[]') as [number, AvroRecord][]) schemas.set(id, schema)
    for await (const group of reader.groups())
      for (const row of group) {
        const { partition, value } = storedRow(row)
        lastPartition = Math.max(lastPartition, partition)
        const id = schemaIdOf(value === null ? null : Buffer.from(value.buffer, value.byteOffset, value.byteLength))
        if (id !== undefined) schemaIds.add(id)
      }
  }
  return { lastPartition, schemaIds, schemas }
}

/**
 * Values name their schema by an id of the registry they were written with. Throws ANDON_CLI_IMPORT_SCHEMA when this one
 * knows another schema, or none, under an id that the files know: the records would be misread.
 */
export const requireSameSchemas = async (survey: FilesSurvey, byId: (id: number) => Promise<AvroRecord | undefined>): Promise<void> => {
  for (const id of survey.schemaIds) {
    const exported = survey.schemas.get(id)
    if (exported === undefined) continue
    const here = await byId(id)
    if (here === undefined || canonicalJson(here) !== canonicalJson(exported))
      throw new AndonError(
        'ANDON_CLI_IMPORT_SCHEMA',
        `Schema ${id} of the files is ${here === undefined ? 'unknown to' : 'another one in'} this registry, and an import changes no byte. Import where the registry has the same ids: the mesh of the export, or one whose registry was copied from it.`,
      )
  }
}
