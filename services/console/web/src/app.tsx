// The page: keeps what the server said, asks again when it says that something changed. The URL holds the selection.
import { type ReactNode, useCallback, useEffect, useState } from 'react'
import type { IncidentView, Overview, Person } from '../../src/view.ts'
import { ApiError, api } from './api.ts'
import { Decision } from './decision.tsx'
import { age, number } from './format.ts'
import { Incident } from './incident.tsx'
import { Queue } from './queue.tsx'
import { HoldDialog, SignIn, TopBar } from './shell.tsx'

const selectionOf = (): string | null => new URLSearchParams(location.search).get('sel')

const select = (id: string, replace: boolean): void => {
  const url = new URL(location.href)
  url.searchParams.set('sel', id)
  if (replace) history.replaceState(null, '', url)
  else history.pushState(null, '', url)
}

/** A sign-in link carries the token in the fragment, which is never sent to a server or kept in the history. */
const tokenFromLink = (): string | null => {
  const token = new URLSearchParams(location.hash.slice(1)).get('token')
  if (token !== null) history.replaceState(null, '', location.pathname + location.search)
  return token
}

export const App = (): ReactNode => {
  const [person, setPerson] = useState<Person | null | undefined>(undefined)
  useEffect(() => {
    const token = tokenFromLink()
    const session = token === null ? api.me() : api.signIn(token)
    session.then(setPerson, () => setPerson(null))
  }, [])
  if (person === undefined) return null
  if (person === null) return <SignIn onSignedIn={setPerson} />
  return <Desk person={person} onSignedOut={() => setPerson(null)} />
}

const Desk = ({ person, onSignedOut }: { person: Person; onSignedOut: () => void }): ReactNode => {
  const [overview, setOverview] = useState<Overview | null>(null)
  const [incident, setIncident] = useState<IncidentView | null>(null)
  const [selected, setSelected] = useState(selectionOf)
  const [nowMs, setNowMs] = useState(Date.now)
  const [offlineSinceMs, setOfflineSinceMs] = useState<number | null>(null)
  const [holding, setHolding] = useState(false)
  const timeZone = overview?.site?.timezone ?? 'UTC'

  const refresh = useCallback(async () => {
    try {
      const next = await api.overview()
      setOverview(next)
      const id = selectionOf() ?? next.incidents[0]?.id ?? null
      if (id !== null) {
        if (selectionOf() === null) select(id, true)
        setSelected(id)
        setIncident(await api.incident(id))
      }
      setOfflineSinceMs(null)
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) onSignedOut()
      else if (error instanceof ApiError && error.status === 404) setIncident(null)
      else setOfflineSinceMs((since) => since ?? Date.now())
    }
  }, [onSignedOut])

  useEffect(() => {
    void refresh()
    const live = new EventSource('/api/live')
    live.addEventListener('change', () => void refresh())
    live.onerror = () => setOfflineSinceMs((since) => since ?? Date.now())
    live.onopen = () => void refresh()
    const tick = setInterval(() => setNowMs(Date.now()), 1000)
    const onBack = (): void => {
      setSelected(selectionOf())
      void refresh()
    }
    addEventListener('popstate', onBack)
    return () => {
      live.close()
      clearInterval(tick)
      removeEventListener('popstate', onBack)
    }
  }, [refresh])

  const choose = useCallback(
    (id: string) => {
      select(id, false)
      setSelected(id)
      void refresh()
    },
    [refresh],
  )

  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey) return
      const rows = overview?.incidents ?? []
      const at = rows.findIndex((row) => row.id === selected)
      if (event.key === 'j' && rows[at + 1]) choose((rows[at + 1] as { id: string }).id)
      if (event.key === 'k' && rows[at - 1]) choose((rows[at - 1] as { id: string }).id)
      if (event.key === 'H') setHolding(true)
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  }, [overview, selected, choose])

  const lines = [...new Set(overview?.assets.map((asset) => asset.line))]
  const classes = ['app', overview && overview.holds.length > 0 ? 'is-hold' : '', offlineSinceMs !== null ? 'is-offline' : ''].join(' ')
  return (
    <div className={classes}>
      <TopBar
        overview={overview}
        nowMs={nowMs}
        offlineSinceMs={offlineSinceMs}
        timeZone={timeZone}
        person={person}
        onHold={() => setHolding(true)}
      />
      <main>
        <Queue incidents={overview?.incidents ?? []} selected={selected} nowMs={nowMs} timeZone={timeZone} onSelect={choose} />
        {incident ? (
          <>
            <Incident key={incident.id} incident={incident} nowMs={nowMs} timeZone={timeZone} version={overview?.version ?? 0} />
            <Decision
              incident={incident}
              holds={overview?.holds ?? []}
              person={person}
              nowMs={nowMs}
              timeZone={timeZone}
              onDone={() => void refresh()}
            />
          </>
        ) : (
          <Quiet overview={overview} nowMs={nowMs} />
        )}
      </main>
      <footer className="status">
        <span>Andon is not a safety function. Emergency stops and interlocks work without it.</span>
        <span className="grow" />
        <span>
          Assets {overview?.assets.filter((asset) => asset.state === 'watched').length ?? 0} of {overview?.assets.length ?? 0} watched
        </span>
        <span>Cameras {overview?.cameras.length ?? 0}</span>
        <span>
          <kbd>J</kbd> <kbd>K</kbd> move, <kbd>A</kbd> approve, <kbd>Shift H</kbd> hold
        </span>
      </footer>
      {holding && (
        <HoldDialog
          holds={overview?.holds ?? []}
          lines={lines}
          onClose={() => {
            setHolding(false)
            void refresh()
          }}
        />
      )}
    </div>
  )
}

/** A quiet plant: what is watched and what is still being learnt. */
const Quiet = ({ overview, nowMs }: { overview: Overview | null; nowMs: number }): ReactNode => (
  <section className="panel quiet">
    <h1 className="t20">{overview ? 'No incident is open' : 'Reading the log'}</h1>
    <p className="i2">An incident appears here when a finding leaves what was learnt as normal, or when a person calls.</p>
    <table className="tbl">
      <thead>
        <tr>
          <th>Asset</th>
          <th>Line</th>
          <th>Data</th>
          <th>State</th>
          <th className="num">Evidence, 1 is the line</th>
          <th className="num">Newest window</th>
        </tr>
      </thead>
      <tbody>
        {overview?.assets.map((asset) => (
          <tr key={asset.id}>
            <td className="med">{asset.name}</td>
            <td>{asset.line}</td>
            <td>{asset.origin === 'recording' ? 'real recording, replayed' : asset.origin}</td>
            <td>{asset.state}</td>
            <td className="num">{asset.ratio === null ? '-' : number(asset.ratio)}</td>
            <td className="num">{asset.newestUs === null ? 'none yet' : `${age(nowMs - asset.newestUs / 1000)} ago`}</td>
          </tr>
        ))}
      </tbody>
    </table>
  </section>
)
