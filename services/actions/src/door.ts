// The HTTP door: shows what the log says and appends requests. Nothing changes by a GET, and nothing is decided here:
// the answer is the owner's fact, within a second, or 202 with the place where it will be.

import express from 'express'
import type { Express, Request, Response } from 'express'
import { AndonError, asyncRoute, notFoundHandler, problemHandler, requireRole } from '@andon/kit'
import type { Logger, Metrics, Principal, Principals } from '@andon/kit'
import { z } from 'zod'
import { alarmKpis, callRequest, PROPOSING_ROLES } from '@andon/decisions'
import type { Actions } from '@andon/schemas'
import type { ActionsLog } from './actions-log.ts'
import type { Board } from './board.ts'
import { bodies } from './bodies.ts'
import { checkTogether } from './documents.ts'
import { decideContext } from './decide-context.ts'
import { streamEvents } from './events.ts'
import { mcpRoute } from './mcp/door.ts'
import { openApi } from './openapi.ts'
import type { PlantView } from './plant-view.ts'
import {
  documentRequest,
  evidenceRequest,
  holdRequest,
  isForEverybody,
  liftRequest,
  proposalRequest,
  readGiven,
  refusalOf,
  requestIdFor,
} from './requests.ts'
import type { StepUp } from './requests.ts'
import type { Routes } from './routes.ts'
import { teachingRoutes } from './teaching-door.ts'
import { wordRoutes } from './words-door.ts'
import { holdView, incidentSummary, incidentView, stepView } from './views.ts'

const SECOND_US = 1_000_000
/** Who may press a hold or pull the cord. */
const PEOPLE = ['operator', 'shift-lead', 'process-engineer'] as const
const PLANT_EDITORS = ['shift-lead', 'process-engineer', 'integrator'] as const

export interface DoorOptions {
  readonly board: Board
  readonly actionsLog: ActionsLog
  readonly plant: PlantView
  readonly principals: Principals
  readonly nowUs: () => number
  readonly answerWithinMs: number
  readonly stepUp: StepUp
  readonly logger: Logger
  readonly metrics: Metrics
  /** Owners and breakers of this process, for /v1/status. */
  readonly status: () => Readonly<Record<string, unknown>>
  readonly version?: string
}

/** Parts of logical ids stand apart by U+001F: no text that may become one holds it. */
const SEPARATOR = '\u001F'
const SEPARATOR_REFUSED = 'A text of the request holds the control character U+001F, which no text here does: leave it out'

const hasSeparator = (value: unknown): boolean => {
  if (typeof value === 'string') return value.includes(SEPARATOR)
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).some(([key, inner]) => key.includes(SEPARATOR) || hasSeparator(inner))
}

const parse = <T extends z.ZodType>(shape: T, body: unknown): z.output<T> => {
  const parsed = shape.safeParse(body)
  if (parsed.success && !hasSeparator(body)) return parsed.data
  if (parsed.success) throw new AndonError('ANDON_ACTIONS_BAD_REQUEST', SEPARATOR_REFUSED, { status: 400 })
  const [issue] = parsed.error.issues
  throw new AndonError('ANDON_ACTIONS_BAD_REQUEST', `${issue?.path.join('.') || 'body'}: ${issue?.message ?? 'not valid'}`, { status: 400 })
}

