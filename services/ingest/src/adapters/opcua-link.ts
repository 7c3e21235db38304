// One OPC UA source file → readings, for as long as the file is there. The server's queues and retransmissions bridge a lost connection
// (the subscription is taken over), its history fills what they could not; a notification is acknowledged to the server only when its
// values are safe, and the position moves with that.

import { setTimeout as delay } from 'node:timers/promises'
import type { NotificationMessage, StatusCode } from 'node-opcua-client'
import { AndonError, messageOf, sha256Hex } from '@andon/kit'
import type { Logger } from '@andon/kit'
import type { PlantSource } from '@andon/schemas'
import { readingsOfValues, severityOf, valueOf } from '../opcua-values.ts'
import type { DataValueLike, NodeChannel, NodeValue } from '../opcua-values.ts'
import type { Link, LinkEnd } from '../pull-sources.ts'
import { readHistory } from './opcua-history.ts'
import type { OpcuaMetrics } from './opcua-metrics.ts'
import type { Pki } from './opcua-pki.ts'
import { connectOpcua, unreachable } from './opcua-session.ts'
import type { Acknowledgement, Connection } from './opcua-session.ts'
import type { PositionFile } from './positions.ts'
import type { Intake } from './source.ts'
import { resolveNodes, subscribe } from './opcua-subscription.ts'
import type { Subscription } from './opcua-subscription.ts'

export type OpcuaFile = Extract<PlantSource, { kind: 'opcua' }>

/** How far a source file was read. */
export interface OpcuaPosition {
  /** Of the source file that the subscription was made for; another one has other handles. */
  readonly digest: string
  readonly subscription?: Subscription
  /** Channel and node → source time (µs) and status of its last value that is safe. */
  readonly nodes: Readonly<Record<string, readonly [timeUs: number, status: number]>>
}

export interface OpcuaLinkDeps {
  readonly file: OpcuaFile
  readonly pki: () => Promise<Pki>
  readonly position: PositionFile<OpcuaPosition>
  readonly password: string | undefined
  readonly intake: Intake
  readonly logger: Logger
  readonly metrics: OpcuaMetrics
  readonly nowMs: () => number
}

const backoffMs = { first: 250, most: 10_000 } as const
/** Outstanding at the server: one that waits for values, one under way. */
const publishRequests = 2

class Stopping extends Error {}

const keyOf = ({ channel, node }: NodeChannel): string => `${channel} ${node}`

