// A file on disk → a source of rows: looked at from end to end, its format found out, its columns planned, its first rows tried. What is
// wrong with it as a whole is said here, before anything of it is applied.

import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import type { Plant } from '@andon/schemas'
import { fileRefused, shortened, sourceOfFile } from './column-plan.ts'
import type { ColumnPlan, FileSource } from './column-plan.ts'
import { openCsv, surveyText } from './csv-file.ts'
import { FileAssets } from './file-assets.ts'
import { wordsOf } from './file-deliveries.ts'
import { openParquet, surveyParquet } from './parquet-file.ts'
import type { RowSource, SurveyedFile } from './row-source.ts'

export interface OpenedFile extends SurveyedFile {
  readonly mapping: FileSource | undefined
  /** Opens the rows; `assets` counts them. */
  rows(assets: FileAssets): Promise<RowSource>
  /** Throws ANDON_INGEST_FILE_CHANGED when the file is no longer what was looked at. */
  checkUnchanged(): Promise<void>
  close(): Promise<void>
}

/** Rows of which at least one must be readable. */
const triedRows = 100

/** Opens a file. Rejects with ANDON_INGEST_FILE_… when nothing of it can be taken. `onBytes` is told how far the first look is. */
export const openFile = async (
  path: string,
  name: string,
  sources: readonly FileSource[],
  plant: Plant | undefined,
  onBytes: (bytes: number) => void,
): Promise<OpenedFile> => {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(notARegularFile)
  try {
    const before = await file.stat()
    if (!before.isFile()) throw fileRefused('ANDON_INGEST_FILE_NOT_REGULAR', `${name} is no regular file`)
    const mapping = sourceOfFile(name, sources)
    const isParquet = (await startsWith(file, 'PAR1')) || mapping?.mapping.format === 'parquet'
    if (isParquet && mapping?.mapping.format === 'csv') {
      throw fileRefused('ANDON_INGEST_FILE_HEADER', `The file is Parquet; sources/${mapping.id} expects CSV. Correct mapping.format`)
    }
    const surveyed = isParquet ? await surveyParquet(file, before.size, onBytes) : await surveyText(file, onBytes)
    const rows = (assets: FileAssets) => (isParquet ? openParquet : openCsv)(file, surveyed.bytes, name, mapping, assets)
    await tryRows(await rows(new FileAssets()), plant)
    return {
      ...surveyed,
      mapping,
      rows,
      checkUnchanged: async () => {
        const now = await file.stat()
        if (now.size === before.size && now.mtimeMs === before.mtimeMs) return
        throw fileRefused('ANDON_INGEST_FILE_CHANGED', `${name} was written to while it was read; expected a finished file`)
      },
      close: () => file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

const notARegularFile = (error: NodeJS.ErrnoException): never => {
  if (error.code === 'ENOENT') throw fileRefused('ANDON_INGEST_FILE_GONE', 'The file is no longer there')
  if (['ELOOP', 'ENXIO', 'EMLINK'].includes(error.code ?? '')) {
    throw fileRefused('ANDON_INGEST_FILE_NOT_REGULAR', 'It is a link, a pipe or a device; expected a regular file')
  }
  throw error
}

const startsWith = async (file: FileHandle, magic: string): Promise<boolean> => {
  const start = Buffer.alloc(magic.length)
  const { bytesRead } = await file.read(start, 0, start.length, 0)
  return bytesRead === start.length && start.toString('latin1') === magic
}

const tryRows = async (source: RowSource, plant: Plant | undefined): Promise<void> => {
  try {
    if (plant !== undefined) checkAgainst(plant, source.plan)
    const batch = source.newBatch()
    await source.read(batch, source.start)
    if (batch.rows === 0) throw fileRefused('ANDON_INGEST_FILE_EMPTY', 'The file has no rows behind its header')
    const tried = Math.min(batch.rows, triedRows)
    const first = batch.faults[0]
    if (first === undefined || (batch.faults[tried - 1]?.row ?? tried) >= tried) return
    throw fileRefused('ANDON_INGEST_FILE_NO_ROW', `None of the first ${tried} rows can be read; row ${first.row + 1}: ${wordsOf(first)}`)
  } finally {
    await source.close()
  }
}

/** A word that the plant does not have anywhere would send every row to quarantine: the file is refused instead. */
const checkAgainst = (plant: Plant, { asset, values }: ColumnPlan): void => {
  const assets = 'id' in asset ? plant.assets.filter(({ id }) => id === asset.id) : plant.assets
  if ('id' in asset && assets.length === 0) {
    throw fileRefused('ANDON_INGEST_FILE_UNKNOWN_ASSET', `The plant file has no asset ${asset.id}`)
  }
  const known = new Set(assets.flatMap(({ channels }) => channels.map(({ id }) => id)))
  const unknown = values.find(({ channel }) => !known.has(channel))
  if (unknown === undefined) return
  throw fileRefused(
    'ANDON_INGEST_FILE_UNKNOWN_CHANNEL',
    `Column ${JSON.stringify(unknown.channel)} is no channel of ${'id' in asset ? asset.id : 'any asset'}; the plant file has ${shortened([...known].join(', '))}`,
  )
}
