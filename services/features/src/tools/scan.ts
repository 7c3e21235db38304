// The first reading of a recording for a backtest: which columns hold times, assets, labels and channels, how many rows each asset
// has, and what was found on the way. Keeps counts only, so a file of any length needs little memory.

import { basename } from 'node:path'
import { nearest } from '@andon/schemas'
import { nameAndUnit } from './recording.ts'
import { type Cell, type Table, fault, numberOf, textOf, valueOf } from './table.ts'
import { shaped } from './shapes.ts'
import { type Order, TIME_NAME, type TimeForm, orderTold, timeFormOf } from './times.ts'

export interface ScanOptions {
  readonly time?: string | undefined
  readonly zone?: string | undefined
  readonly assetColumn?: string | undefined
  /** Name of the only asset. */
  readonly asset?: string | undefined
  readonly labelColumn?: string | undefined
  readonly channels?: readonly string[] | undefined
  readonly exclude?: readonly string[] | undefined
  readonly trainRows?: number | undefined
  readonly trainUntil?: string | undefined
}

export interface ScannedChannel {
  readonly column: number
  readonly name: string
  readonly unit: string
}

export interface ScannedAsset {
  readonly id: string
  rows: number
  firstUs: number
  lastUs: number
  /** Rows to learn from. */
  learn: number
}

export interface Scan {
  readonly table: Table
  /** Null: rows are counted, one a second. */
  readonly time: { readonly column: number; readonly name: string; readonly form: TimeForm } | null
  readonly assetColumn: number | null
  readonly labelColumn: number | null
  readonly channels: readonly ScannedChannel[]
  readonly assets: readonly ScannedAsset[]
  readonly rows: number
  /** How `learn` came about, in the words of a person. */
  readonly learnt: string
  /** In the words of a person, one each. */
  readonly notes: readonly string[]
}

interface Seen {
  numbers: number
  texts: number
  missing: number
  firstText: { readonly text: string; readonly line: number } | undefined
  /** Only 0 and 1 so far. */
  isBinary: boolean
  /** Begins at 0 or 1 and has one more with every row. */
  isCount: boolean
  last: number
}

const LABEL_NAME =
  /^(is[ _-]?)?(anomal(y|ies|ous)|label|labels|outlier|attack|(machine[ _-]?)?(failure|fault|faulty)|ground[ _-]?truth|changepoint|change[ _-]?point|normal\/attack)$/i
const ASSET_NAME =
  /^(asset|machine|device|equipment|unit|turbine|pump|engine|motor|wagon|robot|line|bearing)([ _-]?(id|name|no|nr|number))?$/i

const MOST_ASSETS = 1000

/** A column with fewer texts than this among its values is one of numbers with wrong cells. */
const TEXT_SHARE = 0.1

export const leastLearned = 100
const usualLearned = 400
const leastOfSingle = 200
/** A single series goes on learning while it is judged. */
const mostOfSingle = 750
const mostLearned = 10_000
const learnedShare = 0.15
const rowsPerChannel = 5

/** Without a setting: 15 % of the rows, but as many as a machine learns from when live, and no more than it profits from; half of a short recording. */
export const learningRows = (rows: number, channels: number): number => {
  const enough = channels === 1 ? leastOfSingle : Math.max(usualLearned, rowsPerChannel * channels)
  const most = channels === 1 ? mostOfSingle : Math.max(mostLearned, enough)
  const wanted = Math.min(Math.max(Math.floor(learnedShare * rows), enough), most)
  return Math.min(wanted, Math.max(leastLearned, Math.floor(rows / 2)))
}

const placeOf = (table: Table, option: string, name: string): number => {
  const at = table.names.indexOf(name)
  if (at >= 0) return at
  const byUnit = table.names.findIndex((each) => nameAndUnit(each).name === name)
  if (byUnit >= 0) return byUnit
  throw fault(`${option}: ${table.file} has no column ${name}; the nearest is ${nearest(name, [...table.names])}.`)
}

/** Where the first cells leave day and month open: the first that does not, else the order in which times go forward. */
const orderOf = async (table: Table, column: number, name: string, zone: string | undefined): Promise<Order | undefined> => {
  const both = (['day-first', 'month-first'] as const).map((order) => ({ order, back: 0, last: Number.NEGATIVE_INFINITY }))
  let forms: (TimeForm | undefined)[] | undefined
  for await (const { rows } of table.chunks())
    for (const row of rows) {
      const cell = textOf(row[column])
      const told = orderTold(cell)
      if (told !== undefined) return told
      forms ??= both.map(({ order }) => timeFormOf(name, [cell], zone, order))
      both.forEach((each, i) => {
        const us = forms?.[i]?.parse(cell)
        if (us === undefined) return
        if (us < each.last) each.back++
        each.last = us
      })
    }
  const [day, month] = both as [(typeof both)[number], (typeof both)[number]]
  return day.back === month.back ? undefined : day.back < month.back ? 'day-first' : 'month-first'
}

