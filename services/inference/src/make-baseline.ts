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
import { messageOf, sha256Hex } from '@andon/kit'
import { keyIdOf, signManifest } from './learning/baselines.ts'
import type { BaselineManifest } from './learning/baselines.ts'
import { loadConfig } from './config.ts'
import { invalid, readVectorFile, readVectorTopic, trainOn } from './learning/recorded-vectors.ts'
import type { BaselineOrigin, RecordedVector } from './learning/recorded-vectors.ts'

/** Trains on the vectors and signs. The vectors must be of one feature set, in time order. */
export const makeBaseline = (
  vectors: readonly RecordedVector[],
  origin: BaselineOrigin,
  privateKeyPem: string,
): { artefact: Uint8Array; manifest: BaselineManifest } => {
  const { artefact, card, featureSet, featureSetDigest, features } = trainOn(vectors, origin)
  const digest = sha256Hex(artefact)
  const unsigned = {
    version: 1 as const,
    asset: origin.asset,
    featureSet,
    featureSetDigest,
    features,
    artefact: `${origin.asset}.onnx`,
    digest,
    card,
  }
  return { artefact, manifest: signManifest(unsigned, createPrivateKey(privateKeyPem)) }
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
  const all = given.vectors === undefined ? await readVectorTopic(loadConfig(process.env), asset) : await readVectorFile(given.vectors)
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
