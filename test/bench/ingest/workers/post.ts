// Driver `post.ts <port> <json|avro|single> <connections>`: keep-alive clients on raw sockets, each with one request in flight. Requests are
// made before the clock runs, so that it costs little and the same whoever answers. One round = one request; work counts readings.

import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { serveContender } from '../../../harness/bench-process.ts'
import { BATCH, batchAvro, batchJson, readingJson } from '../readings.ts'
import { TOKEN } from '../rig.ts'

const [portText, kind = '', connectionsText] = process.argv.slice(2)
const count = Number(connectionsText)
const perRequest = kind === 'single' ? 1 : BATCH
const contentType = kind === 'avro' ? 'application/vnd.andon.telemetry+avro' : 'application/json'
const accepted = `"accepted":${perRequest},"duplicates":0,"quarantined":[]`

const startUs = Date.now() * 1000 - 300 * 1_000_000

const bodyOf = (machine: number, seq: number): Buffer => {
  if (kind === 'avro') return batchAvro(machine, seq, startUs)
  return Buffer.from(kind === 'single' ? readingJson(machine, seq, startUs) : batchJson(machine, seq, startUs))
}

class Client {
  readonly #machine: number
  readonly #socket: Socket
  #seq = 1
  #requests: Buffer[] = []
  #sent = 0
  #answer = ''
  #done: PromiseWithResolvers<void> = Promise.withResolvers()

  constructor(machine: number, socket: Socket) {
    this.#machine = machine
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (bytes) => this.#read(bytes.toString('latin1')))
    socket.on('error', (error) => this.#done.reject(error))
    socket.on('close', () => this.#done.reject(new Error('the connection was closed')))
  }

  prepare(requests: number): void {
    this.#requests = Array.from({ length: requests }, () => {
      const body = bodyOf(this.#machine, this.#seq)
      this.#seq += perRequest
      const head = `POST /v1/telemetry HTTP/1.1\r\nHost: ingest\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Type: ${contentType}\r\nContent-Length: ${body.length}\r\n\r\n`
      return Buffer.concat([Buffer.from(head), body])
    })
  }

  send(): Promise<void> {
    this.#done = Promise.withResolvers()
    this.#sent = 0
    if (this.#socket.destroyed) this.#done.reject(new Error('the connection was closed'))
    else this.#next()
    return this.#done.promise
  }

  #next(): void {
    const request = this.#requests[this.#sent++]
    if (request === undefined) this.#done.resolve()
    else this.#socket.write(request)
  }

  #read(text: string): void {
    const answer = this.#answer === '' ? text : this.#answer + text
    const head = answer.indexOf('\r\n\r\n')
    const length = Number(/content-length: (\d+)/i.exec(answer)?.[1])
    if (head < 0 || answer.length < head + 4 + length) {
      this.#answer = answer
      return
    }
    this.#answer = ''
    // The bare server accepts without a word.
    if (answer.startsWith('HTTP/1.1 202') && (length === 0 || answer.includes(accepted))) return this.#next()
    this.#done.reject(new Error(`answered ${answer.slice(0, 1000)}`))
  }
}

const open = (machine: number): Promise<Client> =>
  new Promise((resolve, reject) => {
    const socket = connect(Number(portText), '127.0.0.1', () => resolve(new Client(machine, socket)))
    socket.once('error', reject)
  })

const clients = await Promise.all(Array.from({ length: count }, (_, machine) => open(machine)))
// A server gives up on connections on which nothing is asked.
for (const client of clients) client.prepare(1)
await Promise.all(clients.map((client) => client.send()))

await serveContender(
  { kind, connections: count },
  async (rounds) => {
    const used = clients.slice(0, rounds)
    await Promise.all(used.map((client) => client.send()))
    return Math.max(1, Math.floor(rounds / used.length)) * used.length * perRequest
  },
  async () => process.exit(0),
  (rounds) => {
    const used = clients.slice(0, rounds)
    for (const client of used) client.prepare(Math.max(1, Math.floor(rounds / used.length)))
  },
)
