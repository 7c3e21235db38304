// Readers of the public recordings in a folder outside the repository (each has a README there). Plain or gzipped CSV; whatever
// recordings lie in a folder are read, in the order of their names, so recordings kept aside are scored the same way.

import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import type { Matrix } from '@andon/clustering/matrix'

export interface Table {
  readonly header: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** Text → header and cells. The recordings quote nothing. */
export const parseCsv = (text: string, separator = ','): Table => {
  const [head = '', ...lines] = text.split(/\r?\n/).filter((line) => line !== '')
  return { header: head.split(separator), rows: lines.map((line) => line.split(separator)) }
}

const textOf = (path: string): string => {
  const bytes = readFileSync(path)
  return (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8')
}

const filesIn = (folder: string, pattern: string): string[] => {
  if (!existsSync(folder)) throw new Error(`${folder} is not there; name the folder of the recordings with --data`)
  return globSync(pattern, { cwd: folder })
    .map((path) => join(folder, path))
    .toSorted()
}

const nameOf = (path: string): string => basename(path).replace(/\.csv(\.gz)?$/, '')

/** Columns `from` … `to` - 1 as numbers; an empty cell is missing. */
export const matrixOfCells = (rows: Table['rows'], from: number, to: number): Matrix => {
  const width = to - from
  const values = new Float64Array(rows.length * width)
  rows.forEach((cells, t) => {
    for (let j = 0; j < width; j++) {
      const cell = cells[from + j] ?? ''
      values[t * width + j] = cell === '' ? Number.NaN : Number(cell)
    }
  })
  return { values, rows: rows.length, width }
}

/** Rows `from` … `to` - 1 as a view. */
export const slice = ({ values, rows, width }: Matrix, from: number, to: number = rows): Matrix => ({
  values: values.subarray(from * width, to * width),
  rows: to - from,
  width,
})

const secondsOf = (text: string): number => Date.parse(`${text.replace(' ', 'T').slice(0, 19)}Z`) / 1000

export interface SkabRun {
  readonly name: string
  readonly values: Matrix
  readonly timeS: Float64Array
  readonly anomaly: Uint8Array
  readonly changepoint: Uint8Array
}

export const skabRuns = (data: string): SkabRun[] =>
  ['valve1', 'valve2', 'other'].flatMap((group) =>
    filesIn(join(data, 'skab', group), '*.csv*').map((path) => {
      const { rows } = parseCsv(textOf(path), ';')
      return {
        name: `${group}/${nameOf(path)}`,
        values: matrixOfCells(rows, 1, 9),
        timeS: Float64Array.from(rows, (cells) => secondsOf(cells[0] as string)),
        anomaly: Uint8Array.from(rows, (cells) => Number(cells[9])),
        changepoint: Uint8Array.from(rows, (cells) => Number(cells[10])),
      }
    }),
  )

export const skabNormal = (data: string): Matrix => {
  const [path] = filesIn(join(data, 'skab', 'anomaly-free'), '*.csv*')
  if (path === undefined) throw new Error('skab/anomaly-free is not there')
  return matrixOfCells(parseCsv(textOf(path), ';').rows, 1, 9)
}

export interface NabSeries {
  readonly name: string
  readonly values: Float64Array
  readonly timeS: Float64Array
  /** First and last row of each labelled window. */
  readonly windows: readonly (readonly [number, number])[]
}

export const nabSeries = (data: string): NabSeries[] => {
  const folder = join(data, 'nab')
  const labels = JSON.parse(textOf(join(folder, 'combined_windows.json'))) as Record<string, readonly (readonly [string, string])[]>
  return filesIn(folder, '*/*.csv*').map((path) => {
    const name = path.slice(folder.length + 1).replace(/\.gz$/, '')
    const { rows } = parseCsv(textOf(path))
    const timeS = Float64Array.from(rows, (cells) => secondsOf(cells[0] as string))
    return { name, timeS, values: Float64Array.from(rows, (cells) => Number(cells[1])), windows: windowsOf(timeS, labels[name] ?? []) }
  })
}

const windowsOf = (timeS: Float64Array, labels: readonly (readonly [string, string])[]): [number, number][] => {
  const windows: [number, number][] = []
  for (const label of labels) {
    const [from, to] = label.map(secondsOf) as [number, number]
    const isIn = (time: number): boolean => time >= from && time <= to
    const first = timeS.findIndex(isIn)
    if (first >= 0) windows.push([first, timeS.findLastIndex(isIn)])
  }
  return windows
}

/** Tennessee Eastman runs by name: d00, d00_te, d01_te … */
export const tepRuns = (data: string): Map<string, Matrix> =>
  new Map(
    filesIn(join(data, 'tep'), 'd*.csv*').map((path) => {
      const { rows, header } = parseCsv(textOf(path))
      return [nameOf(path), matrixOfCells(rows, 0, header.length)]
    }),
  )

/** Six electrical channels, every 15 minutes, in the order of the file: its 00:00 rows carry the date of the day they close. */
export const steelRows = (data: string): Matrix => {
  const parts = filesIn(join(data, 'steel_energy'), '*.csv*').map((path) => parseCsv(textOf(path)).rows)
  return matrixOfCells(parts.flat(), 1, 7)
}
