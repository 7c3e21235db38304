// andon mcp: the actions door for agents on standard input and output. Each line is a message of the Model Context Protocol; each goes to
// the door as it is, and what the door answers comes back as a line.

import { createInterface } from 'node:readline'
import { messageOf } from '@andon/kit/errors'
import { type Context, tokenOf } from '../context.ts'
import type { AsOptions } from './actions.ts'

const INTERNAL_ERROR = -32_603

export const serveMcp = async (context: Context, options: AsOptions): Promise<void> => {
  const token = tokenOf(context, options.as)
  const say = (message: unknown): void => void process.stdout.write(`${JSON.stringify(message)}\n`)
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() === '') continue
    const id = idOf(line)
    try {
      const response = await fetch(`${context.doors.actions}/mcp`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          authorization: `Bearer ${token}`,
        },
        body: line,
      })
      const text = await response.text()
      if (response.ok && text !== '') say(JSON.parse(text))
      else if (!response.ok && id !== null) say(failure(id, `the actions door answered ${response.status}: ${text.slice(0, 500)}`))
    } catch (error) {
      if (id !== null) say(failure(id, `the actions door cannot be asked: ${messageOf(error)}`))
    }
  }
}

/** Of a request; null of a notification, which is answered by nobody. */
const idOf = (line: string): string | number | null => {
  try {
    return (JSON.parse(line) as { id?: string | number }).id ?? null
  } catch {
    return null
  }
}

const failure = (id: string | number, message: string) => ({ jsonrpc: '2.0', id, error: { code: INTERNAL_ERROR, message } })
