// The trend of one feature with its learnt band. A gap in the data stays a gap; only what leaves the band is coloured.
import { type KeyboardEvent, type ReactNode, useEffect, useRef, useState } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import type { Series } from '../../src/view.ts'
import { api } from './api.ts'
import { clock, number, withUnit } from './format.ts'

const css = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

interface TrendProps {
  readonly assetId: string
  readonly feature: string
  readonly minutes: number
  readonly openedUs: number
  readonly timeZone: string
  readonly level: number
  /** Changes when there are newer windows. */
  readonly newestUs: number | null
}

/** Times without data longer than this break the trace, s: windows come once a second. */
const gapS = 5

type Column = (number | null)[]

/** Columns for the chart, with a null wherever data is missing and a copy of what leaves the band. */
const columnsOf = ({ timesUs, values, low, high }: Series): [number[], Column, Column] => {
  const times: number[] = []
  const all: Column = []
  for (const [i, us] of timesUs.entries()) {
    const before = times.at(-1)
    if (before !== undefined && us / 1e6 - before > gapS) {
      times.push(before + gapS / 2)
      all.push(null)
    }
    times.push(us / 1e6)
    all.push(values[i] ?? null)
  }
  const isOut = (v: number | null | undefined): boolean => v != null && low !== null && high !== null && (v > high || v < low)
  const hot = all.map((value, i) => (isOut(value) || isOut(all[i + 1]) || isOut(all[i - 1]) ? value : null))
  return [times, all, hot]
}

/** Zero belongs to a magnitude; a temperature around 40 would lose its shape with it. */
const scaleOf = (series: Series): [number, number] => {
  const seen = [...series.values, series.low, series.high].filter((v): v is number => v !== null)
  const [least, most] = [Math.min(...seen), Math.max(...seen)]
  const span = most - least || Math.abs(most) || 1
  const floor = least >= 0 && least < 0.5 * most ? 0 : least - span * 0.12
  return [floor, most + span * 0.14]
}

const drawBand = (u: uPlot, series: Series): void => {
  if (series.low === null || series.high === null) return
  const [top, bottom] = [u.valToPos(series.high, 'y', true), u.valToPos(series.low, 'y', true)]
  const { left, width } = u.bbox
  u.ctx.fillStyle = css('--band')
  u.ctx.fillRect(left, top, width, Math.max(1, bottom - top))
  u.ctx.fillStyle = css('--band-edge')
  for (const edge of [top, bottom]) u.ctx.fillRect(left, edge, width, devicePixelRatio)
}

const drawLabels = (u: uPlot, series: Series, openedUs: number): void => {
  const { ctx, bbox } = u
  const scale = devicePixelRatio
  ctx.font = `${11 * scale}px "Inter Variable", system-ui`
  ctx.textBaseline = 'bottom'
  if (series.low !== null && series.high !== null) {
    ctx.fillStyle = css('--ink-3')
    const [top, bottom] = [u.valToPos(series.high, 'y', true), u.valToPos(series.low, 'y', true)]
    const last = series.values.at(-1) ?? 0
    const isClearAtEnd = last > series.high || last < series.low // the trace has left the band there
    ctx.textAlign = isClearAtEnd ? 'right' : 'left'
    const x = isClearAtEnd ? bbox.left + bbox.width - 6 * scale : bbox.left + 6 * scale
    const isTall = bottom - top > 18 * scale
    if (isTall || top > bbox.top + 16 * scale) ctx.fillText('normal, learnt', x, isTall ? bottom - 3 * scale : top - 3 * scale)
  }
  const x = u.valToPos(openedUs / 1e6, 'x', true)
  if (x < bbox.left || x > bbox.left + bbox.width) return
  ctx.fillStyle = css('--accent')
  ctx.fillRect(x, bbox.top, 1.5 * scale, bbox.height)
  ctx.fillStyle = css('--ink-2')
  const isRight = x > bbox.left + bbox.width * 0.8
  ctx.textAlign = isRight ? 'right' : 'left'
  ctx.fillText('opened', x + (isRight ? -5 : 6) * scale, bbox.top + 13 * scale)
}

