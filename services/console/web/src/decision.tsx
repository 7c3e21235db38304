// The right-hand panel: how long, exactly what, act. The effect is spelled out before the button; no single key has an outside effect.
import { type ReactNode, useCallback, useEffect, useRef, useState } from 'react'
import type { HoldView, IncidentView, Person, StepView } from '../../src/view.ts'
import { api } from './api.ts'
import { clock, countdown, plural } from './format.ts'
import { useKeys } from './keys.ts'
import { Icon, Panel } from './parts.tsx'
import { CommandCard, StepLine, actsOnPlant, nounOf } from './steps.tsx'

interface DecisionProps {
  readonly incident: IncidentView
  readonly holds: readonly HoldView[]
  readonly person: Person
  /** Assets of the line: what a command to it reaches. */
  readonly assetsOnLine: number
  readonly nowMs: number
  readonly isOffline: boolean
  readonly timeZone: string
  readonly onDone: () => void
}

const isAsking = (step: StepView): boolean => step.status === 'awaiting-approval' || step.status === 'asks-again'

/** What weighs most comes first. */
const byWeight = (a: StepView, b: StepView): number => Number(actsOnPlant(b)) - Number(actsOnPlant(a)) || a.expiresUs - b.expiresUs

export const Decision = (props: DecisionProps): ReactNode => {
  const { incident, timeZone } = props
  const [picked, setPicked] = useState<string | null>(null)
  const asking = incident.steps.filter(isAsking).sort(byWeight)
  const step = asking.find(({ id }) => id === picked) ?? asking[0]
  const others = incident.steps.filter((one) => !isAsking(one)).sort((a, b) => Number(actsOnPlant(b)) - Number(actsOnPlant(a)))
  // what is shown stays until it is decided: a new step never slips under a hand that is about to approve
  const shown = step?.id ?? null
  useEffect(() => setPicked(shown), [shown])
  return (
    <Panel title={step ? 'Your decision' : 'What was done'} className="decision" aside={step && <Quorum step={step} />}>
      {asking.length > 1 && (
        <div className="asks" role="group" aria-label={`${asking.length} steps ask for a person`}>
          {asking.map((one) => (
            <button type="button" key={one.id} aria-pressed={one === step} onClick={() => setPicked(one.id)}>
              <span className="cut grow">{one.title}</span>
              <span className="i2">risk: {one.riskClass}</span>
            </button>
          ))}
        </div>
      )}
      {step && <Waiting key={step.id} {...props} step={step} others={others} />}
      {!step && others.length === 0 && (
        <p className="i2 t12">
          {incident.historical
            ? 'This was recorded in the past: it is stored and scored, it proposes nothing.'
            : incident.kind === 'call'
              ? 'A call proposes no command. It closes by itself after its review time.'
              : 'No plan was proposed for this finding.'}
        </p>
      )}
      {!step && <Others steps={others} title="Steps" timeZone={timeZone} />}
      {others
        .filter(({ status }) => status === 'approved')
        .map((one) => (
          <Withdraw key={one.id} step={one} {...props} />
        ))}
      {!step && <Safety />}
    </Panel>
  )
}

const Others = ({ steps, title, timeZone }: { steps: readonly StepView[]; title: string; timeZone: string }): ReactNode =>
  steps.length > 0 && (
    <div>
      <h3 className="sec">{title}</h3>
      {steps.map((one) => (
        <StepLine key={one.id} step={one} timeZone={timeZone} />
      ))}
    </div>
  )

const Safety = (): ReactNode => (
  <p className="safety rule">
    <Icon name="info" size={14} />
    <span>
      <b>Not a safety function.</b> In danger, use the emergency stop. This asks for a normal stop; the PLC may refuse it.
    </span>
  </p>
)

const Quorum = ({ step }: { step: StepView }): ReactNode => (
  <small className="quorum">
    {Array.from({ length: step.approvalsNeeded }, (_, i) => (
      <i key={i} className={i < step.approvals ? 'on' : i === step.approvals ? 'you' : ''} />
    ))}
    {step.approvals} of {step.approvalsNeeded} in
  </small>
)

