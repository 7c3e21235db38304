// A plot in a terminal: braille dots, sized to its width. Everything can be read without colour; with colour lines of one
// panel are told apart more easily.

import { shades } from './plot-svg.ts'
import {
  type HeatPanel,
  type Labelled,
  type LinePanel,
  type Plot,
  type Span,
  type Trace,
  columned,
  extentOf,
  numberText,
  timeTicksOf,
} from './plot.ts'

export interface TerminalOptions {
  /** Columns of the terminal. */
  readonly columns: number
  readonly hasColour: boolean
}

const ROWS = { signal: 4, feature: 3, most: 12 } as const
const LABEL = 25
const AXIS = 9

const ANSI = { bold: '1', soft: '2', red: '31', lines: ['34', '33', '32', '35'] } as const

/** Lines of text, none longer than the terminal. */
export const plotTerminal = (plot: Plot, { columns, hasColour }: TerminalOptions): string => {
  const right = Math.max(
    0,
    ...plot.panels.flatMap(({ traces, kind }) => (kind === 'line' && traces.length > 1 ? traces.map(({ label }) => label.length + 1) : [])),
  )
  const width = Math.max(20, columns - LABEL - AXIS - 1 - right)
  const paint = (code: string, words: string): string => (hasColour && words.trim() !== '' ? `\u001b[${code}m${words}\u001b[0m` : words)
  const page: Page = { plot, width, paint }
  const lines = [paint(ANSI.bold, plot.title), ...wrapped(plot.subtitle, columns).map((each) => paint(ANSI.soft, each)), '']
  if (plot.regimes.length > 0) lines.push(...regimeRows(page, plot.regimes), '')
  if (plot.unmonitored.length > 0) lines.push(row(page, 'no telemetry', '', filled(page, plot.unmonitored, '░')), '')
  let channel = ''
  for (const panel of plot.panels) {
    if (channel !== '' && channel !== panel.channel) lines.push('')
    const isFirst = channel !== panel.channel
    channel = panel.channel
    if (isFirst && panel.title !== '') lines.push(paint(ANSI.bold, cut(panel.channel, LABEL + AXIS)))
    lines.push(...(panel.kind === 'heat' ? heat(page, panel) : curves(page, panel)))
  }
  lines.push(...timeAxis(page))
  return lines.map((line) => line.trimEnd()).join('\n')
}

interface Page {
  readonly plot: Plot
  /** Columns of the plot itself. */
  readonly width: number
  readonly paint: (code: string, words: string) => string
}

/** Four digits where they fit beside the axis. */
const axisText = (value: number): string =>
  [numberText(value, 4), numberText(value)].find(({ length }) => length < AXIS) ?? value.toExponential(1)

const cut = (words: string, length: number): string => (words.length <= length ? words : `${words.slice(0, length - 1)}…`)

