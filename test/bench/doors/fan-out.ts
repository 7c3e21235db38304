// Server-sent events to many clients: what a core of the door's process does while each of them gets every event.

import { limit, load, rounded } from '../../harness/bench-measurement.ts'
import type { Benchmark } from '../benchmark.ts'
import { nextMessage, startWorker } from './worker.ts'

const CLIENTS = 1_000
const EVENTS_PER_SECOND = 50
const SECONDS = 20
const MOST_PERCENT = 60

export const fanOut: Benchmark = {
  name: 'fan-out',
  ids: ['fan-out'],
  async run() {
    const door = startWorker('door.ts', EVENTS_PER_SECOND, SECONDS)
    const { port } = await nextMessage<{ port: number }>(door)
    const clients = startWorker('clients.ts', port, CLIENTS, EVENTS_PER_SECOND * SECONDS)
    try {
      await nextMessage(clients)
      door.send('go')
      const [cost] = await Promise.all([nextMessage<{ cpuSeconds: number; wallSeconds: number; sent: number }>(door), nextMessage(clients)])
      const percent = (100 * cost.cpuSeconds) / cost.wallSeconds
      const detail = { clients: CLIENTS, eventsPerSecond: EVENTS_PER_SECOND, ...cost, load: load() }
      return [limit('fan-out', rounded(percent), MOST_PERCENT, '% of a core', 1, detail)]
    } finally {
      clients.kill()
      door.disconnect()
    }
  },
}
