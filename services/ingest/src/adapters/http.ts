// The HTTP door: POST /v1/telemetry on plain node:http, other doors' routes beside it, and the pages for people and tools behind both.
// 202 is the acknowledgement; every other answer says in a code, a sentence and a link why there is none.

import type { RequestListener } from 'node:http'
import { env, portDefault } from '@andon/kit'
import type { Logger, Principals } from '@andon/kit'
import { buttonsOf } from '../buttons.ts'
import { defineDoor } from '../doors.ts'
import { noDevices } from '../devices.ts'
import type { Devices } from '../devices.ts'
import type { SourceFiles } from '../doors.ts'
import { HttpRoutes } from '../http-routes.ts'
import { Bodies } from './http-body.ts'
import { callsHandler, callsPrefix } from './http-calls.ts'
import { Senders } from './http-identity.ts'
import { MappedBodies } from './http-mapped.ts'
import { pages } from './http-pages.ts'
import { doorServer } from './http-server.ts'
import type { DoorServer } from './http-server.ts'
import { takeTelemetry, telemetryPath } from './http-telemetry.ts'
import type { Source } from './source.ts'

export interface HttpDoorOptions {
  readonly host: string
  readonly port: number
  readonly principals: Principals
  /** Longest body, as sent and decompressed. */
  readonly maxBodyBytes: number
  readonly logger: Logger
  /** Bodies that are being received, all together. */
  readonly maxReceivingBytes?: number
  readonly maxConnections?: number
  readonly requestTimeoutMs?: number
  /** Default: plain mode. */
  readonly devices?: Devices
  /** Routes of other doors. */
  readonly routes?: HttpRoutes
  /** Source files that a request may name as its mapping. */
  readonly sources?: SourceFiles
}

const mebibyte = 1024 * 1024

export const httpDoorKind = defineDoor({
  name: 'http',
  about: 'POST /v1/telemetry: JSON, NDJSON, CSV, Avro',
  settings: {
    port: env.port('INGEST_HTTP_PORT', 'Port of the HTTP door', portDefault('ingest', 'http')),
    maxBodyBytes: env.integer('INGEST_BODY_MAX_BYTES', 'Longest HTTP body, as sent and decompressed', 16 * mebibyte),
    maxConnections: env.integer('INGEST_HTTP_CONNECTIONS_MAX', 'Connections of the HTTP door at once; further ones are closed', 4096),
    requestTimeoutMs: env.integer('INGEST_HTTP_REQUEST_TIMEOUT_MS', 'A request must have come in whole within this', 30_000),
  },
  open: (settings, context) => {
    const { config, principals, logger, devices, http, sources } = context
    http.mount(callsPrefix, callsHandler({ buttons: buttonsOf(context), principals, devices, logger }))
    return httpDoor({
      ...settings,
      host: config.host,
      principals: principals(),
      maxReceivingBytes: config.inFlightMaxBytes,
      logger,
      devices,
      routes: http,
      sources,
    })
  },
})

export const httpDoor = (options: HttpDoorOptions): Source & { port(): number } => {
  const { logger, maxBodyBytes, devices = noDevices, routes = new HttpRoutes() } = options
  const senders = new Senders(options.principals, devices)
  const bodies = new Bodies({ maxBytes: maxBodyBytes, maxReceivingBytes: options.maxReceivingBytes ?? 64 * mebibyte })
  let opened: DoorServer | undefined
  let port = options.port
  return {
    name: 'http',
    port: () => port,
    ready: () => opened?.server.listening === true || 'not listening',
    start: async (intake, refusing) => {
      const mapped = new MappedBodies(options.sources, () => Date.now() * 1000)
      const route = { senders, bodies, mapped, intake, refusing, logger }
      const app = pages(logger) as RequestListener
      const listener =
        (expectsContinue: boolean): RequestListener =>
        (request, response) => {
          const path = pathOf(request.url ?? '')
          if (path === telemetryPath) return takeTelemetry(route, request, response, expectsContinue)
          if (expectsContinue) response.writeContinue()
          return (routes.find(path) ?? app)(request, response)
        }
      const { maxConnections = 4096, requestTimeoutMs = 30_000 } = options
      opened = doorServer({ ...options, devices, maxConnections, requestTimeoutMs }, listener(false), listener(true))
      port = await opened.listen()
    },
    stop: async () => {
      await opened?.close()
    },
  }
}

/** Path of a request target as it was sent: nothing is decoded or resolved, so no other spelling finds a route. */
const pathOf = (target: string): string => {
  const query = target.indexOf('?')
  const path = query < 0 ? target : target.slice(0, query)
  return path.startsWith('/') || !URL.canParse(path) ? path : new URL(path).pathname
}
