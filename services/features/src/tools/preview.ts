// `andon features preview`: runs a feature set on a file through the production engine and plots it. Needs no log and no mesh.
// Starts by itself too: node services/features/src/tools/preview.ts --file x.csv --set y.yaml

import { writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { Command, CommanderError, Option } from 'commander'
import { AndonError, messageOf } from '@andon/kit/errors'
import type { AssetPlan } from '../plan.ts'
import { pngOf } from './plot-png.ts'
import { plotSvg } from './plot-svg.ts'
import { plotTerminal } from './plot-terminal.ts'
import { type Plot, type Signal, gapsOf, panelsOf, regimesOf, unmonitoredOf } from './plot.ts'
import { type PreviewPlan, previewPlan } from './preview-plan.ts'
import { type PreviewedVector, runRecording } from './preview-run.ts'
import { type BlockLayout, type Recording, readRecording } from './recording.ts'

export interface PreviewOptions {
  readonly file: string
  readonly set: string
  readonly plant?: string
  readonly asset?: string
  readonly from?: string
  readonly to?: string
  readonly time?: string
  readonly start?: string
  readonly sampleRate?: string
  readonly width?: string
  readonly waveform?: readonly string[]
  readonly unit?: readonly string[]
  readonly only?: readonly string[]
  readonly svg?: string
  readonly png?: string
  readonly as?: 'csv'
  readonly out?: string
  readonly columns?: string
  readonly all?: boolean
  readonly json?: boolean
}

export interface Preview {
  readonly plot: Plot
  readonly plan: AssetPlan
  readonly vectors: readonly PreviewedVector[]
  /** In the words of a person, one each. */
  readonly notes: readonly string[]
  readonly counts: PreviewCounts
}

export interface PreviewCounts {
  readonly rows: number
  readonly vectors: number
  readonly revisions: number
  readonly uncertain: number
  readonly incomplete: number
  /** Overlapping windows that reach back beyond the first row. */
  readonly young: number
  readonly unmonitored: number
  /** Rows that came too late for their windows, as the file has them. */
  readonly lateRows: number
  /** Names that no window has a value for. */
  readonly neverComputed: readonly string[]
}

const usage = (message: string): AndonError => new AndonError('ANDON_FEATURES_PREVIEW', message, { status: 400 })

const timeOf = (option: string, text: string | undefined): number | undefined => {
  if (text === undefined) return undefined
  const ms = Date.parse(/\d{2}:\d{2}/.test(text) && !/(Z|[+-]\d\d:?\d\d)$/.test(text) ? `${text.replace(' ', 'T')}Z` : text)
  if (Number.isNaN(ms)) throw usage(`${option}: expected a time (2026-11-23T08:00:00Z), found "${text}".`)
  return ms * 1000
}

const positive = (option: string, text: string | undefined): number | undefined => {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!(value > 0)) throw usage(`${option}: expected a number above 0, found "${text}".`)
  return value
}

/** Reads, runs and describes; writes nothing. */
export const preview = async (options: PreviewOptions): Promise<Preview> => {
  const sampleRateHz = positive('--sample-rate', options.sampleRate)
  const units = Object.fromEntries((options.unit ?? []).map((each) => each.split('=') as [string, string]))
  const startUs = timeOf('--start', options.start)
  const whole = await readRecording(options.file, { timeColumn: options.time, sampleRateHz, startUs, units })
  const recording = between(whole, timeOf('--from', options.from), timeOf('--to', options.to))
  const width = positive('--width', options.width)
  const waveforms = options.waveform
  const { plant, asset } = options
  const prepared = previewPlan(options.set, recording, { plant, asset, waveforms, sampleRateHz, width })
  const { vectors, lateRows, revisions } = await runRecording(prepared, recording)
  const { plan, layouts, absent } = prepared
  const monitored = vectors.filter(({ quality }) => quality !== 'unmonitored')
  const counts: PreviewCounts = {
    rows: recording.rows,
    vectors: vectors.length,
    revisions,
    uncertain: vectors.filter(({ quality }) => quality === 'uncertain').length,
    incomplete: monitored.filter(({ vector }) => !vector.complete && !vector.young).length,
    young: monitored.filter(({ vector }) => vector.young).length,
    unmonitored: vectors.length - monitored.length,
    lateRows,
    neverComputed: plan.names.filter((_, place) => monitored.length > 0 && monitored.every(({ values }) => Number.isNaN(values[place]))),
  }
  const plot = plotOf(options, recording, prepared, vectors, counts)
  return { plot, plan, vectors, counts, notes: notesOf(recording, layouts, absent, counts) }
}