const wrapped = (words: string, columns: number): string[] => {
  const lines: string[] = []
  for (const part of words.split(' · ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + part.length + 3 <= columns) lines[lines.length - 1] = `${last} · ${part}`
    else lines.push(cut(part, columns))
  }
  return lines
}

const row = ({ paint }: Page, label: string, axis: string, cells: string, edge = '│', code: string = ANSI.soft, end = ''): string =>
  `${label === '' ? ' '.repeat(LABEL) : paint(code, cut(label, LABEL - 1).padEnd(LABEL))}${paint(ANSI.soft, axis.padStart(AXIS - 1))} ${paint(ANSI.soft, edge)}${cells}${end}`

const columnOf = ({ plot, width }: Page, timeUs: number): number =>
  Math.min(width, Math.max(0, Math.round(((timeUs - plot.fromUs) / (plot.toUs - plot.fromUs)) * width)))

/** A regime that is on; one that is off is dotted. */
const STROKES = ['─', '━', '═', '╌', '┅'] as const
const OFF = '·'

const strokeOf = (list: Plot['regimes'], label: string): string => {
  const on = [...new Set(list.flatMap((each) => (each.isOff ? [] : [each.label])))]
  const at = on.indexOf(label)
  return at < 0 ? OFF : (STROKES[at % STROKES.length] as string)
}

/** Stretches with their names where these fit; where one fits nowhere, a line says which stroke it has. */
const regimeRows = (page: Page, list: Plot['regimes']): string[] => {
  const cells = Array.from({ length: page.width }, () => ' ')
  const named = new Set<string>()
  for (const { label, fromUs, toUs } of list) {
    const [from, to] = [columnOf(page, fromUs), columnOf(page, toUs)]
    const room = to - from
    if (room < 1) continue
    const stroke = strokeOf(list, label)
    const fits = room >= label.length + 4
    if (fits) named.add(label)
    const line = room < 3 ? stroke.repeat(room) : `├${centred(fits ? ` ${label} ` : '', room - 2, stroke)}┤`
    cells.splice(from, room, ...line.split(''))
  }
  const hidden = [...new Set(list.map(({ label }) => label))].filter((label) => !named.has(label))
  const legend = hidden.map((label) => `${strokeOf(list, label).repeat(3)} ${label}`).join('  ')
  return [row(page, 'regime', '', cells.join('')), ...(legend === '' ? [] : [row(page, '', '', legend, ' ')])]
}

const centred = (words: string, room: number, fill: string): string => {
  const before = Math.floor((room - words.length) / 2)
  return `${fill.repeat(Math.max(0, before))}${words}${fill.repeat(Math.max(0, room - words.length - before))}`
}

const filled = (page: Page, list: readonly Span[], mark: string): string => {
  const cells = Array.from({ length: page.width }, () => ' ')
  for (const { fromUs, toUs } of list) {
    const from = Math.min(columnOf(page, fromUs), page.width - 1)
    cells.fill(mark, from, Math.max(from + 1, columnOf(page, toUs)))
  }
  return cells.join('')
}

const curves = (page: Page, panel: LinePanel): string[] => {
  const { plot, width, paint } = page
  const tall = panel.isSignal ? ROWS.signal : ROWS.feature
  const extent = extentOf(panel.traces, plot)
  const canvas = new Canvas(width, tall)
  panel.traces.forEach((trace, i) => draw(canvas, trace, plot, extent.low, extent.high, i))
  const marks = filled(page, panel.gaps, '┈')
  const unit = panel.unit === '' ? '' : ` ${panel.unit}`
  const names = panel.title === '' ? [panel.channel, unit.trim()] : [`  ${panel.title}${unit}`]
  const ends = endLabels(panel, tall, extent.low, extent.high)
  const lines = Array.from({ length: tall }, (_, at) => {
    const axis = at === 0 ? axisText(extent.high) : at === tall - 1 ? axisText(extent.low) : ''
    const cells = canvas.row(
      at,
      panel.isSignal ? undefined : (trace, words) => (panel.traces.length > 1 ? paint(ANSI.lines[trace % 4] as string, words) : words),
      at === Math.floor(tall / 2) ? marks : undefined,
    )
    const end = ends.get(at)
    return row(
      page,
      names[at] ?? '',
      axis,
      cells,
      at === 0 || at === tall - 1 ? '┤' : '│',
      at === 0 && panel.title === '' ? ANSI.bold : ANSI.soft,
      end === undefined ? '' : ` ${end.map(({ label, trace }) => paint(ANSI.lines[trace % 4] as string, label)).join(' ')}`,
    )
  })
  if (panel.flags.length > 0) lines.push(flagRow(page, panel.flags))
  return lines
}

const flagRow = (page: Page, flags: readonly Labelled[]): string => {
  const all = [...new Set(flags.flatMap(({ label }) => label.split(', ')))].join(', ')
  return row(page, `  suspected: ${all}`, '', page.paint(ANSI.red, filled(page, flags, '▀')), '│', ANSI.red)
}

/** Names of lines beside their last values; two that meet share a row. */
const endLabels = ({ traces }: LinePanel, tall: number, low: number, high: number): Map<number, { label: string; trace: number }[]> => {
  const ends = new Map<number, { label: string; trace: number }[]>()
  if (traces.length < 2) return ends
  traces.forEach(({ label, values }, trace) => {
    let last = Number.NaN
    for (let i = values.length - 1; i >= 0 && !Number.isFinite(last); i--) last = values[i] as number
    if (!Number.isFinite(last)) return
    let at = Math.min(tall - 1, Math.max(0, Math.floor((1 - (last - low) / (high - low)) * tall)))
    // The nearest free row: the margin has room for one name.
    const free = Array.from({ length: tall }, (_, i) => i)
      .filter((i) => !ends.has(i))
      .toSorted((a, b) => Math.abs(a - at) - Math.abs(b - at))
    at = free[0] ?? at
    ends.set(at, [...(ends.get(at) ?? []), { label, trace }].slice(0, 1))
  })
  return ends
}

const draw = (canvas: Canvas, trace: Trace, plot: Plot, low: number, high: number, index: number): void => {
  const { low: lows, high: highs, first, last } = columned(trace, plot, canvas.width * 2)
  const dotOf = (value: number): number => Math.round((1 - (value - low) / (high - low)) * (canvas.tall * 4 - 1))
  // A pause of more than two windows, or a twentieth of the plot, is no line.
  const reach = Math.max(4, Math.ceil(((plot.stepUs ?? 0) / (plot.toUs - plot.fromUs)) * canvas.width * 4))
  let before = -1
  for (let at = 0; at < lows.length; at++) {
    if (Number.isNaN(lows[at])) continue
    canvas.column(at, dotOf(highs[at] as number), dotOf(lows[at] as number), index)
    if (before >= 0 && at - before <= reach) canvas.line(before, dotOf(last[before] as number), at, dotOf(first[at] as number), index)
    before = at
  }
}

/** Dots of a grid twice as wide and four times as tall as its cells. */
class Canvas {
  readonly width: number
  readonly tall: number
  private readonly dots: Uint8Array
  private readonly traces: Int8Array

  constructor(width: number, tall: number) {
    this.width = width
    this.tall = tall
    this.dots = new Uint8Array(width * tall)
    this.traces = new Int8Array(width * tall).fill(-1)
  }

  private dot(x: number, y: number, trace: number): void {
    const cell = (y >> 2) * this.width + (x >> 1)
    const bit = [
      [0x01, 0x08],
      [0x02, 0x10],
      [0x04, 0x20],
      [0x40, 0x80],
    ][y & 3]?.[x & 1]
    this.dots[cell] = (this.dots[cell] as number) | (bit as number)
    this.traces[cell] = trace
  }

  column(x: number, top: number, bottom: number, trace: number): void {
    for (let y = top; y <= bottom; y++) this.dot(x, y, trace)
  }

  line(x0: number, y0: number, x1: number, y1: number, trace: number): void {
    const steps = Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0))
    for (let i = 1; i < steps; i++) this.dot(Math.round(x0 + ((x1 - x0) * i) / steps), Math.round(y0 + ((y1 - y0) * i) / steps), trace)
  }

  row(at: number, paint?: (trace: number, words: string) => string, marks?: string): string {
    let words = ''
    for (let x = 0; x < this.width; x++) {
      const dots = this.dots[at * this.width + x] as number
      const mark = dots === 0 ? (marks?.[x] ?? ' ') : String.fromCodePoint(0x2800 + dots)
      words += dots === 0 || paint === undefined ? mark : paint(this.traces[at * this.width + x] as number, mark)
    }
    return words
  }
}

