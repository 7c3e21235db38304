// /v1/devices: what is known of devices, and requests about them by people and tools. Nothing is decided here: the answer is the fact
// that the log got.

import { randomUUID } from 'node:crypto'
import express from 'express'
import type { ErrorRequestHandler, Express, Request, RequestHandler } from 'express'
import { AndonError, asyncRoute, notFoundHandler, problemOf, requireRole, uuid8 } from '@andon/kit'
import type { Logger, Principals } from '@andon/kit'
import { DEVICE_ID, pemOf } from '@andon/kit/pki'
import { deviceRequest } from '@andon/decisions/devices'
import type { DeviceState } from '@andon/decisions/devices'
import { z } from 'zod'
import { devicesOpenApi } from '../devices/openapi.ts'
import type { Asker, Enrolment } from '../devices/enrolment.ts'
import type { DeviceRegistry } from '../devices/registry.ts'
import { deviceView } from '../devices/views.ts'
import { answerProblem } from './http-answers.ts'

export const devicesPrefix = '/v1/devices'

export interface DevicesApiDeps {
  readonly enrolment: Enrolment
  readonly registry: () => DeviceRegistry
  readonly principals: () => Principals
  /** Assets of the plant file in use; undefined before the first. */
  readonly assets: () => readonly string[] | undefined
  readonly site: () => string | undefined
  /** Root first, then what it issued; PEM. */
  readonly authorities: () => string
  readonly nowUs: () => number
  readonly logger: Logger
}

const reason = z.string().max(500).optional()
const bodies = {
  claim: z.strictObject({}).default({}),
  enrol: z.strictObject({ csr: z.string().max(16_384) }),
  approve: z.strictObject({ assets: z.array(z.string().min(1)).min(1), certificateSha256: z.string().optional(), reason }),
  move: z.strictObject({ reason }).default({}),
  revoke: z.strictObject({ reason, certificateSha256: z.string().optional() }).default({}),
}

const parse = <T extends z.ZodType>(shape: T, body: unknown): z.output<T> => {
  const parsed = shape.safeParse(body)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new AndonError('ANDON_INGEST_BAD_REQUEST', `${issue?.path.join('.') || 'body'}: ${issue?.message ?? 'not valid'}`, { status: 400 })
}

const MOVES = { suspend: 'SuspendRequested', resume: 'ResumeRequested', retire: 'RetireRequested' } as const

