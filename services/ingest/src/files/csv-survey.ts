// The first look at a text file, before anything of it is taken: digest, and whether it can be split into rows at all. What is wrong with
// a file as a whole is found here, so that a file is refused before its first row is applied and not after its last. Pure.

import { createHash } from 'node:crypto'
import { fileRefused } from './column-plan.ts'

/** Longest row, with its line end. */
export const maxRowBytes = 1024 * 1024

const LF = 0x0a
const QUOTE = 0x22

export class CsvSurvey {
  readonly #digest = createHash('sha256')
  #bytes = 0
  #quotes = 0
  #lastQuoteAt = 0
  /** Where the row that is being looked at began; quotes are not looked at for this. */
  #lineFrom = 0

  /** Takes the next bytes. Throws ANDON_INGEST_FILE_BINARY, _ENCODING, _ROW_TOO_LONG. */
  take(bytes: Buffer): void {
    if (this.#bytes === 0) checkStart(bytes)
    this.#digest.update(bytes)
    const nul = bytes.indexOf(0)
    if (nul >= 0) {
      throw fileRefused(
        'ANDON_INGEST_FILE_BINARY',
        `Byte ${this.#bytes + nul} is NUL; expected text in UTF-8. Export the file as CSV in UTF-8`,
      )
    }
    for (let at = bytes.indexOf(QUOTE); at >= 0; at = bytes.indexOf(QUOTE, at + 1)) {
      this.#quotes++
      this.#lastQuoteAt = this.#bytes + at
    }
    this.#checkLines(bytes)
    this.#bytes += bytes.length
  }

  /** Throws ANDON_INGEST_FILE_QUOTE or _EMPTY. */
  end(): { sha256: string; bytes: number } {
    this.#checkLength(this.#bytes)
    if (this.#bytes === 0) throw fileRefused('ANDON_INGEST_FILE_EMPTY', 'The file has no bytes; expected a header and rows')
    if (this.#quotes % 2 === 1) {
      throw fileRefused(
        'ANDON_INGEST_FILE_QUOTE',
        `The file has ${this.#quotes} quotes, an odd number, the last at byte ${this.#lastQuoteAt}: one is never closed. Double a quote inside a field`,
      )
    }
    return { sha256: this.#digest.digest('hex'), bytes: this.#bytes }
  }

  #checkLines(bytes: Buffer): void {
    // Lines inside are only looked at where the chunk is longer than a row may be.
    for (let at = bytes.indexOf(LF); at >= 0;) {
      this.#checkLength(this.#bytes + at)
      this.#lineFrom = this.#bytes + at + 1
      const last = bytes.lastIndexOf(LF, Math.min(bytes.length, at + maxRowBytes))
      if (last > at) at = last
      else at = bytes.indexOf(LF, at + 1)
    }
    this.#checkLength(this.#bytes + bytes.length)
  }

  #checkLength(end: number): void {
    if (end - this.#lineFrom < maxRowBytes) return
    throw fileRefused(
      'ANDON_INGEST_FILE_ROW_TOO_LONG',
      `The line at byte ${this.#lineFrom} has no end within ${maxRowBytes} bytes; expected rows, each on a line of its own`,
    )
  }
}

const starts: readonly (readonly [hex: string, code: string, what: string])[] = [
  ['fffe', 'ANDON_INGEST_FILE_ENCODING', 'UTF-16; expected UTF-8. Save it as "CSV UTF-8"'],
  ['feff', 'ANDON_INGEST_FILE_ENCODING', 'UTF-16; expected UTF-8. Save it as "CSV UTF-8"'],
  ['504b0304', 'ANDON_INGEST_FILE_BINARY', 'a ZIP archive or a spreadsheet; expected CSV or Parquet. Unpack or export it'],
  ['1f8b', 'ANDON_INGEST_FILE_BINARY', 'gzip; expected plain CSV or Parquet. Unpack it'],
  ['28b52ffd', 'ANDON_INGEST_FILE_BINARY', 'zstd; expected plain CSV or Parquet. Unpack it'],
  ['25504446', 'ANDON_INGEST_FILE_BINARY', 'PDF; expected CSV or Parquet'],
  ['d0cf11e0', 'ANDON_INGEST_FILE_BINARY', 'an old spreadsheet; expected CSV or Parquet. Export it'],
]

const checkStart = (bytes: Buffer): void => {
  const hex = bytes.toString('hex', 0, 4)
  const found = starts.find(([start]) => hex.startsWith(start))
  if (found !== undefined) throw fileRefused(found[1], `The file is ${found[2]}`)
}
