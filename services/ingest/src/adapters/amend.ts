// Routes for people on the HTTP door: POST /v1/releases and /v1/corrections. What they bring goes through the same intake as every reading,
// and answers 202 once it is safe. With `dryRun` both only say what would become of it.

import express from 'express'
import type { ErrorRequestHandler, RequestHandler, Response } from 'express'
import { AndonError, asyncRoute, messageOf, notFoundHandler, requireRole } from '@andon/kit'
import type { Documents, Logger, Principals } from '@andon/kit'
import type { Plant, PlantSource } from '@andon/schemas'
import type { z } from 'zod'
import { correctionReadings, correctionShape, refusedAmendment, releasedReadings, releasesShape } from '../amendments.ts'
import type { Release } from '../amendments.ts'
import type { HttpRoutes } from '../http-routes.ts'
import { compileMapping } from '../mapping.ts'
import type { RawReading } from '../reading.ts'
import { answerProblem } from './http-answers.ts'
import type { Intake } from './source.ts'

export const releasesPath = '/v1/releases'
export const correctionsPath = '/v1/corrections'
/** Who may put readings right: people who answer for the line. */
export const amendingRoles = ['operator', 'shift-lead', 'process-engineer']

export interface AmendOptions {
  readonly principals: () => Principals
  readonly documents: () => Documents
  readonly logger: Logger
  readonly intake: Intake
}

const maxBodyBytes = 16 * 1024 * 1024

/** Mounts both routes. */
export const mountAmendments = (routes: HttpRoutes, options: AmendOptions): void => {
  const { logger, intake } = options
  const app = express().disable('x-powered-by').disable('etag')
  const guard: RequestHandler = (request, response, next) => requireRole(options.principals(), ...amendingRoles)(request, response, next)
  const json = express.json({ limit: maxBodyBytes, verify: (_request, response, body) => bodyBytes.set(response as Response, body.length) })

  app.post(
    releasesPath,
    guard,
    json,
    asyncRoute(async (request, response) => {
      const { releases, reason, dryRun } = read(releasesShape, request.body)
      const bytes = Math.ceil(bodyBytes.get(response)! / releases.length)
      const plant = options.documents().get<Plant>('plant')?.value
      const assetOf = (source: string) => plant?.assets.find(({ sources }) => sources.includes(source))?.id
      // All in one turn, so that they share a write to disk. Each is a source of its own: their order says nothing.
      const settled = await Promise.allSettled(
        releases.map(async (release) => {
          // A source stays with the asset of its first reading: a trial takes another name.
          const id = dryRun ? crypto.randomUUID() : release.quarantineId
          const readings = releasedReadings(id, readingsOf(release, options.documents()), assetOf)
          return intake({ door: 'http', readings, bytes, isOwn: true, isTrial: dryRun })
        }),
      )
      const receipts = settled.map((each) => {
        if (each.status === 'rejected') throw each.reason
        return each.value
      })
      const accepted = receipts.reduce((sum, receipt) => sum + receipt.accepted, 0)
      const refused = receipts.flatMap(({ quarantined: [first] }, index) => (first === undefined ? [] : [{ ...first, index }]))
      const counts = { releases: releases.length, accepted, refused: refused.length }
      if (!dryRun) logger.info({ by: request.principal!.id, reason, ...counts }, 'readings released from quarantine')
      response.status(dryRun ? 200 : 202).json({ accepted, refused, dryRun })
    }),
  )
  app.post(
    correctionsPath,
    guard,
    json,
    asyncRoute(async (request, response) => {
      const asked = read(correctionShape, request.body)
      const by = request.principal!.id
      const { correction, source, readings } = orRefused(() => correctionReadings(asked, by))
      const { dryRun, reason } = asked
      const delivery = { door: 'http', bytes: bodyBytes.get(response)!, isOwn: true, isTrial: dryRun, correction, source } as const
      const { accepted, quarantined } = await intake({ ...delivery, readings: readings.map(raw) })
      const [first] = quarantined
      if (first !== undefined) {
        const others = quarantined.length === 1 ? '' : `; ${quarantined.length} of ${readings.length} readings are refused`
        throw refused(`readings[${first.index}]: ${first.code}: ${first.message}${others}. Nothing was written`)
      }
      if (!dryRun) logger.info({ by, reason, correction: correction.id, asset: asked.asset, accepted }, 'a range was corrected')
      response.status(dryRun ? 200 : 202).json({ accepted, correctionId: correction.id, dryRun })
    }),
  )
  app.use(notFoundHandler)
  app.use(((error: unknown, request, response, _next) => {
    const known = error instanceof AndonError || ofBody(error) === undefined ? error : ofBody(error)
    if (!(known instanceof AndonError)) logger.error({ err: error, path: request.path }, 'request failed')
    answerProblem(request, response, known)
  }) satisfies ErrorRequestHandler)
  routes.mount(releasesPath, app)
  routes.mount(correctionsPath, app)
}

/** Length of the body that a request brought, as it was parsed. */
const bodyBytes = new WeakMap<Response, number>()

const read = <T extends z.ZodType>(shape: T, body: unknown): z.output<T> => {
  if (body === undefined) throw refused('The request has no JSON body; expected Content-Type: application/json', 415)
  const parsed = shape.safeParse(body)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw refused(`${issue?.path.join('.') || 'body'}: ${issue?.message ?? 'not as expected'}`)
}

const orRefused = <T>(work: () => T): T => {
  try {
    return work()
  } catch (error) {
    if (error instanceof RangeError) throw refused(error.message)
    throw error
  }
}

/** What the parser of the body says is wrong with it. */
const ofBody = (error: unknown): AndonError | undefined => {
  const { status, type } = (error ?? {}) as { status?: unknown; type?: unknown }
  if (typeof type !== 'string' || typeof status !== 'number' || status >= 500) return undefined
  if (status !== 413) return refused(`body: ${messageOf(error)}; expected JSON in UTF-8`, status)
  return refused(`body: found more than ${maxBodyBytes} bytes; send fewer releases at once, or correct range by range`, 413)
}

const readingsOf = (release: Release, documents: Documents): readonly RawReading[] => {
  if ('reading' in release) return [raw(release.reading)]
  const { file, arrival, payload } = release.mapped
  const source = documents.get<PlantSource>(`sources/${file}`)?.value
  if (source === undefined || !('mapping' in source))
    return [refusedAmendment(`mapped.file: found ${file}, expected a source file with a mapping; publish it again, or discard the reading`)]
  return compileMapping(source.mapping, source).ofPayload(Buffer.from(payload, 'base64'), arrival)
}

const refused = (message: string, status = 400) => new AndonError('ANDON_INGEST_BAD_AMENDMENT', message, { status })

// Nothing of an amendment goes to quarantine, so nobody asks for its bytes.
const raw = (value: Readonly<Record<string, unknown>>): RawReading => ({ value, bytes: () => Buffer.alloc(0) })