/** Rows of a stretch of time. */
const between = (recording: Recording, fromUs = Number.NEGATIVE_INFINITY, toUs = Number.POSITIVE_INFINITY): Recording => {
  if (fromUs === Number.NEGATIVE_INFINITY && toUs === Number.POSITIVE_INFINITY) return recording
  const kept = Array.from({ length: recording.rows }, (_, row) => row).filter((row) => {
    const timeUs = recording.timesUs[row] as number
    return timeUs >= fromUs && timeUs < toUs
  })
  if (kept.length === 0) {
    const [first, last] = [recording.timesUs[0] as number, recording.timesUs.at(-1) as number]
    throw usage(`--from, --to: the file has no row in between; it goes from ${iso(first)} to ${iso(last)}.`)
  }
  return {
    ...recording,
    rows: kept.length,
    timesUs: Float64Array.from(kept, (row) => recording.timesUs[row] as number),
    columns: recording.columns.map((column) => ({ ...column, values: Float64Array.from(kept, (row) => column.values[row] as number) })),
  }
}

const iso = (us: number): string => new Date(us / 1000).toISOString()

// --- what is shown ---

const plotOf = (
  options: PreviewOptions,
  recording: Recording,
  { plan, layouts }: PreviewPlan,
  vectors: Preview['vectors'],
  counts: PreviewCounts,
): Plot => {
  const sorted = sortedOrder(recording)
  const timesUs =
    sorted === undefined
      ? recording.timesUs.subarray(0, recording.rows)
      : Float64Array.from(sorted, (row) => recording.timesUs[row] as number)
  const gaps = gapsOf(timesUs)
  const signals: Signal[] = layouts.flatMap(({ channels }) =>
    channels
      .filter(({ name }) => plan.channels.some(({ id }) => id === name))
      .map(({ name, unit, values }) => ({
        channel: name,
        unit,
        label: '',
        timesUs,
        values: sorted === undefined ? values : Float64Array.from(sorted, (row) => values[row] as number),
        gaps,
      })),
  )
  const only = onlyOf(options.only, plan.names)
  const span = { fromUs: timesUs[0] as number, toUs: timesUs.at(-1) as number }
  // The last windows end behind the last row: their numbers stand at their ends.
  const toUs = Math.max(span.toUs, span.fromUs + 1, vectors.at(-1)?.windowEndUs ?? span.toUs)
  const clock = (us: number): string =>
    iso(us)
      .slice(0, toUs - span.fromUs > 3_600_000_000 ? 16 : 19)
      .replace('T', ' ')
  const wanted =
    options.only === undefined
      ? signals
      : signals.filter(({ channel }) => plan.names.some((name) => name.startsWith(`${channel}.`) && only?.(name)))
  return {
    fromUs: span.fromUs,
    toUs,
    title: `${plan.featureSet} on ${basename(options.file)}`,
    subtitle: [
      `${amount(recording.rows, 'row')} of ${amount(signals.length, 'channel')}`,
      `${amount(counts.vectors, 'vector')}, ${windowWords(plan)}`,
      `${clock(span.fromUs)} to ${clock(span.toUs)} UTC`,
    ].join(' · '),
    panels: panelsOf(wanted, plan.names, channelUnits(plan), vectors, only),
    regimes: regimesOf(vectors),
    unmonitored: unmonitoredOf(vectors),
    stepUs: plan.hop === 'row' ? null : plan.hop.us,
  }
}

/** By name: the unit of the first channel that it is made of, also where the rule calls it otherwise. */
const channelUnits = ({ names, calls, channels }: AssetPlan): string[] => {
  const units = names.map(() => '1')
  for (const call of calls)
    for (const place of call.asked.flatMap(({ places }) => places)) units[place] = channels[call.channels[0] as number]?.unit ?? '1'
  return units
}

