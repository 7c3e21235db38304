// What a run is handed and what it refuses, without a broker.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { codeOf } from '@andon/kit/errors'
import type { ReplayPlan } from '@andon/kit/replay/plan'
import { homeAt, repositoryRoot } from '@andon/platform'
import { loadContext } from '../src/context.ts'
import { childEnvironment, namedSettings } from '../src/replay/child.ts'
import { findCode, parseService } from '../src/replay/code.ts'
import { checkContract, readContract } from '../src/replay/contract.ts'
import { listManifests, readManifest, writeManifest } from '../src/replay/manifest.ts'
import { sharesOf } from '../src/replay/shares.ts'

const folder = mkdtempSync(join(tmpdir(), 'andon-replay-'))
after(() => rmSync(folder, { recursive: true }))

const secrets = {
  ANDON_TOKEN: 'a',
  ANDON_TOKENS_FILE: 'b',
  ACTIONS_WEBHOOK_SECRET: 'c',
  ANDON_ACTIONS_URL: 'http://d',
  ANDON_NATS_URL: 'nats://e',
  ANDON_REDIS_URL: 'redis://f',
  AWS_SECRET_ACCESS_KEY: 'g',
  NODE_OPTIONS: '--require=/h.js',
  INFERENCE_BASELINE_KEYS: 'i',
}

test('a run is handed the way to the log, its plan and the settings its contract names, and nothing else', () => {
  const files = { folder: '/runs/run-1', data: '/runs/run-1/data', plan: '/runs/run-1/features.json', log: '/runs/run-1/features.log' }
  const given = { ...secrets, PATH: '/bin', HOME: '/home/x', FEATURES_GAPS_KEPT: '8', FEATURES_ADMIN_PORT: '1' }
  const settings = namedSettings(['FEATURES_GAPS_KEPT', 'CLUSTERING_EWMA_ALPHA'], given)
  const environment = childEnvironment(loadContext({ ANDON_HOME: folder, ANDON_KAFKA_BROKERS: 'broker:9092' }), files, settings, given)
  assert.deepEqual(
    Object.keys(environment).toSorted((a, b) => a.localeCompare(b)),
    [
      'ANDON_BLOB_DIR',
      'ANDON_DATA_DIR',
      'ANDON_KAFKA_BROKERS',
      'ANDON_LOG_LEVEL',
      'ANDON_NAMESPACE',
      'ANDON_REGISTER_SCHEMAS',
      'ANDON_REGISTRY_URL',
      'ANDON_REPLAY_PLAN',
      'FEATURES_GAPS_KEPT',
      'HOME',
      'PATH',
    ],
  )
  assert.equal(environment['ANDON_REGISTER_SCHEMAS'], 'false')
})

test('a contract that asks for a credential or an address is refused', () => {
  for (const name of Object.keys(secrets).filter((each) => each !== 'NODE_OPTIONS' && each !== 'ANDON_TOKENS_FILE'))
    assert.throws(
      () => namedSettings([name], secrets),
      (error: unknown) => codeOf(error) === 'ANDON_REPLAY_SETTING',
      name,
    )
})

test('the services of the pipeline declare a contract, the others are refused by name', () => {
  for (const [service, input] of [
    ['features', 'telemetry'],
    ['inference', 'features'],
    ['clustering', 'predictions'],
    ['actions', 'anomalies'],
  ] as const) {
    const contract = readContract(repositoryRoot, service, 'this checkout')
    assert.equal(contract.input, input)
    assert.deepEqual(namedSettings(contract.settings, {}), {}, 'its settings can be handed on')
  }
  for (const service of ['ingest', 'video', 'console', 'no-such-service'])
    assert.throws(
      () => readContract(repositoryRoot, service, 'this checkout'),
      new RegExp(`ANDON_REPLAY_CONTRACT: ${service} of this checkout`),
    )
})

test('a contract of another version, or half of one, is none', () => {
  const whole = { contract: 1, input: 'telemetry', group: 'features', writes: ['features'], warmUpMinutes: 1 }
  assert.deepEqual(checkContract(whole, 'features', 'here'), { ...whole, settings: [], parallel: false })
  for (const bad of [undefined, null, 'x', {}, { ...whole, contract: 2 }, { ...whole, writes: [] }, { ...whole, input: undefined }])
    assert.throws(
      () => checkContract(bad, 'features', 'here'),
      (error: unknown) => codeOf(error) === 'ANDON_REPLAY_CONTRACT',
    )
})

test('a service is named alone, with a git ref or with an image; one that cannot be had is refused with what to do', async () => {
  assert.deepEqual(parseService('features'), { service: 'features', code: null })
  assert.deepEqual(parseService('features@HEAD~2'), { service: 'features', code: 'HEAD~2' })
  assert.deepEqual(parseService('features@image:registry/features@sha256:12'), {
    service: 'features',
    code: 'image:registry/features@sha256:12',
  })
  const context = { home: homeAt(folder), containerEngine: null }
  await assert.rejects(
    findCode(context, 'features', 'image:no.such.registry/features:1'),
    /ANDON_REPLAY_CODE: image no\.such\.registry\/features:1 cannot be looked at/,
  )
  await assert.rejects(findCode(context, 'features', '--exec=x'), /ANDON_REPLAY_CODE: --exec=x is no commit/)
})

test('manifests are written whole, read back, and listed oldest first; an id that is no name is refused', () => {
  const home = homeAt(join(folder, 'home'))
  assert.deepEqual(listManifests(home), [])
  writeManifest(home, { version: 1, id: 'run-2', createdMs: 2, hops: [] })
  writeManifest(home, { version: 1, id: 'run-1', createdMs: 1, hops: [] })
  assert.deepEqual(
    listManifests(home).map(({ id }) => id),
    ['run-1', 'run-2'],
  )
  assert.equal(readManifest(home, 'run-3'), undefined)
  assert.throws(() => readManifest(home, '../run'), /--as: expected lower-case letters/)
})

test('processes share the partitions evenly; one that has none is not started', () => {
  const range = (partition: number, to: number) => ({ partition, start: 0, from: 0, to })
  const shares = (partitions: ReplayPlan['partitions'], jobs: number) =>
    sharesOf(homeAt(folder), 'run-1', { service: 'features', jobs, plan: { partitions } as ReplayPlan }).map(({ plan, files }) => [
      files.plan.split('/').at(-1),
      files.data.split('/').at(-1),
      plan.partitions.map(({ partition }) => partition),
    ])
  assert.deepEqual(shares([range(0, 10), range(1, 90), range(2, 40), range(3, 45)], 2), [
    ['features.json', 'data', [1]],
    ['features-2.json', 'data-2', [0, 2, 3]],
  ])
  assert.deepEqual(shares([range(0, 10)], 4), [['features.json', 'data', [0]]])
  assert.deepEqual(shares([], 4), [['features.json', 'data', []]])
})
