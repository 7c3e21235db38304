// Routes for people on the HTTP door: POST /v1/releases and /v1/corrections. What they bring goes through the same intake as every reading.

import express from 'express'
import { AndonError, asyncRoute, notFoundHandler, problemHandler, requireRole } from '@andon/kit'
import type { Documents, Logger, Principals } from '@andon/kit'
import type { Plant, PlantSource } from '@andon/schemas'
import type { z } from 'zod'
import { correctionReadings, correctionShape, releasedReading, releasesShape } from '../amendments.ts'
import type { HttpRoutes } from '../http-routes.ts'
import { compileMapping } from '../mapping.ts'
import type { RawReading } from '../reading.ts'
import type { Intake, Receipt } from './source.ts'

type Mapped = Extract<z.output<typeof releasesShape>['releases'][number], { mapped: unknown }>['mapped']

export interface AmendOptions {
  readonly principals: () => Principals
  readonly documents: () => Documents
  readonly logger: Logger
  readonly intake: Intake
}

const bodyMaxBytes = '16mb'
const decidingRoles = ['operator', 'shift-lead', 'process-engineer']

/** Mounts both routes. */
export const mountAmendments = (routes: HttpRoutes, options: AmendOptions): void => {
  const app = express().disable('x-powered-by').disable('etag')
  const guard: express.RequestHandler = (request, response, next) =>
    requireRole(options.principals(), ...decidingRoles)(request, response, next)
  const json = express.json({ limit: bodyMaxBytes })

  app.post(
    '/v1/releases',
    guard,
    json,
    asyncRoute(async (request, response) => {
      const { releases, reason } = read(releasesShape, request.body)
      const by = request.principal!.id
      const plant = options.documents().get<Plant>('plant')?.value
      const assetOf = (source: string) => plant?.assets.find(({ sources }) => sources.includes(source))?.id
      const results: Receipt[] = []
      for (const release of releases) {
        const reading = 'mapped' in release ? mappedAgain(release.mapped, options.documents()) : raw(release.reading)
        const { quarantineId } = release
        const readings =
          reading.refused === undefined
            ? [raw(releasedReading({ quarantineId, reading: reading.value as Record<string, unknown> }, assetOf))]
            : [reading]
        results.push(await options.intake({ door: 'http', readings, bytes: readings[0]!.bytes().length, isOwn: true }))
      }
      const receipt = joined(results)
      options.logger.info({ by, reason, releases: releases.length, accepted: receipt.accepted }, 'readings released from quarantine')
      response.status(202).json(receipt)
    }),
  )
  app.post(
    '/v1/corrections',
    guard,
    json,
    asyncRoute(async (request, response) => {
      const asked = read(correctionShape, request.body)
      const by = request.principal!.id
      const { correction, source, readings } = orRefused(() => correctionReadings(asked, by))
      const delivery = { door: 'http', bytes: Number(request.get('content-length') ?? 0), isOwn: true, correction } as const
      const receipt = await options.intake({ ...delivery, source, readings: readings.map(raw) })
      options.logger.info({ by, correction: correction.id, asset: asked.asset, accepted: receipt.accepted }, 'a range was corrected')
      response.status(202).json({ ...receipt, correctionId: correction.id })
    }),
  )
  app.use(notFoundHandler)
  app.use(problemHandler(options.logger))
  routes.mount('/v1/releases', app)
  routes.mount('/v1/corrections', app)
}

const read = <T extends z.ZodType>(shape: T, body: unknown): z.output<T> => {
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

/** What the source file, as it is now, makes of a payload that it could not map. */
const mappedAgain = ({ file, arrival, payload }: Mapped, documents: Documents): RawReading => {
  const source = documents.get<PlantSource>(`sources/${file}`)?.value
  if (source === undefined || !('mapping' in source)) throw refused(`mapped.file: found ${file}, expected a source file with a mapping`)
  // Quarantine keeps each reading of a payload by itself.
  const [reading] = compileMapping(source.mapping, source).ofPayload(Buffer.from(payload, 'base64'), arrival)
  if (reading === undefined) throw refused('mapped.payload: found no reading in it')
  return reading
}

const refused = (message: string) => new AndonError('ANDON_INGEST_BAD_AMENDMENT', message, { status: 400 })

const raw = (value: Record<string, unknown>): RawReading => ({ value, bytes: () => Buffer.from(JSON.stringify(value)) })

/** Receipts of one delivery each, as one: `index` is the place of the delivery. */
const joined = (receipts: readonly Receipt[]): Receipt => ({
  accepted: receipts.reduce((sum, { accepted }) => sum + accepted, 0),
  duplicates: receipts.reduce((sum, { duplicates }) => sum + duplicates, 0),
  quarantined: receipts.flatMap(({ quarantined }, index) => quarantined.map((each) => ({ ...each, index }))),
})
