// Top bar, hold dialog, sign-in: the frame around every state of the page.
import { type ReactNode, useEffect, useRef, useState } from 'react'
import type { HoldView, IncidentRow, Overview, Person } from '../../src/view.ts'
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
    andon
  </span>
)

interface TopBarProps {
  readonly overview: Overview | null
  readonly nowMs: number
  readonly offlineSinceMs: number | null
  readonly timeZone: string
  readonly person: Person
  readonly onHold: () => void
}

const open = (incidents: readonly IncidentRow[], level: number): number =>
  incidents.filter((i) => i.state !== 'closed' && i.severity === level).length

export const TopBar = ({ overview, nowMs, offlineSinceMs, timeZone, person, onHold }: TopBarProps): ReactNode => {
  const hold = overview?.holds[0]
  return (
    <header className="top">
      <Mark />
      {offlineSinceMs !== null ? (
        <span className="banner" role="status">
          <b>Offline since {clock(offlineSinceMs * 1000, timeZone)}.</b> You can read; deciding and Hold are off.
        </span>
      ) : hold ? (
        <span className="banner" role="status">
          <Icon name="hand" />
          <b>Hold on {hold.scope === '*' ? 'everything' : hold.scope}</b>
          <span className="cut">
            since {clock(hold.sinceUs, timeZone)} by {hold.by}: {hold.reason}
          </span>
        </span>
      ) : (
        <span className="where">{overview?.site ? <b>{overview.site.name}</b> : 'No plant file yet'}</span>
      )}
      <span className="grow" />
      <span className="tally" aria-label="Active alarms">
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
        <Icon name="pulse" size={14} />
        {overview?.behindMs == null ? 'no data yet' : `${age(overview.behindMs)} behind`}
      </span>
      <span className="clock">
        {clock(nowMs * 1000, timeZone, true)}
        <small>{clock(nowMs * 1000, 'UTC')} UTC</small>
      </span>
      <span className="tag" title={person.roles.join(', ')}>
        <Icon name="user" size={14} />
        {person.name}
      </span>
      <button type="button" className="btn hold" onClick={onHold} disabled={offlineSinceMs !== null}>
        <Icon name="hand" /> {hold ? 'Lift hold' : 'Hold'}
      </button>
    </header>
  )
}

/** Places or lifts a hold. A hold never starts at once: it asks for scope and reason. */
export const HoldDialog = ({
  holds,
  lines,
  onClose,
}: {
  holds: readonly HoldView[]
  lines: readonly string[]
  onClose: () => void
}): ReactNode => {
  const dialog = useRef<HTMLDialogElement>(null)
  const [scope, setScope] = useState('*')
  const [reason, setReason] = useState('')
  const [failure, setFailure] = useState('')
  const hold = holds[0]
  useEffect(() => dialog.current?.showModal(), [])
  const send = (): void => {
    const request = hold ? api.lift(hold.id, reason) : api.hold(scope, reason)
    request.then(onClose, (error: Error) => setFailure(error.message))
  }
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby="hold-title">
      <h2 id="hold-title" className="t16">
        {hold ? 'Lift the hold' : 'Place a hold'}
      </h2>
      <p className="i2">
        {hold
          ? `Approved steps on ${hold.scope === '*' ? 'every line' : hold.scope} may run again.`
          : 'Nothing that Andon would do runs while the hold lasts; a command already sent is not recalled. Reading and rejecting go on. It ends only when a person lifts it.'}
      </p>
      {!hold && (
        <label className="col t12">
          Scope
          <select className="field" value={scope} onChange={(event) => setScope(event.target.value)}>
            <option value="*">Every line</option>
            {lines.map((line) => (
              <option key={line} value={line}>
                {line}
              </option>
            ))}
          </select>
        </label>
      )}
      <label className="col t12">
        Reason
        <input className="field" value={reason} onChange={(event) => setReason(event.target.value)} />
      </label>
      {failure !== '' && <p className="t12 p2t">{failure}</p>}
      <div className="row end">
        <button type="button" className="btn" onClick={onClose}>
          Close
        </button>
        <button type="button" className="btn pri" disabled={reason.trim() === ''} onClick={send}>
          {hold ? 'Lift hold' : 'Place hold'}
        </button>
      </div>
    </dialog>
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
          Paste a token. The mesh wrote three for development: <code>.andon/tokens/operator</code>, <code>.andon/tokens/shift-lead</code>{' '}
          and <code>.andon/tokens/integrator</code>.
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
        {failure !== '' && (
          <p className="t12 p2t" role="alert">
            {failure}
          </p>
        )}
        <button type="submit" className="btn pri" disabled={token.trim() === ''}>
          Sign in
        </button>
      </form>
    </main>
  )
}
