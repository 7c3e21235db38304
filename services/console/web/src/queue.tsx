// Everything open, one order: what needs a person first, then by severity and age.
import type { ReactNode } from 'react'
import type { IncidentRow } from '../../src/view.ts'
import { age, clock, countdown } from './format.ts'
import { Priority } from './parts.tsx'

interface QueueProps {
  readonly incidents: readonly IncidentRow[]
  readonly selected: string | null
  readonly nowMs: number
  readonly timeZone: string
  readonly onSelect: (id: string) => void
}

const groups: readonly { readonly state: IncidentRow['state']; readonly name: string; readonly none: string }[] = [
  { state: 'needs-decision', name: 'Needs a decision', none: 'Nothing waits for a person.' },
  { state: 'open', name: 'Open', none: 'Nothing else is open.' },
  { state: 'closed', name: 'Closed', none: '' },
]

export const Queue = ({ incidents, selected, nowMs, timeZone, onSelect }: QueueProps): ReactNode => (
  <nav className="queue panel" aria-label="Incidents">
    {groups.map(({ state, name, none }) => {
      const rows = incidents.filter((incident) => incident.state === state).slice(0, state === 'closed' ? 8 : 200)
      if (rows.length === 0 && none === '') return null
      return (
        <section key={state}>
          <h2>
            {name} <span className="i3">{rows.length}</span>
          </h2>
          {rows.length === 0 && <p className="i3 t12">{none}</p>}
          <ul>
            {rows.map((row) => (
              <li key={row.id}>
                <button type="button" aria-current={row.id === selected} onClick={() => onSelect(row.id)}>
                  <Priority level={row.severity} ring={state === 'needs-decision'} quiet={state === 'closed' || row.historical} />
                  <span className="grow">
                    <span className="med two">{row.title}</span>
                    <span className="t12 i3 row between">
                      <span className="cut">{row.assetName}</span>
                      <span className="nw">
                        {row.decideByUs !== null
                          ? `decide in ${countdown(row.decideByUs / 1000 - nowMs)}`
                          : state === 'closed'
                            ? clock(row.updatedUs, timeZone)
                            : age(nowMs - row.openedUs / 1000)}
                      </span>
                    </span>
                  </span>
                </button>
              </li>
            ))}
          </ul>
        </section>
      )
    })}
  </nav>
)
