// One column of a Parquet file, page by page: what is decoded at once is one page, whatever the size of the row group. hyparquet decodes;
// what a page says about itself is checked before anything is allocated for it.

import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'
import type { FileHandle } from 'node:fs/promises'
import { parquetHeader, readPage } from 'hyparquet/src/column.js'
import { DEFAULT_PARSERS, convert } from 'hyparquet/src/convert.js'
import { parquetSchema } from 'hyparquet'
import { getTreePath, isFlatColumn } from 'hyparquet/src/schema.js'
import type { ColumnMetaData, Compressors, FileMetaData } from 'hyparquet'
import { fileRefused } from './column-plan.ts'
import { within } from './within.ts'

/** Largest page, unpacked, and largest packed column of one row group. */
const maxPageBytes = 64 * 1024 * 1024
const maxChunkBytes = 64 * 1024 * 1024
const maxPageRows = 4 * 1024 * 1024
/** A page of that size takes a tenth of it. */
const pageMs = 2000

export const badParquet = (message: string): Error => fileRefused('ANDON_INGEST_FILE_PARQUET', message)

const unpacked = (unpack: (bytes: Uint8Array, options: { maxOutputLength: number }) => Buffer) => (bytes: Uint8Array, length: number) =>
  new Uint8Array(unpack(bytes, { maxOutputLength: Math.max(1, length) }))

const compressors: Compressors = {
  GZIP: unpacked(gunzipSync),
  BROTLI: unpacked(brotliDecompressSync),
  ZSTD: unpacked(zstdDecompressSync),
}

/** Times become microseconds, so that none of their digits is lost in a Date. */
const parsers = {
  ...DEFAULT_PARSERS,
  timestampFromMilliseconds: (millis: bigint) => ({ us: Number(millis) * 1000 }),
  timestampFromMicroseconds: (micros: bigint) => ({ us: Number(micros) }),
  timestampFromNanoseconds: (nanos: bigint) => ({ us: Number(nanos / 1000n) }),
}

/** A time that the file's own type says is one, microseconds UTC. */
export interface ParquetTime {
  readonly us: number
}

/** The pages of a column within one row group. */
export class ColumnPages {
  readonly name: string
  readonly #reader: { view: DataView; offset: number }
  readonly #decoder: Parameters<typeof readPage>[2]
  #dictionary: ArrayLike<unknown> | undefined
  #rowsLeft: number
  #page: ArrayLike<unknown> = []
  #at = 0

  private constructor(name: string, bytes: Buffer, decoder: Parameters<typeof readPage>[2], rows: number) {
    this.name = name
    this.#reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 }
    this.#decoder = decoder
    this.#rowsLeft = rows
  }

  static async open(
    file: FileHandle,
    fileBytes: number,
    metadata: FileMetaData,
    column: ColumnMetaData,
    rows: number,
  ): Promise<ColumnPages> {
    const name = column.path_in_schema.join('.')
    const schemaPath = getTreePath(parquetSchema(metadata), column.path_in_schema)
    if (!isFlatColumn(schemaPath)) throw badParquet(`Column ${name} is nested; expected one value per row`)
    const from = Number(column.dictionary_page_offset ?? column.data_page_offset)
    const length = Number(column.total_compressed_size)
    if (!(from >= 4 && length >= 0 && from + length <= fileBytes)) {
      throw badParquet(`Column ${name} lies at bytes ${from} to ${from + length}; the file has ${fileBytes}`)
    }
    if (length > maxChunkBytes) {
      throw badParquet(`Column ${name} takes ${length} bytes in one row group, expected at most ${maxChunkBytes}; write smaller row groups`)
    }
    const bytes = Buffer.from(new ArrayBuffer(length))
    const { bytesRead } = await file.read(bytes, 0, length, from)
    if (bytesRead !== length) throw badParquet(`Column ${name} ends ${length - bytesRead} bytes early`)
    const element = schemaPath.at(-1)!.element
    const decoder = { pathInSchema: column.path_in_schema, element, schemaPath, ...column, parsers, compressors, utf8: true }
    return new ColumnPages(name, bytes, decoder as unknown as Parameters<typeof readPage>[2], rows)
  }

  /** Passes over rows. */
  skip(rows: number): void {
    for (let left = rows; left > 0;) {
      const step = Math.min(left, this.#fill())
      this.#at += step
      left -= step
    }
  }

  /** The next row's value. */
  next(): unknown {
    this.#fill()
    return this.#page[this.#at++]
  }

  /** Rows of the page in hand that are left; reads the next page when there are none. */
  #fill(): number {
    while (this.#at >= this.#page.length) within(pageMs, () => this.#nextPage())
    return this.#page.length - this.#at
  }

  #nextPage(): void {
    const { view } = this.#reader
    if (this.#rowsLeft <= 0 || this.#reader.offset >= view.byteLength)
      throw badParquet(`Column ${this.name} has fewer rows than its row group`)
    const header = parquetHeader(this.#reader)
    const { type, compressed_page_size: packed, uncompressed_page_size: plain } = header
    const about = header.data_page_header ?? header.data_page_header_v2 ?? header.dictionary_page_header
    const rows = Number(about?.num_values ?? 0)
    if (
      !(
        plain >= 0 &&
        plain <= maxPageBytes &&
        packed >= 0 &&
        packed <= view.byteLength - this.#reader.offset &&
        rows >= 0 &&
        rows <= maxPageRows
      )
    ) {
      throw badParquet(
        `Column ${this.name}: a page of ${rows} values, ${packed} bytes, ${plain} unpacked; expected at most ${maxPageBytes} bytes`,
      )
    }
    if (type === 'DICTIONARY_PAGE') {
      const { data } = readPage(this.#reader, header, this.#decoder, undefined, undefined, 0)
      this.#dictionary = data === undefined ? undefined : convert(data, this.#decoder)
      return
    }
    if (rows > this.#rowsLeft) throw badParquet(`Column ${this.name}: a page of ${rows} rows where ${this.#rowsLeft} are left`)
    const { data } = readPage(this.#reader, header, this.#decoder, this.#dictionary as never, undefined, 0)
    if (data === undefined || data.length !== rows) throw badParquet(`Column ${this.name}: a page of ${rows} rows has ${data?.length ?? 0}`)
    this.#rowsLeft -= rows
    this.#page = data
    this.#at = 0
  }
}
