// The line as an edge executor on NATS: answers `<subject>.read`, `.command` and `.burn` in JSON. Holds no rule of its own.

import { connect } from 'nats'
import type { Msg } from 'nats'
import { obey, shown } from './line-door.ts'
import type { Line, LineRequest } from './line.ts'

export interface LineNatsOptions {
  readonly url: string
  readonly subject: string
  readonly line: Line
  /** Milliseconds UTC. Default: the wall clock. */
  readonly now?: () => number
}

/** Resolves when the server has the subscriptions. */
export const startLineNats = async ({
  url,
  subject,
  line,
  now = Date.now,
}: LineNatsOptions): Promise<{
  stop(): Promise<void>
}> => {
  const connection = await connect({ servers: url, maxReconnectAttempts: -1 })
  const serve = (verb: string, answer: (message: Msg) => unknown): void => {
    const reply = async (message: Msg): Promise<void> => {
      const given = await answer(message)
      if (given !== undefined && !connection.isClosed()) message.respond(JSON.stringify(given))
    }
    connection.subscribe(`${subject}.${verb}`, {
      callback: (error, message) => {
        if (error === null) void reply(message) // rejects for a malformed request only: its caller hears nothing
      },
    })
  }
  serve('read', () => {
    line.advance(now())
    return shown(line, now())
  })
  serve('command', (message) => obey(line, message.json<LineRequest>(), now))
  serve('burn', (message) => ({ done: line.burn(message.json<{ requestId: string }>().requestId, now()) }))
  await connection.flush()
  const timer = setInterval(() => line.advance(now()), 50)
  return {
    async stop() {
      clearInterval(timer)
      await connection.close()
    },
  }
}
