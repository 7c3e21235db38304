// A CSV file on disk as a source of rows: surveyed once from end to end, then read in windows.

import type { FileHandle } from 'node:fs/promises'
import { fileRefused, planColumns } from './column-plan.ts'
import type { FileSource } from './column-plan.ts'
import { csvHeader } from './csv-header.ts'
import { CsvRows } from './csv-rows.ts'
import { CsvSurvey, maxRowBytes } from './csv-survey.ts'
import type { FileAssets } from './file-assets.ts'
import { RowBatch } from './row-batch.ts'
import type { RowSource, SurveyedFile } from './row-source.ts'

const surveyBytes = 1024 * 1024
const windowBytes = 256 * 1024

/** Looks at the whole file; throws what CsvSurvey throws. `onBytes` is told how far it is. */
export const surveyText = async (file: FileHandle, onBytes: (bytes: number) => void): Promise<SurveyedFile> => {
  const survey = new CsvSurvey()
  const chunk = Buffer.allocUnsafe(surveyBytes)
  for (let at = 0; ;) {
    const { bytesRead } = await file.read(chunk, 0, chunk.length, at)
    if (bytesRead === 0) return survey.end()
    survey.take(chunk.subarray(0, bytesRead))
    at += bytesRead
    onBytes(at)
  }
}

/** Opens a surveyed file. Throws ANDON_INGEST_FILE_HEADER. */
export const openCsv = async (
  file: FileHandle,
  bytes: number,
  name: string,
  source: FileSource | undefined,
  assets: FileAssets,
): Promise<RowSource> => {
  const head = Buffer.alloc(Math.min(bytes, maxRowBytes))
  await file.read(head, 0, head.length, 0)
  const header = csvHeader(head, source)
  const plan = planColumns(header.names, name, source)
  const rows = new CsvRows(plan, header.form, assets)
  const channels = plan.long === undefined ? plan.values.length : 1
  return {
    plan,
    start: { at: header.end, row: 0 },
    end: bytes,
    longChannels: () => rows.longChannels,
    newBatch: () => new RowBatch(channels, Buffer.allocUnsafe(windowBytes + 1)),
    read: async (batch, from) => {
      batch.clear(from.row)
      let at = from.at
      while (at < bytes) {
        const { bytesRead } = await file.read(batch.bytes, 0, batch.bytes.length - 1, at)
        if (bytesRead === 0)
          throw fileRefused('ANDON_INGEST_FILE_CHANGED', `The file ended at byte ${at}; it had ${bytes} when it was looked at`)
        const isEnd = at + bytesRead >= bytes
        const consumed = rows.fill(batch, 0, bytesRead, isEnd)
        if (batch.rows > 0 || isEnd) return { at: at + consumed, row: from.row + batch.rows }
        // Empty lines, or a row that is longer than the window.
        at += consumed
        if (consumed === 0) batch.bytes = wider(batch.bytes, at)
      }
      return { at, row: from.row }
    },
    close: () => Promise.resolve(),
  }
}

const wider = (bytes: Buffer, at: number): Buffer => {
  if (bytes.length <= maxRowBytes) return Buffer.allocUnsafe(bytes.length * 2)
  throw fileRefused(
    'ANDON_INGEST_FILE_ROW_TOO_LONG',
    `The row at byte ${at} has no end within ${maxRowBytes} bytes: is a quote open? Expected rows of less`,
  )
}
