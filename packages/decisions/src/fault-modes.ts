// FaultModeNameRequested → FaultModeNamed. A person says what a fault mode is: its name and labels, whether it wants alarms, and the
// rationalisation after ISA-18.2. What the request leaves out stays as it was.

import type { Actions, FaultModeNote } from '@andon/schemas'
import { fact, refused } from './facts.ts'
import { MOST_NAME, MOST_TEXT, TEACHING_ROLES, isSame, tooLong } from './teaching.ts'
import type { DecideContext, Facts, State } from './types.ts'

/** fault: an alarm is wanted; normal, ignore: none; known: accepted for now, at the lowest severity. */
export const STANDINGS = ['fault', 'normal', 'known', 'ignore'] as const
export type Standing = (typeof STANDINGS)[number]

const MOST_LABELS = 20

export const decideModeName = (request: Actions, state: State, context: DecideContext): Facts => {
  const no = (code: string, message: string): Facts => [refused(request, context.atUs, code, message)]
  const { faultMode: asked } = request
  if (!asked || asked.modeId === '') return no('ANDON_ACTIONS_MALFORMED', 'FaultModeNameRequested names no fault mode')
  const roles: readonly string[] = TEACHING_ROLES.FaultModeNameRequested
  if (!(request.roles ?? []).some((role) => roles.includes(role)))
    return no('ANDON_ACTIONS_ROLE', `Naming a fault mode needs one of the roles ${roles.join(', ')}`)
  if (context.plant && !context.plant.hasClass(asked.classId))
    return no('ANDON_ACTIONS_UNKNOWN_CLASS', `The plant has no asset of class ${asked.classId}`)
  const before = state.teaching.modes.get(asked.modeId)
  if (before && before.what.classId !== asked.classId)
    return no('ANDON_ACTIONS_UNKNOWN_MODE', `Mode ${asked.modeId} is one of class ${before.what.classId}, not of ${asked.classId}`)
  const problem = problemOf(asked)
  if (problem !== undefined) return no('ANDON_ACTIONS_BAD_TEACHING', problem)

  const faultMode = merged(before?.what, asked, fieldsOf(request))
  const revision = (before?.revision ?? 0) + (before && isSame(before.what, faultMode) ? 0 : 1)
  return [
    fact('FaultModeNamed', request.line, context.atUs, [asked.modeId, revision], {
      by: request.by,
      requestId: request.id,
      title: titleOf(faultMode),
      faultMode,
    }),
  ]
}

/** Fields that the request says something about; those of a request without a list are all of them. */
const fieldsOf = (request: Actions): ReadonlySet<string> | null => {
  const { fields } = JSON.parse(request.detail ?? '{}') as { fields?: readonly string[] }
  return fields === undefined ? null : new Set(fields)
}

const merged = (before: FaultModeNote | undefined, asked: FaultModeNote, fields: ReadonlySet<string> | null): FaultModeNote => {
  if (before === undefined || fields === null) return asked
  const said = Object.fromEntries(Object.entries(asked).filter(([field]) => fields.has(field)))
  return { ...before, ...said }
}

const problemOf = ({ name, labels, standing, timeToRespondS, ...texts }: FaultModeNote): string | undefined => {
  if (!(STANDINGS as readonly string[]).includes(standing)) return `standing: expected one of ${STANDINGS.join(', ')}, found ${standing}`
  if ((name?.length ?? 0) > MOST_NAME) return `name: expected at most ${MOST_NAME} characters`
  if (labels.length > MOST_LABELS || labels.some((label) => label === '' || label.length > MOST_NAME))
    return `labels: expected at most ${MOST_LABELS} words of at most ${MOST_NAME} characters`
  if (timeToRespondS !== null && timeToRespondS < 0) return 'timeToRespondS: expected 0 or more'
  const { rootCause, instruction, cause, consequence, response } = texts
  const long = tooLong({ rootCause, instruction, cause, consequence, response }, MOST_TEXT)
  return long === undefined ? undefined : `${long}: expected at most ${MOST_TEXT} characters`
}

const titleOf = ({ name, modeId, standing }: FaultModeNote): string => {
  const what = name ?? `Mode ${modeId.slice(0, 8)}`
  if (standing === 'fault') return `${what}: a fault`
  return standing === 'known' ? `${what}: known, accepted for now` : `${what}: ${standing}, no alarm is wanted`
}
