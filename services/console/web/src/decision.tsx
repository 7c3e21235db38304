// The right-hand panel: how long, exactly what, act. The effect is spelled out before the button; nothing is shown as done before it was read back.
import { type ReactNode, useEffect, useRef, useState } from 'react'
import type { HoldView, IncidentView, Person, StepView } from '../../src/view.ts'
import { api } from './api.ts'
import { clock, countdown } from './format.ts'
import { Icon, Panel } from './parts.tsx'

const words: Readonly<Record<StepView['status'], string>> = {
  'awaiting-approval': 'waits for a person',
  approved: 'approved',
  executing: 'sent, reading back',
  executed: 'done and read back',
  rejected: 'rejected, nothing ran',
  expired: 'expired, nothing ran',
  revoked: 'withdrawn, nothing ran',
  failed: 'not done',
  unknown: 'outcome not known, being settled',
}

const call = (step: StepView): string => {
  const params = Object.entries(JSON.parse(step.params === '' ? '{}' : step.params) as Record<string, unknown>)
  return `${step.command}(${[`target=${step.target}`, ...params.map(([name, value]) => `${name}=${String(value)}`)].join(', ')})`
}

interface DecisionProps {
  readonly incident: IncidentView
  readonly holds: readonly HoldView[]
  readonly person: Person
  readonly nowMs: number
  readonly timeZone: string
  readonly onDone: () => void
}

export const Decision = ({ incident, holds, person, nowMs, timeZone, onDone }: DecisionProps): ReactNode => {
  const waiting = incident.steps.find((step) => step.status === 'awaiting-approval')
  const others = incident.steps.filter((step) => step !== waiting)
  return (
    <Panel title={waiting ? 'Your decision' : 'What was done'} className="decision" aside={waiting && <Quorum step={waiting} />}>
      {waiting && (
        <Waiting
          key={waiting.id}
          step={waiting}
          incident={incident}
          holds={holds}
          person={person}
          nowMs={nowMs}
          timeZone={timeZone}
          onDone={onDone}
        />
      )}
      {!waiting && incident.steps.length === 0 && (
        <p className="i2 t12">
          {incident.historical
            ? 'This was recorded in the past: it is stored and scored, it proposes nothing.'
            : 'No plan was proposed for this finding.'}
        </p>
      )}
      {others.length > 0 && (
        <div>
          <h3 className="sec">{waiting ? 'Done without approval' : 'Steps'}</h3>
          {others.map((step) => (
            <div className="do" key={step.id}>
              <div className="row">
                <b>{step.title}</b>
                <span className="end t12 i2 nw">{words[step.status]}</span>
              </div>
              <code>
                {step.simulated ? 'Simulated: ' : ''}
                {call(step)}
              </code>
              {step.readback !== null && <code>read back: {step.readback}</code>}
              {step.outcome !== null && step.outcome !== 'Executed' && <div className="t12 i2">{step.outcome}</div>}
            </div>
          ))}
        </div>
      )}
      <p className="safety rule">
        <Icon name="info" size={14} />
        <span>
          <b>Not a safety function.</b> In danger, use the emergency stop. This asks for a normal stop; the PLC may refuse it.
        </span>
      </p>
      <div className="rule sofar">
        <h3 className="sec">So far</h3>
        <ol>
          {incident.timeline.map((entry) => (
            <li key={`${entry.atUs}-${entry.type}-${entry.text}`} className="row t12">
              <span className="i3 num">{clock(entry.atUs, timeZone)}</span>
              <span>{entry.text}</span>
            </li>
          ))}
        </ol>
      </div>
    </Panel>
  )
}

const Quorum = ({ step }: { step: StepView }): ReactNode => (
  <small className="quorum">
    {Array.from({ length: step.approvalsNeeded }, (_, i) => (
      <i key={i} className={i < step.approvals ? 'on' : i === step.approvals ? 'you' : ''} />
    ))}
    {step.approvals} of {step.approvalsNeeded} in
  </small>
)

