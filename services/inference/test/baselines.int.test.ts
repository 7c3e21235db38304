// Signed baselines: made, installed on start, and refused when anything about them was changed.

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { readBaseline, readTrustedKeys } from '../src/learning/baselines.ts'
import type { BaselineManifest } from '../src/learning/baselines.ts'
import { makeBaseline } from '../src/make-baseline.ts'
import { readDoubles } from '@andon/schemas/packed'
import { openPlant, vectorOf } from './plant.ts'
import type { Plant } from './plant.ts'

const vectors = Array.from({ length: 100 }, (_, n) => vectorOf('press', n)).map((vector) => ({
  ...vector,
  values: [...readDoubles(vector.values)],
}))

const keyPair = (): { privatePem: string; publicKey: KeyObject } => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return { privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), publicKey }
}

interface Folder {
  readonly plant: Plant
  readonly dir: string
  readonly keys: string
  readonly manifestFile: string
}

/** A folder with one baseline for `press`; `change` may spoil it before it is written. */
const folderOf = async (
  t: TestContext,
  change: (manifest: BaselineManifest, artefact: Uint8Array) => [object, Uint8Array] = (...same) => same,
): Promise<Folder> => {
  const plant = openPlant(t)
  const [dir, keys] = [join(plant.blobDir, 'baseline'), join(plant.blobDir, 'keys')]
  await mkdir(dir)
  await mkdir(keys)
  const { privatePem, publicKey } = keyPair()
  const made = makeBaseline(vectors, { asset: 'press', source: 'test rows' }, privatePem)
  const [manifest, artefact] = change(made.manifest, made.artefact)
  const manifestFile = join(dir, 'press.json')
  await writeFile(manifestFile, JSON.stringify(manifest))
  await writeFile(join(dir, 'press.onnx'), artefact)
  await writeFile(join(keys, 'trusted.pem'), publicKey.export({ type: 'spki', format: 'pem' }))
  return { plant, dir, keys, manifestFile }
}

test('a signed baseline watches its asset from the first vector on; a second start changes nothing', async (t) => {
  const { plant, dir, keys } = await folderOf(t)
  const settings = { INFERENCE_BASELINE_DIR: dir, INFERENCE_BASELINE_KEYS: keys }
  const first = await plant.start(settings)
  await plant.publishVectors('press', [vectorOf('press', 200), vectorOf('press', 201, { shift: 30 })])
  const [healthy, faulty] = (await plant.predictions('press', 2)).map(({ value }) => value)
  assert.deepEqual([healthy!.type, healthy!.verdicts[0]!.role], ['verdicts', 'advisory'])
  assert.ok(healthy!.verdicts[0]!.ratio < 1 && faulty!.verdicts[0]!.ratio > 1)
  await first.stop()
  await plant.start(settings)
  assert.deepEqual(
    (await plant.models()).map(({ type, version }) => [type, version]),
    [
      ['ModelRegistered', 1],
      ['ModelActivated', 1],
    ],
  )
})

test('whatever was changed after signing is refused by name', async (t) => {
  const spoilt: [(manifest: BaselineManifest, artefact: Uint8Array) => [object, Uint8Array], RegExp][] = [
    [(manifest, artefact) => [{ ...manifest, asset: 'furnace' }, artefact], /signature does not fit/],
    [(manifest, artefact) => [{ ...manifest, card: { ...manifest.card, method: 'other' } }, artefact], /signature does not fit/],
    [(manifest, artefact) => [manifest, artefact.slice(1)], /expected press.onnx with SHA-256 [0-9a-f]{64}, found/],
    [(manifest, artefact) => [{ ...manifest, signature: 'AAAA' }, artefact], /signature does not fit/],
    [(manifest, artefact) => [{ ...manifest, publicKey: '0'.repeat(16) }, artefact], /not among the trusted keys/],
    [(manifest, artefact) => [{ ...manifest, featureSetDigest: 7 }, artefact], /expected a text in featureSetDigest, found 7/],
  ]
  for (const [change, reason] of spoilt) {
    const { manifestFile, keys } = await folderOf(t, change)
    await assert.rejects(
      readBaseline(manifestFile, await readTrustedKeys(keys)),
      (error: { code: string; message: string }) => error.code === 'ANDON_INFERENCE_BASELINE_REFUSED' && reason.test(error.message),
    )
  }
})

test('a refused baseline stops nothing: its asset is learned instead', async (t) => {
  const { plant, dir, keys, manifestFile } = await folderOf(t)
  const manifest = JSON.parse(await readFile(manifestFile, 'utf8')) as BaselineManifest
  await writeFile(manifestFile, JSON.stringify({ ...manifest, asset: 'other' }))
  await plant.start({ INFERENCE_BASELINE_DIR: dir, INFERENCE_BASELINE_KEYS: keys })
  await plant.publishVectors('press', [vectorOf('press', 200)])
  assert.equal((await plant.predictions('press', 1))[0]!.value.type, 'learning')
  assert.deepEqual(await plant.models(), [])
})

test('a baseline of vectors of two feature sets is not made', () => {
  const mixed = [...vectors.slice(0, 80), { ...vectors[81]!, featureSetDigest: 'f'.repeat(64) }]
  assert.throws(() => makeBaseline(mixed, { asset: 'press', source: 'x' }, keyPair().privatePem), /vector 81 is of feature set/)
})