const headOf = async (table: Table): Promise<readonly (readonly Cell[])[]> => {
  for await (const { rows } of table.chunks()) return rows
  return []
}

const cellsOf = (head: readonly (readonly Cell[])[], column: number, hasDecimalComma: boolean): (string | number)[] =>
  head.map((row) => valueOf(row[column], hasDecimalComma)).filter((value) => typeof value === 'string' || value === value)

const timeOf = async (table: Table, head: readonly (readonly Cell[])[], options: ScanOptions): Promise<Scan['time']> => {
  const time = timeIn(table, head, options)
  if (time?.form.isAmbiguous !== true) return time
  const order = await orderOf(table, time.column, time.name, options.zone)
  const form = timeFormOf(time.name, cellsOf(head, time.column, table.hasDecimalComma), options.zone, order)
  return order === undefined || form === undefined ? time : { ...time, form }
}

const timeIn = (table: Table, head: readonly (readonly Cell[])[], { time, zone }: ScanOptions): Scan['time'] => {
  const formAt = (column: number): TimeForm | undefined =>
    timeFormOf(table.names[column] as string, cellsOf(head, column, table.hasDecimalComma), zone)
  if (time !== undefined) {
    const column = placeOf(table, '--time', time)
    const form = formAt(column)
    if (form !== undefined) return { column, name: table.names[column] as string, form }
    throw fault(`--time: column ${time} of ${table.file} holds no times; it begins with "${textOf(head[0]?.[column])}".`)
  }
  const byName = table.names.findIndex((name, column) => TIME_NAME.test(name.trim()) && formAt(column) !== undefined)
  const column =
    byName >= 0
      ? byName
      : table.names.findIndex(
          (_, at) =>
            cellsOf(head.slice(0, 20), at, table.hasDecimalComma).some((cell) => typeof cell === 'string') && formAt(at)?.kind === 'date',
        )
  return column < 0 ? null : { column, name: table.names[column] as string, form: formAt(column) as TimeForm }
}

export const scanTable = async (given: Table, options: ScanOptions, onRead?: (done: number) => void): Promise<Scan> => {
  const { table, note } = await shaped(given, options.time)
  const scan = await scanShaped(table, options, onRead)
  return note === undefined ? scan : { ...scan, notes: [note, ...scan.notes] }
}

