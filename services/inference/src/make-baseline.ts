// Command: trains a model on recorded vectors of one asset and writes it as a signed baseline, <asset>.onnx and <asset>.json.
//
//   node services/inference/src/make-baseline.ts --asset press-1 --private-key key.pem --out examples/steel-plant/baseline
//     [--vectors file.jsonl]       JSON lines {names, values, featureSet, featureSetDigest, windowStartUs, windowEndUs};
//                                  without it the asset's complete vectors on the `features` topic (ANDON_KAFKA_BROKERS …)
//     [--windows 300]              the first so many; [--source TEXT] [--licence TEXT] what the card says about the data
//   node services/inference/src/make-baseline.ts --new-key key.pem --public-key keys/demo.pem

import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { AndonError, decodeInput, messageOf, openCodec, openKafkaLog, partitionOf, sha256Hex } from '@andon/kit'
import type { Features } from '@andon/schemas'
import { keyIdOf, signManifest } from './baselines.ts'
import type { BaselineManifest } from './baselines.ts'
import { loadConfig } from './config.ts'
import { train } from './train.ts'
import { readDoubles } from '@andon/schemas/packed'

/** One training window, from a file or from the log. */
export interface RecordedVector {
  readonly names: readonly string[]
  readonly values: readonly number[]
  readonly featureSet: string
  readonly featureSetDigest: string
  readonly windowStartUs: number
  readonly windowEndUs: number
}

export interface BaselineOrigin {
  readonly asset: string
  /** What the card says about where the rows came from. */
  readonly source: string
  readonly licence?: string
}

/** Trains on the vectors and signs. The vectors must be of one feature set, in time order. */
export const makeBaseline = (
  vectors: readonly RecordedVector[],
  origin: BaselineOrigin,
  privateKeyPem: string,
): { artefact: Uint8Array; manifest: BaselineManifest } => {
  const [first] = vectors
  if (first === undefined) throw invalid('there are no vectors to train on')
  const other = vectors.findIndex(
    ({ featureSetDigest, names }) => featureSetDigest !== first.featureSetDigest || names.join() !== first.names.join(),
  )
  if (other >= 0)
    throw invalid(
      `vector ${other + 1} is of feature set ${vectors[other]!.featureSetDigest}, the first of ${first.featureSetDigest}; expected one feature set`,
    )
  const { featureSet, featureSetDigest, names, windowStartUs } = first
  const result = train({
    features: names,
    featureSetDigest,
    values: Float64Array.from(vectors.flatMap(({ values }) => values)),
    origin: {
      fromUs: windowStartUs,
      toUs: Math.max(...vectors.map(({ windowEndUs }) => windowEndUs)),
      source: origin.source,
      ...(origin.licence === undefined ? {} : { licence: origin.licence }),
    },
  })
  if ('refused' in result) throw invalid(result.refused)
  const unsigned = {
    version: 1 as const,
    asset: origin.asset,
    featureSet,
    featureSetDigest,
    features: names,
    artefact: `${origin.asset}.onnx`,
    digest: sha256Hex(result.artefact),
    card: result.card,
  }
  return { artefact: result.artefact, manifest: signManifest(unsigned, createPrivateKey(privateKeyPem)) }
}

const invalid = (reason: string): AndonError => new AndonError('ANDON_INFERENCE_BASELINE_FAILED', `No baseline was made: ${reason}`)

const readVectorFile = async (file: string): Promise<RecordedVector[]> =>
  (await readFile(file, 'utf8'))
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line, i) => {
      const vector = JSON.parse(line) as RecordedVector
      const isWhole = Array.isArray(vector.names) && Array.isArray(vector.values) && vector.names.length === vector.values.length
      if (!isWhole || typeof vector.featureSetDigest !== 'string')
        throw invalid(`${file}, line ${i + 1}: expected {names, values, featureSet, featureSetDigest, windowStartUs, windowEndUs}`)
      return { ...vector, values: vector.values.map((value) => value ?? Number.NaN) } // JSON has no NaN: null stands for it
    })

/** Complete vectors of the asset's newest feature set, highest revision of each window, oldest window first. */
const readTopic = async (asset: string): Promise<RecordedVector[]> => {
  const config = loadConfig(process.env)
  const codec = await openCodec({ registryUrl: config.registryUrl, namespace: config.namespace, autoRegister: false })
  const log = await openKafkaLog({ brokers: config.kafkaBrokers, clientId: 'inference-make-baseline', namespace: config.namespace })
  try {
    const windows = new Map<number, RecordedVector & { readonly revision: number }>()
    const partition = partitionOf(asset, await log.admin.partitions('features'))
    for await (const batch of log.read({ topic: 'features', partition, from: 'earliest', to: 'latest' })) {
      for (const record of batch.records) {
        if (record.key !== asset) continue
        const { vector } = (await decodeInput<Features>(codec, record)).value
        if (vector === null || !vector.complete) continue
        const known = windows.values().next().value
        if (known !== undefined && known.featureSetDigest !== vector.featureSetDigest) windows.clear()
        if ((windows.get(vector.windowStartUs)?.revision ?? 0) < vector.revision)
          windows.set(vector.windowStartUs, { ...vector, values: [...readDoubles(vector.values)] })
      }
    }
    return [...windows.values()].toSorted((a, b) => a.windowStartUs - b.windowStartUs)
  } finally {
    await log.close()
  }
}

const newKey = async (privateFile: string, publicFile: string): Promise<string> => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  await mkdir(dirname(publicFile), { recursive: true })
  await writeFile(privateFile, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' })
  await writeFile(publicFile, publicKey.export({ type: 'spki', format: 'pem' }))
  return `key ${keyIdOf(publicKey)}: private key in ${privateFile} (keep it out of the repository), public key in ${publicFile}`
}

const run = async (): Promise<string> => {
  const text = { type: 'string' } as const
  const options = {
    asset: text,
    'private-key': text,
    out: text,
    vectors: text,
    windows: text,
    source: text,
    licence: text,
    'new-key': text,
    'public-key': text,
  }
  const { values: given } = parseArgs({ options })
  if (given['new-key'] !== undefined && given['public-key'] !== undefined) return newKey(given['new-key'], given['public-key'])
  const { asset, out, 'private-key': keyFile } = given
  if (asset === undefined || out === undefined || keyFile === undefined)
    throw invalid('expected --asset, --private-key and --out (or --new-key and --public-key)')
  const all = given.vectors === undefined ? await readTopic(asset) : await readVectorFile(given.vectors)
  const vectors = all.slice(0, Number(given.windows ?? '300'))
  const source = given.source ?? (given.vectors === undefined ? `features topic, asset ${asset}` : given.vectors)
  const origin = { asset, source, ...(given.licence === undefined ? {} : { licence: given.licence }) }
  const { artefact, manifest } = makeBaseline(vectors, origin, await readFile(keyFile, 'utf8'))
  await mkdir(out, { recursive: true })
  await writeFile(join(out, manifest.artefact), artefact)
  await writeFile(join(out, `${asset}.json`), `${JSON.stringify(manifest, null, 2)}\n`)
  return `${asset}: ${manifest.card.training.rows} of ${vectors.length} windows, ${manifest.features.length} features, ${manifest.card.limits.components} components, digest ${manifest.digest}`
}

if (import.meta.main) {
  try {
    process.stdout.write(`${await run()}\n`)
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`)
    process.exitCode = 1
  }
}
