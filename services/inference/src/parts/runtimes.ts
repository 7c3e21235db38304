// Where models run: threads of this process, processes that can be killed, other servers; on the CPU or a GPU as the settings say.

import type { Part } from '@andon/kit'
import { remoteRunners } from '../backends/remote-runner.ts'
import { endAroundThreads } from '../runtime/end-process.ts'
import { executionProvider, openProviders } from '../runtime/providers.ts'
import type { Providers } from '../runtime/providers.ts'
import { processRuntime } from '../runtime/process-runtime.ts'
import { threadRuntime } from '../runtime/thread-runtime.ts'
import type { ConfigDefaults } from '../repository/model-config.ts'
import { modelOpener } from '../serving/open-model.ts'
import type { OpenModel } from '../serving/open-model.ts'
import { responseCache } from '../serving/response-cache.ts'
import { QueueLimit } from '../serving/scheduler.ts'
import type { Surroundings } from './opened.ts'

/** Threads and processes of their own, and the models that are opened on them. */
export interface Runtimes {
  readonly open: OpenModel
  readonly defaults: ConfigDefaults
  /** False while a thread is missing because too many do not come back. */
  isReady(): boolean
  /** After the models are closed. */
  close(): Promise<void>
}

/** Bytes of tensors that wait in all queues together, as many messages as this. */
const QUEUED_MESSAGES = 8

export const openRuntimes = ({ config, logger, metrics }: Surroundings, providers: Providers, workers: number): Runtimes => {
  const lost = metrics.counter('andon_inference_workers_lost_total', 'Threads and processes that ended, were killed or did not come back')
  const onTrouble = (trouble: { readonly kind: string; readonly reason: string }): void => {
    if (trouble.kind !== 'returned') lost.inc()
    logger.error({ trouble }, 'a thread or process that runs models is in trouble')
  }
  const placement: Parameters<typeof threadRuntime>[0]['placement'] = (model) => providers.placement(model)
  const { runTimeoutMs, maxBatchRows, maxQueuedRows, maxMessageBytes, isolation } = config
  const threads = threadRuntime({ workers, runTimeoutMs, onTrouble, placement })
  const processes = processRuntime({ runTimeoutMs, memoryLimitBytes: config.processMemoryBytes, onTrouble, placement })
  const others = remoteRunners({
    metrics,
    onStateChange: (server, state, reason) => logger.warn({ server, state, reason }, 'the breaker of an inference server changed'),
  })
  const defaults = { maxBatchRows, instances: workers, maxQueueSize: maxQueuedRows }
  return {
    defaults,
    open: modelOpener({
      threads,
      processes,
      isolation,
      openRemote: (model) => others.open(model),
      defaults,
      ...(config.cacheBytes > 0 ? { cache: responseCache({ maxBytes: config.cacheBytes }) } : {}),
      limit: new QueueLimit({ maxRows: maxQueuedRows, maxBytes: QUEUED_MESSAGES * maxMessageBytes }),
      nowMs: Date.now,
      logger,
    }),
    isReady: () => threads.isReady(),
    close: async () => {
      await Promise.all([threads.close(), processes.close(), others.close()])
      if (threads.suspects === 0) return
      logger.error(
        { threads: threads.suspects },
        'threads do not come back from their runs: the process is ended around them, with exit code 1',
      )
      endAroundThreads(() => threads.suspects > 0)
    },
  }
}

/** Tries the GPU once, where the settings want one. */
export const providersPart = ({ config, opened, logger, metrics }: Surroundings): Part => ({
  name: 'execution-providers',
  start: async () => {
    opened.providers = await openProviders({
      gpu: config.gpu,
      gpuProvider: config.gpuProvider,
      onFallback: (fallback) => logger.warn(fallback, 'a model that would rather run on a GPU runs on the CPU'),
    })
    const inUse = metrics.gauge(
      'andon_inference_execution_provider',
      'Execution providers that can be used: 1 is what a model gets that names none, 0 runs only models that ask for it',
      ['provider'],
    )
    const { probes, standard } = opened.providers
    for (const { provider, isUsable, reason } of probes) {
      logger.info({ provider: executionProvider[provider], isUsable, reason }, 'execution provider tried')
      if (isUsable) inUse.set({ provider: executionProvider[provider] }, 0)
    }
    inUse.set({ provider: executionProvider.cpu }, 0)
    inUse.set({ provider: executionProvider[standard] }, 1)
  },
  stop: async () => {},
})