const Waiting = ({ step, incident, holds, person, nowMs, timeZone, onDone }: DecisionProps & { step: StepView }): ReactNode => {
  const [confirming, setConfirming] = useState(false)
  const [reason, setReason] = useState('')
  const [sent, setSent] = useState('')
  const [failure, setFailure] = useState('')
  const confirm = useRef<HTMLButtonElement>(null)
  const hold = holds.find((h) => h.scope === '*' || h.scope === incident.line)
  const mayDecide = step.roles.length === 0 || step.roles.some((role) => person.roles.includes(role))
  const leftMs = step.expiresUs / 1000 - nowMs
  const share = Math.max(0, Math.min(1, leftMs / ((step.expiresUs - step.proposedUs) / 1000)))
  const off = sent !== '' || leftMs <= 0
  const send = (verdict: 'approve' | 'reject'): void => {
    setFailure('')
    setSent(verdict === 'approve' ? 'Approval sent. Waiting for the owner of this line to record it.' : 'Rejection sent.')
    api.decide(step.id, verdict, step.commandHash, reason).then(onDone, (error: Error) => {
      setSent('')
      setFailure(error.message)
    })
  }
  useEffect(() => {
    if (confirming) confirm.current?.focus()
  }, [confirming])
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey) return
      if (event.key === 'a' && mayDecide && !hold && !off) setConfirming(true)
      if (event.key === 'Escape') setConfirming(false)
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  }, [mayDecide, hold, off])
  return (
    <>
      <div>
        <div className="row">
          <span className="count">{countdown(leftMs)}</span>
          <span className="t12 i2">
            left. Then it expires and <b className="ink">nothing runs</b>.
            {step.escalateUs !== null && <> The next person is told at {clock(step.escalateUs, timeZone)}.</>}
          </span>
        </div>
        <div className="drain" aria-hidden="true">
          <i style={{ width: `${share * 100}%` }} />
          {step.escalateUs !== null && (
            <u style={{ left: `${((step.expiresUs - step.escalateUs) / (step.expiresUs - step.proposedUs)) * 100}%` }} />
          )}
        </div>
      </div>
      <div>
        <h3 className="sec">
          If approved, exactly this happens <span>risk: {step.riskClass}</span>
        </h3>
        <div className="do">
          <b>
            {step.simulated ? 'Simulated: ' : ''}
            {step.title}
          </b>
          <div className="t12 i2">
            Asks the control system for its normal controlled stop. It stays paused until a person resumes at the machine.
          </div>
          <code>{call(step)}</code>
        </div>
      </div>
      <dl className="kv">
        <dt>Reaches</dt>
        <dd>
          <b>{incident.lineName}</b>
        </dd>
        <dt>If nobody decides</dt>
        <dd>nothing runs; the finding stays open</dd>
        <dt>Undo</dt>
        <dd>withdraw until it is sent; resume by hand, with the machine's own reset</dd>
        <dt>Who may</dt>
        <dd>
          {step.roles.join(', ') || 'any operator'}
          {step.fourEyes && ', not the one who proposed it'}
        </dd>
      </dl>
      <div className="col act">
        <input
          className="field"
          value={reason}
          onChange={(event) => setReason(event.target.value)}
          placeholder="Reason, needed to reject"
          aria-label="Reason, needed to reject"
        />
        {confirming ? (
          <div className="confirm" role="alertdialog" aria-label="Confirm the approval">
            <p>
              <b>{step.title}</b> on {incident.lineName}. Only a person resumes.
            </p>
            <div className="row">
              <button type="button" className="btn pri grow" ref={confirm} disabled={off} onClick={() => send('approve')}>
                Approve and send <kbd>Enter</kbd>
              </button>
              <button type="button" className="btn" disabled={off} onClick={() => setConfirming(false)}>
                Back
              </button>
            </div>
          </div>
        ) : (
          <>
            <button
              type="button"
              className="btn pri lg"
              disabled={!mayDecide || hold !== undefined || off}
              onClick={() => setConfirming(true)}
            >
              {hold ? 'Approve is off during the hold' : 'Approve'} {!hold && <kbd>A</kbd>}
            </button>
            <button type="button" className="btn" disabled={!mayDecide || reason.trim() === '' || off} onClick={() => send('reject')}>
              Reject
            </button>
          </>
        )}
        <p className="t12 i2" role="status">
          {failure !== ''
            ? failure
            : sent !== ''
              ? sent
              : !mayDecide
                ? `Your role may read this. Deciding needs ${step.roles.join(' or ')}.`
                : hold
                  ? 'You can still reject. The clock runs on; expiry is safe.'
                  : ''}
        </p>
      </div>
    </>
  )
}
