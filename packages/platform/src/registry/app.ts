// The registry's HTTP routes, as Confluent's registry answers them: same paths, bodies and error codes.

import express, { type Express, type NextFunction, type Request, type Response } from 'express'
import type { SchemaValue } from './records.ts'
import { Refusal, refuse } from './refusal.ts'
import type { Candidate, Registry } from './registry.ts'

const MEDIA_TYPE = 'application/vnd.schemaregistry.v1+json'

const isSet = (request: Request, name: string): boolean => request.query[name] === 'true'
const word = (request: Request, name: string): string => String(request.params[name])
const body = (request: Request): Candidate & Record<string, unknown> =>
  typeof request.body === 'object' && request.body !== null ? (request.body as Candidate & Record<string, unknown>) : { schema: undefined }

const shown = ({ subject, version, id, schema }: SchemaValue) => ({ subject, version, id, schema })

/** Cuts a list by `offset` and `limit` (-1: all). */
const page = <T>(request: Request, items: T[]): T[] => {
  const offset = Number(request.query['offset'] ?? 0)
  const limit = Number(request.query['limit'] ?? -1)
  return items.slice(offset, limit < 0 ? undefined : offset + limit)
}

const withPrefix = (request: Request): ((subject: string) => boolean) => {
  // ':*:' is how clients name all contexts; there is only the default one here.
  const asked = request.query['subjectPrefix']
  const prefix = typeof asked === 'string' ? asked.replace(/^:\*:/, '') : ''
  return (subject) => subject.startsWith(prefix)
}

