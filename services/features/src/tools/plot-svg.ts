// A plot as SVG: small multiples over one time axis. No scripts, no fonts inside; plot-png.ts turns it into pixels.

import {
  type HeatPanel,
  type LinePanel,
  type Panel,
  type Plot,
  type Span,
  type Trace,
  columned,
  extentOf,
  gapsOf,
  numberText,
  tickTexts,
  ticksOf,
  timeTicksOf,
} from './plot.ts'

const WIDTH = 1200
const LEFT = 236
const RIGHT = 24
const PLOT_WIDTH = WIDTH - LEFT - RIGHT
const HEAD = 62
/** A picture taller than a screen has its times above as well. */
const TALL = 1000
const TOP_TIMES = 22
const FOOT = 46
const REGIMES = 30
const HEIGHTS = { signal: 92, feature: 58, heat: 13 } as const
const CHANNEL_GAP = 30
const PANEL_GAP = 12

const INK = '#1f2933'
const SOFT = '#6b7683'
const GRID = '#e6e9ed'
const FRAME = '#c9d0d8'
const SIGNAL = '#3f4c5a'
const LINES = ['#1f6fb4', '#c8641b', '#3a8a4d', '#8a4fa3']
const FLAG = '#c2342b'
const REGIME_COLOURS = ['#cfe3d4', '#d5def0', '#f0e2c8', '#e6d6ea', '#d3e7ea', '#f0d9d4']
const OFF = '#d9dde2'

export const plotSvg = (plot: Plot): string => {
  const parts: string[] = []
  const hasRegimes = plot.regimes.length > 0
  let y = HEAD + (hasRegimes ? REGIMES : 0)
  const places = plot.panels.map((panel, i) => {
    const before = plot.panels[i - 1]
    if (before !== undefined) y += before.channel === panel.channel ? PANEL_GAP : CHANNEL_GAP
    const place = { panel, top: y, height: heightOf(panel), isFirst: before?.channel !== panel.channel }
    y += place.height
    return place
  })
  let bottom = y
  const shift = bottom > TALL ? TOP_TIMES : 0
  bottom += shift
  for (const place of places) place.top += shift
  const height = bottom + FOOT
  const x = (timeUs: number): number => LEFT + ((clamp(timeUs, plot) - plot.fromUs) / (plot.toUs - plot.fromUs)) * PLOT_WIDTH

  parts.push(text(24, 28, plot.title, { size: 16, weight: 'bold' }), text(24, 47, plot.subtitle, { size: 11.5, fill: SOFT }))
  for (const span of plot.unmonitored) parts.push(rect(x(span.fromUs), HEAD, x(span.toUs) - x(span.fromUs), bottom - HEAD, 'url(#hatch)'))
  if (hasRegimes) parts.push(...drawRegimes(plot, x, bottom))
  const ticks = timeTicksOf(plot, 9)
  for (const { panel, top, height: tall, isFirst } of places) {
    for (const tick of ticks) parts.push(line(x(tick.timeUs), top, x(tick.timeUs), top + tall, GRID))
    if (isFirst) parts.push(text(24, top + 11, panel.channel, { size: 13, weight: 'bold' }))
    parts.push(...(panel.kind === 'heat' ? drawHeat(panel, plot, x, top, tall, isFirst) : drawLines(panel, plot, x, top, tall, isFirst)))
  }
  parts.push(line(LEFT, bottom + 6, LEFT + PLOT_WIDTH, bottom + 6, FRAME))
  for (const { timeUs, text: label, date } of ticks) {
    parts.push(
      line(x(timeUs), bottom + 6, x(timeUs), bottom + 11, FRAME),
      text(x(timeUs), bottom + 23, label, { size: 11, fill: SOFT, anchor: 'middle' }),
    )
    if (shift > 0) parts.push(text(x(timeUs), HEAD + (hasRegimes ? REGIMES : 0) + 4, label, { size: 11, fill: SOFT, anchor: 'middle' }))
    if (date !== null) parts.push(text(x(timeUs), bottom + 37, date, { size: 10, fill: SOFT, anchor: 'middle' }))
  }
  parts.push(text(LEFT - 44, bottom + 23, 'UTC', { size: 11, fill: SOFT, anchor: 'end' }))
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="DejaVu Sans, Helvetica, Arial, sans-serif" role="img">`,
    `<title>${escaped(plot.title)}</title>`,
    `<defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="7" height="7" fill="#fbf6ec"/><line x1="0" y1="0" x2="0" y2="7" stroke="#ead9b5" stroke-width="2.5"/></pattern></defs>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    ...parts,
    '</svg>',
  ].join('\n')
}

