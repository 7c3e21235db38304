// Tells people: a mail to the technicians on call, a signed Notice to every webhook that asks for one, a live notice.
// Telling twice does no harm and telling nobody does, so an unknown outcome is told again.

import { createTransport } from 'nodemailer'
import type { Transporter } from 'nodemailer'
import type { Notification } from '@andon/schemas'
import type { Plant } from '@andon/schemas'
import { NotSent } from './executor.ts'
import type { Answer, Executor, Order } from './executor.ts'
import type { Notices } from './notices.ts'
import type { WebhookSender } from './webhook.ts'

type Smtp = NonNullable<Plant['notifications']['smtp']>

/** Event type of a notice on a webhook; an endpoint gets it if its `types` list it. */
export const NOTICE = 'Notice'

export interface NotifyOptions {
  readonly notifications: () => Plant['notifications'] | undefined
  readonly secretOf: (name: string) => string | undefined
  readonly notices: Notices
  readonly sender: WebhookSender
}

export const notifyExecutor = ({ notifications, secretOf, notices, sender }: NotifyOptions): Executor => {
  const transports = new Map<string, Transporter>()

  const mail = async (smtp: Smtp, order: Order): Promise<Notification[]> => {
    const to = groupOf(order)
    const group = to === null ? undefined : notifications()?.groups[to]
    const people = group ?? smtp.to
    const key = `${smtp.host}:${smtp.port}`
    let transport = transports.get(key)
    if (!transport) {
      transport = createTransport({
        host: smtp.host,
        port: smtp.port,
        secure: smtp.port === 465,
        connectionTimeout: order.definition.maxLatencyMs,
        greetingTimeout: order.definition.maxLatencyMs,
        socketTimeout: order.definition.maxLatencyMs,
      })
      transports.set(key, transport)
    }
    const sent = transport.sendMail({
      from: smtp.from,
      to: [...people],
      subject: `[Andon] ${order.title}`,
      messageId: `<${order.commandRequestId}@andon>`,
      text: textOf(order),
    })
    const detail = await sent.then(
      (info: unknown) => ({ delivered: true, detail: String((info as { response?: string }).response ?? 'accepted') }),
      (error: unknown) => ({ delivered: false, detail: error instanceof Error ? error.message : String(error) }),
    )
    return [{ channel: 'smtp', target: group ? `${to} (${people.length})` : `${people.length} technicians`, ...detail }]
  }

  const hooks = (order: Order): Promise<Notification[]> =>
    Promise.all(
      (notifications()?.webhooks ?? [])
        .filter((hook) => hook.types.includes(NOTICE))
        .map(async (hook): Promise<Notification> => {
          const event = { id: order.commandRequestId, type: NOTICE, timestampMs: Date.now(), data: noticeOf(order) }
          const result = await sender.post({
            url: hook.url,
            secret: secretOf(hook.secretEnv),
            event,
            timeoutMs: order.definition.maxLatencyMs,
          })
          return { channel: 'webhook', target: hook.id, delivered: result.isDelivered, detail: result.detail }
        }),
    )

  const tell = async (order: Order): Promise<Answer> => {
    const smtp = notifications()?.smtp
    const told = [...(smtp ? await mail(smtp, order) : []), ...(await hooks(order))]
    const isLive = notices.publish(order.line, noticeOf(order))
    if (isLive) told.push({ channel: 'nats', target: order.line, delivered: true, detail: '' })
    const reached = told.filter((one) => one.delivered)
    if (reached.length === 0)
      throw new NotSent(
        `Nobody could be told: ${told.map((one) => `${one.channel}: ${one.detail}`).join('; ') || 'no channel is set up'}`,
        { isFault: true },
      )
    return {
      kind: 'Executed',
      readback: JSON.stringify(told),
      title: `Told by ${reached.map((one) => one.channel).join(', ')}`,
      notifications: told,
    }
  }

  return {
    async prepare(order) {
      return { send: () => tell(order) }
    },
    async settle() {
      return { isDone: false, readback: JSON.stringify({ known: false }) }
    },
    async close() {
      for (const transport of transports.values()) transport.close()
    },
  }
}

/** Whom the notice is for, where the command says it: a group of the plant file. */
const groupOf = ({ command }: Order): string | null => (JSON.parse(command.params) as { to?: string }).to ?? null

const noticeOf = (order: Order) => ({
  type: NOTICE,
  incidentId: order.incidentId,
  stepId: order.stepId,
  title: order.title,
  severity: order.severity,
  line: order.line,
  to: groupOf(order),
  path: `/incidents/${order.incidentId}`,
})

const textOf = (order: Order): string =>
  [
    order.title,
    '',
    `Line: ${order.line}`,
    `Asset: ${order.assetId ?? 'none'}`,
    `Severity: ${order.severity}`,
    `Incident: ${order.incidentId}`,
    '',
    'Open the console to see the evidence and to decide. This mail cannot decide anything.',
    'Andon is not a safety function: use the machine’s own emergency stop in danger.',
  ].join('\n')