const Countdown = ({ step, nowMs, isOffline, timeZone }: DecisionProps & { step: StepView }): ReactNode => {
  const leftMs = step.expiresUs / 1000 - nowMs
  const totalUs = step.expiresUs - step.proposedUs
  const share = Math.max(0, Math.min(1, (leftMs * 1000) / totalUs))
  const escalation =
    step.escalateUs === null ? null : step.escalated ? (
      <> The technicians were told.</>
    ) : (
      <> The technicians are told at {clock(step.escalateUs, timeZone)}.</>
    )
  return (
    <div>
      <div className="row">
        {isOffline ? (
          <span className="t12 i2">
            Expires at <b className="ink num">{clock(step.expiresUs, timeZone)}</b>; then nothing runs.
          </span>
        ) : (
          <>
            <span className="count" role="timer" aria-label="Time left to decide">
              {countdown(leftMs)}
            </span>
            <span className="t12 i2">
              left. Then it expires and <b className="ink">nothing runs</b>.{escalation}
            </span>
          </>
        )}
      </div>
      <div className="drain" aria-hidden="true">
        <i style={{ width: `${share * 100}%` }} />
        {step.escalateUs !== null && <u style={{ left: `${((step.expiresUs - step.escalateUs) / totalUs) * 100}%` }} />}
      </div>
    </div>
  )
}

const preconditionWords: Readonly<Record<string, string>> = {
  modeAutomatic: 'Line in automatic',
  noEmergencyStop: 'No emergency stop active',
  heartbeatAlive: 'Control system alive',
}

const Effect = ({ step, incident, assetsOnLine }: DecisionProps & { step: StepView }): ReactNode => (
  <>
    <div>
      <h3 className="sec">
        If approved, exactly this happens <span>risk: {step.riskClass}</span>
      </h3>
      <CommandCard step={step} />
    </div>
    <dl className="kv">
      <dt>Reaches</dt>
      <dd>
        <b>{step.targetName}</b>
        {actsOnPlant(step) && `, ${plural(assetsOnLine, 'asset', 'assets')}`}
        {actsOnPlant(step) && incident.lineSimulated && ', simulated'}
      </dd>
      <dt>Not acting</dt>
      <dd>nothing runs; the finding stays open</dd>
      <dt>Undo</dt>
      <dd>withdraw until it is sent{step.latched && ', then resume by hand'}</dd>
      <dt>Who may</dt>
      <dd>
        {step.roles.length === 0 ? 'operator, shift-lead, process-engineer' : step.roles.join(', ')}
        {step.fourEyes && '; not who proposed it'}
      </dd>
    </dl>
    {step.preconditions.length > 0 && (
      <div>
        <h3 className="sec">Checked at the line before it is sent</h3>
        <ul className="checks t12 i2">
          {step.preconditions.map((name) => (
            <li key={name}>{preconditionWords[name] ?? name}</li>
          ))}
          {step.readBack !== null && <li>Done only when read back as {step.readBack.state}</li>}
        </ul>
      </div>
    )}
  </>
)

type Verdict = 'approve' | 'reject' | 'revoke'
const sentWords: Readonly<Record<Verdict, string>> = {
  approve: 'Approval sent. Waiting for the owner of this line to record it.',
  reject: 'Rejection sent. Waiting for the owner of this line to record it.',
  revoke: 'Withdrawal sent. Waiting for the owner of this line to record it.',
}

/** Sends one word on a step; `said` is what became of it, for people. */
const useVerdict = (
  step: StepView,
  onDone: () => void,
): { isSent: boolean; said: string; send: (verdict: Verdict, reason: string) => void } => {
  const [isSent, setSent] = useState(false)
  const [said, setSaid] = useState('')
  const send = (verdict: Verdict, reason: string): void => {
    setSent(true)
    setSaid(sentWords[verdict])
    api.decide(step.id, verdict, step.commandHash, reason).then(
      ({ isDecided }) => {
        if (!isDecided) setSaid(`${sentWords[verdict]} It takes longer than a second; this page follows.`)
        onDone()
      },
      (error: Error) => {
        setSent(false)
        setSaid(error.message)
      },
    )
  }
  return { isSent, said, send }
}

const whyOff = (step: StepView, person: Person, hold: HoldView | undefined, isOffline: boolean, leftMs: number): string => {
  const roles = step.roles.length === 0 ? ['operator', 'shift-lead', 'process-engineer'] : step.roles
  if (isOffline) return 'Offline: deciding is off. Reading goes on.'
  if (!roles.some((role) => person.roles.includes(role))) return `Your role may read this. Deciding needs ${roles.join(' or ')}.`
  if (leftMs <= 0) return 'The time to decide is over. Nothing ran.'
  return hold ? 'You can still reject. The clock runs on; expiry is safe.' : ''
}

