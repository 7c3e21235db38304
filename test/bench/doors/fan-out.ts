// Server-sent events to many clients: what a core of the door's process does while each of them gets every event.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { limit, load, rounded } from '../../harness/bench-measurement.ts'
import type { Benchmark } from '../benchmark.ts'

const CLIENTS = 1_000
const EVENTS_PER_SECOND = 50
const SECONDS = 20
const MOST_PERCENT = 60

const start = (file: string, ...args: number[]): ChildProcess => fork(new URL(`workers/${file}`, import.meta.url), args.map(String))

/** Next message of the child; rejects when it ends instead. */
const next = async <T>(child: ChildProcess): Promise<T> => {
  const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`a worker ended with ${String(code)}`)))
  const [message] = (await Promise.race([once(child, 'message'), ended])) as [T]
  return message
}

export const fanOut: Benchmark = {
  name: 'fan-out',
  ids: ['fan-out'],
  async run() {
    const door = start('door.ts', EVENTS_PER_SECOND, SECONDS)
    const { port } = await next<{ port: number }>(door)
    const clients = start('clients.ts', port, CLIENTS, EVENTS_PER_SECOND * SECONDS)
    try {
      await next(clients)
      door.send('go')
      const [cost] = await Promise.all([next<{ cpuSeconds: number; wallSeconds: number; sent: number }>(door), next(clients)])
      const percent = (100 * cost.cpuSeconds) / cost.wallSeconds
      const detail = { clients: CLIENTS, eventsPerSecond: EVENTS_PER_SECOND, ...cost, load: load() }
      return [limit('fan-out', rounded(percent), MOST_PERCENT, '% of a core', 1, detail)]
    } finally {
      clients.kill()
      door.disconnect()
    }
  },
}
