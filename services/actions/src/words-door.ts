// What people say of steps, incidents and alarms, over HTTP. The answer is the owner's fact; nothing is decided here.

import type { Express, Request, RequestHandler } from 'express'
import { ATTENDING_ROLES, DECIDING_ROLES, PROPOSING_ROLES } from '@andon/decisions'
import type { Incident, Step } from '@andon/decisions'
import { AndonError, asyncRoute, requireRole } from '@andon/kit'
import type { Principal } from '@andon/kit'
import type { Actions } from '@andon/schemas'
import type { z } from 'zod'
import { bodies } from './bodies.ts'
import { decisionRequest, incidentRequest, proposalRequest, stepRequest, suppressionRequest } from './requests.ts'
import type { Verb } from './requests.ts'
import type { Routes } from './routes.ts'
import { suppressionView } from './views.ts'

export interface WordsDoor extends Routes {
  /** Throws 404 when it is not known. */
  readonly incidentOf: (request: Request) => { readonly incident: Incident }
}

/** Who asks, when, and by which id the request is known. */
interface Asked {
  readonly id: string
  readonly principal: Principal
  readonly atUs: number
}

export const wordRoutes = (app: Express, door: WordsDoor): void => {
  const { board, plant, principals, parse, param } = door
  const anybody = requireRole(principals)
  const deciding = requireRole(principals, ...DECIDING_ROLES)
  const attending = requireRole(principals, ...ATTENDING_ROLES)
  const proposing = requireRole(principals, ...PROPOSING_ROLES)

  const stepOf = (request: Request): Step => {
    const found = board.findStep(param(request, 'stepId'))
    if (!found) throw new AndonError('ANDON_ACTIONS_UNKNOWN_STEP', `No step ${param(request, 'stepId')} is known`, { status: 404 })
    return found.step
  }
  const incidentOf = (request: Request): Incident => door.incidentOf(request).incident
  const placeOf = (request: Request): { readonly assetId: string; readonly line: string } => {
    const assetId = param(request, 'assetId')
    const line = plant.controlGroupOf(assetId)
    if (line === undefined) throw new AndonError('ANDON_ACTIONS_UNKNOWN_PLACE', `The plant has no asset ${assetId}`, { status: 404 })
    return { assetId, line }
  }

  /** A POST whose body has this shape and says something of what its path names. */
  const on =
    <What>(path: string, whatOf: (request: Request) => What) =>
    <T extends z.ZodType>(
      verb: string,
      allowed: RequestHandler,
      shape: T,
      requestOf: (said: z.output<T>, what: What, asked: Asked) => Actions,
    ): void => {
      app.post(
        `${path}/${verb}`,
        allowed,
        asyncRoute(async (request, response) => {
          const said = parse(shape, request.body)
          const asked = { id: door.idOf(request), principal: door.principalOf(request), atUs: door.nowUs() }
          await door.answer(response, requestOf(said, whatOf(request), asked))
        }),
      )
    }
  const onStep = on('/v1/steps/:stepId', stepOf)
  const onIncident = on('/v1/incidents/:incidentId', incidentOf)
  const onAsset = on('/v1/assets/:assetId', placeOf)

  const word = (verb: Verb, allowed: RequestHandler): void =>
    onStep(verb, allowed, bodies.decision, (body, step, { principal, atUs }) => {
      let refusals = 0
      const said = () => decisionRequest(verb, step, body, principal, atUs, refusals)
      while (board.answerOf(said().id)?.type === 'RequestRefused') refusals += 1
      return said()
    })
  word('approve', deciding)
  word('reject', deciding)
  word('revoke', deciding)
  word('abstain', deciding)
  // whoever proposed may take it back, whatever their role
  word('withdraw', anybody)

  onStep('delegate', deciding, bodies.delegation, (body, step, { id, principal, atUs }) =>
    stepRequest('DelegateRequested', id, step, body, principal, atUs),
  )
  onStep('modify', deciding, bodies.modification, ({ params, ...body }, step, { id, principal, atUs }) =>
    stepRequest('ModifyRequested', id, step, { ...body, params: JSON.stringify(params) }, principal, atUs),
  )

  onIncident('acknowledge', attending, bodies.acknowledgement, (said, incident, { id, principal, atUs }) =>
    incidentRequest('AcknowledgeRequested', id, incident, said, principal, atUs),
  )
  onIncident('comment', attending, bodies.comment, ({ text }, incident, { id, principal, atUs }) =>
    incidentRequest('CommentRequested', id, incident, { reason: text }, principal, atUs),
  )
  onIncident('shelve', deciding, bodies.shelving, (said, incident, { id, principal, atUs }) =>
    incidentRequest('ShelveRequested', id, incident, said, principal, atUs),
  )
  onIncident('unshelve', deciding, bodies.acknowledgement, (said, incident, { id, principal, atUs }) =>
    incidentRequest('UnshelveRequested', id, incident, said, principal, atUs),
  )
  onIncident('propose', proposing, bodies.proposal, (said, incident, { id, principal, atUs }) =>
    proposalRequest(id, incident, { ...said, lineId: plant.lineIdOf(incident) }, principal, atUs),
  )

  onAsset('suppress', deciding, bodies.suppression, (said, { line, assetId }, { id, principal, atUs }) =>
    suppressionRequest('AlarmSuppressRequested', id, line, assetId, said, principal, atUs),
  )
  onAsset('restore', deciding, bodies.restoration, (said, { line, assetId }, { id, principal, atUs }) =>
    suppressionRequest('AlarmRestoreRequested', id, line, assetId, said, principal, atUs),
  )
  app.get('/v1/alarms/suppressed', anybody, (_request, response) => {
    const lines = [...board.states.values()].flatMap((state) => [...state.alarms.values()])
    response.json({ suppressed: lines.flatMap((alarms) => [...alarms.suppressions.values()].map(suppressionView)) })
  })
}
