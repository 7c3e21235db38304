// One CSV payload → its rows, each with the bytes it came in. RFC 4180: quotes around a field, doubled inside one; lines end with LF or
// CRLF. For messages; files are read as a stream. Pure.

export interface CsvRow {
  readonly fields: readonly string[]
  /** With its line end. */
  readonly bytes: Buffer
}

const quote = 0x22
const newline = 0x0a

/** Rows without the empty lines. A quote that is never closed makes one row without fields of all that follows. */
export const csvRows = (payload: Buffer, delimiter: string): CsvRow[] => {
  const rows: CsvRow[] = []
  const from0 = payload.length >= 3 && payload.readUIntBE(0, 3) === 0xefbbbf ? 3 : 0 // a byte order mark
  for (let from = from0; from < payload.length;) {
    let to = from
    let isQuoted = false
    for (; to < payload.length; to++) {
      if (payload[to] === quote) isQuoted = !isQuoted
      else if (payload[to] === newline && !isQuoted) break
    }
    const bytes = payload.subarray(from, to + 1)
    const line = bytes.toString('utf8').replace(/\r?\n$/, '')
    if (line.trim() !== '') rows.push({ fields: isQuoted ? [] : fieldsOf(line, delimiter), bytes })
    from = to + 1
  }
  return rows
}

const fieldsOf = (line: string, delimiter: string): string[] => {
  if (!line.includes('"')) return line.split(delimiter)
  const fields: string[] = []
  let field = ''
  let isQuoted = false
  for (let at = 0; at < line.length; at++) {
    const char = line[at]
    if (isQuoted && char === '"' && line[at + 1] === '"') {
      field += '"'
      at++
    } else if (char === '"') isQuoted = !isQuoted
    else if (char === delimiter && !isQuoted) {
      fields.push(field)
      field = ''
    } else field += char
  }
  return [...fields, field]
}