const heightOf = (panel: Panel): number => {
  if (panel.kind === 'heat') return Math.max(HEIGHTS.feature, panel.traces.length * HEIGHTS.heat)
  return panel.isSignal ? HEIGHTS.signal : HEIGHTS.feature
}

const clamp = (timeUs: number, { fromUs, toUs }: Span): number => Math.min(toUs, Math.max(fromUs, timeUs))

/** Regimes as a strip with their names where these fit; a machine that is off is grey in every panel. */
const drawRegimes = (plot: Plot, x: (us: number) => number, bottom: number): string[] => {
  const ids = [...new Set(plot.regimes.map(({ label }) => label))]
  const top = HEAD - 2
  const parts = [text(LEFT - 10, top + 13, 'regime', { size: 11, fill: SOFT, anchor: 'end' })]
  for (const { label, isOff, fromUs, toUs } of plot.regimes) {
    const [from, wide] = [x(fromUs), x(toUs) - x(fromUs)]
    if (wide <= 0) continue
    if (isOff) parts.push(rect(from, top + 18, wide, bottom - top - 18, '#f3f4f6'))
    parts.push(
      rect(from, top, Math.max(wide, 0.7), 18, isOff ? OFF : (REGIME_COLOURS[ids.indexOf(label) % REGIME_COLOURS.length] as string)),
    )
    if (wide > label.length * 6.6 + 8) parts.push(text(from + wide / 2, top + 13, label, { size: 10.5, anchor: 'middle' }))
  }
  return parts
}

type X = (timeUs: number) => number

const drawLines = (panel: LinePanel, plot: Plot, x: X, top: number, tall: number, isFirst: boolean): string[] => {
  const extent = extentOf(panel.traces, plot)
  const ticks = ticksOf(extent, panel.isSignal ? 3 : 2)
  const y = (value: number): number => top + tall - 3 - ((value - extent.low) / (extent.high - extent.low)) * (tall - 6)
  const parts = labels(panel, top, isFirst)
  for (const { fromUs, toUs } of panel.gaps) {
    const wide = x(toUs) - x(fromUs)
    if (wide > 1.5) parts.push(rect(x(fromUs), top, wide, tall, 'url(#hatch)'))
  }
  tickTexts(ticks).forEach((label, i) => {
    const at = y(ticks[i] as number)
    parts.push(line(LEFT, at, LEFT + PLOT_WIDTH, at, GRID), text(LEFT - 8, at + 3.5, label, { size: 10, fill: SOFT, anchor: 'end' }))
  })
  panel.traces.forEach((trace, i) => {
    const colour = panel.isSignal ? SIGNAL : (LINES[i % LINES.length] as string)
    const hasSteps = !panel.isSignal && plot.stepUs !== null && (plot.stepUs / (plot.toUs - plot.fromUs)) * PLOT_WIDTH >= 5
    parts.push(
      path(hasSteps ? steps(trace, plot, x, y, plot.stepUs as number) : curve(trace, plot, x, y), colour, panel.isSignal ? 0.9 : 1.4),
    )
    if (panel.traces.length > 1) {
      const at = top + 28 + i * 13
      parts.push(line(36, at - 4, 50, at - 4, colour, 2), text(56, at, trace.label, { size: 10, fill: SOFT }))
    }
  })
  const kinds = new Set(panel.flags.map(({ label }) => label)).size
  for (const { label, fromUs, toUs } of panel.flags) {
    const [from, wide] = [x(fromUs), Math.max(1.5, x(toUs) - x(fromUs))]
    parts.push(
      `<rect x="${n(from)}" y="${n(top + tall)}" width="${n(wide)}" height="5" fill="${FLAG}"><title>${escaped(label)}</title></rect>`,
    )
    if (kinds > 1 && wide > label.length * 6.2 + 10)
      parts.push(text(from + wide / 2, top + tall + 15, label, { size: 10, fill: FLAG, anchor: 'middle' }))
  }
  if (panel.flags.length > 0) {
    const all = [...new Set(panel.flags.flatMap(({ label }) => label.split(', ')))].join(', ')
    parts.push(text(24, top + tall + 6, `⚑ ${all}`, { size: 10.5, fill: FLAG }))
  }
  return parts
}

