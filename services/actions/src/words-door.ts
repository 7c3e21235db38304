// What people say of steps, incidents and alarms, over HTTP. The answer is the owner's fact; nothing is decided here.

import type { Express, Request, Response } from 'express'
import { ATTENDING_ROLES, DECIDING_ROLES, PROPOSING_ROLES } from '@andon/decisions'
import type { Incident, Step } from '@andon/decisions'
import { AndonError, asyncRoute, requireRole } from '@andon/kit'
import type { Principal, Principals } from '@andon/kit'
import type { Actions } from '@andon/schemas'
import type { z } from 'zod'
import { bodies } from './bodies.ts'
import type { Board } from './board.ts'
import type { PlantView } from './plant-view.ts'
import { decisionRequest, incidentRequest, proposalRequest, stepRequest, suppressionRequest } from './requests.ts'
import type { Verb } from './requests.ts'
import { suppressionView } from './views.ts'

export interface WordsDoor {
  readonly board: Board
  readonly plant: PlantView
  readonly principals: Principals
  readonly nowUs: () => number
  readonly parse: <T extends z.ZodType>(shape: T, body: unknown) => z.output<T>
  readonly principalOf: (request: Request) => Principal
  /** Logical id of the request: a repeat with the same Idempotency-Key has the same one. */
  readonly idOf: (request: Request) => string
  readonly param: (request: Request, name: string) => string
  /** Throws 404 when it is not known. */
  readonly incidentOf: (request: Request) => { readonly incident: Incident }
  /** Appends and answers with the owner's fact. */
  readonly answer: (response: Response, request: Actions) => Promise<void>
}

export const wordRoutes = (app: Express, door: WordsDoor): void => {
  const { board, plant, principals, nowUs, parse, principalOf, idOf, param, incidentOf, answer } = door
  const anybody = requireRole(principals)
  const deciding = requireRole(principals, ...DECIDING_ROLES)
  const proposing = requireRole(principals, ...PROPOSING_ROLES)
  const attending = requireRole(principals, ...ATTENDING_ROLES)

  const stepOf = (request: Request): Step => {
    const found = board.findStep(param(request, 'stepId'))
    if (!found) throw new AndonError('ANDON_ACTIONS_UNKNOWN_STEP', `No step ${param(request, 'stepId')} is known`, { status: 404 })
    return found.step
  }

  const onStep = (verb: Verb, allowed = deciding): void => {
    app.post(
      `/v1/steps/:stepId/${verb}`,
      allowed,
      asyncRoute(async (request, response) => {
        const body = parse(bodies.decision, request.body)
        const [step, principal, atUs] = [stepOf(request), principalOf(request), nowUs()]
        let refusals = 0
        const said = () => decisionRequest(verb, step, body, principal, atUs, refusals)
        while (board.answerOf(said().id)?.type === 'RequestRefused') refusals += 1
        await answer(response, said())
      }),
    )
  }
  onStep('approve')
  onStep('reject')
  onStep('revoke')
  onStep('abstain')
  // whoever proposed may take it back, whatever their role
  onStep('withdraw', anybody)

  app.post(
    '/v1/steps/:stepId/delegate',
    deciding,
    asyncRoute(async (request, response) => {
      const body = parse(bodies.delegation, request.body)
      await answer(response, stepRequest('DelegateRequested', idOf(request), stepOf(request), body, principalOf(request), nowUs()))
    }),
  )

  app.post(
    '/v1/steps/:stepId/modify',
    deciding,
    asyncRoute(async (request, response) => {
      const { params, ...body } = parse(bodies.modification, request.body)
      const said = { ...body, params: JSON.stringify(params) }
      await answer(response, stepRequest('ModifyRequested', idOf(request), stepOf(request), said, principalOf(request), nowUs()))
    }),
  )

  app.post(
    '/v1/incidents/:incidentId/acknowledge',
    attending,
    asyncRoute(async (request, response) => {
      const said = parse(bodies.acknowledgement, request.body)
      const { incident } = incidentOf(request)
      await answer(response, incidentRequest('AcknowledgeRequested', idOf(request), incident, said, principalOf(request), nowUs()))
    }),
  )

  app.post(
    '/v1/incidents/:incidentId/propose',
    proposing,
    asyncRoute(async (request, response) => {
      const said = parse(bodies.proposal, request.body)
      const { incident } = incidentOf(request)
      const proposed = { ...said, lineId: plant.lineIdOf(incident) }
      await answer(response, proposalRequest(idOf(request), incident, proposed, principalOf(request), nowUs()))
    }),
  )

  app.post(
    '/v1/incidents/:incidentId/comment',
    attending,
    asyncRoute(async (request, response) => {
      const { text } = parse(bodies.comment, request.body)
      const { incident } = incidentOf(request)
      await answer(response, incidentRequest('CommentRequested', idOf(request), incident, { reason: text }, principalOf(request), nowUs()))
    }),
  )

  app.post(
    '/v1/incidents/:incidentId/shelve',
    deciding,
    asyncRoute(async (request, response) => {
      const said = parse(bodies.shelving, request.body)
      const { incident } = incidentOf(request)
      await answer(response, incidentRequest('ShelveRequested', idOf(request), incident, said, principalOf(request), nowUs()))
    }),
  )

  app.post(
    '/v1/incidents/:incidentId/unshelve',
    deciding,
    asyncRoute(async (request, response) => {
      const said = parse(bodies.acknowledgement, request.body)
      const { incident } = incidentOf(request)
      await answer(response, incidentRequest('UnshelveRequested', idOf(request), incident, said, principalOf(request), nowUs()))
    }),
  )

  app.get('/v1/alarms/suppressed', anybody, (_request, response) => {
    const lines = [...board.states.values()].flatMap((state) => [...state.alarms.values()])
    response.json({ suppressed: lines.flatMap((alarms) => [...alarms.suppressions.values()].map(suppressionView)) })
  })

  const lineOf = (request: Request): string => {
    const assetId = param(request, 'assetId')
    const line = plant.controlGroupOf(assetId)
    if (line === undefined) throw new AndonError('ANDON_ACTIONS_UNKNOWN_PLACE', `The plant has no asset ${assetId}`, { status: 404 })
    return line
  }

  app.post(
    '/v1/assets/:assetId/suppress',
    deciding,
    asyncRoute(async (request, response) => {
      const said = parse(bodies.suppression, request.body)
      const [assetId, line] = [param(request, 'assetId'), lineOf(request)]
      await answer(
        response,
        suppressionRequest('AlarmSuppressRequested', idOf(request), line, assetId, said, principalOf(request), nowUs()),
      )
    }),
  )

  app.post(
    '/v1/assets/:assetId/restore',
    deciding,
    asyncRoute(async (request, response) => {
      const said = parse(bodies.restoration, request.body)
      const [assetId, line] = [param(request, 'assetId'), lineOf(request)]
      await answer(response, suppressionRequest('AlarmRestoreRequested', idOf(request), line, assetId, said, principalOf(request), nowUs()))
    }),
  )
}
