// Small pieces every panel uses: icons (Lucide outlines, ISC licence), priority badge, deviation bar, sparkline, where data comes from.
import type { ReactNode } from 'react'
import type { Origin } from '../../src/view.ts'
import { number, priorityName } from './format.ts'

const paths = {
  hand: 'M18 11V6a2 2 0 0 0-4 0M14 10V4a2 2 0 0 0-4 0v2M10 10.5V6a2 2 0 0 0-4 0v8M18 8a2 2 0 1 1 4 0v6a8 8 0 0 1-8 8h-2c-2.8 0-4.5-.86-5.99-2.34l-3.6-3.6a2 2 0 0 1 2.83-2.82L7 15',
  check: 'M20 6 9 17l-5-5',
  clock: 'M12 6v6l4 2M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20',
  shield:
    'M20 13c0 5-3.5 7.5-7.66 8.95a1 1 0 0 1-.67-.01C7.5 20.5 4 18 4 13V6a1 1 0 0 1 1-1c2 0 4.5-1.2 6.24-2.72a1.17 1.17 0 0 1 1.52 0C14.51 3.81 17 5 19 5a1 1 0 0 1 1 1zM9 12l2 2 4-4',
  info: 'M12 16v-4M12 8h.01M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20',
  video:
    'm16 13 5.22 3.48a.5.5 0 0 0 .78-.41V7.87a.5.5 0 0 0-.75-.43L16 10.5M2 8a2 2 0 0 1 2-2h10a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2z',
  pulse: 'M22 12h-2.48a2 2 0 0 0-1.93 1.46l-2.35 8.36a.25.25 0 0 1-.48 0L9.24 2.18a.25.25 0 0 0-.48 0l-2.35 8.36A2 2 0 0 1 4.49 12H2',
  user: 'M19 21v-2a4 4 0 0 0-4-4H9a4 4 0 0 0-4 4v2M12 3a4 4 0 1 0 0 8 4 4 0 0 0 0-8',
  bell: 'M10.27 21a2 2 0 0 0 3.46 0M3.26 15.33A1 1 0 0 0 4 17h16a1 1 0 0 0 .74-1.67C19.41 13.96 18 12.5 18 8A6 6 0 0 0 6 8c0 4.5-1.41 5.96-2.74 7.33',
  x: 'M18 6 6 18M6 6l12 12',
  hourglass:
    'M5 22h14M5 2h14M17 22v-4.17a2 2 0 0 0-.59-1.42L12 12l-4.41 4.41A2 2 0 0 0 7 17.83V22M7 2v4.17a2 2 0 0 0 .59 1.42L12 12l4.41-4.41A2 2 0 0 0 17 6.17V2',
  history: 'M3 12a9 9 0 1 0 9-9 9.75 9.75 0 0 0-6.74 2.74L3 8M3 3v5h5M12 7v5l4 2',
  box: 'M21 8a2 2 0 0 0-1-1.73l-7-4a2 2 0 0 0-2 0l-7 4A2 2 0 0 0 3 8v8a2 2 0 0 0 1 1.73l7 4a2 2 0 0 0 2 0l7-4A2 2 0 0 0 21 16ZM3.3 7l8.7 5 8.7-5M12 22V12',
  dashboard: 'M4 3h5v9H4zM15 3h5v5h-5zM15 12h5v9h-5zM4 16h5v5H4z',
  left: 'm15 18-6-6 6-6',
  offline:
    'M12 20h.01M8.5 16.43a5 5 0 0 1 7 0M5 12.86a10 10 0 0 1 5.17-2.69M19 12.86a10 10 0 0 0-2-1.52M2 8.82a15 15 0 0 1 4.18-2.64M22 8.82a15 15 0 0 0-11.29-3.76M2 2l20 20',
  help: 'M9.09 9a3 3 0 0 1 5.83 1c0 2-3 3-3 3M12 17h.01M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20',
} as const

export type IconName = keyof typeof paths

export const Icon = ({ name, size = 16 }: { name: IconName; size?: number }): ReactNode => (
  <svg className="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true">
    <path d={paths[name]} />
  </svg>
)

const origins: Readonly<Record<Origin, readonly [IconName, string]>> = {
  simulated: ['box', 'Simulated'],
  recording: ['history', 'Real recording, replayed'],
  live: ['pulse', 'Live'],
}

/** Says where data or pictures come from, in a glyph and a word. */
export const OriginTag = ({ origin, noun = '' }: { origin: Origin; noun?: string }): ReactNode => {
  const [icon, word] = origins[origin]
  return (
    <span className="tag">
      <Icon name={icon} size={13} />
      {word}
      {noun === '' ? '' : ` ${noun}`}
    </span>
  )
}

const shapes: Readonly<Record<number, readonly [string, number]>> = {
  1: ['6.2,1 13.8,1 19,6.2 19,13.8 13.8,19 6.2,19 1,13.8 1,6.2', 13.9],
  2: ['10,1.4 19.3,18.4 .7,18.4', 16.4],
  3: ['.7,1.6 19.3,1.6 10,18.6', 11.4],
  4: ['10,.7 19.3,10 10,19.3 .7,10', 13.9],
}

