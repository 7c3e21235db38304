// The routes for releases and corrections at an HTTP door, on an intake in memory.

import { createLogger } from '@andon/kit'
import type { Documents, Logger, Principals } from '@andon/kit'
import { mountAmendments } from '../src/adapters/amend.ts'
import { httpDoor } from '../src/adapters/http.ts'
import { systemClock } from '../src/clock.ts'
import { HttpRoutes } from '../src/http-routes.ts'
import { openRig, plant } from './rig.ts'
import type { ManualClock, Rig, RigOptions } from './rig.ts'
import { until } from './until.ts'

const principals: Principals = {
  of: (token) => {
    if (token === 'operator') return { id: 'p-operator', roles: ['operator'] }
    return token === 'sender' ? { id: 'p-sender', roles: ['ingest'] } : undefined
  },
}

export interface AmendRig extends Rig {
  /** Documents on `config`, beside the plant. */
  readonly documents: Record<string, unknown>
  /** POST as an operator; text and bytes go as they are. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<{ status: number; body: Record<string, unknown> }>
  stop(): Promise<void>
}

export const openAmendRig = async (options: RigOptions & { readonly logger?: Logger } = {}): Promise<AmendRig> => {
  const { logger = createLogger({ service: 'ingest', level: 'silent' }), ...rest } = options
  const rig = await openRig({ isRunning: true, clock: systemClock() as unknown as ManualClock, ...rest })
  await until(() => rig.wiring.refusing() === undefined, 'the intake')
  const documents: Record<string, unknown> = { plant }
  const known = { get: (name: string) => (Object.hasOwn(documents, name) ? { value: documents[name] } : undefined) } as Documents
  const routes = new HttpRoutes()
  const { intake } = rig.wiring
  mountAmendments(routes, { principals: () => principals, documents: () => known, logger, intake })
  const door = httpDoor({ host: '127.0.0.1', port: 0, principals, maxBodyBytes: 1 << 20, logger, routes })
  await door.start(intake, () => undefined)
  return {
    ...rig,
    documents,
    post: async (path, body, headers = {}) => {
      const answer = await fetch(`http://127.0.0.1:${door.port()}${path}`, {
        method: 'POST',
        headers: { authorization: 'Bearer operator', 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' || body instanceof Uint8Array ? Buffer.from(body) : JSON.stringify(body),
      })
      return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
    },
    stop: async () => {
      await door.stop()
      await rig.wiring.stop()
    },
  }
}
