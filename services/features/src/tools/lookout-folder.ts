// The folder layout of Amazon Lookout for Equipment: a folder per component with CSV files in it, each with a column of times and one per
// sensor. Components are joined by time into one table with columns `component\sensor`; files of a component follow each other by name.

import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Cell, type Table, type TableChunk, fault, openTable, valueOf } from './table.ts'
import { type TimeForm, timeFormOf } from './times.ts'

interface Component {
  readonly name: string
  readonly tables: readonly Table[]
  readonly sensors: readonly string[]
  readonly form: TimeForm
}

const ROWS_PER_CHUNK = 4096
const TABLE = /\.(csv|txt)(\.gz)?$/i

/** Undefined where `file` is no folder. */
export const openLookout = (file: string, zone: string | undefined): Promise<Table> | undefined =>
  statSync(file, { throwIfNoEntry: false })?.isDirectory() === true ? openFolder(file, zone) : undefined

const openFolder = async (folder: string, zone: string | undefined): Promise<Table> => {
  const entries = readdirSync(folder, { withFileTypes: true }).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const components: Component[] = []
  let size = 0
  const add = async (name: string, files: readonly string[]): Promise<void> => {
    if (files.length === 0) return
    const tables: Table[] = []
    for (const file of files) tables.push(await openTable(file))
    const [first] = tables as [Table]
    for (const { file, names } of tables)
      if (names.join('\n') !== first.names.join('\n'))
        throw fault(`${file}: expected the columns of ${first.file} (${first.names.join(', ')}), found ${names.join(', ')}.`)
    const head: Cell[] = []
    for await (const { rows } of first.chunks()) {
      head.push(...rows.map((row) => row[0]))
      break
    }
    const cells = head.map((cell) => valueOf(cell, first.hasDecimalComma)).filter((cell) => typeof cell === 'string' || cell === cell)
    const form = timeFormOf(first.names[0] as string, cells, zone)
    if (form === undefined) throw fault(`${first.file}: expected times in the first column (${first.names[0]}), found "${cells[0] ?? ''}".`)
    size += tables.reduce((sum, table) => sum + table.size, 0)
    components.push({ name, tables, sensors: first.names.slice(1), form })
  }
  for (const entry of entries)
    if (entry.isDirectory())
      await add(
        entry.name,
        readdirSync(join(folder, entry.name))
          .filter((name) => TABLE.test(name))
          .toSorted()
          .map((name) => join(folder, entry.name, name)),
      )
  // Files beside each other are components of one file each.
  if (components.length === 0)
    for (const entry of entries) if (TABLE.test(entry.name)) await add(entry.name.replace(TABLE, ''), [join(folder, entry.name)])
  if (components.length === 0) throw fault(`${folder} has no folder of a component with CSV files in it.`)
  const names = ['Timestamp', ...components.flatMap(({ name, sensors }) => sensors.map((sensor) => `${name}\\${sensor}`))]
  return { file: folder, names, hasDecimalComma: false, size, chunks: (onRead) => joined(components, onRead) }
}

interface Head {
  readonly us: number
  readonly time: string
  readonly values: readonly Cell[]
}

async function* rowsOf({ tables, form }: Component, onRead: (bytes: number) => void): AsyncGenerator<Head> {
  let before = 0
  let lastUs = Number.NEGATIVE_INFINITY
  for (const table of tables) {
    let done = 0
    const { hasDecimalComma } = table
    for await (const { rows, lineOf } of table.chunks((bytes) => (done = bytes)))
      for (let i = 0; i < rows.length; i++) {
        const [cell, ...rest] = rows[i] as readonly Cell[]
        const us = form.parse(form.kind === 'number' ? valueOf(cell, hasDecimalComma) : String(cell as string))
        if (us === undefined)
          throw fault(`${table.file}:${lineOf(i)}: expected a time in ${table.names[0]}, found "${String(cell as string)}".`)
        if (us < lastUs)
          throw fault(
            `${table.file}:${lineOf(i)}: the time goes backward; rows of a component are joined to the others by time and have to be sorted.`,
          )
        lastUs = us
        onRead(before + done)
        yield { us, time: String(cell as string), values: rest.map((value) => valueOf(value, hasDecimalComma)) }
      }
    before += table.size
  }
}

/** A row for each time that any component has; a component without it has missing values there. */
async function* joined(components: readonly Component[], onRead: ((done: number) => void) | undefined): AsyncGenerator<TableChunk> {
  const read = components.map(() => 0)
  const streams = components.map((component, at) => rowsOf(component, (bytes) => (read[at] = bytes)))
  const heads: (Head | undefined)[] = []
  const next = async (at: number): Promise<void> => {
    const { value, done } = await (streams[at] as AsyncGenerator<Head>).next()
    heads[at] = done === true ? undefined : (value as Head)
  }
  for (let at = 0; at < streams.length; at++) await next(at)
  let rows: Cell[][] = []
  let first = 1
  for (;;) {
    let us = Number.POSITIVE_INFINITY
    for (const head of heads) if (head !== undefined && head.us < us) us = head.us
    if (rows.length === ROWS_PER_CHUNK || (us === Number.POSITIVE_INFINITY && rows.length > 0)) {
      const start = first
      yield { rows, lineOf: (row) => start + row }
      first += rows.length
      rows = []
      onRead?.(read.reduce((sum, bytes) => sum + bytes, 0))
    }
    if (us === Number.POSITIVE_INFINITY) return
    const row: Cell[] = ['']
    for (let at = 0; at < components.length; at++) {
      const head = heads[at]
      const { sensors } = components[at] as Component
      if (head?.us === us) {
        // The times go on as they were written first.
        if (row[0] === '') row[0] = head.time
        row.push(...head.values)
        await next(at)
      } else for (let j = 0; j < sensors.length; j++) row.push(Number.NaN)
    }
    rows.push(row)
  }
}