/** Rows by time; undefined when they lie so already. */
const sortedOrder = ({ timesUs, rows }: Recording): Uint32Array | undefined => {
  let row = 1
  while (row < rows && (timesUs[row] as number) >= (timesUs[row - 1] as number)) row++
  if (row >= rows) return undefined
  return Uint32Array.from({ length: rows }, (_, i) => i).sort((a, b) => (timesUs[a] as number) - (timesUs[b] as number) || a - b)
}

/** Names by a beginning, a whole name, or with * for any letters. */
const onlyOf = (wanted: readonly string[] | undefined, names: readonly string[]): ((name: string) => boolean) | undefined => {
  if (wanted === undefined) return undefined
  const patterns = wanted.map(
    (each) =>
      new RegExp(
        `^${each
          .split('*')
          .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
          .join('.*')}`,
      ),
  )
  const isWanted = (name: string): boolean => patterns.some((pattern) => pattern.test(name))
  if (!names.some(isWanted))
    throw usage(
      `--only ${wanted.join(',')}: no such feature; the set has ${names.slice(0, 12).join(', ')}${names.length > 12 ? ', …' : ''}.`,
    )
  return isWanted
}

const amount = (count: number, word: string): string =>
  `${count.toLocaleString('en-GB').replaceAll(',', ' ')} ${word}${count === 1 ? '' : 's'}`

const windowWords = ({ scales, hop }: AssetPlan): string => {
  const [window, ...others] = scales.map(({ length }) => ('us' in length ? lengthWords(length.us) : `${length.rows} rows`))
  const each = hop === 'row' ? 'ending at every row' : `every ${lengthWords(hop.us)}`
  return `windows of ${window} ${each}${others.length === 0 ? '' : `, beside it ${others.join(', ')}`}`
}

const LENGTHS = [
  [86_400_000_000, 'd'],
  [3_600_000_000, 'h'],
  [60_000_000, 'min'],
  [1_000_000, 's'],
] as const

/** In the largest unit that divides it. */
const lengthWords = (us: number): string => {
  const [length, unit] = LENGTHS.find(([each]) => us % each === 0) ?? [1000, 'ms']
  return `${us / length} ${unit}`
}

const notesOf = (recording: Recording, layouts: readonly BlockLayout[], absent: readonly string[], counts: PreviewCounts): string[] => {
  const notes: string[] = []
  const say = (count: number, words: string): void => {
    if (count > 0) notes.push(words)
  }
  for (const { width, channels } of layouts)
    say(
      recording.rows % width,
      `${amount(recording.rows % width, 'element')} at the end of ${channels.map(({ name }) => name).join(', ')} fill no row of ${width}.`,
    )
  say(recording.skipped.length, `No numbers in ${recording.skipped.join(', ')}.`)
  say(absent.length, `The file has no column for ${absent.join(', ')}.`)
  say(
    counts.lateRows,
    `${amount(counts.lateRows, 'row')} came too late for their windows, in the order of the file: they are in no vector.`,
  )
  say(counts.revisions, `${amount(counts.revisions, 'vector')} superseded by a later revision.`)
  say(counts.uncertain, `${amount(counts.uncertain, 'vector')} of uncertain quality: a sensor is suspected.`)
  say(counts.young, `${amount(counts.young, 'vector')} young: their windows reach back beyond the first row, and nobody judges them.`)
  say(counts.incomplete, `${amount(counts.incomplete, 'vector')} incomplete: a channel is missing.`)
  say(
    counts.unmonitored,
    `${amount(counts.unmonitored, 'stretch')} without telemetry (quality unmonitored).`.replace('stretchs', 'stretches'),
  )
  say(counts.neverComputed.length, `In no window computed: ${counts.neverComputed.join(', ')}.`)
  return notes
}

/** One row per vector. */
export const vectorsCsv = ({ plan, vectors }: Preview): string => {
  const head = [
    'windowStartUs',
    'windowEndUs',
    ...plan.names,
    'quality',
    'regime',
    'machineOff',
    'health',
    'complete',
    'missing',
    'revision',
  ]
  const rows = vectors.map(({ vector, values, quality, regime, machineOff, health }) => [
    vector.windowStartUs,
    vector.windowEndUs,
    ...Array.from(values, (value) => (Number.isNaN(value) ? '' : value)),
    quality,
    regime ?? '',
    machineOff,
    health.map(({ channel, flags }) => `${channel}:${flags.join('+')}`).join(';'),
    vector.complete,
    (vector.missing ?? []).join(';'),
    vector.revision,
  ])
  return [head, ...rows]
    .map((row) => row.map(field).join(','))
    .join('\r\n')
    .concat('\r\n')
}