const labels = (panel: Panel, top: number, isFirst: boolean): string[] => {
  const unit = panel.unit === '' ? '' : panel.unit
  if (panel.title === '') return unit === '' ? [] : [text(24, top + 27, unit, { size: 11, fill: SOFT })]
  const at = top + (isFirst ? 27 : 12)
  return [
    `<text x="36" y="${n(at)}" font-size="11.5" fill="${INK}">${escaped(panel.title)}${unit === '' ? '' : ` <tspan fill="${SOFT}" font-size="10.5">${escaped(unit)}</tspan>`}</text>`,
  ]
}

/** A line through the points, broken where they are missing; of more points than pixels the extremes of each pixel. */
const curve = (trace: Trace, plot: Plot, x: X, y: (value: number) => number): string => {
  if (trace.values.length <= PLOT_WIDTH * 1.5) {
    const usual = gapsOf(trace.timesUs)
    const breaks = new Set(usual.map(({ toUs }) => toUs))
    let isOpen = false
    let d = ''
    for (let i = 0; i < trace.values.length; i++) {
      const value = trace.values[i] as number
      const timeUs = trace.timesUs[i] as number
      if (!Number.isFinite(value) || timeUs < plot.fromUs || timeUs > plot.toUs) {
        isOpen = false
        continue
      }
      if (breaks.has(timeUs)) isOpen = false
      d += isOpen ? `L${n(x(timeUs))} ${n(y(value))}` : `M${n(x(timeUs))} ${n(y(value))}h0.01`
      isOpen = true
    }
    return d
  }
  const columns = Math.floor(PLOT_WIDTH * 1.25)
  const { low, high, first, last } = columned(trace, plot, columns)
  let d = ''
  let lastAt = -10
  for (let at = 0; at < columns; at++) {
    if (Number.isNaN(low[at])) continue
    const px = n(LEFT + ((at + 0.5) / columns) * PLOT_WIDTH)
    d += `${at - lastAt > 4 ? 'M' : 'L'}${px} ${n(y(first[at] as number))}L${px} ${n(y(low[at] as number))}L${px} ${n(y(high[at] as number))}L${px} ${n(y(last[at] as number))}`
    lastAt = at
  }
  return d
}

/** Each number over the window that it was made of. */
const steps = ({ timesUs, values }: Trace, plot: Plot, x: X, y: (value: number) => number, stepUs: number): string => {
  let d = ''
  let joinedUs = Number.NaN
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number
    const endUs = timesUs[i] as number
    if (!Number.isFinite(value) || endUs < plot.fromUs || endUs - stepUs > plot.toUs) continue
    const from = `${n(x(endUs - stepUs))} ${n(y(value))}`
    d += `${endUs - stepUs === joinedUs ? 'L' : 'M'}${from}H${n(x(endUs))}`
    joinedUs = endUs
  }
  return d
}