/** Shape, number and colour; a screen reader hears the word. `ring` marks what nobody has decided. */
export const Priority = ({ level, ring = false, quiet = false }: { level: number; ring?: boolean; quiet?: boolean }): ReactNode => {
  const [points, baseline] = shapes[level] ?? (shapes[4] as readonly [string, number])
  const fill = quiet ? 'none' : `var(--p${level})`
  const edge = quiet ? 'var(--ink-3)' : `var(--p${level}-edge)`
  return (
    <span className={ring ? 'prio ring' : 'prio'}>
      <svg width="18" height="18" viewBox="0 0 20 20" aria-hidden="true" className={ring && level <= 2 ? 'an-unacked' : undefined}>
        <polygon points={points} fill={fill} stroke={edge} strokeWidth={level === 4 ? 1.8 : 1.3} strokeLinejoin="round" />
        <text
          x="10"
          y={baseline}
          textAnchor="middle"
          style={{ font: '700 11px var(--font-ui)', fill: quiet ? 'var(--ink-3)' : `var(--p${level}-num)` }}
        >
          {level}
        </text>
      </svg>
      <span className="sr">
        Priority {level}, {priorityName(level)}
      </span>
    </span>
  )
}

interface DeviationProps {
  readonly value: number
  readonly low: number | null
  readonly high: number | null
  readonly level: number
  readonly width?: number
}

/** Track, normal range, excess in the priority colour, pointer. Value and unit are printed beside it by the caller. */
export const Deviation = ({ value, low, high, level, width = 110 }: DeviationProps): ReactNode => {
  if (low === null || high === null || !Number.isFinite(value)) return <span className="i3">range not learnt</span>
  const span = high - low || Math.abs(high) || 1
  const least = Math.min(low - span * 0.6, value)
  const most = Math.max(high + span * 0.6, value)
  const x = (v: number): number => 4 + ((v - least) / (most - least)) * (width - 8)
  const beyond = value > high ? high : value < low ? low : null
  return (
    <svg className="dev" width={width} height={16} role="img" aria-label={`${number(value)}, normal ${number(low)} to ${number(high)}`}>
      <rect x={0} y={4} width={width} height={8} rx={1} fill="var(--bar-track)" />
      <rect x={x(low)} y={4} width={Math.max(1, x(high) - x(low))} height={8} fill="var(--bar-normal)" />
      {beyond !== null && (
        <rect x={Math.min(x(beyond), x(value))} y={4} width={Math.abs(x(value) - x(beyond))} height={8} fill={`var(--p${level})`} />
      )}
      <line x1={x(low)} x2={x(low)} y1={2} y2={14} stroke="var(--bar-normal-edge)" />
      <line x1={x(high)} x2={x(high)} y1={2} y2={14} stroke="var(--bar-normal-edge)" />
      <path d={`M${x(value) - 4} 0h8l-4 5z`} fill="var(--pointer)" />
      <line x1={x(value)} x2={x(value)} y1={1} y2={15} stroke="var(--pointer)" strokeWidth={2} />
    </svg>
  )
}

/** Evidence of recent windows on one fixed scale, 0 to twice the line; what lies above the line is coloured, a gap stays a gap. */
export const Spark = ({ ratios, level, width = 120 }: { ratios: readonly (number | null)[]; level: number; width?: number }): ReactNode => {
  const height = 20
  if (ratios.every((ratio) => ratio === null)) return <span className="i3">nothing scored yet</span>
  const step = (width - 6) / Math.max(1, ratios.length - 1)
  const y = (ratio: number): number => height - 2 - (Math.min(2, ratio) / 2) * (height - 4)
  const path = (keep: (ratio: number, i: number) => boolean): string =>
    ratios
      .map((ratio, i) => {
        if (ratio === null || !keep(ratio, i)) return ''
        const before = ratios[i - 1]
        const isJoined = before !== null && before !== undefined && keep(before, i - 1)
        return `${isJoined ? 'L' : 'M'}${(3 + i * step).toFixed(1)} ${y(ratio).toFixed(1)}`
      })
      .join('')
  const over = (i: number): boolean => (ratios[i] ?? 0) > 1
  const last = ratios.at(-1)
  const count = ratios.filter((ratio) => (ratio ?? 0) > 1).length
  return (
    <svg
      className="spark"
      width={width}
      height={height}
      role="img"
      aria-label={`Last ${ratios.length} windows: ${count === 0 ? 'all below the line' : `${count} above the line`}`}
    >
      <rect x={0} y={y(1)} width={width} height={height - y(1)} fill="var(--band)" />
      <path d={path(() => true)} fill="none" stroke="var(--ink-2)" strokeWidth={1.2} />
      <path d={path((_, i) => over(i))} fill="none" stroke={`var(--p${level}-line)`} strokeWidth={1.6} />
      {last != null && (
        <circle cx={3 + (ratios.length - 1) * step} cy={y(last)} r={2.2} fill={last > 1 ? `var(--p${level}-line)` : 'var(--ink)'} />
      )}
    </svg>
  )
}

interface PanelProps {
  readonly title: string
  readonly note?: ReactNode
  readonly aside?: ReactNode
  readonly children: ReactNode
  readonly className?: string
}

export const Panel = ({ title, note, aside, children, className = '' }: PanelProps): ReactNode => (
  <section className={`panel ${className}`} aria-label={title}>
    <header>
      <h2>{title}</h2>
      {note !== undefined && <small className="cut">{note}</small>}
      {aside !== undefined && <span className="end">{aside}</span>}
    </header>
    <div className="body">{children}</div>
  </section>
)