export const openOpcuaLink = (deps: OpcuaLinkDeps): Link => {
  const { file, logger, metrics, nowMs } = deps
  const digest = sha256Hex(JSON.stringify(file))
  const channels: NodeChannel[] = Object.entries(file.channels).map(([channel, { node, unit, scale, offset }]) => ({
    channel,
    node,
    unit,
    scale,
    offset,
  }))
  const stopped = new AbortController()
  const kept = new Map<string, readonly [number, number]>()
  /** Times and statuses that came from history and may come again from a queue, per node. */
  const overlap = new Map<string, Set<string>>()
  /** Notifications whose values are safe, to be told to the server with the next request. */
  const acknowledge: Acknowledgement[] = []
  let subscription: Subscription | undefined
  let nodeIds: ReadonlyMap<NodeChannel, string> = new Map()
  let state: true | string = 'not connected yet'

  const pause = async (ms: number): Promise<void> => {
    await delay(ms, undefined, { signal: stopped.signal }).catch(() => {
      throw new Stopping()
    })
  }

  /** Tries until the readings are safe: the server waits meanwhile. */
  const deliver = async (values: readonly NodeValue[]): Promise<void> => {
    let waiting = readingsOfValues(values, { id: file.id, asset: file.asset, width: channels.length })
    for (let tries = 0; ; tries++) {
      const outcomes = await Promise.allSettled(
        waiting.map(({ key, ...reading }) =>
          deps.intake({ door: 'opcua', readings: [reading], idempotencyKey: key, bytes: reading.bytes().length }),
        ),
      )
      waiting = waiting.filter((_, index) => outcomes[index]!.status === 'rejected')
      if (waiting.length === 0) return
      const fault: unknown = outcomes.find((outcome) => outcome.status === 'rejected')?.reason
      if (!(fault instanceof AndonError && fault.retriable)) logger.error({ err: fault, source: file.id }, 'values could not be taken')
      await pause(Math.min(100 * 2 ** tries, 5000))
    }
  }

  /** Values that are new, made safe, and the position behind them. */
  const take = async (values: readonly NodeValue[], isHistory: boolean): Promise<void> => {
    const fresh = values.filter((value) => !isRepeat(value))
    metrics.repeats(values.length - fresh.length)
    for (const value of fresh) metrics.value(value)
    await deliver(fresh)
    for (const { of, timeUs, status } of fresh) {
      kept.set(keyOf(of), [timeUs, status])
      if (isHistory) keep(keyOf(of), `${timeUs}/${status}`)
    }
  }

  const isRepeat = ({ of, timeUs, status }: NodeValue): boolean => {
    const last = kept.get(keyOf(of))
    if (last?.[0] === timeUs && last[1] === status) return true
    const filled = overlap.get(keyOf(of))
    if (filled === undefined) return false
    if (filled.has(`${timeUs}/${status}`)) return true
    if (last !== undefined && timeUs > last[0]) overlap.delete(keyOf(of)) // the queue has caught up with the history
    return false
  }

  const keep = (of: string, key: string): void => {
    const filled = overlap.get(of) ?? new Set()
    filled.add(key)
    if (filled.size > 10_000) filled.delete(filled.values().next().value!)
    overlap.set(of, filled)
  }

  const save = (): Promise<void> =>
    deps.position
      .write({ digest, nodes: Object.fromEntries(kept), ...(subscription !== undefined && { subscription }) })
      .catch((error: unknown) =>
        logger.warn({ err: error, source: file.id }, 'the position could not be written; a restart reads more again'),
      )

  /** Makes the values of one notification safe; throws when it ends the subscription. */
  const onNotification = async (message: NotificationMessage): Promise<void> => {
    const values: NodeValue[] = []
    for (const data of message.notificationData ?? []) {
      const items = (data as { monitoredItems?: readonly { clientHandle: number; value: DataValueLike }[] } | null)?.monitoredItems
      for (const { clientHandle, value } of items ?? []) {
        const of = channels[clientHandle]
        if (of !== undefined) values.push(valueOf(of, value, nowMs() * 1000))
      }
      const status = (data as { status?: StatusCode } | null)?.status
      // Good: it was transferred, to us.
      if (status !== undefined && severityOf(status) > 0) {
        subscription = undefined
        throw unreachable(file, `the server ended the subscription (${status.name})`)
      }
    }
    if (values.length > 0) await take(values, false)
  }

  /** The subscription of the connection before, with what it kept for us; false when the server does not have it any more. */
  const takeOver = async (connection: Connection, old: Subscription): Promise<boolean> => {
    const answer = await connection.unlessRefused(
      connection.session.transferSubscriptions({ subscriptionIds: [old.id], sendInitialValues: false }),
    )
    const result = answer?.results?.[0]
    if (result === undefined || severityOf(result.statusCode) > 0) {
      subscription = undefined
      return false
    }
    const known = [...(result.availableSequenceNumbers ?? [])].filter((number) => isAfter(number, old.lastSeq))
    for (const number of known.toSorted((a, b) => (isAfter(a, b) ? 1 : -1))) {
      const message = await connection.republish(old.id, number) // gone: its number is missing below
      if (message !== undefined) await receive(message, connection)
    }
    return true
  }

  /** A new subscription, ours once the time before it is filled: until then the next connection begins anew. */
  const beginAnew = async (connection: Connection): Promise<void> => {
    const made = await subscribe(connection.session, nodeIds, file, logger)
    await fill(connection)
    subscription = made
  }

  /**
   * One message in its order. What is missing before it is asked for again, and read from the history where the server has thrown it
   * away; a keep-alive says which number comes next, so it shows what was lost behind the last message.
   */
  const receive = async (message: NotificationMessage, connection: Connection | undefined): Promise<void> => {
    const current = subscription
    if (current === undefined) return
    const { sequenceNumber } = message
    let isFilled = false
    while (connection !== undefined && isAfter(sequenceNumber, following(current.lastSeq))) {
      const missing = following(current.lastSeq)
      const again = await connection.republish(current.id, missing)
      if (again !== undefined) await receive(again, undefined)
      else if (!isFilled) {
        logger.warn({ source: file.id, sequenceNumber: missing }, 'the server lost a notification before it was read')
        await fill(connection) // up to now, so behind whatever else is missing
        isFilled = true
      }
      current.lastSeq = missing
    }
    if ((message.notificationData ?? []).length === 0 || !isAfter(sequenceNumber, current.lastSeq)) return // keep-alive, or known
    await onNotification(message)
    current.lastSeq = sequenceNumber
    acknowledge.push({ subscriptionId: current.id, sequenceNumber })
    void save() // reports its own failure
  }

  const fill = async (connection: Connection): Promise<void> => {
    const nodes = [...nodeIds].flatMap(([of, nodeId]) => {
      const last = kept.get(keyOf(of))
      return last === undefined ? [] : [{ of, nodeId, sinceUs: last[0] }]
    })
    if (nodes.length === 0) return
    const without = await readHistory(connection, nodes, nowMs, async (values) => {
      await take(values, true)
      void save() // reports its own failure
    })
    metrics.gap(without.size === 0 ? 'filled' : 'open')
    const [example] = without
    if (example !== undefined)
      logger.warn(
        { source: file.id, nodes: without.size, example: example[0].of.node, reason: example[1], sinceUs: example[0].sinceUs },
        'the server has no history of an outage: values since then may be missing',
      )
  }

  const publishLoop = async (connection: Connection, { id, keepAliveMs }: Subscription, isTakenOver: boolean): Promise<void> => {
    const quietMs = 2 * keepAliveMs + 2000
    let isProven = !isTakenOver
    let turn: Promise<void> = Promise.resolve()
    let isOver = false
    const one = async (): Promise<void> => {
      for (;;) {
        const response = await bounded(connection.publish(acknowledge.splice(0), 2 * quietMs), quietMs)
        if (!isProven && response.subscriptionId === id) {
          isProven = true
          metrics.gap('bridged')
        }
        const mine = turn.then(async () => {
          if (isOver || response.subscriptionId !== subscription?.id) return
          await receive(response.notificationMessage, connection)
        })
        turn = mine.catch(() => undefined) // the failure ends this loop below
        await mine
      }
    }
    // Some servers accept the transfer and go on looking for publish requests where the connection before left them: asyncua,
    // open62541 before its pull request 6086. Such a subscription is dead until the old session times out, so it is replaced.
    const proveItself = async (): Promise<void> => {
      await pause(keepAliveMs + 1000) // by then a keep-alive is due
      if (isProven || isOver) return
      await connection.probe() // rather than a slow network
      if (isProven || isOver) return
      subscription = undefined
      throw unreachable(file, 'the server says nothing for the subscription that it handed over')
    }
    const bounded = async <T>(work: Promise<T>, ms: number): Promise<T> => {
      const timer = new AbortController()
      const late = delay(ms, undefined, { signal: timer.signal }).then(() => {
        throw unreachable(file, `no sign of life for ${Math.round(ms / 1000)} s`)
      })
      late.catch(() => undefined) // aborted below
      return await Promise.race([work, late]).finally(() => timer.abort())
    }
    try {
      const proof = proveItself().then(() => new Promise<never>(() => undefined)) // once proven, it ends nothing
      await Promise.race([connection.lost, untilStopped(), proof, ...Array.from({ length: publishRequests }, one)])
    } finally {
      isOver = true // a closing session is answered too
      await turn
    }
  }

  const untilStopped = (): Promise<never> =>
    new Promise((_, reject) => {
      if (stopped.signal.aborted) reject(new Stopping())
      stopped.signal.addEventListener('abort', () => reject(new Stopping()), { once: true })
    })

  const connectAndRead = async (onUp: () => void): Promise<void> => {
    const connection = await connectOpcua(file, await deps.pki(), deps.password, logger)
    try {
      nodeIds = await resolveNodes(connection.session, channels, file)
      const isTakenOver = subscription !== undefined && (await takeOver(connection, subscription))
      if (!isTakenOver) await beginAnew(connection)
      await save()
      state = true
      onUp()
      logger.info({ source: file.id, endpoint: file.endpoint }, 'an OPC UA source is read')
      await publishLoop(connection, subscription!, isTakenOver)
    } finally {
      await connection.close(end === 'handed over' && subscription !== undefined)
    }
  }

  let end: LinkEnd = 'handed over'
  const run = async (): Promise<void> => {
    const before = await deps.position.read()
    for (const key of channels.map(keyOf)) {
      const last = before?.nodes[key]
      if (last !== undefined) kept.set(key, last)
    }
    if (before?.digest === digest) subscription = before.subscription
    let failures = 0
    while (!stopped.signal.aborted) {
      try {
        await connectAndRead(() => {
          failures = 0
          metrics.connected('up')
        })
      } catch (error) {
        if (error instanceof Stopping) return
        metrics.connected('failed')
        const why = messageOf(error)
        if (why !== state) logger.warn({ source: file.id, code: error instanceof AndonError ? error.code : undefined }, why)
        state = why
      }
      const waitMs = Math.min(backoffMs.first * 2 ** failures++, backoffMs.most)
      await pause(waitMs * (0.5 + Math.random() / 2)).catch(() => undefined) // stopped: the loop ends
    }
  }

  const running = run()
  running.catch((error: unknown) => logger.error({ err: error, source: file.id }, 'an OPC UA source is not read any more'))
  return {
    up: () => state,
    stop: async (why) => {
      end = why
      stopped.abort()
      await running
      if (why !== 'handed over') subscription = undefined
      if (why === 'removed') await deps.position.remove()
      else await save()
    },
  }
}

/** Sequence numbers go from 1 to 2^32 - 1 and start again at 1. OPC 10000-4 §7.26. */
const following = (number: number): number => (number >= 0xffff_ffff ? 1 : number + 1)
const isAfter = (number: number, last: number): boolean => number !== last && (number - last) >>> 0 < 0x8000_0000
