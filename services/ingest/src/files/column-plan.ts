// Which column of a file is what: from a source file's mapping, or from a header that names the plant's own words. Pure.

import { AndonError } from '@andon/kit'
import type { PayloadMapping, PlantSource, TimeFormat } from '@andon/schemas'

export type FileSource = Extract<PlantSource, { kind: 'file' }>

/** What a column of values becomes: channel = field × scale + offset, in the sender's unit (UCUM; undefined = the plant's). */
export interface ValueColumn {
  readonly column: number
  readonly channel: string
  readonly unit: string | undefined
  readonly scale: number
  readonly offset: number
}

export interface LongColumns {
  readonly channelColumn: number
  readonly valueColumn: number
  /** Name as sent → channel; undefined: the names are channels. */
  readonly map: ReadonlyMap<string, string> | undefined
  readonly unit: string | undefined
  readonly scale: number
  readonly offset: number
}

/** Where everything lies. Columns are indexes into `names`. */
export interface ColumnPlan {
  readonly names: readonly string[]
  readonly asset: { readonly id: string } | { readonly column: number; readonly map: ReadonlyMap<string, string> | undefined }
  readonly time: { readonly column: number; readonly format: TimeFormat; readonly timezone: string | undefined }
  readonly quality: { readonly column: number; readonly of: ReadonlyMap<string, number> | undefined } | undefined
  /** Wide form; empty in long form. */
  readonly values: readonly ValueColumn[]
  readonly long: LongColumns | undefined
}

/** Most columns that a file may have. */
export const maxColumns = 1024
/** Most channels that a file may bring; more than any plant names on one asset. */
export const maxChannels = 256

export const fileRefused = (code: string, message: string): AndonError => new AndonError(code, message, { status: 422 })

const badHeader = (message: string): AndonError => fileRefused('ANDON_INGEST_FILE_HEADER', message)

/** The plan of a file. Throws ANDON_INGEST_FILE_HEADER, naming what was found and what is expected. */
export const planColumns = (names: readonly string[], fileName: string, source: FileSource | undefined): ColumnPlan => {
  if (names.length > maxColumns) throw badHeader(`Found ${names.length} columns, expected at most ${maxColumns}`)
  const repeated = names.find((name, index) => names.indexOf(name) !== index)
  if (repeated !== undefined) throw badHeader(`Column ${quoted(repeated)} is there twice; expected each name once`)
  return source === undefined ? defaultPlan(names) : mappedPlan(names, fileName, source)
}

const channelForm = /^(.+?)\s*\[([^\]]+)\]$/

const defaultPlan = (names: readonly string[]): ColumnPlan => {
  const at = (name: string) => names.indexOf(name)
  const timeName = at('timeUs') >= 0 ? 'timeUs' : 'time'
  if (at(timeName) < 0)
    throw badHeader(`No column timeUs or time; found ${listed(names)}. Correct the header, or add a source file of kind file`)
  if (at('timeUs') >= 0 && at('time') >= 0) throw badHeader('Columns timeUs and time are both there; expected one of them')
  if (at('asset') < 0) throw badHeader(`No column asset; found ${listed(names)}. Correct the header, or add a source file of kind file`)
  const values: ValueColumn[] = []
  names.forEach((name, column) => {
    if (name === timeName || name === 'asset' || name === 'source' || name === 'quality') return
    if (name === '') throw badHeader(`Column ${column + 1} has no name`)
    const [, channel = name, unit] = channelForm.exec(name) ?? []
    values.push({ column, channel, unit, scale: 1, offset: 0 })
  })
  checkChannels(
    values.map(({ channel }) => channel),
    names,
  )
  return {
    names,
    asset: { column: at('asset'), map: undefined },
    time: { column: at(timeName), format: timeName === 'timeUs' ? 'us' : 'iso8601', timezone: undefined },
    quality: at('quality') < 0 ? undefined : { column: at('quality'), of: undefined },
    values,
    long: undefined,
  }
}

