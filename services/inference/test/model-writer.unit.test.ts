// Facts about model versions on an in-memory log.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { followTopic, localCodec, openBlobs, openMemoryLog } from '@andon/kit'
import type { Models } from '@andon/schemas'
import { ModelRegistry } from '../src/models/model-registry.ts'
import { modelWriter } from '../src/models/model-writer.ts'
import type { ModelDraft } from '../src/models/model-writer.ts'

const draft = (artefact: string): ModelDraft => ({
  model: 't2spe.press-1',
  assetId: 'press-1',
  featureSet: 'features/press',
  featureSetDigest: 'f1',
  artefact: Buffer.from(artefact),
  features: ['rmsG'],
  card: {},
  effectiveFromUs: 0,
  by: 'test',
})

test('a registered version is scored with by nobody until it is activated, and registering it again changes nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'andon-models-'))
  const log = openMemoryLog({})
  const codec = localCodec()
  await log.admin.ensureTopics([{ name: 'models', partitions: 1 }])
  const registry = new ModelRegistry()
  const models = await followTopic<Models>(log, codec, 'models', ({ value }) => registry.apply(value))
  const blobs = await openBlobs(folder)
  const writer = modelWriter({ log, codec, blobs, registry, caughtUp: () => models.caughtUp(), nowUs: () => 1 })
  try {
    await writer.activate(draft('one'))
    const second = await writer.register(draft('two'))
    assert.deepEqual({ version: second.version, again: (await writer.register(draft('two'))).version }, { version: 2, again: 2 })
    const active = () => registry.activeAt('press-1', 'f1', 10).map(({ version }) => version)
    assert.deepEqual(active(), [1])
    await writer.activate(draft('two'))
    assert.deepEqual(active(), [2])
  } finally {
    await log.close()
    rmSync(folder, { recursive: true, force: true })
  }
})
