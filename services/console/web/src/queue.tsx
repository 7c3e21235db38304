// Everything open, one order: what needs a person first, then by severity and by what runs out first. The server orders.
import type { ReactNode } from 'react'
import type { IncidentRow } from '../../src/view.ts'
import { age, clock, countdown } from './format.ts'
import { Icon, Priority } from './parts.tsx'

interface QueueProps {
  readonly incidents: readonly IncidentRow[]
  readonly selected: string | null
  readonly nowMs: number
  readonly isOffline: boolean
  readonly timeZone: string
  readonly watched: string
  readonly onSelect: (id: string | null) => void
}

const groups: readonly { readonly state: IncidentRow['state']; readonly name: string; readonly none: string }[] = [
  { state: 'needs-decision', name: 'Needs a decision', none: 'Nothing waits for a person.' },
  { state: 'open', name: 'Open', none: 'Nothing else is open.' },
  { state: 'closed', name: 'Closed', none: '' },
]
const closedShown = 8

export const Queue = ({ incidents, selected, nowMs, isOffline, timeZone, watched, onSelect }: QueueProps): ReactNode => {
  const when = (row: IncidentRow): string => {
    if (row.state === 'closed') return clock(row.updatedUs, timeZone)
    if (row.decideByUs === null) return ''
    if (isOffline) return `by ${clock(row.decideByUs, timeZone)}`
    return `decide in ${countdown(row.decideByUs / 1000 - nowMs)}`
  }
  const asking = incidents.filter(({ state }) => state === 'needs-decision')
  const highest = Math.min(...asking.map(({ severity }) => severity))
  return (
    <nav className="queue panel" aria-label="Plant and incidents">
      <p className="sr" role="status">
        {asking.length === 0 ? 'Nothing needs a decision' : `${asking.length} need a decision, highest priority ${highest}`}
      </p>
      <button type="button" className="plantrow" aria-current={selected === null} onClick={() => onSelect(null)}>
        <Icon name="dashboard" />
        <span className="med">Plant</span>
        <span className="end t12 i2">{watched}</span>
      </button>
      {groups.map(({ state, name, none }) => {
        const all = incidents.filter((incident) => incident.state === state)
        const rows = all.slice(0, state === 'closed' ? closedShown : all.length)
        if (rows.length === 0 && none === '') return null
        return (
          <section key={state} aria-label={name}>
            <h2>
              {name} <span className="i3">{all.length}</span>
            </h2>
            {rows.length === 0 && <p className="i2 t12">{none}</p>}
            <ul>
              {rows.map((row) => (
                <li key={row.id}>
                  <button type="button" aria-current={row.id === selected} onClick={() => onSelect(row.id)}>
                    <Priority level={row.severity} ring={state === 'needs-decision'} quiet={state === 'closed' || row.historical} />
                    <span className="grow">
                      <span className="med three">{row.title}</span>
                      <span className="t12 i2 row between nw num">
                        <span>{state === 'closed' ? row.lineName : `open ${age(nowMs - row.openedUs / 1000)}`}</span>
                        <span>{when(row)}</span>
                      </span>
                    </span>
                  </button>
                </li>
              ))}
            </ul>
            {all.length > rows.length && <p className="i2 t12">{all.length - rows.length} more in the log.</p>}
          </section>
        )
      })}
    </nav>
  )
}
