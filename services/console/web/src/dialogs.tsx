// What floats: hold, call, the person and the page's settings. A hold or a call never starts by one key: each asks first.
import { type ReactNode, type SubmitEvent, useEffect, useRef, useState } from 'react'
import type { HoldView, LineView, Person } from '../../src/view.ts'
import { api } from './api.ts'
import { clock } from './format.ts'
import { keysAreOn, turnKeys } from './keys.ts'

interface DialogProps {
  readonly title: string
  readonly onClose: () => void
  readonly children: ReactNode
}

/** A modal dialog; Escape closes it and the focus returns to where it was. */
const Dialog = ({ title, onClose, children }: DialogProps): ReactNode => {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const before = document.activeElement
    dialog.current?.showModal()
    return () => {
      if (before instanceof HTMLElement) before.focus()
    }
  }, [])
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby="dialog-title">
      <h2 id="dialog-title" className="t16">
        {title}
      </h2>
      {children}
    </dialog>
  )
}

interface RequestFormProps {
  readonly label: string
  readonly button: string
  readonly children?: ReactNode
  readonly send: (text: string, key: string) => Promise<unknown>
  readonly onClose: () => void
}

/** A text that is needed, one button, and what went wrong. A second press is the same request. */
const RequestForm = ({ label, button, children, send, onClose }: RequestFormProps): ReactNode => {
  const [text, setText] = useState('')
  const [failure, setFailure] = useState('')
  const [isSent, setSent] = useState(false)
  const key = useRef(crypto.randomUUID())
  const submit = (event: SubmitEvent): void => {
    event.preventDefault()
    setSent(true)
    setFailure('')
    send(text.trim(), key.current).then(onClose, (error: Error) => {
      setSent(false)
      setFailure(error.message)
    })
  }
  return (
    <form className="col wide" onSubmit={submit}>
      {children}
      <label className="col t12">
        {label}
        <input className="field" value={text} maxLength={300} onChange={(event) => setText(event.target.value)} />
      </label>
      <p className="t12" role="alert">
        {failure}
      </p>
      <div className="row actions">
        <button type="button" className="btn" onClick={onClose}>
          Close
        </button>
        <button type="submit" className="btn pri" disabled={text.trim() === '' || isSent}>
          {button}
        </button>
      </div>
    </form>
  )
}

interface ScopeProps {
  readonly scope: string
  readonly lines: readonly LineView[]
  readonly onScope: (scope: string) => void
  readonly withAll: boolean
}

const Scope = ({ scope, lines, onScope, withAll }: ScopeProps): ReactNode => (
  <label className="col t12">
    Line
    <select className="field" value={scope} onChange={(event) => onScope(event.target.value)}>
      {withAll && <option value="*">Every line</option>}
      {lines.map((line) => (
        <option key={line.id} value={line.id}>
          {line.name}
        </option>
      ))}
    </select>
  </label>
)

interface HoldDialogProps {
  readonly holds: readonly HoldView[]
  readonly lines: readonly LineView[]
  readonly timeZone: string
  readonly onClose: () => void
}

export const HoldDialog = ({ holds, lines, timeZone, onClose }: HoldDialogProps): ReactNode => {
  const [isPlacing, setPlacing] = useState(holds.length === 0)
  const [scope, setScope] = useState('*')
  const [chosen, setChosen] = useState(holds[0]?.id ?? '')
  const hold = holds.find(({ id }) => id === chosen)
  if (isPlacing || !hold)
    return (
      <Dialog title="Place a hold" onClose={onClose}>
        <p className="i2">
          Nothing that Andon would do runs while the hold lasts. A command that was already sent is not recalled. Reading and rejecting go
          on. It ends only when a person lifts it.
        </p>
        <RequestForm label="Reason" button="Place hold" send={(reason, key) => api.hold(scope, reason, key)} onClose={onClose}>
          <Scope scope={scope} lines={lines} onScope={setScope} withAll />
        </RequestForm>
      </Dialog>
    )
  return (
    <Dialog title="Lift the hold" onClose={onClose}>
      <p className="i2">
        On {hold.scopeName} since {clock(hold.sinceUs, timeZone)} by {hold.by}: {hold.reason}. Once lifted, steps that are approved run.
      </p>
      <RequestForm label="Reason" button="Lift hold" send={(reason, key) => api.lift(hold.id, reason, key)} onClose={onClose}>
        {holds.length > 1 && (
          <label className="col t12">
            Hold
            <select className="field" value={chosen} onChange={(event) => setChosen(event.target.value)}>
              {holds.map((one) => (
                <option key={one.id} value={one.id}>
                  {one.scopeName}: {one.reason}
                </option>
              ))}
            </select>
          </label>
        )}
      </RequestForm>
      <button type="button" className="linkish t12" onClick={() => setPlacing(true)}>
        Place another hold
      </button>
    </Dialog>
  )
}

/** The cord: a person raises an incident by hand. */
export const CallDialog = ({ lines, onClose }: { lines: readonly LineView[]; onClose: () => void }): ReactNode => {
  const [line, setLine] = useState(lines[0]?.id ?? '')
  return (
    <Dialog title="Call for help" onClose={onClose}>
      <p className="i2">Raises an incident by hand and tells the people on call. It moves nothing. In danger, use the emergency stop.</p>
      <RequestForm label="What is wrong" button="Call" send={(title, key) => api.callFor(line, title, key)} onClose={onClose}>
        <Scope scope={line} lines={lines} onScope={setLine} withAll={false} />
      </RequestForm>
    </Dialog>
  )
}

const keys: readonly (readonly [string, string])[] = [
  ['J K', 'next, previous incident'],
  ['P', 'the plant'],
  ['A', 'approve: opens the confirmation, Enter there sends'],
  ['R', 'reject: goes to the reason'],
  ['Shift H', 'hold: opens the dialog'],
  ['Shift C', 'call: opens the dialog'],
  ['← →', 'move in a focused trend; Shift moves ten'],
  ['Esc', 'closes the top layer'],
]

export const AccountDialog = ({
  person,
  onSignedOut,
  onClose,
}: {
  person: Person
  onSignedOut: () => void
  onClose: () => void
}): ReactNode => {
  const [theme, setTheme] = useState(document.documentElement.dataset['theme'])
  const [isOn, setOn] = useState(keysAreOn)
  const choose = (next: string): void => {
    document.documentElement.dataset['theme'] = next
    localStorage.setItem('andon-theme', next)
    setTheme(next)
  }
  return (
    <Dialog title="You and this page" onClose={onClose}>
      <p className="i2">
        <code>{person.id}</code>, {person.roles.join(', ')}. The log keeps this id; names stay in the tokens file.
      </p>
      <div className="row">
        <span className="seg" role="group" aria-label="Theme">
          {['dark', 'light'].map((one) => (
            <button type="button" key={one} aria-pressed={theme === one} onClick={() => choose(one)}>
              {one === 'dark' ? 'Dark' : 'Light'}
            </button>
          ))}
        </span>
        <label className="row t12">
          <input
            type="checkbox"
            checked={isOn}
            onChange={(event) => {
              turnKeys(event.target.checked)
              setOn(event.target.checked)
            }}
          />
          Single-letter keys
        </label>
      </div>
      <dl className="kv">
        {keys.map(([key, word]) => (
          <div key={key} className="kvrow">
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{word}</dd>
          </div>
        ))}
      </dl>
      <div className="row actions">
        <button type="button" className="btn" onClick={() => void api.signOut().then(onSignedOut, onSignedOut)}>
          Sign out
        </button>
        <button type="button" className="btn pri" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  )
}