export const registryApp = (registry: Registry): Express => {
  const app = express()
  app.disable('x-powered-by')
  app.set('etag', false)
  app.use(express.json({ type: () => true, limit: '2mb', strict: false }))
  const answer = (work: (request: Request) => unknown) => async (request: Request, response: Response) => {
    const result = await work(request)
    response.type(MEDIA_TYPE).send(typeof result === 'string' ? result : JSON.stringify(result))
  }
  const { state } = registry

  app.get(
    '/',
    answer(() => ({})),
  )
  app.get(
    '/contexts',
    answer(() => ['.']),
  )
  app.get(
    '/v1/metadata/id',
    answer(() => ({ id: '', scope: { path: [], clusters: {} } })),
  )

  app.get(
    '/schemas/types',
    answer(() => ['AVRO']),
  )
  app.get(
    '/schemas',
    answer((request) => {
      const all = state.all().filter((each) => withPrefix(request)(each.subject) && (isSet(request, 'deleted') || !each.deleted))
      const latest = new Map(all.map((each) => [each.subject, each]))
      return page(request, isSet(request, 'latestOnly') ? [...latest.values()] : all).map(shown)
    }),
  )
  const byId = (request: Request): SchemaValue[] => {
    const id = Number(word(request, 'id'))
    const found = state.withId(id)
    if (found.length === 0) throw refuse.schemaUnknown(id)
    return found
  }
  const usesOfId = (request: Request): SchemaValue[] => byId(request).filter((each) => isSet(request, 'deleted') || !each.deleted)
  app.get(
    '/schemas/ids/:id',
    answer((request) => ({ schema: byId(request)[0]?.schema })),
  )
  app.get(
    '/schemas/ids/:id/schema',
    answer((request) => byId(request)[0]?.schema),
  )
  app.get(
    '/schemas/ids/:id/subjects',
    answer((request) => [...new Set(usesOfId(request).map((each) => each.subject))]),
  )
  app.get(
    '/schemas/ids/:id/versions',
    answer((request) => usesOfId(request).map(({ subject, version }) => ({ subject, version }))),
  )

  app.get(
    '/subjects',
    answer((request) => page(request, state.subjects(isSet(request, 'deleted')).filter(withPrefix(request)))),
  )
  app.post(
    '/subjects/:subject',
    answer((request) => shown(registry.lookUp(word(request, 'subject'), body(request), isSet(request, 'deleted')))),
  )
  app.delete(
    '/subjects/:subject',
    answer((request) => registry.deleteSubject(word(request, 'subject'), isSet(request, 'permanent'))),
  )
  app.get(
    '/subjects/:subject/versions',
    answer((request) => {
      const versions = state.versions(word(request, 'subject'), isSet(request, 'deleted'))
      if (versions.length === 0) throw refuse.subjectUnknown(word(request, 'subject'))
      return page(
        request,
        versions.map((each) => each.version),
      )
    }),
  )
  app.post(
    '/subjects/:subject/versions',
    answer(async (request) => ({ id: await registry.register(word(request, 'subject'), body(request)) })),
  )
  const version = (request: Request) => registry.findVersion(word(request, 'subject'), word(request, 'version'), isSet(request, 'deleted'))
  app.get(
    '/subjects/:subject/versions/:version',
    answer((request) => shown(version(request))),
  )
  app.get(
    '/subjects/:subject/versions/:version/schema',
    answer((request) => version(request).schema),
  )
  app.get(
    '/subjects/:subject/versions/:version/referencedby',
    answer((request) => (version(request), [])),
  )
  app.delete(
    '/subjects/:subject/versions/:version',
    answer((request) => registry.deleteVersion(word(request, 'subject'), word(request, 'version'), isSet(request, 'permanent'))),
  )

  const verdict = (request: Request, messages: string[]) => ({
    is_compatible: messages.length === 0,
    ...(isSet(request, 'verbose') ? { messages } : {}),
  })
  app.post(
    '/compatibility/subjects/:subject/versions',
    answer((request) => verdict(request, registry.check(word(request, 'subject'), body(request)))),
  )
  app.post(
    '/compatibility/subjects/:subject/versions/:version',
    answer((request) => verdict(request, registry.check(word(request, 'subject'), body(request), word(request, 'version')))),
  )

  const isOwnOnly = (request: Request) => !isSet(request, 'defaultToGlobal')
  app.get(
    '/config',
    answer(() => ({ compatibilityLevel: registry.level(null, true) })),
  )
  app.put(
    '/config',
    answer(async (request) => ({ compatibility: await registry.setLevel(null, body(request)['compatibility']) })),
  )
  app.delete(
    '/config',
    answer(async () => ({ compatibility: await registry.unsetLevel(null) })),
  )
  app.get(
    '/config/:subject',
    answer((request) => ({ compatibilityLevel: registry.level(word(request, 'subject'), isOwnOnly(request)) })),
  )
  app.put(
    '/config/:subject',
    answer(async (request) => ({ compatibility: await registry.setLevel(word(request, 'subject'), body(request)['compatibility']) })),
  )
  app.delete(
    '/config/:subject',
    answer(async (request) => ({ compatibility: await registry.unsetLevel(word(request, 'subject')) })),
  )

  app.get(
    '/mode',
    answer(() => ({ mode: registry.mode(null, true) })),
  )
  app.put(
    '/mode',
    answer(async (request) => ({ mode: await registry.setMode(null, body(request)['mode'], isSet(request, 'force')) })),
  )
  app.get(
    '/mode/:subject',
    answer((request) => ({ mode: registry.mode(word(request, 'subject'), isOwnOnly(request)) })),
  )
  app.put(
    '/mode/:subject',
    answer(async (request) => ({ mode: await registry.setMode(word(request, 'subject'), body(request)['mode'], isSet(request, 'force')) })),
  )
  app.delete(
    '/mode/:subject',
    answer(async (request) => ({ mode: await registry.unsetMode(word(request, 'subject')) })),
  )

  app.use((_request: Request, response: Response) => {
    response
      .status(404)
      .type(MEDIA_TYPE)
      .send(JSON.stringify({ error_code: 404, message: 'HTTP 404 Not Found' }))
  })
  app.use((error: unknown, _request: Request, response: Response, _next: NextFunction) => {
    const status = (error as { status?: number }).status
    const refusal =
      error instanceof Refusal
        ? error
        : status !== undefined && status < 500
          ? new Refusal(status, status, `HTTP ${status}: ${(error as Error).message}`)
          : new Refusal(500, 50001, `Error in the backend data store: ${error instanceof Error ? error.message : String(error)}`)
    response
      .status(refusal.status)
      .type(MEDIA_TYPE)
      .send(JSON.stringify({ error_code: refusal.code, message: refusal.message }))
  })
  return app
}
