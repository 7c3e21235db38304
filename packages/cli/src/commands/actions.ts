// andon actions: incidents and their steps through the actions door. The door asks; the owner of the line decides.

import { connect } from 'nats'
import { type Context, CommandError, tokenOf } from '../context.ts'
import { callDoor, parse } from '../door.ts'
import { EXIT } from '../exit.ts'
import { clock, plain, print, table } from '../output.ts'

export interface AsOptions {
  readonly json?: boolean
  /** Principal whose development token is shown. */
  readonly as: string
}

/** What the door shows of a step; the rest is passed through with --json. */
interface StepView {
  readonly id: string
  readonly status: string
  readonly command: string
  readonly target: string
  readonly commandHash: string
}

interface IncidentView {
  readonly id: string
  readonly line: string
  readonly assetId: string | null
  readonly title: string | null
  readonly severity: number | null
  readonly isOpen: boolean
  readonly openedUs: number
  readonly steps: readonly StepView[]
}

interface HoldView {
  readonly id: string
  readonly scope: string
  readonly reason: string
  readonly by: string
  readonly isActive: boolean
}

const incidents = async (context: Context, options: AsOptions, onlyOpen: boolean): Promise<readonly IncidentView[]> => {
  const url = `${context.doors.actions}/v1/incidents${onlyOpen ? '?open=true' : ''}`
  const { body } = await callDoor<{ incidents: readonly IncidentView[] }>('GET', url, { token: tokenOf(context, options.as) })
  return body.incidents
}

const stepText = ({ id, command, status }: StepView): string => `${command} ${status} (${id.slice(0, 8)})`

export const listActions = async (context: Context, options: AsOptions & { all?: boolean }): Promise<void> => {
  const found = await incidents(context, options, options.all !== true)
  print(options.json === true, { incidents: found }, () =>
    found.length === 0
      ? 'No open incidents.'
      : table([
          ['INCIDENT', 'SINCE', 'LINE', 'ASSET', 'SEVERITY', 'TITLE', 'STEPS'],
          ...found.map((each) => [
            each.id,
            `${clock(each.openedUs)}${each.isOpen ? '' : ' (closed)'}`,
            each.line,
            each.assetId ?? '-',
            each.severity === null ? '-' : String(each.severity),
            each.title ?? '-',
            each.steps.map(stepText).join(', '),
          ]),
        ]),
  )
}

export const showAction = async (context: Context, id: string, options: AsOptions): Promise<void> => {
  const { body } = await callDoor('GET', `${context.doors.actions}/v1/incidents/${encodeURIComponent(id)}`, {
    token: tokenOf(context, options.as),
  })
  print(options.json === true, body, () => JSON.stringify(plain(body), null, 2))
}

/** The step among the open incidents; the beginning of its id is enough when it is the only one. */
const findStep = async (context: Context, options: AsOptions, id: string): Promise<StepView> => {
  const steps = (await incidents(context, options, true)).flatMap((each) => each.steps).filter((step) => step.id.startsWith(id))
  const [step] = steps
  if (step !== undefined && steps.length === 1) return step
  throw new CommandError(
    EXIT.failed,
    step === undefined
      ? `No step ${id} in an open incident. See \`andon actions list\`.`
      : `${steps.length} steps begin with ${id}: ${steps.map((each) => each.id).join(', ')}`,
  )
}

/** Asks for a decision on a step, about exactly the command it shows now. */
export const decideStep = async (
  context: Context,
  verb: 'approve' | 'reject',
  id: string,
  options: AsOptions & { reason?: string },
): Promise<void> => {
  const step = await findStep(context, options, id)
  const answer = await callDoor<Record<string, unknown>>(
    'POST',
    `${context.doors.actions}/v1/steps/${encodeURIComponent(step.id)}/${verb}`,
    {
      token: tokenOf(context, options.as),
      body: { reason: options.reason ?? '', commandHash: step.commandHash },
    },
  )
  const isDecided = answer.status !== 202
  print(options.json === true, { stepId: step.id, ...answer.body, isDecided }, () =>
    isDecided
      ? `${verb === 'approve' ? 'Approved' : 'Rejected'}: ${step.command} on ${step.target} (${step.id})`
      : `Asked to ${verb} ${step.command} on ${step.target}; nobody has decided yet, see ${answer.location ?? 'andon actions list'}`,
  )
}

