// Console: all topics in, nothing out. Follows the log without a group, folds it into the read model, serves the page.

import { fileURLToPath } from 'node:url'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { AndonError, createLogger, createMetrics, followDocuments, followTopic, httpPart, loadPrincipals, openLog } from '@andon/kit'
import type { Codec, Follow, Log, Service } from '@andon/kit'
import type { Actions, Commands, Models, Plant, Predictions } from '@andon/schemas'
import { createApi } from './api.ts'
import type { ConsoleConfig } from './config.ts'
import { ReadModel } from './read-model.ts'

const page = fileURLToPath(new URL('../dist', import.meta.url))

export const createConsoleService = (config: ConsoleConfig): Service => {
  const logger = createLogger({ service: 'console', level: config.logLevel })
  const metrics = createMetrics('console')
  const model = new ReadModel({ windowsPerAsset: config.windowsPerAsset, now: Date.now })
  const principals = loadPrincipals(config.tokensFile)
  let log: Log | undefined
  let codec: Codec
  const stops: (() => Promise<void>)[] = []
  const follows: Follow[] = []

  const read = {
    name: 'read model',
    async start(): Promise<void> {
      if (!existsSync(join(page, 'index.html')))
        throw new AndonError(
          'ANDON_CONSOLE_NO_PAGE',
          'The page has not been built: expected services/console/dist/index.html. Run `npm start`, or `npx vite build services/console/web`.',
        )
      ;({ log, codec } = await openLog(config, 'console'))
      const documents = await followDocuments(log, codec, { logger })
      documents.onChange(() => {
        const plant = documents.get<Plant>('plant')
        if (plant) model.onPlant(plant.value)
        const commands = documents.get<Commands>('commands')
        if (commands) model.onCommands(commands.value)
      })
      const actions = await followTopic<Actions>(log, codec, 'actions', ({ partition, position, timestampMs, value }) =>
        model.onAction(partition, { record: value, offset: position.offset, appendedUs: timestampMs * 1000 }),
      )
      const models = await followTopic<Models>(log, codec, 'models', ({ value }) => model.onModel(value))
      const since = await startOffsets(log, 'predictions', Date.now() - config.lookBackMinutes * 60_000)
      const predictions = await followTopic<Predictions>(log, codec, 'predictions', ({ value }) => model.onPrediction(value), {
        from: (_topic, partition) => since.get(partition) ?? 'latest',
      })
      follows.push(actions, models, predictions)
      for (const follow of follows) stops.push(() => follow.stop())
      stops.push(() => documents.stop())
      await Promise.all([documents.caughtUp(), actions.caughtUp(), models.caughtUp(), predictions.caughtUp()])
    },
    async stop(): Promise<void> {
      await Promise.all(stops.map((stop) => stop()))
      await log?.close()
    },
    // A view of lost records is built anew by a restart.
    ended: () => Promise.race(follows.map((follow) => follow.ended)),
  }
  const app = createApi({ model, principals, logger, actionsUrl: config.actionsUrl, videoUrl: config.videoUrl, page })
  return {
    name: 'console',
    logger,
    metrics,
    admin: { host: config.host, port: config.adminPort },
    parts: [read, httpPart({ name: 'page', host: config.host, port: config.httpPort, app, setting: 'CONSOLE_HTTP_PORT' })],
  }
}

const startOffsets = async (log: Log, topic: string, sinceMs: number): Promise<Map<number, number>> => {
  const partitions = await log.admin.partitions(topic)
  const offsets = await Promise.all(Array.from({ length: partitions }, (_, partition) => log.admin.offsetAt(topic, partition, sinceMs)))
  return new Map(offsets.map((offset, partition) => [partition, offset]))
}
