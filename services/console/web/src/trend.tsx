// The trend of one feature with its learnt band; gaps stay gaps, the part above the line of the model is marked.
import { type ReactNode, useEffect, useRef, useState } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import type { Series } from '../../src/view.ts'
import { api } from './api.ts'
import { clock, withUnit } from './format.ts'

const css = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

interface TrendProps {
  readonly assetId: string
  readonly feature: string
  readonly minutes: number
  readonly openedUs: number | null
  readonly timeZone: string
  readonly level: number
  /** Changes when there may be newer data. */
  readonly version: number
}

const hot = (series: Series): (number | null)[] => series.values.map((value, i) => ((series.ratios[i] ?? 0) > 1 ? value : null))

export const Trend = ({ assetId, feature, minutes, openedUs, timeZone, level, version }: TrendProps): ReactNode => {
  const host = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const [series, setSeries] = useState<Series | null>(null)
  const [failure, setFailure] = useState('')

  useEffect(() => {
    let current = true
    api.series(assetId, feature, minutes).then(
      (data) => current && (setSeries(data), setFailure('')),
      (error: Error) => current && setFailure(error.message),
    )
    return () => {
      current = false
    }
  }, [assetId, feature, minutes, version])

  useEffect(() => {
    const box = host.current
    if (!box || !series || series.timesUs.length === 0) return undefined
    const lines = {
      ink: css('--ink-2'),
      band: css('--band'),
      bandEdge: css('--band-edge'),
      hot: css(`--p${level}-line`),
      grid: css('--grid'),
      axis: css('--axis'),
      accent: css('--accent'),
    }
    const font = '11px Inter Variable, system-ui'
    const chart = new uPlot(
      {
        width: box.clientWidth,
        height: box.clientHeight,
        legend: { show: false },
        cursor: { y: false, points: { show: false } },
        padding: [10, 8, 0, 0],
        scales: {
          x: { time: true },
          y: { range: (_u, least, most) => [Math.min(0, least ?? 0, series.low ?? 0), Math.max(most ?? 1, series.high ?? 0) * 1.08 || 1] },
        },
        tzDate: (s) => uPlot.tzDate(new Date(s * 1000), timeZone),
        axes: [
          { stroke: lines.axis, grid: { show: false }, ticks: { stroke: lines.grid, size: 4 }, font, size: 26 },
          {
            stroke: lines.axis,
            grid: { stroke: lines.grid, width: 1 },
            ticks: { show: false },
            font,
            size: 46,
            splits: (_u, _i, least, most) => [0, 1, 2, 3].map((i) => least + ((most - least) * i) / 3.2),
            values: (_u, splits) => splits.map((v) => v.toPrecision(3)),
          },
        ],
        series: [
          {},
          { stroke: lines.ink, width: 1.2, points: { show: false } },
          { stroke: lines.hot, width: 1.8, points: { show: false } },
        ],
        hooks: {
          drawClear: [
            (u) => {
              if (series.low === null || series.high === null) return
              const [top, bottom] = [u.valToPos(series.high, 'y', true), u.valToPos(series.low, 'y', true)]
              u.ctx.fillStyle = lines.band
              u.ctx.fillRect(u.bbox.left, top, u.bbox.width, bottom - top)
              u.ctx.fillStyle = lines.bandEdge
              u.ctx.fillRect(u.bbox.left, top, u.bbox.width, devicePixelRatio)
            },
          ],
          draw: [
            (u) => {
              if (openedUs === null) return
              const x = u.valToPos(openedUs / 1e6, 'x', true)
              if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) return
              u.ctx.fillStyle = lines.accent
              u.ctx.fillRect(x, u.bbox.top, 1.5 * devicePixelRatio, u.bbox.height)
            },
          ],
        },
      },
      [series.timesUs.map((t) => t / 1e6), [...series.values], hot(series)],
      box,
    )
    plot.current = chart
    const resized = new ResizeObserver(() => chart.setSize({ width: box.clientWidth, height: box.clientHeight }))
    resized.observe(box)
    return () => {
      resized.disconnect()
      chart.destroy()
      plot.current = null
    }
  }, [series, openedUs, timeZone, level])

  if (failure !== '') return <p className="i2 t12">The trend could not be read: {failure}</p>
  const newest = series && series.timesUs.length > 0 ? series.timesUs.length - 1 : -1
  const label =
    series && newest >= 0
      ? `${feature}, newest ${withUnit(series.values[newest] ?? Number.NaN, series.unit)} at ${clock(series.timesUs[newest] as number, timeZone)}`
      : `${feature}, no windows yet`
  return (
    <>
      <div ref={host} className="trend" role="img" aria-label={label} />
      {newest < 0 && <p className="i3 t12">No window of this feature in the last {minutes} min.</p>}
    </>
  )
}
