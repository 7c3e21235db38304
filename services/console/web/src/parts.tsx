// Small pieces every panel uses: icons (Lucide outlines, ISC licence), the priority badge, the deviation bar.
import type { ReactNode } from 'react'
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
  megaphone: 'm3 11 18-5v12L3 14v-3zM11.6 16.8a3 3 0 1 1-5.8-1.6',
  x: 'M18 6 6 18M6 6l12 12',
} as const

export type IconName = keyof typeof paths

export const Icon = ({ name, size = 16 }: { name: IconName; size?: number }): ReactNode => (
  <svg className="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true">
    <path d={paths[name]} />
  </svg>
)

const shapes: Readonly<Record<number, readonly [string, number]>> = {
  1: ['6.2,1 13.8,1 19,6.2 19,13.8 13.8,19 6.2,19 1,13.8 1,6.2', 13.9],
  2: ['10,1.4 19.3,18.4 .7,18.4', 16.4],
  3: ['.7,1.6 19.3,1.6 10,18.6', 11.4],
  4: ['10,.7 19.3,10 10,19.3 .7,10', 13.9],
}

/** Shape, number and colour; a screen reader hears the word. `ring` marks what nobody has taken. */
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

/** Track, normal range, excess in the priority colour, pointer. Value and unit are printed beside it by the caller. */
export const Deviation = ({
  value,
  low,
  high,
  level,
  width = 110,
}: {
  value: number
  low: number | null
  high: number | null
  level: number
  width?: number
}): ReactNode => {
  if (low === null || high === null || !Number.isFinite(value)) return <span className="i3 t12">range not learnt</span>
  const span = high - low || Math.abs(high) || 1
  const least = Math.min(low - span * 0.6, value)
  const most = Math.max(high + span * 0.6, value)
  const x = (v: number): number => 4 + ((v - least) / (most - least)) * (width - 8)
  const beyond = value > high ? high : value < low ? low : null
  return (
    <svg width={width} height={16} role="img" aria-label={`${number(value)}, normal ${number(low)} to ${number(high)}`}>
      <rect x={0} y={4} width={width} height={8} rx={1} fill="var(--bar-track)" />
      <rect x={x(low)} y={4} width={x(high) - x(low)} height={8} fill="var(--bar-normal)" />
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

export const Panel = ({
  title,
  note,
  aside,
  children,
  className = '',
}: {
  title: string
  note?: ReactNode
  aside?: ReactNode
  children: ReactNode
  className?: string
}): ReactNode => (
  <section className={`panel ${className}`}>
    <header>
      <h2>{title}</h2>
      {note !== undefined && <small className="cut">{note}</small>}
      {aside !== undefined && <span className="end">{aside}</span>}
    </header>
    <div className="body">{children}</div>
  </section>
)
