// What people teach, over HTTP: names and standings of fault modes, failures, verdicts on episodes. As everywhere at this door: the
// answer is the owner's fact, and a repeat changes nothing.

import type { Express, Request } from 'express'
import { failureObjection, incidentOfEpisode, record, TEACHING_ROLES, wouldChange } from '@andon/decisions'
import type { DecideContext, State, Taught } from '@andon/decisions'
import { AndonError, asyncRoute, requireRole, uuid8 } from '@andon/kit'
import type { EpisodeVerdict, FailureRecord, FaultModeNote } from '@andon/schemas'
import type { z } from 'zod'
import type { Board } from './board.ts'
import type { Routes } from './routes.ts'
import { teachingBodies } from './teaching-bodies.ts'
import type { FailureBody } from './teaching-bodies.ts'

export interface TeachingDoor extends Routes {
  /** The documents as the owner would see them. */
  readonly context: (state: State, atUs: number) => DecideContext
}

export const teachingRoutes = (app: Express, door: TeachingDoor): void => {
  const { board, plant, principals, parse, param, principalOf, idOf } = door
  const anybody = requireRole(principals)
  const naming = requireRole(principals, ...TEACHING_ROLES.FaultModeNameRequested)
  const recording = requireRole(principals, ...TEACHING_ROLES.FailureRecordRequested)
  const judging = requireRole(principals, ...TEACHING_ROLES.VerdictRequested)
  const by = (request: Request) => ({ by: principalOf(request).id, roles: [...principalOf(request).roles] })

  app.get('/v1/fault-modes', anybody, (request, response) => {
    const query = parse(teachingBodies.modesQuery, request.query)
    const modes = allOf(board, 'modes').filter(({ what }) => query.class === undefined || what.classId === query.class)
    response.json({ modes: modes.map(modeView) })
  })

  app.get('/v1/fault-modes/:modeId', anybody, (request, response) => {
    const found = newest(board, 'modes', param(request, 'modeId'))
    if (!found) throw unknown('MODE', `Nobody has spoken of fault mode ${param(request, 'modeId')}`)
    response.json(modeView(found))
  })

  app.post(
    '/v1/fault-modes/:modeId',
    naming,
    asyncRoute(async (request, response) => {
      const modeId = param(request, 'modeId')
      const { class: given, ...said } = parse(teachingBodies.mode, request.body)
      const before = newest(board, 'modes', modeId)
      const classId = given ?? before?.what.classId
      if (classId === undefined) throw unknown('MODE', `Nobody has spoken of fault mode ${modeId} yet: say its class`)
      const line = before?.line ?? plant.homeOf(classId)
      if (line === undefined) throw unknown('CLASS', `The plant has no asset of class ${classId}`)
      const fields = Object.keys(said).filter((field) => said[field as keyof typeof said] !== undefined)
      const faultMode = noteOf(classId, modeId, said)
      const detail = JSON.stringify({ fields })
      await door.answer(
        response,
        record('FaultModeNameRequested', idOf(request), line, door.nowUs(), { ...by(request), faultMode, detail }),
      )
    }),
  )

  app.get('/v1/failures', anybody, (request, response) => {
    const query = parse(teachingBodies.failuresQuery, request.query)
    const found = allOf(board, 'failures')
      .filter(({ what }) => query.withdrawn === 'true' || !what.withdrawn)
      .filter(({ what }) => query.asset === undefined || what.assetId === query.asset)
      .filter(({ what }) => query.class === undefined || plant.placeOf(what.assetId)?.classId === query.class)
      .filter(({ what }) => what.atUs < query.before)
      .toSorted((left, right) => right.what.atUs - left.what.atUs)
    const page = found.slice(0, query.limit)
    const next = page.length < found.length ? page.at(-1)?.what.atUs : undefined
    response.json({ failures: page.map(failureView), ...(next === undefined ? {} : { next }) })
  })

  app.post(
    '/v1/failures',
    recording,
    asyncRoute(async (request, response) => {
      const failure = failureOf(parse(teachingBodies.failure, request.body))
      const line = lineOf(door, failure)
      if (line === undefined) throw unknown('PLACE', `The plant has no asset ${failure.assetId}`)
      await door.answer(
        response,
        record('FailureRecordRequested', idOf(request), line, door.nowUs(), { ...by(request), ...about(failure) }),
      )
    }),
  )

  app.post('/v1/failures/check', recording, (request, response) => {
    const { failures } = parse(teachingBodies.failures, request.body)
    response.json({ failures: failures.map((each) => check(door, failureOf(each))) })
  })

  app.post(
    '/v1/failures/:failureId/withdraw',
    recording,
    asyncRoute(async (request, response) => {
      const { reason } = parse(teachingBodies.withdrawal, request.body)
      const known = newest(board, 'failures', param(request, 'failureId'))
      if (!known) throw unknown('FAILURE', `No failure ${param(request, 'failureId')} was recorded`)
      const failure = { ...known.what, withdrawn: true }
      const fields = { ...by(request), ...about(failure), detail: JSON.stringify({ reason }) }
      await door.answer(response, record('FailureRecordRequested', idOf(request), known.line, door.nowUs(), fields))
    }),
  )

  app.get('/v1/verdicts', anybody, (request, response) => {
    const { episode, limit } = parse(teachingBodies.verdictsQuery, request.query)
    const found = allOf(board, 'verdicts').filter(({ what }) => episode === undefined || what.episodeId === episode)
    response.json({
      verdicts: found
        .toSorted((left, right) => right.atUs - left.atUs)
        .slice(0, limit)
        .map(verdictView),
    })
  })

  app.post(
    '/v1/episodes/:episodeId/verdict',
    judging,
    asyncRoute(async (request, response) => {
      const episodeId = param(request, 'episodeId')
      const { asset, mode, ...said } = parse(teachingBodies.verdict, request.body)
      const incident = [...board.states.values()].map((state) => incidentOfEpisode(state, episodeId)).find((one) => one !== undefined)
      const line = incident?.line ?? (asset === undefined ? undefined : plant.controlGroupOf(asset))
      if (line === undefined)
        throw asset === undefined
          ? unknown('EPISODE', `No incident knows episode ${episodeId}: say which asset it is of`)
          : unknown('PLACE', `The plant has no asset ${asset}`)
      const episodeVerdict = { episodeId, modeId: mode, ...said }
      const fields = { ...by(request), assetId: incident?.assetId ?? asset ?? null, episodeVerdict }
      await door.answer(response, record('VerdictRequested', idOf(request), line, door.nowUs(), fields))
    }),
  )
}

