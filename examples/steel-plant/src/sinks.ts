// Where the demo plant receives what Andon sends: signed webhooks, inspection jobs, mail. Everything received can be read at GET /received.

import { listen } from '@andon/kit'
import { SMTPServer } from 'smtp-server'
import { Webhook } from 'standardwebhooks'
import { Answer, serveJson, type Call } from './json-server.ts'

export interface ReceivedWebhook {
  /** Webhook id: the same over retries. */
  readonly id: string
  readonly receivedMs: number
  readonly verified: boolean
  /** Deliveries with this id, the first included. */
  readonly deliveries: number
  readonly body: unknown
}
export interface ReceivedJob {
  readonly jobId: string
  readonly requestId: string
  readonly state: 'open'
  readonly receivedMs: number
  readonly body: unknown
}
export interface ReceivedMail {
  readonly from: string
  readonly to: readonly string[]
  readonly subject: string
  readonly receivedMs: number
  readonly text: string
}

export interface SinksOptions {
  readonly host: string
  readonly httpPort: number
  readonly smtpPort: number
  /** Standard Webhooks secret, whsec_…. */
  readonly webhookSecret: string
}

export interface Sinks {
  readonly httpPort: number
  readonly smtpPort: number
  received(): { webhooks: readonly ReceivedWebhook[]; jobs: readonly ReceivedJob[]; mails: readonly ReceivedMail[] }
  stop(): Promise<void>
}

const keptMost = 1000

const headerMap = (headers: Call['headers']): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])))

const parsed = (body: Buffer): unknown => {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return body.toString('utf8')
  }
}

/** Webhooks and jobs on one HTTP port, mail on another; both on loopback. */
export const startSinks = async ({ host, httpPort, smtpPort, webhookSecret }: SinksOptions): Promise<Sinks> => {
  const verifier = new Webhook(webhookSecret)
  const webhooks = new Map<string, ReceivedWebhook>()
  const jobs = new Map<string, ReceivedJob>()
  const burned = new Set<string>()
  let mails: ReceivedMail[] = []
  const keep = <T>(map: Map<string, T>, key: string, value: T) => {
    map.set(key, value)
    if (map.size > keptMost) map.delete(map.keys().next().value!)
  }

  const webhook = ({ headers, body }: Call): Answer => {
    const id = headers['webhook-id']
    let verified = true
    try {
      verifier.verify(body, headerMap(headers))
    } catch {
      verified = false
    }
    const key = typeof id === 'string' ? id : `unsigned-${Date.now()}`
    const before = webhooks.get(key)
    // A later delivery with a bad signature changes nothing that was verified before.
    if (!before?.verified || verified) {
      keep(webhooks, key, {
        id: key,
        receivedMs: before?.receivedMs ?? Date.now(),
        verified,
        deliveries: (before?.deliveries ?? 0) + 1,
        body: parsed(body),
      })
    }
    return verified ? new Answer(200, { ok: true }) : new Answer(401, { error: 'Signature does not verify' })
  }

  /** One job per request id: a repeat gets the job that is there. Refuses late and burned requests. */
  const job = (call: Call): Answer => {
    const body = call.json()
    const requestId = call.headers['idempotency-key'] ?? body['requestId']
    if (typeof requestId !== 'string' || requestId === '') return new Answer(400, { error: 'Idempotency-Key or requestId is missing' })
    const there = jobs.get(requestId)
    if (there) return new Answer(200, there)
    if (burned.has(requestId)) return new Answer(409, { error: 'BURNED' })
    if (typeof body['notAfterMs'] === 'number' && Date.now() > body['notAfterMs']) return new Answer(409, { error: 'LATE' })
    const created: ReceivedJob = { jobId: `job-${jobs.size + 1}`, requestId, state: 'open', receivedMs: Date.now(), body }
    keep(jobs, requestId, created)
    return new Answer(201, created)
  }

  const http = await serveJson(
    {
      'POST /webhook': webhook,
      'POST /jobs': job,
      'GET /jobs': ({ query }) => {
        const requestId = query.get('requestId')
        if (requestId === null) return [...jobs.values()]
        return jobs.get(requestId) ?? new Answer(404, { error: 'No job for this request' })
      },
      'POST /jobs/burn': (call) => {
        const requestId = call.json()['requestId']
        if (typeof requestId !== 'string') return new Answer(400, { error: 'requestId is missing' })
        burned.add(requestId)
        return { done: jobs.has(requestId) }
      },
      'GET /received': () => ({ webhooks: [...webhooks.values()], jobs: [...jobs.values()], mails }),
    },
    { host, port: httpPort, setting: 'STEEL_PLANT_SINK_PORT' },
  )

  const smtp = new SMTPServer({
    authOptional: true,
    disabledCommands: ['AUTH', 'STARTTLS'],
    size: 1024 * 1024,
    onData(stream, session, done) {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8')
        const { mailFrom, rcptTo } = session.envelope
        mails.push({
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map((to) => to.address),
          subject: /^subject: (.*)$/im.exec(text)?.[1]?.trim() ?? '',
          receivedMs: Date.now(),
          text,
        })
        mails = mails.slice(-keptMost)
        done()
      })
    },
  })
  smtp.on('error', () => {
    // A client that hangs up in the middle is its own trouble; a busy port rejects below.
  })
  let mailPort: number
  try {
    mailPort = await listen(smtp.server, { host, port: smtpPort, setting: 'STEEL_PLANT_SMTP_PORT' })
  } catch (error) {
    await http.close()
    throw error
  }

  return {
    httpPort: http.port,
    smtpPort: mailPort,
    received: () => ({ webhooks: [...webhooks.values()], jobs: [...jobs.values()], mails }),
    async stop() {
      await http.close()
      await new Promise<void>((resolve) => smtp.close(() => resolve()))
    },
  }
}
