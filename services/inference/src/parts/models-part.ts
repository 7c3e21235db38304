// The models: registry facts followed from the log, the catalogue of what can be scored, and the threads that run it. A model in force
// is loaded as soon as its activation is read.

import { followTopic, messageOf, openBlobs } from '@andon/kit'
import type { Follow, Part } from '@andon/kit'
import type { Models } from '@andon/schemas'
import { ModelRegistry } from '../models/model-registry.ts'
import { modelWriter } from '../models/model-writer.ts'
import { Registrations } from '../models/registrations.ts'
import { openCatalogue } from '../serving/catalogue.ts'
import { openRuntimes } from './runtimes.ts'
import type { Runtimes } from './runtimes.ts'
import type { OpenModels, Surroundings } from './opened.ts'

export const modelsPart = (surroundings: Surroundings): Part => {
  const { config, opened, logger, metrics } = surroundings
  let follow: Follow | undefined
  let models: OpenModels | undefined
  let runtimes: Runtimes | undefined
  const active = metrics.gauge('andon_inference_models_active', 'Model versions in force')
  return {
    name: 'models',
    start: async () => {
      const [log, codec] = [opened.log!, opened.codec!]
      const blobs = await openBlobs(config.blobDir)
      const registry = new ModelRegistry()
      const registrations = new Registrations()
      runtimes = openRuntimes(surroundings, opened.providers!, Math.max(1, config.workers))
      const { open, defaults } = runtimes
      const { modelRepository: path, modelControl: control, repositoryPollMs: pollMs, modelUploads } = config
      const repository = path === null ? {} : { repository: { path, control, pollMs, takesUploads: modelUploads === 'allow' } }
      const catalogue = await openCatalogue({ registry, blobs, latest: opened.latest!, open, defaults, logger, ...repository })
      const preload = async (model: Models): Promise<void> => {
        try {
          await catalogue.servableOf(model)
          logger.info({ model: model.model, version: model.version, assetId: model.assetId, role: model.role }, 'model in force is loaded')
        } catch (error) {
          logger.error({ err: error, model: model.model, version: model.version }, 'model in force cannot be loaded; its verdicts say so')
        }
      }
      const awaitingShadows: (() => void)[] = []
      const tellOfShadows = (): void => {
        if (registry.currentShadows().length > 0) for (const listener of awaitingShadows.splice(0)) listener()
      }
      const scoresHere = config.serverUrls === null || config.scorerFallback === 'embedded'
      follow = await followTopic<Models>(
        log,
        codec,
        'models',
        ({ value }) => {
          registry.apply(value)
          registrations.apply(value)
          active.set(registry.current().length)
          if (value.kind !== 'onnx' || value.type !== 'ModelActivated') return
          if (value.role === 'shadow') tellOfShadows()
          else if (scoresHere) void preload(value) // never rejects
        },
        {
          onUndecodable: (record, error) =>
            logger.error({ offset: record.offset, err: messageOf(error) }, 'a record on models cannot be read'),
        },
      )
      const settled = (): Promise<void> => follow!.caughtUp()
      await settled()
      const writer = modelWriter({ log, codec, blobs, registry, caughtUp: settled, nowUs: () => Date.now() * 1000 })
      models = {
        registry,
        registrations,
        catalogue,
        writer,
        settled,
        hasArtefact: (uri) => blobs.has(uri),
        whenShadowed: (listener) => {
          awaitingShadows.push(listener)
          tellOfShadows()
        },
        isReady: () => runtimes!.isReady() && (!scoresHere || catalogue.isReady()),
      }
      opened.models = models
    },
    ready: () => (models?.isReady() === true ? true : 'models in force are being loaded'),
    ended: () => follow?.ended ?? Promise.resolve(),
    stop: async () => {
      await follow?.stop()
      await models?.catalogue.close()
      await runtimes?.close()
    },
  }
}
