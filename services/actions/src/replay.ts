// The service in a replay run: findings of the range are copied and decided on with today's or pinned policies, into the
// run's own `actions` topic. Inert by construction: no door, webhook, notice or executor exists here, the catalogue that
// executing asks is empty, so no intent is ever written, and the log refuses every topic but the run's own.

import { setTimeout as sleep } from 'node:timers/promises'
import { createLogger, createMetrics } from '@andon/kit'
import type { Part, Service } from '@andon/kit'
import { ACTIONS, openActionsLog } from './actions-log.ts'
import { Executors } from './adapters/executors.ts'
import { inertExecutor, noRateLimits } from './adapters/inert.ts'
import { boardPart } from './board.ts'
import type { ActionsConfig } from './config.ts'
import { copierPart } from './copier.ts'
import { decideContext } from './decide-context.ts'
import { ownersPart } from './owners.ts'
import { systemClock } from './partition-log.ts'
import { plantPart } from './plant-view.ts'
import type { ActionsPorts } from './service.ts'

const LOOK_EVERY_MS = 100

/** `ports.log` is the log of a replay run. Over when every finding of the range has its answer. */
export const actionsReplay = (config: ActionsConfig, ports: Pick<ActionsPorts, 'log' | 'codec' | 'clock' | 'logger'>): Service => {
  const { log, codec, clock = systemClock } = ports
  const logger = ports.logger ?? createLogger({ service: 'actions', level: config.logLevel })
  const metrics = createMetrics('actions', { withProcess: true })
  const actionsLog = openActionsLog(log, codec, logger)
  const board = boardPart(log, codec, logger)
  const plant = plantPart(log, codec, logger, () => {})
  const owners = ownersPart({
    log,
    actionsLog,
    board: board.board,
    logger,
    metrics,
    publisher: { publish: async () => {} },
    owner: {
      clock,
      onCounted: () => {},
      executors: new Executors({
        executors: { opcua: inertExecutor, notify: inertExecutor, job: inertExecutor },
        rateLimits: noRateLimits,
        onBreaker: () => {},
      }),
      commands: () => new Map(),
      maxStopMs: config.maxStopMs,
      context: decideContext(plant.view),
      isReady: () => plant.isRead(),
    },
  })
  const copier = copierPart(log, codec, plant.view, logger, metrics)
  const connection: Part = { name: 'log', start: async () => {}, stop: () => log.close() }
  const parts = [connection, plant, board, owners, copier]

  const finished = async (): Promise<void> => {
    await copier.ended!()
    const ends = await Promise.all(owners.status().map(async ({ partition }) => (await log.latest(ACTIONS, partition)).offset))
    while (!owners.status().every(({ partition }, i) => owners.hasAnswered(partition, ends[i]!))) await sleep(LOOK_EVERY_MS)
  }
  return {
    name: 'actions',
    parts,
    replay: { parts, finished: () => Promise.race([finished(), owners.ended!()]) },
    admin: { host: config.host, port: config.adminPort },
    logger,
    metrics,
  }
}