const SHADES = [' ', '░', '▒', '▓', '█'] as const

const heat = (page: Page, panel: HeatPanel): string[] => {
  const { plot, width } = page
  const { shade, low, high } = shades(panel, plot)
  const shown = thinned(panel.traces, ROWS.most).toReversed()
  const rows = shown.map((trace, at) => {
    const { high: highs } = columned(trace, plot, width)
    spread(highs, plot, width)
    const cells = Array.from(highs, (value) => {
      const level = shade(value)
      return level === null ? ' ' : (SHADES[Math.min(4, Math.floor(level * 5))] as string)
    }).join('')
    const name =
      at === 0
        ? `  ${panel.title}${panel.unit === '' ? '' : ` ${panel.unit}`}`
        : at === 1
          ? `    ${numberText(low)} … ${numberText(high)}`
          : ''
    return row(page, name, cut(trace.label, AXIS - 1), cells)
  })
  return rows
}

/** A window wider than a column fills the columns before its end. */
const spread = (values: Float64Array, plot: Plot, width: number): void => {
  const reach = Math.round(((plot.stepUs ?? 0) / (plot.toUs - plot.fromUs)) * width)
  for (let at = 0; at < values.length; at++) {
    if (!Number.isNaN(values[at])) continue
    for (let ahead = at + 1; ahead <= Math.min(values.length - 1, at + reach); ahead++)
      if (!Number.isNaN(values[ahead])) {
        values[at] = values[ahead] as number
        break
      }
  }
}

const thinned = (traces: readonly Trace[], most: number): Trace[] => {
  const step = Math.ceil(traces.length / most)
  return traces.filter((_, i) => i % step === 0)
}

const timeAxis = (page: Page): string[] => {
  const { plot, width, paint } = page
  const ticks = timeTicksOf(plot, Math.max(2, Math.floor(width / 10)))
  const edge = Array.from({ length: width }, () => '─')
  const times = Array.from({ length: width + 12 }, () => ' ')
  const dates = Array.from({ length: width + 12 }, () => ' ')
  for (const { timeUs, text, date } of ticks) {
    const at = Math.min(width - 1, columnOf(page, timeUs))
    edge[at] = '┬'
    place(times, at, text, width)
    if (date !== null) place(dates, at, date, width)
  }
  const before = ' '.repeat(LABEL + AXIS)
  const lines = [`${before}└${edge.join('')}`, `${'UTC'.padStart(LABEL + AXIS)} ${times.join('')}`, `${before} ${dates.join('')}`]
  return lines.filter((line) => line.trim() !== '').map((line) => paint(ANSI.soft, line.slice(0, LABEL + AXIS + 1 + width).trimEnd()))
}

const place = (cells: string[], at: number, words: string, width: number): void => {
  const from = Math.max(0, Math.min(at - Math.floor(words.length / 2), width - words.length))
  if (cells.slice(Math.max(0, from - 1), from + words.length + 1).some((cell) => cell !== ' ')) return
  cells.splice(from, words.length, ...words.split(''))
}