const scanShaped = async (table: Table, options: ScanOptions, onRead?: (done: number) => void): Promise<Scan> => {
  const { file, names, hasDecimalComma } = table
  const head = await headOf(table)
  if (head.length === 0) throw fault(`${file} has no rows.`)
  const time = await timeOf(table, head, options)
  const assetColumn = options.assetColumn === undefined ? null : placeOf(table, '--asset-column', options.assetColumn)
  const given = options.labelColumn === undefined ? null : placeOf(table, '--label-column', options.labelColumn)
  const only = options.channels?.map((name) => placeOf(table, '--channels', name))
  const excluded = new Set((options.exclude ?? []).map((name) => placeOf(table, '--exclude', name)))
  const untilUs = untilOf(options, time)

  const seen: Seen[] = names.map(() => ({
    numbers: 0,
    texts: 0,
    missing: 0,
    firstText: undefined,
    isBinary: true,
    isCount: true,
    last: Number.NaN,
  }))
  const assets = new Map<string, ScannedAsset & { before: number }>()
  let rows = 0
  const back = { count: 0, line: 0, earlier: 0 }
  // A column whose name says that it names assets, and whether time goes forward in each of them.
  const likely = assetColumn === null && time !== null ? names.findIndex((name) => ASSET_NAME.test(name.trim())) : -1
  const newestOf = new Map<string, { us: number; rows: number }>()
  let backOfAsset = 0
  for await (const chunk of table.chunks(onRead)) {
    for (let i = 0; i < chunk.rows.length; i++) {
      const row = chunk.rows[i] as readonly Cell[]
      for (let column = 0; column < names.length; column++) {
        if (column === time?.column || column === assetColumn || column === given) continue
        look(seen[column] as Seen, valueOf(row[column], hasDecimalComma), () => chunk.lineOf(i))
      }
      const timeUs = time === null ? rows * 1e6 : timeAt(table, time, row, () => chunk.lineOf(i))
      const id = assetColumn === null ? '' : textOf(row[assetColumn]).trim()
      if (assetColumn !== null && id === '') throw fault(`${file}:${chunk.lineOf(i)}: column ${names[assetColumn]} names no asset.`)
      let asset = assets.get(id)
      if (asset === undefined) assets.set(id, (asset = { id, rows: 0, firstUs: timeUs, lastUs: timeUs, learn: 0, before: 0 }))
      else if (timeUs <= asset.lastUs && back.count++ === 0) back.line = chunk.lineOf(i)
      if (timeUs < asset.lastUs) back.earlier++
      if (likely >= 0 && newestOf.size <= MOST_ASSETS) {
        const name = textOf(row[likely]).trim()
        const newest = newestOf.get(name) ?? { us: Number.NEGATIVE_INFINITY, rows: 0 }
        if (timeUs <= newest.us) backOfAsset++
        newestOf.set(name, { us: timeUs, rows: newest.rows + 1 })
      }
      asset.lastUs = Math.max(asset.lastUs, timeUs)
      if (timeUs < untilUs) asset.before++
      asset.rows++
      rows++
    }
  }

  const isByAsset =
    newestOf.size > 1 &&
    newestOf.size <= MOST_ASSETS &&
    back.count > rows / 20 &&
    backOfAsset < back.count / 20 &&
    [...newestOf].every(([name, { rows: own }]) => name !== '' && own >= 2 * leastLearned)
  if (isByAsset) {
    const column = names[likely] as string
    const scan = await scanShaped(table, { ...options, assetColumn: column }, onRead)
    return { ...scan, notes: [`Column ${column} names ${newestOf.size} assets: each is learned and judged by itself.`, ...scan.notes] }
  }
  const notes: string[] = []
  const labelColumn = given ?? labelOf(names, seen)
  if (labelColumn !== null && given === null)
    notes.push(`Column ${names[labelColumn]} holds labels: nothing is learned from it, and the result is compared with it.`)
  const channels: ScannedChannel[] = []
  const taken = new Set<string>()
  names.forEach((name, column) => {
    if (column === time?.column || column === assetColumn || column === labelColumn || excluded.has(column)) return
    if (only !== undefined && !only.includes(column)) return
    const why = unfit(name, column, seen[column] as Seen, labelColumn !== null)
    if (why !== undefined && only === undefined) return void notes.push(`Column ${name} is left out: ${why}.`)
    if (why !== undefined) throw fault(`--channels: column ${name} of ${file} cannot be judged: ${why}.`)
    const { texts, firstText } = seen[column] as Seen
    if (firstText !== undefined)
      notes.push(
        `Column ${name}: ${texts} ${texts === 1 ? 'cell is no number and counts' : 'cells are no numbers and count'} as missing, the first in line ${firstText.line} ("${firstText.text}").`,
      )
    const { name: short, unit } = nameAndUnit(name)
    const id = taken.has(short) ? name : short
    taken.add(id)
    channels.push({ column, name: id, unit })
  })
  if (channels.length === 0) throw fault(`${file}: no column holds numbers to judge; found ${names.join(', ')}.`)

  if (time === null) {
    const one = assetColumn === null ? names.find((name) => ASSET_NAME.test(name.trim())) : undefined
    const hint = one === undefined ? '' : ` If ${one} names assets, --asset-column ${one} judges each by itself.`
    notes.push(`No column holds times: rows are counted, as if there were one a second.${hint}`)
  }
  if (time?.form.isAmbiguous === true) notes.push(`Times in ${time.name} are read with the month first; nothing in the file tells.`)
  else if (time?.form.isNaive === true && options.zone === undefined && time.form.kind === 'date')
    notes.push(`Times in ${time.name} name no zone and are read as UTC; --zone names another.`)
  if (back.count > 0) {
    if (back.earlier > rows / 2)
      throw fault(
        `${file}:${back.line}: times in ${time?.name} go backward in ${back.earlier} of ${rows} rows. Sort the file by time${assetColumn === null ? ', or name the column of the assets with --asset-column' : ''}.`,
      )
    const one = names.findIndex((name, column) => ASSET_NAME.test(name) && column !== assetColumn)
    const hint = assetColumn === null && one >= 0 ? ` Does ${names[one]} name assets? --asset-column judges each by itself.` : ''
    notes.push(
      `${back.count} ${back.count === 1 ? 'row has a time that does' : 'rows have a time that does'} not go forward, the first in line ${back.line}; rows are judged in the order of the file.${hint}`,
    )
  }
  const single = options.asset ?? basename(file).replace(/\.(csv|txt|tsv|parquet)(\.gz)?$/i, '')
  const list = [...assets.values()].map(({ before, ...asset }) => ({
    ...asset,
    id: assetColumn === null ? single : asset.id,
    learn: untilUs < Number.POSITIVE_INFINITY ? before : (options.trainRows ?? learningRows(asset.rows, channels.length)),
  }))
  for (const asset of list) {
    const { id, rows: count, learn } = asset
    const option =
      options.trainUntil !== undefined
        ? `--train-until leaves ${learn} rows`
        : options.trainRows !== undefined
          ? `--train-rows ${learn}`
          : `${learn} rows`
    if (learn < leastLearned)
      throw fault(
        `${option} to learn from, and ${id} needs ${leastLearned} at least: normal operation has to be seen before it can be told from the rest.`,
      )
    if (learn >= count) throw fault(`${id} has ${count} rows: with ${learn} to learn from there is none left to judge.`)
  }
  return { table, time, assetColumn, labelColumn, channels, assets: list, rows, learnt: learntWords(options, list), notes }
}