export const createDoor = (options: DoorOptions): Express => {
  const { board, plant, principals } = options
  const app = express()
  app.disable('x-powered-by')
  app.use(express.json({ limit: '2mb' }))
  app.get('/openapi.json', (_request, response) => void response.json(openApi(options.version ?? '1.0.0')))

  const anybody = requireRole(principals)
  const people = requireRole(principals, ...PEOPLE)
  const editors = requireRole(principals, ...PLANT_EDITORS)

  app.get('/v1/incidents', anybody, (request, response) => {
    const { open, limit, before } = parse(bodies.incidentsQuery, request.query)
    const incidents = [...board.states.values()].flatMap((state) =>
      [...state.incidents.values()]
        .filter((incident) => (open !== 'true' || incident.closedUs === null) && incident.openedUs < before)
        .map((incident) => ({ incident, state })),
    )
    const page = incidents.toSorted((left, right) => right.incident.openedUs - left.incident.openedUs).slice(0, limit)
    const next = page.length < incidents.length ? page.at(-1)?.incident.openedUs : undefined
    response.json({
      incidents: page.map(({ incident, state }) => incidentSummary(incident, state)),
      ...(next === undefined ? {} : { next }),
    })
  })

  app.get('/v1/alarms/kpi', anybody, (_request, response) => {
    response.json({ lines: [...board.states.values()].flatMap((state) => alarmKpis(state, options.nowUs())) })
  })

  app.get('/v1/incidents/:incidentId', anybody, (request, response) => {
    const { incident, state } = incidentOf(board, request)
    response.json(incidentView(incident, state))
  })

  app.post(
    '/v1/incidents/:incidentId/evidence',
    people,
    asyncRoute(async (request, response) => {
      const body = parse(bodies.evidence, request.body)
      const { incident } = incidentOf(board, request)
      const centreUs = incident.finding?.atUs ?? incident.openedUs
      const cameraIds = body.cameraIds ?? (incident.assetId ? plant.camerasOf(incident.assetId) : plant.camerasOfLine(incident.line))
      const range = {
        cameraIds,
        fromUs: body.fromUs ?? centreUs - Math.round((body.beforeS ?? 10) * SECOND_US),
        toUs: body.toUs ?? centreUs + Math.round((body.afterS ?? 5) * SECOND_US),
      }
      const id = idOf(request)
      await answer(options, response, evidenceRequest(id, incident, range, principalOf(request), options.nowUs()))
    }),
  )

  app.post(
    '/v1/calls',
    people,
    asyncRoute(async (request, response) => {
      const body = parse(bodies.call, request.body)
      const line = body.asset === undefined ? plant.line(body.line ?? '')?.controlGroup : plant.controlGroupOf(body.asset)
      if (line === undefined)
        throw new AndonError(
          'ANDON_ACTIONS_UNKNOWN_PLACE',
          `The plant has no ${body.asset === undefined ? `line ${body.line ?? ''}` : `asset ${body.asset}`}`,
          { status: 404 },
        )
      await answer(
        options,
        response,
        callRequest(idOf(request), line, body.asset ?? null, body.title, principalOf(request), options.nowUs()),
      )
    }),
  )

  app.get('/v1/holds', anybody, (_request, response) => void response.json({ holds: board.holds().map(holdView) }))

  app.post(
    '/v1/holds',
    people,
    asyncRoute(async (request, response) => {
      const body = parse(bodies.hold, request.body)
      const scope = body.scope === '*' ? '*' : (plant.line(body.scope)?.controlGroup ?? body.scope)
      await answer(options, response, holdRequest(idOf(request), scope, body.reason, principalOf(request), options.nowUs()))
    }),
  )

  app.post(
    '/v1/holds/:holdId/lift',
    people,
    asyncRoute(async (request, response) => {
      const body = parse(bodies.lift, request.body)
      const hold = board.holds().find((one) => one.id === param(request, 'holdId'))
      if (!hold) throw new AndonError('ANDON_ACTIONS_UNKNOWN_HOLD', `No hold ${param(request, 'holdId')} is known`, { status: 404 })
      await answer(options, response, liftRequest(idOf(request), hold.id, hold.scope, body.reason, principalOf(request), options.nowUs()))
    }),
  )

  app.post(
    '/v1/config',
    editors,
    asyncRoute(async (request, response) => {
      const { documents } = parse(bodies.config, request.body)
      const read = documents.map(readGiven)
      checkTogether(read, plant)
      const results = await Promise.all(
        read.map((document) =>
          ask(options, documentRequest(document, principalOf(request), options.nowUs())).then((result) => ({
            name: document.name,
            ...result,
          })),
        ),
      )
      for (const result of results) if (result.refusal) throw result.refusal
      const isDecided = results.every((result) => result.answer !== undefined)
      response
        .status(isDecided ? 200 : 202)
        .json({ documents: results.map(({ name, requestId, answer: decided }) => ({ name, requestId, applied: decided !== undefined })) })
    }),
  )

  app.get('/v1/requests/:requestId', anybody, (request, response) => {
    const requestId = param(request, 'requestId')
    const known = board.answerOf(requestId)
    if (known === undefined) throw new AndonError('ANDON_ACTIONS_UNKNOWN_REQUEST', `No request ${requestId} is known`, { status: 404 })
    response.json({ requestId, isDecided: known !== null, answer: known })
  })

  const events = streamEvents(options)
  app.get('/v1/events', anybody, events)
  app.get('/v1/actions/stream', anybody, events)

  app.get('/v1/status', anybody, (_request, response) => {
    const partitions = [...board.states].map(([partition, state]) => ({
      partition,
      epoch: state.epoch,
      owner: state.owner,
      pending: state.pending.size,
      openIncidents: state.openIncidents.size,
    }))
    const breakers = [...board.states.values()].flatMap((state) => [...state.breakers.values()])
    response.json({
      partitions,
      breakers,
      holds: board
        .holds()
        .filter((hold) => hold.isActive)
        .map(holdView),
      ...options.status(),
    })
  })

  const routes: Routes = {
    board,
    plant,
    principals,
    nowUs: options.nowUs,
    parse,
    principalOf,
    idOf,
    param,
    answer: (response, request) => answer(options, response, request),
  }
  wordRoutes(app, { ...routes, incidentOf: (request) => incidentOf(board, request) })
  const contextOf = decideContext(plant)
  teachingRoutes(app, { ...routes, context: (state, atUs) => contextOf(undefined, state, atUs) })

  const proposing = requireRole(principals, ...PROPOSING_ROLES)
  const propose = async (request: Request, incidentId: string, said: unknown): Promise<unknown> => {
    const proposed = parse(bodies.proposal, said)
    const found = board.findIncident(incidentId)
    if (!found) throw new AndonError('ANDON_ACTIONS_UNKNOWN_INCIDENT', `No incident ${incidentId} is known`, { status: 404 })
    const {
      answer: decided,
      refusal,
      requestId,
    } = await ask(
      options,
      proposalRequest(
        idOf(request),
        found.incident,
        { ...proposed, lineId: plant.lineIdOf(found.incident) },
        principalOf(request),
        options.nowUs(),
      ),
    )
    if (refusal) throw refusal
    const step = decided?.stepId ? board.findStep(decided.stepId) : undefined
    return { requestId, isDecided: decided !== undefined, step: step ? stepView(step.step, step.state) : null }
  }
  const agents = mcpRoute((request) => ({
    board,
    plant,
    version: options.version ?? '1.0.0',
    propose: (incidentId, proposed) => propose(request, incidentId, proposed),
  }))
  app.post('/mcp', proposing, agents)

  app.use(notFoundHandler)
  app.use(problemHandler(options.logger))
  return app
}