const field = (value: string | number | boolean): string => {
  const text = String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

const MOST_PANELS = 30

/** What the command prints. */
export const shown = ({ plot, notes }: Preview, columns: number, hasColour: boolean, isAll: boolean): string => {
  const hidden = isAll ? 0 : Math.max(0, plot.panels.length - MOST_PANELS)
  const text = plotTerminal({ ...plot, panels: plot.panels.slice(0, plot.panels.length - hidden) }, { columns, hasColour })
  return [
    text,
    '',
    ...notes,
    ...(hidden === 0 ? [] : [`${hidden} more panels: --all shows them, --only <name…> chooses, --svg and --png have all.`]),
  ].join('\n')
}

const listed = (text: string): string[] => text.split(',').map((each) => each.trim())

const command = (): Command =>
  new Command('andon features preview')
    .description('Runs a feature set on a CSV or Parquet file through the engine of production, and plots signals and features.')
    .requiredOption('--file <file>', 'recording: .csv, .csv.gz or .parquet')
    .requiredOption('--set <file>', 'feature set, as in features/*.yaml of a plant')
    .option('--plant <file>', 'plant file that describes the asset; columns are called like its channels')
    .option('--asset <id>', 'which asset of it')
    .option('--from <time>', 'first event time')
    .option('--to <time>', 'event time behind the last one')
    .option('--time <column>', 'column with the times; default: found by its name or form')
    .option('--sample-rate <Hz>', 'the columns are waveforms of this rate (see --waveform); without a time column rows are counted by it')
    .option('--width <elements>', 'elements per row of a waveform (default: 2048)')
    .option('--waveform <columns>', 'only these columns are waveforms', listed)
    .option('--start <time>', 'time of the first row where the file has none (default: 1970)')
    .option('--unit <column=unit,…>', 'units (UCUM), where the head does not say them: speed=/min,vibration=g', listed)
    .option('--only <names>', 'only these features: names, their beginnings, or with *', listed)
    .option('--svg <file>', 'writes the plot as SVG')
    .option('--png <file>', 'writes the plot as PNG')
    .addOption(new Option('--as <format>', 'writes the vectors').choices(['csv']))
    .option('--out <file>', 'where to (default: features.csv)')
    .option('--columns <count>', 'width of the plot in the terminal')
    .option('--all', `more than ${MOST_PANELS} panels in the terminal too`)
    .option('--json', 'one JSON object instead of the plot: counts, names, notes')
    .exitOverride()

/** The whole command: reads `args`, prints, writes files. Gives the exit code. */
const main = async (args: readonly string[]): Promise<number> => {
  try {
    const options = command()
      .parse([...args], { from: 'user' })
      .opts<PreviewOptions>()
    const done = await preview(options)
    const svg = options.svg === undefined && options.png === undefined ? '' : plotSvg(done.plot)
    if (options.svg !== undefined) writeFileSync(options.svg, svg)
    if (options.png !== undefined) writeFileSync(options.png, pngOf(svg))
    const out = options.out ?? (options.as === undefined ? undefined : 'features.csv')
    if (out !== undefined) writeFileSync(out, vectorsCsv(done))
    const columns = positive('--columns', options.columns) ?? process.stdout.columns ?? 100
    const hasColour = process.stdout.isTTY && !process.env['NO_COLOR']
    const { counts, notes, plan } = done
    if (options.json) console.log(JSON.stringify({ featureSet: plan.featureSet, digest: plan.digest, names: plan.names, ...counts, notes }))
    else console.log(shown(done, columns, hasColour, options.all ?? false))
    for (const file of [options.svg, options.png, out]) if (file !== undefined && !options.json) console.log(`Wrote ${file}.`)
    return 0
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2 // commander has said why
    console.error(error instanceof AndonError ? `${messageOf(error)} [${error.code}]` : messageOf(error))
    return error instanceof AndonError && error.status !== 400 ? 1 : 2
  }
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2))