const drawHeat = (panel: HeatPanel, plot: Plot, x: X, top: number, tall: number, isFirst: boolean): string[] => {
  const parts = labels(panel, top, isFirst)
  const { shade, low, high } = shades(panel, plot)
  const rowTall = tall / panel.traces.length
  panel.traces.forEach(({ timesUs, values, label }, row) => {
    const y = top + tall - (row + 1) * rowTall
    if (rowTall >= 11 || row === 0 || row === panel.traces.length - 1)
      parts.push(text(LEFT - 8, y + rowTall / 2 + 3.5, label, { size: 9, fill: SOFT, anchor: 'end' }))
    const step = plot.stepUs ?? 0
    let d: { from: number; to: number; fill: string } | undefined
    const flush = (): void => {
      if (d !== undefined) parts.push(rect(d.from, y, d.to - d.from, rowTall, d.fill, ' shape-rendering="crispEdges"'))
    }
    for (let i = 0; i < values.length; i++) {
      const endUs = timesUs[i] as number
      const fromUs = step > 0 ? endUs - step : ((timesUs[i - 1] as number | undefined) ?? endUs)
      if (endUs < plot.fromUs || fromUs > plot.toUs) continue
      const level = shade(values[i] as number)
      if (level === null) continue
      const fill = colourOf(level)
      const [from, to] = [x(fromUs), x(endUs)]
      if (d !== undefined && d.fill === fill && from - d.to < 0.5) d.to = to
      else {
        flush()
        d = { from, to: Math.max(to, from + 0.8), fill }
      }
    }
    flush()
  })
  const legendY = top + (isFirst ? 44 : 30)
  for (let i = 0; i < 24; i++) parts.push(rect(36 + i * 2.5, legendY - 8, 2.6, 8, colourOf(i / 23)))
  parts.push(text(102, legendY, `${numberText(low)} … ${numberText(high)}`, { size: 9.5, fill: SOFT }))
  return parts
}

/** 0 … 1 of a value; logarithmic where values span more than a factor of 30. */
export const shades = (panel: HeatPanel, plot: Span): { shade: (value: number) => number | null; low: number; high: number } => {
  const { low, high } = extentOf(panel.traces, plot)
  const isLog = low > 0 && high / low > 30
  const at = isLog ? Math.log : (value: number): number => value
  const [from, to] = [at(low), at(high)]
  return { low, high, shade: (value) => (Number.isFinite(value) ? Math.min(1, Math.max(0, (at(value) - from) / (to - from))) : null) }
}

/** From near white over green and blue to dark: also told apart in grey. */
const STOPS = [
  [247, 250, 250],
  [186, 220, 210],
  [98, 171, 180],
  [42, 105, 152],
  [20, 40, 92],
] as const

const colourOf = (level: number): string => {
  const step = Math.round(level * 40) / 40
  const at = Math.min(STOPS.length - 2, Math.floor(step * (STOPS.length - 1)))
  const share = step * (STOPS.length - 1) - at
  const mix = [0, 1, 2].map((i) => Math.round((STOPS[at]?.[i] ?? 0) * (1 - share) + (STOPS[at + 1]?.[i] ?? 0) * share))
  return `#${mix.map((each) => each.toString(16).padStart(2, '0')).join('')}`
}

// --- elements ---

const n = (value: number): string => String(Math.round(value * 100) / 100)
const escaped = (words: string): string => words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
const rect = (x: number, y: number, width: number, height: number, fill: string, more = ''): string =>
  `<rect x="${n(x)}" y="${n(y)}" width="${n(width)}" height="${n(height)}" fill="${fill}"${more}/>`
const line = (x1: number, y1: number, x2: number, y2: number, stroke: string, width = 1): string =>
  `<line x1="${n(x1)}" y1="${n(y1)}" x2="${n(x2)}" y2="${n(y2)}" stroke="${stroke}" stroke-width="${width}"/>`
const path = (d: string, stroke: string, width: number): string =>
  d === '' ? '' : `<path d="${d}" fill="none" stroke="${stroke}" stroke-width="${width}" stroke-linejoin="round" stroke-linecap="round"/>`
const text = (
  x: number,
  y: number,
  words: string,
  { size, fill = INK, anchor = 'start', weight }: { size: number; fill?: string; anchor?: 'start' | 'middle' | 'end'; weight?: string },
): string =>
  `<text x="${n(x)}" y="${n(y)}" font-size="${size}" fill="${fill}"${anchor === 'start' ? '' : ` text-anchor="${anchor}"`}${weight === undefined ? '' : ` font-weight="${weight}"`}>${escaped(words)}</text>`