const mappedPlan = (names: readonly string[], fileName: string, { id, name: pattern, mapping }: FileSource): ColumnPlan => {
  const column = (field: string, what: string): number => {
    const index = names.indexOf(field)
    if (index >= 0) return index
    throw badHeader(`sources/${id} reads ${what} from column ${quoted(field)}; the file has ${listed(names)}`)
  }
  const { asset, time, quality, channels, long } = mapping
  if (time === undefined) throw badHeader(`sources/${id} names no time: rows of a file have no time of receipt. Give mapping.time`)
  const values = Object.entries(channels).map(([channel, { field, unit, scale, offset }]): ValueColumn => ({
    column: column(field, channel),
    channel,
    unit,
    scale,
    offset,
  }))
  if (long === undefined)
    checkChannels(
      values.map(({ channel }) => channel),
      names,
    )
  return {
    names,
    asset: 'id' in asset ? { id: asset.id } : assetOf(asset, column, fileName, pattern, id),
    time: { column: column(time.field, 'time'), format: time.format, timezone: time.timezone },
    quality: quality === undefined ? undefined : { column: column(quality.field, 'quality'), of: qualityWords(quality) },
    values,
    long: long === undefined ? undefined : longColumns(long, column),
  }
}

const assetOf = (
  { field, map }: { field: string; map?: Record<string, string> | undefined },
  column: (field: string, what: string) => number,
  fileName: string,
  pattern: string,
  id: string,
): ColumnPlan['asset'] => {
  const words = map === undefined ? undefined : new Map(Object.entries(map))
  if (!field.includes('{')) return { column: column(field, 'asset'), map: words }
  const parts = partsOf(fileName, pattern)
  const found = field.replaceAll(/\{(\d+)\}/g, (_, part: string) => parts[Number(part)] ?? '')
  const asset = words === undefined ? found : words.get(found)
  if (asset === undefined || asset === '') {
    throw badHeader(
      `sources/${id} takes the asset from the file name; ${quoted(found)} of ${quoted(fileName)} is none of ${listed([...(words ?? new Map()).keys()])}`,
    )
  }
  return { id: asset }
}

const longColumns = (long: NonNullable<PayloadMapping['long']>, column: (field: string, what: string) => number): LongColumns => ({
  channelColumn: column(long.channel, 'the channel'),
  valueColumn: column(long.value, 'the value'),
  map: long.map === undefined ? undefined : new Map(Object.entries(long.map)),
  unit: long.unit,
  scale: long.scale,
  offset: long.offset,
})

const qualityWords = ({ good, uncertain }: NonNullable<PayloadMapping['quality']>): Map<string, number> =>
  new Map([...uncertain.map((word) => [String(word), 1] as const), ...good.map((word) => [String(word), 0] as const)])

const checkChannels = (channels: readonly string[], names: readonly string[]): void => {
  if (channels.length === 0) throw badHeader(`No channel among the columns ${listed(names)}; expected at least one`)
  if (channels.length > maxChannels) throw badHeader(`Found ${channels.length} channels, expected at most ${maxChannels}`)
  const repeated = channels.find((channel, index) => channels.indexOf(channel) !== index)
  if (repeated !== undefined) throw badHeader(`Channel ${quoted(repeated)} has two columns; expected one`)
}

/** `*` and `?` of a pattern; nothing else is special. */
const patternOf = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern
      .replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
      .replaceAll('*', '(.*)')
      .replaceAll('?', '(.)')}$`,
    'su',
  )

/** `{0}` is the file's name, `{1}`… what the pattern's `*` and `?` stand for. */
const partsOf = (fileName: string, pattern: string): readonly string[] => patternOf(pattern).exec(fileName) ?? [fileName]

/** The first source file, by id, whose pattern the name fits. */
export const sourceOfFile = (fileName: string, sources: readonly FileSource[]): FileSource | undefined =>
  sources.toSorted((a, b) => (a.id < b.id ? -1 : 1)).find(({ name }) => patternOf(name).test(fileName))

const quoted = (text: string): string => JSON.stringify(shortened(text))
export const shortened = (text: string): string => (text.length > 80 ? `${text.slice(0, 80)}…` : text)
const listed = (names: readonly string[]): string => shortened(names.join(', ')) || 'none'
