// Wires log, owners, door and executors together. ACTIONS_ROLE splits it: `door` answers people, `owner` decides
// and executes, `sealer` stores what findings were made of.

import { createLogger, createMetrics, httpPart, openLog, openPrincipals } from '@andon/kit'
import type { Codec, Log, Logger, Part, Service } from '@andon/kit'
import { openActionsLog } from './actions-log.ts'
import type { TracedEntry } from './actions-log.ts'
import type { ControlSystemOf } from './adapters/control-systems.ts'
import type { Executor } from './adapters/executor.ts'
import { Executors } from './adapters/executors.ts'
import { jobExecutor } from './adapters/job.ts'
import { natsLineExecutor } from './adapters/nats-line.ts'
import { natsNotices } from './adapters/notices.ts'
import { notifyExecutor } from './adapters/notify.ts'
import { loadedOnUse } from './adapters/executor.ts'
import { redisRateLimits } from './adapters/rate-limits.ts'
import { auditing } from './audit/auditing.ts'
import { boardPart } from './board.ts'
import type { ActionsConfig } from './config.ts'
import { copierPart } from './copier.ts'
import { decideContext } from './decide-context.ts'
import { configPublisher } from './documents.ts'
import { createDoor } from './door.ts'
import type { ExecutionDeps } from './execution.ts'
import { liveNotice } from './live-notice.ts'
import { ownersPart } from './owners.ts'
import type { OwnersPart } from './owners.ts'
import { systemClock } from './partition-log.ts'
import type { Clock } from './partition-log.ts'
import { plantPart } from './plant-view.ts'
import { policyLog } from './policy-log.ts'
import { actionsReplay } from './replay.ts'
import { sealerPart } from './sealer/sealer.ts'
import { webhookSender } from './adapters/webhook.ts'
import { webhooksPart } from './webhooks.ts'

export interface ActionsPorts {
  readonly log: Log
  readonly codec: Codec
  readonly clock?: Clock
  readonly logger?: Logger
  /** Executors by name instead of the real ones; tests bring targets that misbehave. */
  readonly executors?: Readonly<Record<string, Executor>>
  /** Told of every point of the executor protocol; no setting reaches it, so nothing in production does. */
  readonly reached?: ExecutionDeps['reached']
}

/** The service against real brokers, or its replay run. Rejects when they or the registry cannot be reached. */
export const createActionsService = async (config: ActionsConfig): Promise<Service> => {
  const logger = createLogger({ service: 'actions', level: config.logLevel })
  const ports = { ...(await openLog(config, 'actions')), logger }
  return config.replayPlan === null ? actionsService(config, ports) : actionsReplay(config, ports)
}

