// A step in words: what exactly would happen, and what became of it. Nothing is shown as done before it was read back.
import type { ReactNode } from 'react'
import type { StepView } from '../../src/view.ts'
import { clock } from './format.ts'
import { Icon, type IconName } from './parts.tsx'

const states: Readonly<Record<StepView['status'], readonly [IconName, string]>> = {
  'awaiting-approval': ['user', 'waits for a person'],
  'asks-again': ['user', 'left no trace at the target, asks again'],
  approved: ['hourglass', 'approved, not sent yet'],
  executing: ['hourglass', 'sent, reading back'],
  executed: ['check', 'done and read back'],
  rejected: ['x', 'rejected, nothing ran'],
  expired: ['x', 'expired, nothing ran'],
  revoked: ['x', 'withdrawn, nothing ran'],
  refused: ['x', 'refused by the target'],
  'not-done': ['x', 'not done'],
}

/** The literal call, as it goes to the target. */
export const callOf = (step: StepView): string => {
  const params = Object.entries(JSON.parse(step.params === '' ? '{}' : step.params) as Record<string, unknown>)
  return `${step.command}(${[`target=${step.target}`, ...params.map(([name, value]) => `${name}=${String(value)}`)].join(', ')})`
}

/** True for what moves or stops something. */
export const actsOnPlant = (step: StepView): boolean => step.effect === 'motion' || step.effect === 'energy'

/** pause, for line.pause; step for anything that has no short name of its own. */
export const nounOf = (step: StepView): string => (step.command.startsWith('line.') ? (step.command.split('.').at(-1) ?? 'step') : 'step')

const effectOf = (step: StepView): string => {
  if (actsOnPlant(step)) return `Asks the control system of ${step.targetName}, once. It may refuse.`
  if (step.effect === 'notify') return 'Tells people. It moves nothing.'
  return `For ${step.targetName}. It moves nothing.`
}

const latch = (step: StepView): string =>
  step.latched
    ? ` It stays so until a person resumes${step.reviewMinutes === null ? '' : `; review due after ${step.reviewMinutes} min`}.`
    : ''

/** What exactly would happen, from the command catalogue. */
export const CommandCard = ({ step }: { step: StepView }): ReactNode => (
  <div className="do">
    <b>
      {step.simulated ? 'Simulated: ' : ''}
      {step.title}
    </b>
    <div className="t12 i2">
      {effectOf(step)} {step.hazardOfStop}
      {latch(step)}
    </div>
    <code>{callOf(step)}</code>
  </div>
)

/** One line for a step that no longer waits, and what was read back. */
export const StepLine = ({ step, timeZone }: { step: StepView; timeZone: string }): ReactNode => {
  const [icon, word] = states[step.status]
  return (
    <div className="stepline" data-status={step.status}>
      <Icon name={icon} size={14} />
      <div className="grow">
        <div>
          <span className="med">
            {step.simulated ? 'Simulated: ' : ''}
            {step.title}
          </span>
          <span className="i2">
            , {word}
            {step.endedUs !== null && ` ${clock(step.endedUs, timeZone)}`}
          </span>
        </div>
        {step.approvedBy.length > 0 && <div className="t12 i2">Approved by {step.approvedBy.join(', ')}</div>}
        {step.note !== null && <div className="t12 i2">{step.note}</div>}
        {step.status === 'executed' && step.latched && (
          <div className="t12">
            Stays so until a person resumes with the machine's own reset.
            {step.reviewUs !== null && <> Review due {clock(step.reviewUs, timeZone)}.</>}
          </div>
        )}
      </div>
    </div>
  )
}
