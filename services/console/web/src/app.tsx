// The page: keeps what the server said, asks again when it says that something changed. The URL holds the selection.
import { type ReactNode, useCallback, useEffect, useReducer, useRef, useState } from 'react'
import type { IncidentView, Overview, Person } from '../../src/view.ts'
import { ApiError, api } from './api.ts'
import { Decision } from './decision.tsx'
import { AccountDialog, CallDialog, HoldDialog } from './dialogs.tsx'
import { plural } from './format.ts'
import { Incident } from './incident.tsx'
import { useKeys } from './keys.ts'
import { PlantPage } from './plant.tsx'
import { Queue } from './queue.tsx'
import { SignIn, StatusBar, TopBar } from './shell.tsx'

/** The incident the address names, `plant` for the plant, null when it names nothing yet. */
const selectionOf = (): string | null => new URLSearchParams(location.search).get('sel')
const plant = 'plant'

/** A sign-in link carries the token in the fragment, which is never sent to a server or kept in the history. */
const tokenFromLink = (): string | null => {
  const token = new URLSearchParams(location.hash.slice(1)).get('token')
  if (token !== null) history.replaceState(null, '', location.pathname + location.search)
  return token
}

/** `isOpen` tells a narrow screen, which shows either the queue or one page, that the person opened this one. */
const remember = (sel: string, how: 'push' | 'replace', isOpen: boolean): void => {
  const url = new URL(location.href)
  url.searchParams.set('sel', sel)
  if (how === 'push') history.pushState({ isOpen }, '', url)
  else history.replaceState({ isOpen }, '', url)
}

/** A link to an incident opens it; without a state of ours the address was typed or followed. */
const isOpened = (): boolean => (history.state as { isOpen?: boolean } | null)?.isOpen ?? selectionOf() !== null

export const App = (): ReactNode => {
  const [person, setPerson] = useState<Person | null | undefined>(undefined)
  useEffect(() => {
    const token = tokenFromLink()
    const session = token === null ? api.me() : api.signIn(token)
    session.then(setPerson, () => setPerson(null))
  }, [])
  const onSignedOut = useCallback(() => setPerson(null), [])
  if (person === undefined) return null
  if (person === null) return <SignIn onSignedIn={setPerson} />
  return <Desk person={person} onSignedOut={onSignedOut} />
}

interface Known {
  readonly overview: Overview | null
  /** The incident last asked for; its view is null when the log names none of this id. */
  readonly incident: { readonly id: string; readonly view: IncidentView | null } | null
  readonly offlineSinceMs: number | null
  readonly refresh: () => void
}

const againAfterMs = 2000

/** What the server says, kept fresh: one question at a time, asked again when something changed or the line was lost. */
const useServer = (onSignedOut: () => void): Known => {
  const [overview, setOverview] = useState<Overview | null>(null)
  const [incident, setIncident] = useState<Known['incident']>(null)
  const [offlineSinceMs, setOfflineSinceMs] = useState<number | null>(null)
  const state = useRef({ isAsking: false, isStale: false })

  const ask = useCallback(async (): Promise<void> => {
    const next = await api.overview()
    if (selectionOf() === null) remember(next.incidents.find((one) => one.state !== 'closed')?.id ?? plant, 'replace', false)
    const id = selectionOf()
    const found = id === null || id === plant ? null : { id, view: await api.incident(id).catch(orNoIncident) }
    setOverview(next)
    if (id === selectionOf()) setIncident(found)
    setOfflineSinceMs(null)
  }, [])

  const refresh = useCallback(() => {
    const current = state.current
    current.isStale = true
    if (current.isAsking) return
    current.isAsking = true
    const run = async (): Promise<void> => {
      while (current.isStale) {
        current.isStale = false
        await ask()
      }
    }
    run()
      .catch((error: unknown) => {
        if (error instanceof ApiError && error.status === 401) onSignedOut()
        else setOfflineSinceMs((since) => since ?? Date.now())
      })
      .finally(() => {
        current.isAsking = false
      })
  }, [ask, onSignedOut])

  useEffect(() => {
    let live: EventSource
    let again: ReturnType<typeof setTimeout> | undefined
    const connect = (): void => {
      live = new EventSource('/api/live')
      live.addEventListener('change', refresh)
      live.onopen = refresh
      live.onerror = () => {
        setOfflineSinceMs((since) => since ?? Date.now())
        if (live.readyState === EventSource.CLOSED) again = setTimeout(connect, againAfterMs) // it gives up on an error answer; we do not
      }
    }
    connect()
    addEventListener('popstate', refresh)
    return () => {
      clearTimeout(again)
      live.close()
      removeEventListener('popstate', refresh)
    }
  }, [refresh])
  return { overview, incident, offlineSinceMs, refresh }
}