/** The service on given ports. Closes the log when it stops. */
export const actionsService = (config: ActionsConfig, ports: ActionsPorts): Service => {
  const { log, codec, clock = systemClock } = ports
  const logger = ports.logger ?? createLogger({ service: 'actions', level: config.logLevel })
  const metrics = createMetrics('actions', { withProcess: true })
  const actionsLog = openActionsLog(log, codec, logger)
  const notices = natsNotices({ url: config.natsUrl, namespace: config.namespace, logger })
  const board = boardPart(log, codec, logger)
  const sender = webhookSender({ allow: config.webhookAllow })
  const webhooks = webhooksPart({
    sender,
    log,
    actionsLog,
    codec,
    secretOf: config.secretOf,
    timeoutMs: config.webhookTimeoutMs,
    maxAgeMs: config.webhookMaxAgeHours * 3_600_000,
    nowMs: () => clock.nowUs() / 1000,
    logger,
    metrics,
  })
  const isOwner = config.role === 'all' || config.role === 'owner'
  const isDoor = config.role === 'all' || config.role === 'door'
  const isSealer = config.role === 'all' || config.role === 'sealer'
  let owners: OwnersPart | undefined
  const plant = plantPart(log, codec, logger, (view) => {
    if (isOwner) void webhooks.set(view.plant?.notifications.webhooks ?? []) // reports its own errors
    owners?.wake()
  })
  const { view } = plant

  const controlSystemOf: ControlSystemOf = (line) => view.line(line)?.controlSystem
  const executors = new Executors({
    executors: ports.executors ?? {
      opcua: loadedOnUse(async () => {
        const { opcuaExecutor } = await import('./adapters/opcua.ts')
        return opcuaExecutor({ controlSystemOf, dataDir: config.dataDir, logger })
      }),
      sparkplug: loadedOnUse(async () => {
        const { sparkplugLineExecutor } = await import('./adapters/sparkplug-line.ts')
        return sparkplugLineExecutor({ controlSystemOf, logger })
      }),
      nats: natsLineExecutor({ url: config.natsUrl, namespace: config.namespace, controlSystemOf, logger }),
      notify: notifyExecutor({ notifications: () => view.plant?.notifications, secretOf: config.secretOf, notices, sender }),
      job: jobExecutor({ url: () => view.plant?.notifications.jobs?.url }),
    },
    rateLimits: redisRateLimits({ url: config.redisUrl, namespace: config.namespace, logger }),
    onBreaker: (change) => owners?.noteBreaker(change),
    metrics,
  })

  const publisher = configPublisher(log, codec, view, logger)
  const executions = metrics.counter('andon_actions_executions_total', 'Attempts to bring a command to its target, by outcome', ['outcome'])
  const onCounted = (entry: TracedEntry, isLive: boolean): void => {
    if (!isLive) return
    const outcome = entry.record.execution?.outcome ?? null
    if (outcome !== null) executions.inc({ outcome })
    const notice = liveNotice(entry.record)
    if (notice) notices.publish(entry.record.line, notice)
  }
  const audit = auditing(config, { log, codec, nowUs: () => clock.nowUs(), logger, metrics })
  owners = ownersPart({
    auditorOf: audit.auditorOf,
    log,
    actionsLog,
    board: board.board,
    logger,
    metrics,
    publisher,
    owner: {
      clock,
      onCounted,
      executors,
      commands: () => view.commands,
      maxStopMs: config.maxStopMs,
      reached: ports.reached,
      context: decideContext(view, policyLog(logger, metrics)),
      isReady: () => plant.isRead(),
    },
  })

  const ownerParts: Part[] = [
    notices,
    closing('webhook connections', async () => sender.close()),
    closing('executors', () => executors.close()),
    copierPart(log, codec, view, logger, metrics),
    webhooks,
    audit.part,
    owners,
  ]
  const { blobDir } = config
  const sealer = sealerPart({ log, codec, blobDir, maxBytes: config.sealMaxMb * 1_000_000, logger, metrics })
  const door = (): Part =>
    httpPart({
      name: 'door',
      host: config.host,
      port: config.httpPort,
      setting: 'ACTIONS_HTTP_PORT',
      app: createDoor({
        board: board.board,
        actionsLog,
        plant: view,
        principals: openPrincipals(config),
        stepUp: { acrValues: config.oidcStrong, maxAge: config.oidcStrongMaxAgeS },
        nowUs: () => clock.nowUs(),
        answerWithinMs: config.answerWithinMs,
        logger,
        metrics,
        status: () => ({ owned: isOwner ? owners.status() : [], thisProcess: executors.states() }),
      }),
    })
  return {
    name: 'actions',
    parts: [
      closing('log', () => log.close()),
      ...(isOwner || isDoor ? [plant, board] : []),
      ...(isOwner ? ownerParts : []),
      ...(isSealer ? [sealer] : []),
      ...(isDoor ? [door()] : []),
    ],
    admin: { host: config.host, port: config.adminPort },
    logger,
    metrics,
    about: () => ({ role: config.role }),
  }
}

/** Something that is open already and has to be closed after everything that started later. */
const closing = (name: string, close: () => Promise<void>): Part => ({ name, start: async () => {}, stop: close })