const unknown = (what: 'MODE' | 'CLASS' | 'FAILURE' | 'EPISODE' | 'PLACE', message: string): AndonError =>
  new AndonError(`ANDON_ACTIONS_UNKNOWN_${what}`, message, { status: 404 })

type Kind = 'modes' | 'failures' | 'verdicts'
type What = { readonly modes: FaultModeNote; readonly failures: FailureRecord; readonly verdicts: EpisodeVerdict }

/** One entry per subject, whichever partition heard of it last: a class's home moves when its first asset does. */
const allOf = <K extends Kind>(board: Board, kind: K): Taught<What[K]>[] => {
  const all = new Map<string, Taught<What[K]>>()
  for (const state of board.states.values())
    for (const [id, taught] of state.teaching[kind] as unknown as Map<string, Taught<What[K]>>)
      if ((all.get(id)?.atUs ?? -1) < taught.atUs) all.set(id, taught)
  return [...all.values()]
}

const newest = <K extends Kind>(board: Board, kind: K, id: string): Taught<What[K]> | undefined => {
  let found: Taught<What[K]> | undefined
  for (const state of board.states.values()) {
    const taught = (state.teaching[kind] as unknown as Map<string, Taught<What[K]>>).get(id)
    if (taught && (found?.atUs ?? -1) < taught.atUs) found = taught
  }
  return found
}

const noteOf = (classId: string, modeId: string, said: Omit<z.output<typeof teachingBodies.mode>, 'class'>): FaultModeNote => ({
  classId,
  modeId,
  name: said.name ?? null,
  labels: said.labels ?? [],
  standing: said.standing ?? 'fault',
  rootCause: said.rootCause ?? null,
  instruction: said.instruction ?? null,
  cause: said.cause ?? null,
  consequence: said.consequence ?? null,
  response: said.response ?? null,
  timeToRespondS: said.timeToRespondS ?? null,
})

/** Two senders that tell the same failure without an id, under the same source, tell one failure. */
const failureOf = (body: FailureBody): FailureRecord => ({
  failureId: body.failureId ?? uuid8('failure', body.asset, body.at, body.mode ?? '', body.source),
  assetId: body.asset,
  kind: body.kind,
  atUs: body.at,
  restoredUs: body.restored ?? null,
  mode: body.mode ?? null,
  mechanism: body.mechanism ?? null,
  cause: body.cause ?? null,
  detection: body.detection ?? null,
  component: body.component ?? null,
  workOrder: body.workOrder ?? null,
  note: body.note,
  withdrawn: false,
})

const about = (failure: FailureRecord) => ({ assetId: failure.assetId, failure })

/** Where a failure is decided: where it was first told, else the asset's control group. */
const lineOf = ({ board, plant }: TeachingDoor, { failureId, assetId }: FailureRecord): string | undefined =>
  newest(board, 'failures', failureId)?.line ?? plant.controlGroupOf(assetId)

/** What recording this failure would do, by the owner's own rule; nothing is appended. */
const check = (door: TeachingDoor, failure: FailureRecord) => {
  const line = lineOf(door, failure)
  const state = door.board.state(door.board.partitionOf(line ?? ''))
  const objection = failureObjection(failure, state, door.context(state, door.nowUs()))
  const { failureId } = failure
  if (objection) return { failureId, outcome: 'refused', code: objection[0], detail: objection[1] }
  if (!wouldChange(failure, state)) return { failureId, outcome: 'unchanged' }
  return { failureId, outcome: state.teaching.failures.has(failureId) ? 'changed' : 'recorded' }
}

const said = <T>({ by, atUs, incidentId }: Taught<T>) => ({ by, saidUs: atUs, incidentId })
const modeView = (taught: Taught<FaultModeNote>) => ({ ...taught.what, ...said(taught) })
const failureView = (taught: Taught<FailureRecord>) => ({ ...taught.what, ...said(taught) })
const verdictView = (taught: Taught<EpisodeVerdict>) => ({ ...taught.what, ...said(taught) })