const orNoIncident = (error: unknown): null => {
  if (error instanceof ApiError && error.status === 404) return null
  throw error
}

const useNow = (): number => {
  const [nowMs, setNowMs] = useState(Date.now)
  useEffect(() => {
    const tick = setInterval(() => setNowMs(Date.now()), 1000)
    return () => clearInterval(tick)
  }, [])
  return nowMs
}

type Layer = 'hold' | 'call' | 'account' | null

const Desk = ({ person, onSignedOut }: { person: Person; onSignedOut: () => void }): ReactNode => {
  const { overview, incident: asked, offlineSinceMs, refresh } = useServer(onSignedOut)
  const [, draw] = useReducer((n: number) => n + 1, 0)
  const nowMs = useNow()
  const [layer, setLayer] = useState<Layer>(null)
  const timeZone = overview?.site?.timezone ?? 'UTC'
  const isOffline = offlineSinceMs !== null
  const selection = selectionOf()
  const selected = selection === plant ? null : selection
  const rows = overview?.incidents.filter((row) => row.state !== 'closed') ?? []
  const isRead = asked !== null && asked.id === selected
  const incident = isRead ? asked.view : null
  const at = rows.findIndex((row) => row.id === selected)

  const choose = useCallback(
    (id: string | null) => {
      remember(id ?? plant, 'push', true)
      draw()
      refresh()
    },
    [refresh],
  )
  useKeys((key) => {
    const to = { j: rows[at + 1], k: rows[at - 1] }[key]
    if (to) choose(to.id)
    if (key === 'p') choose(null)
    if (key === 'H' && !isOffline) setLayer('hold')
    if (key === 'C' && !isOffline) setLayer('call')
    if (key === '?') setLayer('account')
  })
  useEffect(() => {
    document.title = `${selected === null ? 'Plant' : (incident?.title ?? 'Incident')} - Andon`
  }, [selected, incident?.title])

  const toQueue = (): void => {
    remember(selection ?? plant, 'replace', false)
    draw()
  }
  const close = (): void => {
    setLayer(null)
    refresh()
  }
  const watched = overview?.assets.filter((asset) => asset.state === 'watched').length ?? 0
  const classes = [
    'app',
    overview && overview.holds.length > 0 ? 'is-hold' : '',
    isOffline ? 'is-offline' : '',
    isOpened() ? 'is-open' : '',
  ]
  const bar = { overview, nowMs, offlineSinceMs, timeZone }
  return (
    <div className={classes.filter(Boolean).join(' ')}>
      <TopBar
        {...bar}
        person={person}
        onHold={() => setLayer('hold')}
        onCall={() => setLayer('call')}
        onAccount={() => setLayer('account')}
      />
      <main>
        <Queue
          incidents={overview?.incidents ?? []}
          selected={selected}
          nowMs={nowMs}
          isOffline={isOffline}
          timeZone={timeZone}
          watched={`${watched} of ${overview?.assets.length ?? 0} watched`}
          onSelect={choose}
        />
        {selected === null && <PlantPage overview={overview} nowMs={nowMs} onBack={toQueue} />}
        {selected !== null && !isRead && (
          <div className="plant">
            <p className="i2">{isOffline ? 'This incident was not read before the line was lost.' : ''}</p>
          </div>
        )}
        {isRead && !incident && (
          <div className="plant">
            <h1 className="t20">The log names no such incident</h1>
            <p className="i2">
              It is older than what the console keeps, or the address is wrong: <code>{selected}</code>. Choose one on the left.
            </p>
          </div>
        )}
        {incident && (
          <>
            <Incident
              key={`incident-${incident.id}`}
              incident={incident}
              place={at < 0 ? 'closed' : `${at + 1} of ${plural(rows.length, 'open', 'open')}`}
              nowMs={nowMs}
              timeZone={timeZone}
              newestUs={overview?.assets.find((asset) => asset.id === incident.assetId)?.newestUs ?? null}
              onBack={toQueue}
            />
            <Decision
              key={`decision-${incident.id}`}
              incident={incident}
              holds={overview?.holds ?? []}
              person={person}
              assetsOnLine={
                overview?.assets.filter(({ line }) => overview.lines.find(({ id }) => id === line)?.controlGroup === incident.line)
                  .length ?? 0
              }
              nowMs={nowMs}
              isOffline={isOffline}
              timeZone={timeZone}
              onDone={refresh}
            />
          </>
        )}
      </main>
      <StatusBar overview={overview} />
      {layer === 'hold' && <HoldDialog holds={overview?.holds ?? []} lines={overview?.lines ?? []} timeZone={timeZone} onClose={close} />}
      {layer === 'call' && <CallDialog lines={overview?.lines ?? []} onClose={close} />}
      {layer === 'account' && <AccountDialog person={person} onSignedOut={onSignedOut} onClose={close} />}
    </div>
  )
}
