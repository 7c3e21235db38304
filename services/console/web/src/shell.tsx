// Top bar, status bar, sign-in: the frame around every state of the page.
import { type ReactNode, useState } from 'react'
import type { IncidentRow, Overview, Person } from '../../src/view.ts'
import { api } from './api.ts'
import { age, clock } from './format.ts'
import { Icon, Priority } from './parts.tsx'

const Mark = (): ReactNode => (
  <span className="mark">
    <svg
      width="20"
      height="20"
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="2"
      strokeLinecap="round"
      aria-hidden="true"
    >
      <path d="M4 4h16M12 4v9" />
      <circle cx="12" cy="17" r="4" />
    </svg>
    <span>andon</span>
  </span>
)

interface BarProps {
  readonly overview: Overview | null
  readonly nowMs: number
  readonly offlineSinceMs: number | null
  readonly timeZone: string
}

interface TopBarProps extends BarProps {
  readonly person: Person
  readonly onHold: () => void
  readonly onCall: () => void
  readonly onAccount: () => void
}

const open = (incidents: readonly IncidentRow[], level: number): number =>
  incidents.filter((i) => i.state !== 'closed' && i.severity === level).length

/** A window comes once a second: older than this, the figure is named late. */
const lateAfterMs = 10_000

const Banner = ({ overview, offlineSinceMs, timeZone }: BarProps): ReactNode => {
  const [hold, ...more] = overview?.holds ?? []
  if (offlineSinceMs !== null)
    return (
      <span className="banner" role="status">
        <Icon name="offline" />
        <b className="nw">Offline since {clock(offlineSinceMs * 1000, timeZone)}.</b>
        <span className="cut">What you see is from then. Deciding, Call and Hold are off.</span>
      </span>
    )
  if (hold)
    return (
      <span className="banner" role="status">
        <Icon name="hand" />
        <b className="nw">Hold: no command runs on {hold.scopeName}.</b>
        <span className="cut">
          {hold.by}, {clock(hold.sinceUs, timeZone)}: {hold.reason}
          {more.length > 0 && ` And ${more.length} more.`}
        </span>
      </span>
    )
  return <span className="banner">{overview?.site ? <b className="cut">{overview.site.name}</b> : 'No plant file yet'}</span>
}

export const TopBar = (props: TopBarProps): ReactNode => {
  const { overview, nowMs, offlineSinceMs, timeZone, person, onHold, onCall, onAccount } = props
  const behindMs = overview?.behindMs ?? null
  const isOffline = offlineSinceMs !== null
  return (
    <header className="top">
      <Mark />
      <Banner {...props} />
      <span className="grow" />
      <span className="tally" role="group" aria-label="Open incidents by priority">
        {[1, 2, 3, 4].map((level) => {
          const n = open(overview?.incidents ?? [], level)
          return (
            <span key={level} className={n === 0 ? 'zero' : ''}>
              <Priority level={level} quiet={n === 0} /> {n}
            </span>
          )
        })}
      </span>
      <span className="tag num live-t">
        <Icon name={isOffline || (behindMs ?? 0) > lateAfterMs ? 'clock' : 'pulse'} size={14} />
        {isOffline ? 'not live' : behindMs === null ? 'no data yet' : `${age(behindMs)} behind`}
      </span>
      <span className="clock">
        {clock(nowMs * 1000, timeZone, true)}
        <small>{clock(nowMs * 1000, 'UTC')} UTC</small>
      </span>
      <button type="button" className="btn quiet" onClick={onAccount} aria-label={`${person.name}: you and this page`}>
        <Icon name="user" size={14} /> <span>{person.name}</span>
      </button>
      <button type="button" className="btn" onClick={onCall} disabled={isOffline}>
        <Icon name="bell" size={14} /> Call
      </button>
      <button type="button" className="btn hold" onClick={onHold} disabled={isOffline}>
        <Icon name="hand" /> {(overview?.holds.length ?? 0) > 0 ? 'Lift hold' : 'Hold'}
      </button>
    </header>
  )
}

export const StatusBar = ({ overview }: { overview: Overview | null }): ReactNode => {
  const assets = overview?.assets ?? []
  const cameras = overview?.cameras ?? []
  const count = (origin: string): number => assets.filter((asset) => asset.origin === origin).length
  return (
    <footer className="status">
      <span className="safe">
        <Icon name="info" size={13} /> Andon is not a safety function. Emergency stops and interlocks work without it.
      </span>
      <span className="grow" />
      <span>
        Assets {assets.filter((asset) => asset.state === 'watched').length} of {assets.length} watched: {count('simulated')} simulated,{' '}
        {count('recording')} real recordings, {count('live')} live
      </span>
      <span>
        Cameras {cameras.length}, {cameras.filter((camera) => camera.origin === 'simulated').length} simulated
      </span>
    </footer>
  )
}

export const SignIn = ({ onSignedIn }: { onSignedIn: (person: Person) => void }): ReactNode => {
  const [token, setToken] = useState('')
  const [failure, setFailure] = useState('')
  return (
    <main className="signin">
      <form
        className="panel"
        onSubmit={(event) => {
          event.preventDefault()
          api.signIn(token.trim()).then(onSignedIn, (error: Error) => setFailure(error.message))
        }}
      >
        <Mark />
        <h1 className="t16">Sign in</h1>
        <p className="i2">
          Paste a token. <code>andon up</code> wrote three for development into its folder <code>tokens</code>: <code>operator</code>,{' '}
          <code>shift-lead</code> and <code>integrator</code>.
        </p>
        <label className="col t12">
          Token
          <input
            className="field"
            type="password"
            autoComplete="current-password"
            value={token}
            onChange={(event) => setToken(event.target.value)}
          />
        </label>
        <p className="t12" role="alert">
          {failure}
        </p>
        <button type="submit" className="btn pri" disabled={token.trim() === ''}>
          Sign in
        </button>
        <p className="t12 i2">Andon is not a safety function. Emergency stops and interlocks work without it.</p>
      </form>
    </main>
  )
}
