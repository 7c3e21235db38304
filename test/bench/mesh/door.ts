// Posts to a door of the mesh over connections that stay open.

import { once } from 'node:events'
import { Agent, request } from 'node:http'
import type { IncomingMessage } from 'node:http'

const agent = new Agent({ keepAlive: true, maxSockets: 64 })
/** Status of the answer. */
export const post = async (port: number, path: string, body: string, headers: Record<string, string>): Promise<number> => {
  const asked = request({
    agent,
    host: '127.0.0.1',
    port,
    path,
    method: 'POST',
    headers: { 'content-length': Buffer.byteLength(body), ...headers },
  })
  asked.end(body)
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  answer.resume()
  await once(answer, 'end')
  return answer.statusCode ?? 0
}

export const closeDoor = (): void => agent.destroy()