export const devicesApi = (deps: DevicesApiDeps): Express => {
  const { enrolment, registry, logger, nowUs, authorities } = deps
  const app = express().disable('x-powered-by').disable('etag')
  // Tokens are read when the first request comes: the service is open by then.
  const anybody: RequestHandler = (request, response, next) => requireRole(deps.principals())(request, response, next)
  const at = (path: string) => `${devicesPrefix}${path}`

  const siteOf = (): string => {
    const site = deps.site()
    if (site !== undefined) return site
    throw new AndonError('ANDON_INGEST_NO_PLANT', 'No plant file is published on config; `andon plant apply` does that', {
      retriable: true,
    })
  }
  const ask = async (type: string, request: Request, fields: Partial<Parameters<typeof deviceRequest>[4]>): Promise<DeviceState> => {
    const deviceId = deviceIdOf(request)
    await enrolment.granted(
      deviceRequest(type, requestIdOf(request), { deviceId, site: siteOf() }, nowUs(), { ...askerOf(request), ...fields }),
    )
    return deviceOf(registry(), deviceId)
  }

  app.get(at('/openapi.json'), (_request, response) => void response.json(devicesOpenApi()))
  app.use(anybody, express.json({ limit: '64kb' }))

  app.get(devicesPrefix, (_request, response) => {
    const devices = [...registry().state.devices.values()].toSorted((left, right) => (left.id < right.id ? -1 : 1))
    response.json({ devices: devices.map((device) => deviceView(device, nowUs())) })
  })
  app.get(at('/:deviceId'), (request, response) => {
    response.json(deviceView(deviceOf(registry(), deviceIdOf(request)), nowUs()))
  })

  app.post(
    at('/:deviceId/claim'),
    asyncRoute(async (request, response) => {
      parse(bodies.claim, request.body ?? {})
      const deviceId = deviceIdOf(request)
      const pair = await enrolment.claim(deviceId, requestIdOf(request), askerOf(request))
      const expiresUs = deviceOf(registry(), deviceId).claim?.notAfterUs ?? null
      response
        .status(201)
        .json({ deviceId, site: siteOf(), certificate: pair.certificate, key: pair.key, authorities: authorities(), expiresUs })
    }),
  )
  app.post(
    at('/:deviceId/enrol'),
    asyncRoute(async (request, response) => {
      const { csr } = parse(bodies.enrol, request.body)
      const deviceId = deviceIdOf(request)
      const der = await enrolment.enrol(deviceId, Buffer.from(csr), askerOf(request))
      response
        .status(201)
        .json({ device: deviceView(deviceOf(registry(), deviceId), nowUs()), certificate: pemOf(der), authorities: authorities() })
    }),
  )
  app.post(
    at('/:deviceId/approve'),
    asyncRoute(async (request, response) => {
      const body = parse(bodies.approve, request.body)
      demandAssets(body.assets, deps.assets())
      const device = await ask('ApproveRequested', request, {
        assets: body.assets,
        reason: body.reason ?? null,
        credentialDigest: body.certificateSha256 ?? '',
      })
      response.json(deviceView(device, nowUs()))
    }),
  )
  for (const [verb, type] of Object.entries(MOVES))
    app.post(
      at(`/:deviceId/${verb}`),
      asyncRoute(async (request, response) => {
        const { reason: why } = parse(bodies.move, request.body ?? {})
        response.json(deviceView(await ask(type, request, { reason: why ?? null }), nowUs()))
      }),
    )
  app.post(
    at('/:deviceId/revoke'),
    asyncRoute(async (request, response) => {
      const { reason: why, certificateSha256 = '' } = parse(bodies.revoke, request.body ?? {})
      const type = certificateSha256 === '' ? 'RevokeRequested' : 'RevokeCertificateRequested'
      const device = await ask(type, request, { reason: why ?? null, credentialDigest: certificateSha256 })
      response.json(deviceView(device, nowUs()))
    }),
  )

  app.use(notFoundHandler)
  app.use(((error: unknown, request, response, _next) => {
    if (problemOf(error).status === 500) logger.error({ err: error, path: request.path }, 'request failed')
    answerProblem(request, response, error)
  }) satisfies ErrorRequestHandler)
  return app
}

const deviceIdOf = (request: Request): string => {
  const id = String(request.params['deviceId'])
  if (DEVICE_ID.test(id)) return id
  throw new AndonError(
    'ANDON_INGEST_BAD_REQUEST',
    `deviceId: expected letters, digits and . _ -, at most 64; found ${JSON.stringify(id).slice(0, 80)}`,
    {
      status: 400,
    },
  )
}

const deviceOf = (registry: DeviceRegistry, deviceId: string): DeviceState => {
  const device = registry.state.devices.get(deviceId)
  if (device) return device
  throw new AndonError('ANDON_INGEST_DEVICE_UNKNOWN', `No device ${deviceId} is known; \`andon devices ls\` shows all`, { status: 404 })
}

const askerOf = ({ principal }: Request): Asker => {
  if (!principal) throw new AndonError('ANDON_UNAUTHENTICATED', 'A bearer token is needed', { status: 401 })
  return { by: principal.id, roles: [...principal.roles], credentialDigest: '' }
}

/** A repeat of the same call by the same principal, if it says so, is the same request. */
const requestIdOf = (request: Request): string => {
  const key = request.get('idempotency-key')
  return key === undefined ? randomUUID() : uuid8('device-request', request.principal?.id ?? '', request.path, key)
}

const demandAssets = (assets: readonly string[], known: readonly string[] | undefined): void => {
  const unknown = assets.find((asset) => asset !== '*' && known?.includes(asset) !== true)
  if (unknown === undefined) return
  throw new AndonError(
    'ANDON_INGEST_UNKNOWN_ASSET',
    `assets: the plant has no asset ${unknown}; it has ${known?.join(', ') ?? 'no file yet'}`,
    {
      status: 422,
    },
  )
}
