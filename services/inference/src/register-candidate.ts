// Command: trains a model on recorded vectors of one asset and registers it as the asset's next version. Nothing is scored with it:
// `andon replay run --service inference --model t2spe.<asset>@<version>` shows what it would have said.
//
//   node services/inference/src/register-candidate.ts --asset press-1 [--windows 300] [--vectors file.jsonl] [--source TEXT] [--licence TEXT]

import { parseArgs } from 'node:util'
import { followTopic, messageOf, openBlobs, openLog } from '@andon/kit'
import type { Models } from '@andon/schemas'
import { loadConfig } from './config.ts'
import { commissioningModel, modelWriter } from './models/model-writer.ts'
import { ModelRegistry } from './models/model-registry.ts'
import { invalid, readVectorFile, readVectorTopic, trainOn } from './learning/recorded-vectors.ts'

const run = async (): Promise<string> => {
  const text = { type: 'string' } as const
  const { values: given } = parseArgs({ options: { asset: text, windows: text, vectors: text, source: text, licence: text } })
  const { asset } = given
  if (asset === undefined) throw invalid('expected --asset')
  const config = loadConfig(process.env)
  const all = given.vectors === undefined ? await readVectorTopic(config, asset) : await readVectorFile(given.vectors)
  const vectors = all.slice(0, Number(given.windows ?? '300'))
  const source = given.source ?? (given.vectors === undefined ? `features topic, asset ${asset}` : given.vectors)
  const trained = trainOn(vectors, { asset, source, ...(given.licence === undefined ? {} : { licence: given.licence }) })
  const { log, codec } = await openLog(config, 'inference-register')
  try {
    const registry = new ModelRegistry()
    const models = await followTopic<Models>(log, codec, 'models', ({ value }) => registry.apply(value))
    const blobs = await openBlobs(config.blobDir)
    const writer = modelWriter({ log, codec, blobs, registry, caughtUp: () => models.caughtUp(), nowUs: () => Date.now() * 1000 })
    const { model, version, digest } = await writer.register({
      ...trained,
      model: commissioningModel(asset),
      assetId: asset,
      effectiveFromUs: 0,
      by: 'register-candidate',
    })
    await models.stop()
    return `${model}@${version}: ${trained.card.training.rows} of ${vectors.length} windows, ${trained.features.length} features, digest ${digest}`
  } finally {
    await log.close()
  }
}

if (import.meta.main) {
  try {
    process.stdout.write(`${await run()}\n`)
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`)
    process.exitCode = 1
  }
}
