// VerdictRequested → VerdictRecorded: what a person says of an episode. The last word counts; it commands nothing.

import type { Actions } from '@andon/schemas'
import { fact, refused } from './facts.ts'
import { MOST_TEXT, TEACHING_ROLES } from './teaching.ts'
import type { DecideContext, Facts, Incident, State } from './types.ts'

export const EPISODE_VERDICTS = ['confirmed', 'false-alarm', 'normal-now', 'planned', 'unsure'] as const

export const decideVerdict = (request: Actions, state: State, context: DecideContext): Facts => {
  const no = (code: string, message: string): Facts => [refused(request, context.atUs, code, message)]
  const { episodeVerdict: asked } = request
  if (!asked || asked.episodeId === '') return no('ANDON_ACTIONS_MALFORMED', 'VerdictRequested names no episode')
  const roles: readonly string[] = TEACHING_ROLES.VerdictRequested
  if (!(request.roles ?? []).some((role) => roles.includes(role)))
    return no('ANDON_ACTIONS_ROLE', `A verdict needs one of the roles ${roles.join(', ')}`)
  if (!(EPISODE_VERDICTS as readonly string[]).includes(asked.verdict))
    return no('ANDON_ACTIONS_BAD_TEACHING', `verdict: expected one of ${EPISODE_VERDICTS.join(', ')}, found ${asked.verdict}`)
  if (asked.note.length > MOST_TEXT) return no('ANDON_ACTIONS_BAD_TEACHING', `note: expected at most ${MOST_TEXT} characters`)
  const incident = incidentOfEpisode(state, asked.episodeId)
  const assetId = incident?.assetId ?? request.assetId
  if (assetId === null) return no('ANDON_ACTIONS_UNKNOWN_EPISODE', `No incident knows episode ${asked.episodeId}: say which asset it is of`)
  return [
    fact('VerdictRecorded', request.line, context.atUs, [request.id], {
      by: request.by,
      requestId: request.id,
      incidentId: incident?.id ?? null,
      assetId,
      title: `Verdict: ${asked.verdict}${asked.note === '' ? '' : `, ${asked.note}`}`,
      episodeVerdict: asked,
    }),
  ]
}

/** The incident of an episode, while it is remembered. */
export const incidentOfEpisode = (state: State, episodeId: string): Incident | undefined => {
  for (const incident of state.incidents.values()) if (incident.finding?.episodeId === episodeId) return incident
  return undefined
}
