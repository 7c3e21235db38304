// Wires inference: log, models and their sessions, signed baselines, then the doors and the event path. Stopped in reverse: the
// event path and the doors end their work, then the sessions, then the log.

import { createLogger, createMetrics, localCodec, openLog, openMemoryLog } from '@andon/kit'
import type { OpenLog, Service } from '@andon/kit'
import type { InferenceConfig } from './config.ts'
import { doorParts } from './parts/doors-part.ts'
import type { DoorParts } from './parts/doors-part.ts'
import { baselinesPart, eventPathPart, shadowPart } from './parts/event-path-part.ts'
import { logPart } from './parts/log-part.ts'
import { modelsPart } from './parts/models-part.ts'
import { registrarPart } from './parts/registrar-part.ts'
import type { Surroundings } from './parts/opened.ts'
import { providersPart } from './parts/runtimes.ts'
import { executionProvider } from './runtime/providers.ts'

/** Threads that are in a run are waited for up to 10 s, calls in flight and the event path before them. */
const STOP_WITHIN_MS = 20_000

export interface InferenceService extends Service {
  /** Ports the doors have, once started. */
  readonly ports: DoorParts['ports']
}

export const createInferenceService = (config: InferenceConfig, given?: OpenLog): InferenceService => {
  const logger = createLogger({ service: 'inference', level: config.logLevel })
  const metrics = createMetrics('inference', { withProcess: true })
  const surroundings: Surroundings = { config, logger, metrics, opened: {} }
  const { opened } = surroundings
  const doors = doorParts(surroundings)
  const log = logPart(given ?? openFor(surroundings), surroundings)
  const providers = providersPart(surroundings)
  const models = modelsPart(surroundings)
  const [hasDoors, hasEventPath] = [config.role !== 'scorer', config.role !== 'server']
  const eventPath = eventPathPart(surroundings)
  return {
    name: 'inference',
    admin: { host: config.host, port: config.adminPort, setting: 'INFERENCE_ADMIN_PORT' },
    logger,
    metrics,
    stopWithinMs: STOP_WITHIN_MS,
    ...(hasEventPath ? { replay: { parts: [log, providers, models, eventPath], finished: () => eventPath.ended!() } } : {}),
    about: () => ({
      role: config.role,
      executionProvider: executionProvider[opened.providers?.standard ?? 'cpu'],
      models: opened.models?.registry.current().length ?? 0,
    }),
    ports: doors.ports,
    parts: [
      log,
      providers,
      models,
      ...(hasEventPath ? [baselinesPart(surroundings)] : []),
      ...(hasDoors ? doors.parts : []),
      ...(hasEventPath ? [eventPath, registrarPart(surroundings), shadowPart(surroundings)] : []),
    ],
  }
}

/** Without brokers the log is one in memory, on which nothing ever comes. */
const openFor = ({ config, logger }: Surroundings): OpenLog => {
  if (!config.isFolderOnly) return () => openLog(config, 'inference')
  return async () => {
    logger.info(
      { folder: config.modelRepository },
      'no ANDON_KAFKA_BROKERS: only the models of the folder are served, none that is registered',
    )
    return { log: openMemoryLog(), codec: localCodec() }
  }
}
