// andon actions: incidents and their steps through the actions door. The door asks; the owner of the line decides.

import { connect } from 'nats'
import { type Context, CommandError, tokenOf } from '../context.ts'
import { callDoor } from '../door.ts'
import { EXIT } from '../exit.ts'
import { listOf, textOf } from '../lists.ts'
import { plain, print, table } from '../output.ts'

export interface AsOptions {
  readonly json?: boolean
  /** Principal whose development token is shown. */
  readonly as: string
}

type Item = Record<string, unknown>

const incidents = async (context: Context, options: AsOptions, onlyOpen: boolean): Promise<Item[]> => {
  const { body } = await callDoor('GET', `${context.doors.actions}/v1/incidents${onlyOpen ? '?open=true' : ''}`, {
    token: tokenOf(context, options.as),
  })
  return listOf(body, 'incidents')
}

const incident = async (context: Context, options: AsOptions, id: string): Promise<Item> => {
  const { body } = await callDoor<Item>('GET', `${context.doors.actions}/v1/incidents/${encodeURIComponent(id)}`, {
    token: tokenOf(context, options.as),
  })
  return body
}

const idOf = (item: Item, kind: 'incident' | 'step'): string => textOf(item['id'] ?? item[`${kind}Id`])
const commandOf = (step: Item): Item => (typeof step['command'] === 'object' && step['command'] !== null ? (step['command'] as Item) : step)
const commandName = (step: Item): string => textOf(commandOf(step)['name'] ?? commandOf(step)['command'] ?? step['command'])
const commandHash = (step: Item): string | undefined => {
  const hash = step['commandHash'] ?? commandOf(step)['commandHash']
  return typeof hash === 'string' ? hash : undefined
}

export const listActions = async (context: Context, options: AsOptions & { all?: boolean }): Promise<void> => {
  const found = await incidents(context, options, options.all !== true)
  print(options.json === true, { incidents: found }, () =>
    found.length === 0
      ? 'No open incidents.'
      : table([
          ['INCIDENT', 'LINE', 'ASSET', 'STATUS', 'TITLE', 'STEPS'],
          ...found.map((each) => [
            idOf(each, 'incident'),
            textOf(each['line']),
            textOf(each['asset']),
            textOf(each['status'] ?? (each['open'] === false ? 'closed' : 'open')),
            textOf(each['title']),
            listOf(each['steps'], 'steps')
              .map((step) => `${commandName(step)}: ${textOf(step['status'])}`)
              .join(', '),
          ]),
        ]),
  )
}

export const showAction = async (context: Context, id: string, options: AsOptions): Promise<void> => {
  const found = await incident(context, options, id)
  print(options.json === true, found, () => JSON.stringify(plain(found), null, 2))
}

/** The step among the open incidents; the beginning of its id is enough when it is the only one. */
const findStep = async (context: Context, options: AsOptions, id: string): Promise<Item> => {
  const open = await Promise.all(
    (await incidents(context, options, true)).map((each) => incident(context, options, idOf(each, 'incident'))),
  )
  const steps = open.flatMap((each) => listOf(each['steps'], 'steps')).filter((step) => idOf(step, 'step').startsWith(id))
  if (steps.length === 1) return steps[0] as Item
  throw new CommandError(
    EXIT.failed,
    steps.length === 0
      ? `No step ${id} in an open incident. See \`andon actions list\`.`
      : `${steps.length} steps begin with ${id}: ${steps.map((step) => idOf(step, 'step')).join(', ')}`,
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
  const hash = commandHash(step)
  if (hash === undefined) throw new CommandError(EXIT.failed, `Step ${id} names no command to decide on.`)
  const stepId = idOf(step, 'step')
  const answer = await callDoor<Item>('POST', `${context.doors.actions}/v1/steps/${encodeURIComponent(stepId)}/${verb}`, {
    token: tokenOf(context, options.as),
    body: { reason: options.reason ?? null, commandHash: hash },
  })
  print(
    options.json === true,
    { stepId, status: answer.status, ...(answer.location === null ? {} : { location: answer.location }), result: answer.body ?? null },
    () =>
      answer.status === 202
        ? `Asked to ${verb} ${commandName(step)}; not decided yet, see ${answer.location ?? '`andon actions show`'}.`
        : `${commandName(step)} (${stepId}): ${verb === 'approve' ? 'approved' : 'rejected'} as ${options.as}.`,
  )
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

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const noticeLine = (subject: string, notice: unknown): string => {
  const line = subject.split('.').at(-1) ?? subject
  if (typeof notice !== 'object' || notice === null) return `${line}: ${textOf(notice)}`
  const { type, title, ...rest } = notice as Item
  return `${new Date().toLocaleTimeString()} ${line}: ${textOf(type)}${title === undefined ? '' : ` - ${textOf(title)}`} ${JSON.stringify(rest)}`
}

/** A human call: `andon call press-1 "Oil under the press"`. A place that is no line is taken as an asset by the door. */
export const call = async (context: Context, place: string, title: string, options: AsOptions & { kind?: string }): Promise<void> => {
  const body = { [options.kind === 'line' ? 'line' : 'asset']: place, title }
  const answer = await callDoor<Item>('POST', `${context.doors.actions}/v1/calls`, { token: tokenOf(context, options.as), body })
  print(options.json === true, { status: answer.status, result: answer.body ?? null }, () => `Called for ${place}: ${title}`)
}

export const listHolds = async (context: Context, options: AsOptions): Promise<void> => {
  const { body } = await callDoor('GET', `${context.doors.actions}/v1/holds`, { token: tokenOf(context, options.as) })
  const holds = listOf(body, 'holds')
  print(options.json === true, { holds }, () =>
    holds.length === 0
      ? 'Nothing is on hold.'
      : table([
          ['HOLD', 'SCOPE', 'REASON'],
          ...holds.map((each) => [textOf(each['id'] ?? each['holdId']), textOf(each['scope']), textOf(each['reason'])]),
        ]),
  )
}

export const placeHold = async (context: Context, scope: string, options: AsOptions & { reason: string }): Promise<void> => {
  const answer = await callDoor<Item>('POST', `${context.doors.actions}/v1/holds`, {
    token: tokenOf(context, options.as),
    body: { scope, reason: options.reason },
  })
  print(
    options.json === true,
    { status: answer.status, result: answer.body ?? null },
    () => `On hold: ${scope === '*' ? 'everything' : scope}. Nothing is executed there until the hold is lifted.`,
  )
}

export const liftHold = async (context: Context, id: string, options: AsOptions & { reason: string }): Promise<void> => {
  const answer = await callDoor<Item>('POST', `${context.doors.actions}/v1/holds/${encodeURIComponent(id)}/lift`, {
    token: tokenOf(context, options.as),
    body: { reason: options.reason },
  })
  print(options.json === true, { status: answer.status, result: answer.body ?? null }, () => `Lifted: ${id}`)
}