const param = (request: Request, name: string): string => {
  const value = request.params[name]
  if (hasSeparator(value)) throw new AndonError('ANDON_ACTIONS_BAD_REQUEST', SEPARATOR_REFUSED, { status: 400 })
  return typeof value === 'string' ? value : ''
}

const idOf = (request: Request): string => requestIdFor(principalOf(request), request.get('idempotency-key'))

const principalOf = (request: Request): Principal => {
  if (!request.principal) throw new AndonError('ANDON_UNAUTHENTICATED', 'A bearer token is needed', { status: 401 })
  return request.principal
}

const incidentOf = (board: Board, request: Request) => {
  const found = board.findIncident(param(request, 'incidentId'))
  if (!found)
    throw new AndonError('ANDON_ACTIONS_UNKNOWN_INCIDENT', `No incident ${param(request, 'incidentId')} is known`, { status: 404 })
  return found
}

/** Appends and waits for the owner's fact. A mesh-wide hold goes to its home partition first and then to all others. */
const ask = async ({ board, actionsLog, answerWithinMs, stepUp, logger, metrics }: DoorOptions, request: Actions) => {
  const observe = metrics.histogram('andon_actions_answer_seconds', "From a request at the door to its owner's answer").startTimer()
  const waiting = board.waitFor(request.id, answerWithinMs)
  const home = board.partitionOf(request.line)
  if (board.answerOf(request.id) === undefined) await actionsLog.append(home, [request])
  if (isForEverybody(request)) {
    const others = [...Array(board.partitions).keys()].filter((partition) => partition !== home)
    const copies = others.map((partition) => actionsLog.append(partition, [request]))
    const failed = (await Promise.allSettled(copies)).filter((copy) => copy.status === 'rejected').length
    // the home partition's owner carries it there: the press itself is acknowledged already
    if (failed > 0) logger.warn({ failed, holdId: request.id }, 'hold is not in every partition yet')
  }
  const answered = await waiting
  if (answered) observe()
  return { requestId: request.id, answer: answered, refusal: answered && refusalOf(answered, stepUp) }
}

const answer = async (options: DoorOptions, response: Response, request: Actions): Promise<void> => {
  const { requestId, answer: decided, refusal } = await ask(options, request)
  if (refusal) throw refusal
  if (!decided) {
    const link = `/v1/requests/${requestId}`
    response.status(202).location(link).json({ requestId, isDecided: false, link })
    return
  }
  const step = decided.stepId === null ? undefined : options.board.findStep(decided.stepId)
  response.json({
    requestId,
    isDecided: true,
    outcome: decided.type,
    incidentId: decided.incidentId,
    stepId: decided.stepId,
    ...(request.hold ? { holdId: request.hold.holdIds[0] } : {}),
    ...(request.failure ? { failureId: request.failure.failureId } : {}),
    ...(step ? { step: stepView(step.step, step.state) } : {}),
  })
}