const Waiting = (props: DecisionProps & { step: StepView; others: readonly StepView[] }): ReactNode => {
  const { step, others, timeZone, incident, holds, person, nowMs, isOffline, onDone } = props
  const [isConfirming, setConfirming] = useState(false)
  const [reason, setReason] = useState('')
  const { isSent, said, send } = useVerdict(step, onDone)
  const confirm = useRef<HTMLButtonElement>(null)
  const field = useRef<HTMLInputElement>(null)
  const hold = holds.find(({ scope }) => scope === '*' || scope === incident.line)
  const why = whyOff(step, person, hold, isOffline, step.expiresUs / 1000 - nowMs)
  const mayReject = !isSent && (why === '' || (hold !== undefined && why.startsWith('You can')))
  const mayApprove = mayReject && !hold
  const noun = nounOf(step)

  useEffect(() => {
    if (isConfirming) confirm.current?.focus()
  }, [isConfirming])
  useEffect(() => {
    if (!mayApprove && !isSent) setConfirming(false)
  }, [mayApprove, isSent])
  useKeys(
    useCallback(
      (key, event) => {
        if (key === 'a' && mayApprove) setConfirming(true)
        if (key === 'r' && mayReject) {
          event.preventDefault()
          field.current?.focus()
        }
        if (key === 'Escape') setConfirming(false)
      },
      [mayApprove, mayReject],
    ),
  )
  return (
    <>
      <Countdown {...props} />
      <Effect {...props} />
      <Others steps={others} title="Other steps" timeZone={timeZone} />
      <div className="act">
        {isConfirming ? (
          <div className="confirm" role="alertdialog" aria-label="Confirm the approval" aria-describedby="confirm-effect">
            <p id="confirm-effect">
              <b>
                {step.simulated ? 'Simulated: ' : ''}
                {step.title}
              </b>
              , {step.targetName}.{step.latched && ' Only a person resumes.'}
            </p>
            <div className="row">
              <button type="button" className="btn pri grow" ref={confirm} disabled={!mayApprove} onClick={() => send('approve', reason)}>
                Approve and send <kbd>Enter</kbd>
              </button>
              <button type="button" className="btn" disabled={isSent} onClick={() => setConfirming(false)}>
                Back <kbd>Esc</kbd>
              </button>
            </div>
          </div>
        ) : (
          <>
            <button type="button" className="btn pri lg approve" disabled={!mayApprove} onClick={() => setConfirming(true)}>
              {hold ? 'Approve is off during the hold' : `Approve ${noun}`} {!hold && <kbd>A</kbd>}
            </button>
            <form
              className="row rejecting"
              onSubmit={(event) => {
                event.preventDefault()
                send('reject', reason)
              }}
            >
              <input
                ref={field}
                className="field grow"
                value={reason}
                maxLength={1000}
                disabled={!mayReject}
                onChange={(event) => setReason(event.target.value)}
                placeholder="Reason, needed to reject"
                aria-label="Reason, needed to reject"
              />
              <button type="submit" className="btn" disabled={!mayReject || reason.trim() === ''}>
                Reject <kbd>R</kbd>
              </button>
            </form>
          </>
        )}
        <p className="t12 i2 said" role="status">
          {said || why}
        </p>
        <Safety />
      </div>
    </>
  )
}

/** Takes an approval back that has not been sent, because a hold or a breaker keeps it. */
const Withdraw = ({ step, isOffline, onDone }: DecisionProps & { step: StepView }): ReactNode => {
  const [reason, setReason] = useState('')
  const { isSent, said, send } = useVerdict(step, onDone)
  return (
    <form
      className="col"
      onSubmit={(event) => {
        event.preventDefault()
        send('revoke', reason)
      }}
    >
      <div className="row">
        <input
          className="field grow"
          value={reason}
          maxLength={1000}
          onChange={(event) => setReason(event.target.value)}
          placeholder="Reason to withdraw"
          aria-label={`Reason to withdraw: ${step.title}`}
        />
        <button type="submit" className="btn" disabled={isSent || isOffline || reason.trim() === ''}>
          Withdraw
        </button>
      </div>
      <p className="t12 i2" role="status">
        {said}
      </p>
    </form>
  )
}