const chartOf = (box: HTMLElement, current: () => Series, timeZone: string, level: number, openedUs: number): uPlot => {
  const font = '11px "Inter Variable", system-ui'
  const stroke = css('--axis')
  return new uPlot(
    {
      width: box.clientWidth,
      height: box.clientHeight,
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      padding: [6, 24, 0, 0],
      scales: { x: { time: true }, y: { range: () => scaleOf(current()) } },
      tzDate: (s) => uPlot.tzDate(new Date(s * 1000), timeZone),
      axes: [
        {
          stroke,
          grid: { show: false },
          ticks: { stroke: css('--grid'), size: 4 },
          font,
          size: 24,
          space: 72,
          values: (_u, splits) => splits.map((s) => clock(s * 1e6, timeZone)),
        },
        {
          stroke,
          grid: { stroke: css('--grid'), width: 1 },
          ticks: { show: false },
          font,
          size: 44,
          space: (u) => Math.max(30, u.height / 5),
          values: (_u, splits) => splits.map((v) => number(v)),
        },
      ],
      series: [
        {},
        { stroke: css('--ink-2'), width: 1.2, points: { show: false } },
        { stroke: css(`--p${level}-line`), width: 1.8, points: { show: false } },
      ],
      hooks: { drawClear: [(u) => drawBand(u, current())], draw: [(u) => drawLabels(u, current(), openedUs)] },
    },
    columnsOf(current()),
    box,
  )
}

const useSeries = ({ assetId, feature, minutes, newestUs }: TrendProps): { series: Series | null; failure: string } => {
  const [series, setSeries] = useState<Series | null>(null)
  const [failure, setFailure] = useState('')
  useEffect(() => {
    let isCurrent = true
    api.series(assetId, feature, minutes).then(
      (data) => isCurrent && (setSeries(data), setFailure('')),
      (error: Error) => isCurrent && setFailure(error.message),
    )
    return () => {
      isCurrent = false
    }
  }, [assetId, feature, minutes, newestUs])
  return { series, failure }
}

export const Trend = (props: TrendProps): ReactNode => {
  const { feature, minutes, openedUs, timeZone, level } = props
  const host = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const latest = useRef<Series | null>(null)
  const [back, setBack] = useState(0)
  const [theme, setTheme] = useState(document.documentElement.dataset['theme'])
  const { series, failure } = useSeries(props)
  latest.current = series
  const isDrawn = series !== null && series.timesUs.length > 1

  useEffect(() => {
    const watch = new MutationObserver(() => setTheme(document.documentElement.dataset['theme']))
    watch.observe(document.documentElement, { attributeFilter: ['data-theme'] })
    return () => watch.disconnect()
  }, [])

  // One chart per signal and theme; newer windows only replace its data.
  useEffect(() => {
    const box = host.current
    if (!box || !isDrawn) return undefined
    const chart = chartOf(box, () => latest.current as Series, timeZone, level, openedUs)
    plot.current = chart
    const resized = new ResizeObserver(() => chart.setSize({ width: box.clientWidth, height: box.clientHeight }))
    resized.observe(box)
    return () => {
      resized.disconnect()
      chart.destroy()
      plot.current = null
    }
  }, [isDrawn, feature, openedUs, timeZone, level, theme])
  useEffect(() => {
    if (series && isDrawn) plot.current?.setData(columnsOf(series))
  }, [series, isDrawn])

  const last = (series?.timesUs.length ?? 0) - 1
  const at = Math.max(0, last - back)
  const move = (event: KeyboardEvent): void => {
    const by = event.shiftKey ? 10 : 1
    const to = { ArrowLeft: back + by, ArrowRight: back - by, Home: last, End: 0 }[event.key]
    if (to === undefined) return
    event.preventDefault()
    setBack(Math.max(0, Math.min(last, to)))
  }

  const value = series?.values[at]
  const atUs = series?.timesUs[at]
  const said = series && atUs !== undefined ? `${value == null ? 'no value' : withUnit(value, series.unit)}, ${clock(atUs, timeZone)}` : ''
  const label = series ? `${series.label}: ${said === '' ? 'no windows yet' : said}. Arrow keys move.` : 'Trend'
  return (
    <div className="trendbox">
      <div ref={host} className="trend" role="img" tabIndex={0} aria-label={label} onKeyDown={move} />
      {isDrawn && (
        <output className={`nowvalue num${back > 0 ? ' past' : ''}`} aria-live={back > 0 ? 'polite' : 'off'}>
          {said}
        </output>
      )}
      {failure !== '' && <p className="i2 t12 over">The trend could not be read: {failure} Reading goes on by itself.</p>}
      {failure === '' && series && !isDrawn && <p className="i2 t12 over">No window of this signal in the last {minutes} min.</p>}
    </div>
  )
}
