// Live notices on NATS `andon.notify.<line>`: for people who are looking now. Never the record; a lost notice is not sent again.

import { connect } from 'nats'
import type { NatsConnection } from 'nats'
import type { Logger, Part } from '@andon/kit'

export interface Notices {
  /** False when nobody could be reached. */
  publish(line: string, notice: Readonly<Record<string, unknown>>): boolean
}

export interface NoticesPart extends Part, Notices {}

const RETRY_MS = 2_000

/** Connects in the background for as long as it takes; without NATS the service works and says so once. */
export const natsNotices = ({ url, namespace, logger }: { url: string; namespace: string; logger: Logger }): NoticesPart => {
  let connection: NatsConnection | undefined
  let retry: NodeJS.Timeout | undefined
  let hasComplained = false
  let isStopped = false
  const encoder = new TextEncoder()
  const subjectOf = (line: string): string => `${namespace}andon.notify.${line.replaceAll(/[^A-Za-z0-9_-]/g, '_')}`

  const open = async (): Promise<void> => {
    try {
      connection = await connect({ servers: url, maxReconnectAttempts: -1, timeout: RETRY_MS })
      if (isStopped) await connection.close()
    } catch (error) {
      if (!hasComplained) logger.warn({ err: error, url }, 'NATS cannot be reached: no live notices until it can')
      hasComplained = true
      if (!isStopped) retry = setTimeout(() => void open(), RETRY_MS)
    }
  }

  return {
    name: 'notices',
    async start() {
      void open() // goes on in the background; open() does not reject
    },
    publish(line, notice) {
      if (!connection || connection.isClosed()) return false
      connection.publish(subjectOf(line), encoder.encode(JSON.stringify(notice)))
      return true
    },
    async stop() {
      isStopped = true
      clearTimeout(retry)
      await connection?.close()
    },
  }
}