const look = (seen: Seen, value: number | string, line: () => number): void => {
  if (typeof value === 'string') {
    seen.texts++
    seen.firstText ??= { text: value.trim().slice(0, 40), line: line() }
    seen.isCount = false
    return
  }
  if (value !== value) {
    seen.missing++
    seen.isCount = false
    return
  }
  seen.numbers++
  if (value !== 0 && value !== 1) seen.isBinary = false
  if (seen.isCount && (seen.numbers > 1 ? value !== seen.last + 1 : value !== 0 && value !== 1)) seen.isCount = false
  seen.last = value
}

const labelOf = (names: readonly string[], seen: readonly Seen[]): number | null => {
  const found = names.findIndex((name, at) => LABEL_NAME.test(name.trim()) && isLabel(seen[at] as Seen))
  return found < 0 ? null : found
}

const isLabel = ({ numbers, texts, isBinary }: Seen): boolean => (numbers > 0 && isBinary) || (numbers === 0 && texts > 0)

const unfit = (name: string, column: number, of: Seen, hasLabels: boolean): string | undefined => {
  const { numbers, texts, firstText } = of
  if (numbers === 0 && texts === 0) return 'it is empty'
  if (texts > TEXT_SHARE * (numbers + texts)) return `it holds text ("${firstText?.text}" in line ${firstText?.line})`
  if (hasLabels && LABEL_NAME.test(name.trim()) && isLabel(of)) return 'it holds labels too'
  return column === 0 && of.isCount && numbers > 1 ? 'it counts the rows' : undefined
}

const untilOf = ({ trainUntil, zone }: ScanOptions, time: Scan['time']): number => {
  if (trainUntil === undefined) return Number.POSITIVE_INFINITY
  if (time === null) throw fault('--train-until needs a column of times; --train-rows counts rows.')
  const value = time.form.kind === 'number' ? numberOf(trainUntil, false) : Number.NaN
  const us =
    value === value ? time.form.parse(value) : (time.form.parse(trainUntil) ?? timeFormOf('', [trainUntil], zone)?.parse(trainUntil))
  if (us === undefined)
    throw fault(`--train-until: expected a time as in column ${time.name}, or 2026-11-23T08:00:00Z, found "${trainUntil}".`)
  return us
}

export const timeAt = (table: Table, time: NonNullable<Scan['time']>, row: readonly Cell[], line: () => number): number => {
  const cell = row[time.column]
  const us = time.form.parse(
    time.form.kind === 'number' ? valueOf(cell, table.hasDecimalComma) : typeof cell === 'string' ? cell : valueOf(cell, false),
  )
  if (us === undefined || !Number.isSafeInteger(us))
    throw fault(
      `${table.file}:${line()}: column ${time.name}: expected a time like those before (${time.form.words}), found "${textOf(cell)}".`,
    )
  return us
}

/** What a cell of a column of labels says. */
export const isAbnormal = (cell: Cell, hasDecimalComma: boolean): boolean => {
  const value = valueOf(cell, hasDecimalComma)
  if (typeof value === 'number') return value === value && value !== 0
  return !/^\s*(normal|no|n|ok|healthy|good|negative|none)\s*$/i.test(value)
}

const learntWords = ({ trainRows, trainUntil }: ScanOptions, assets: readonly ScannedAsset[]): string => {
  const [first] = assets
  if (trainUntil !== undefined) return `rows before ${trainUntil}`
  if (trainRows !== undefined) return `the first ${trainRows} rows`
  const rows = assets.length === 1 ? `the first ${first?.learn} rows` : 'the first rows of each asset'
  return `${rows} (by default 15 %, ${usualLearned} or ${rowsPerChannel} per channel at least and ${mostLearned} at most; half of a short recording; --train-rows or --train-until say otherwise)`
}