/** Says that somebody has an incident, or something about it. */
export const speakOnIncident = async (
  context: Context,
  verb: 'acknowledge' | 'comment',
  id: string,
  text: string,
  options: AsOptions,
): Promise<void> => {
  const { body } = await callDoor<Record<string, unknown>>(
    'POST',
    `${context.doors.actions}/v1/incidents/${encodeURIComponent(id)}/${verb}`,
    { token: tokenOf(context, options.as), body: verb === 'comment' ? { text } : { reason: text } },
  )
  print(options.json === true, body, () => (verb === 'comment' ? `Noted: ${text}` : `Acknowledged: ${id}`))
}

/** Live notices from NATS until Ctrl-C. They are a convenience; the record is the `actions` topic. */
export const watchActions = async (context: Context, options: { json?: boolean }): Promise<void> => {
  const subject = `${context.namespace}andon.notify.>`
  const nats = await connect({ servers: context.natsUrl, name: 'andon actions watch', timeout: 3000 }).catch((error: unknown) => {
    throw new CommandError(
      EXIT.notRunning,
      `NATS at ${context.natsUrl} does not answer (${error instanceof Error ? error.message : String(error)}). Is the mesh up?`,
    )
  })
  if (!options.json) console.log(`Watching ${subject} (Ctrl-C ends)`)
  process.once('SIGINT', () => void nats.close()) // ends the loop below
  for await (const message of nats.subscribe(subject)) {
    const notice = parse(message.string())
    print(options.json === true, { subject: message.subject, notice }, () => noticeLine(message.subject, notice))
  }
}

interface Notice {
  readonly type: string
  readonly title: string
  readonly severity: number | null
  readonly line: string
  /** Absent in notices that a person is told directly. */
  readonly atUs?: number
  readonly stepId: string | null
  readonly incidentId: string | null
}

const isNotice = (value: unknown): value is Notice => typeof value === 'object' && value !== null && 'type' in value && 'title' in value

const noticeLine = (subject: string, notice: unknown): string => {
  if (!isNotice(notice)) return `${subject}: ${JSON.stringify(notice)}`
  const step = notice.stepId === null ? '' : ` step ${notice.stepId.slice(0, 8)}`
  const severity = notice.severity === null ? '' : ` severity ${notice.severity}`
  return `${clock(notice.atUs ?? Date.now() * 1000)} ${notice.line} ${notice.type}: ${notice.title}${severity}${step}`
}

/** A human call at an asset or a line: `andon call press-1 "Oil under the press"`. */
export const call = async (context: Context, place: string, title: string, options: AsOptions): Promise<void> => {
  const token = tokenOf(context, options.as)
  const url = `${context.doors.actions}/v1/calls`
  const answer = await callDoor<Record<string, unknown>>('POST', url, { token, body: { asset: place, title } }).catch((error: unknown) => {
    // Not an asset of the plant: then it is a line. The refused call has changed nothing.
    if (error instanceof CommandError && error.message.startsWith('ANDON_ACTIONS_UNKNOWN_PLACE')) {
      return callDoor<Record<string, unknown>>('POST', url, { token, body: { line: place, title } })
    }
    throw error
  })
  print(options.json === true, answer.body, () => `Called for ${place}: ${title}`)
}

export const listHolds = async (context: Context, options: AsOptions): Promise<void> => {
  const { body } = await callDoor<{ holds: readonly HoldView[] }>('GET', `${context.doors.actions}/v1/holds`, {
    token: tokenOf(context, options.as),
  })
  const active = body.holds.filter((hold) => hold.isActive)
  print(options.json === true, body, () =>
    active.length === 0
      ? 'Nothing is on hold.'
      : table([['HOLD', 'SCOPE', 'BY', 'REASON'], ...active.map((hold) => [hold.id, hold.scope, hold.by, hold.reason])]),
  )
}

export const placeHold = async (context: Context, scope: string, options: AsOptions & { reason: string }): Promise<void> => {
  const { body } = await callDoor<Record<string, unknown>>('POST', `${context.doors.actions}/v1/holds`, {
    token: tokenOf(context, options.as),
    body: { scope, reason: options.reason },
  })
  print(
    options.json === true,
    body,
    () => `On hold: ${scope === '*' ? 'everything' : scope}. Nothing is executed there until the hold is lifted.`,
  )
}

export const liftHold = async (context: Context, id: string, options: AsOptions & { reason: string }): Promise<void> => {
  const { body } = await callDoor<Record<string, unknown>>('POST', `${context.doors.actions}/v1/holds/${encodeURIComponent(id)}/lift`, {
    token: tokenOf(context, options.as),
    body: { reason: options.reason },
  })
  print(options.json === true, body, () => `Lifted: ${id}`)
}
