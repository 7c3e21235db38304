// Signed baselines: models that ship with a plant folder, so that an asset is watched before it was learned here. A manifest names
// asset, feature set and artefact digest and is signed with Ed25519; only manifests of trusted keys are registered, and only for
// assets without a model. What is refused is said and counted; nothing else stops for it.

import { createHash, createPublicKey, sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { readFile, readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { canonicalJson, codeOf, messageOf, sha256Hex } from '@andon/kit'
import { baselineRefused } from '../errors.ts'
import type { ModelCard } from '../models/model-card.ts'
import { commissioningModel } from '../models/model-writer.ts'
import type { ModelDraft } from '../models/model-writer.ts'

/** What `<asset>.json` beside `<asset>.onnx` holds. */
export interface BaselineManifest {
  readonly version: 1
  readonly asset: string
  readonly featureSet: string
  readonly featureSetDigest: string
  readonly features: readonly string[]
  /** File name of the artefact in the same folder. */
  readonly artefact: string
  /** SHA-256 (hex) of the artefact. */
  readonly digest: string
  readonly card: ModelCard
  /** keyIdOf the signing key. */
  readonly publicKey: string
  /** Ed25519 over the canonical JSON of everything else, base64. */
  readonly signature: string
}

/** First 16 hex digits of the SHA-256 of the public key's DER form. */
export const keyIdOf = (key: KeyObject): string =>
  createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex')
    .slice(0, 16)

export const signManifest = (manifest: Omit<BaselineManifest, 'publicKey' | 'signature'>, privateKey: KeyObject): BaselineManifest => {
  const unsigned = { ...manifest, publicKey: keyIdOf(createPublicKey(privateKey)) }
  return { ...unsigned, signature: sign(null, Buffer.from(canonicalJson(unsigned)), privateKey).toString('base64') }
}

/** Public keys (PEM) from a file or from every .pem file of a folder, by id. */
export const readTrustedKeys = async (path: string): Promise<Map<string, KeyObject>> => {
  const files = (await stat(path)).isDirectory()
    ? (await readdir(path)).filter((name) => name.endsWith('.pem')).map((name) => join(path, name))
    : [path]
  const keys = await Promise.all(files.map(async (file) => createPublicKey(await readFile(file))))
  return new Map(keys.map((key) => [keyIdOf(key), key]))
}

/** Reads and checks one manifest and its artefact; throws ANDON_INFERENCE_BASELINE_REFUSED with the reason. */
export const readBaseline = async (file: string, trusted: ReadonlyMap<string, KeyObject>): Promise<ModelDraft> => {
  const manifest = await readManifest(file)
  const key = trusted.get(manifest.publicKey)
  if (key === undefined)
    throw baselineRefused(file, `its key ${manifest.publicKey} is not among the trusted keys of INFERENCE_BASELINE_KEYS`)
  const { signature, ...unsigned } = manifest
  if (!verify(null, Buffer.from(canonicalJson(unsigned)), key, Buffer.from(signature, 'base64'))) {
    throw baselineRefused(file, `its signature does not fit its content and key ${manifest.publicKey}`)
  }
  const artefactFile = join(dirname(file), basename(manifest.artefact))
  const artefact = await readFile(artefactFile).catch((error: unknown) => {
    throw baselineRefused(file, `its artefact ${artefactFile} cannot be read (${messageOf(error)})`, error)
  })
  const found = sha256Hex(artefact)
  if (found !== manifest.digest)
    throw baselineRefused(file, `expected ${manifest.artefact} with SHA-256 ${manifest.digest}, found ${found}`)
  return {
    model: commissioningModel(manifest.asset),
    assetId: manifest.asset,
    featureSet: manifest.featureSet,
    featureSetDigest: manifest.featureSetDigest,
    artefact,
    features: manifest.features,
    card: manifest.card,
    effectiveFromUs: 0, // the asset had no model: it holds for everything that is on the log
    by: `baseline/${manifest.publicKey}`,
  }
}

const readManifest = async (file: string): Promise<BaselineManifest> => {
  let manifest: Partial<BaselineManifest>
  try {
    manifest = JSON.parse(await readFile(file, 'utf8')) as Partial<BaselineManifest>
  } catch (error) {
    throw baselineRefused(file, `it is no JSON (${messageOf(error)})`, error)
  }
  const texts = ['asset', 'featureSet', 'featureSetDigest', 'artefact', 'digest', 'publicKey', 'signature'] as const
  const bad = texts.find((field) => typeof manifest[field] !== 'string' || manifest[field] === '')
  if (bad !== undefined) throw baselineRefused(file, `expected a text in ${bad}, found ${JSON.stringify(manifest[bad])}`)
  if (manifest.version !== 1) throw baselineRefused(file, `expected version 1, found ${JSON.stringify(manifest.version)}`)
  if (!Array.isArray(manifest.features) || typeof manifest.card !== 'object')
    throw baselineRefused(file, 'expected features, a list, and card, an object')
  return manifest as BaselineManifest
}

export interface BaselineReport {
  readonly registered: readonly string[]
  readonly refused: readonly Error[]
}

/** Activates every baseline of a folder whose asset has no model for its feature set. Rejects only when the folder cannot be read. */
export const installBaselines = async (
  folder: string,
  keysPath: string | null,
  isCommissioned: (assetId: string, featureSetDigest: string) => boolean,
  activate: (draft: ModelDraft) => Promise<unknown>,
): Promise<BaselineReport> => {
  const files = await listManifests(folder)
  const refused: Error[] = []
  const registered: string[] = []
  let trusted = new Map<string, KeyObject>()
  try {
    if (keysPath !== null) trusted = await readTrustedKeys(keysPath)
  } catch (error) {
    refused.push(baselineRefused(folder, `the trusted keys at ${keysPath} cannot be read (${messageOf(error)})`, error))
  }
  for (const file of files) {
    let draft: ModelDraft
    try {
      draft = await readBaseline(file, trusted)
    } catch (error) {
      refused.push(error as Error)
      continue
    }
    if (isCommissioned(draft.assetId, draft.featureSetDigest)) continue
    await activate(draft)
    registered.push(draft.assetId)
  }
  return { registered, refused }
}

const listManifests = async (folder: string): Promise<string[]> => {
  try {
    return (await readdir(folder))
      .filter((name) => name.endsWith('.json'))
      .toSorted()
      .map((name) => join(folder, name))
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
    throw baselineRefused(folder, 'INFERENCE_BASELINE_DIR names a folder that does not exist', error)
  }
}
