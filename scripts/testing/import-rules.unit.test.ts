// Every direction that is closed, and those that are open beside it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { importProblems } from './import-rules.ts'

const declared = {
  workspaces: new Map([
    ['@andon/schemas', 'schemas'],
    ['@andon/kit', 'packages/kit'],
    ['@andon/cli', 'packages/cli'],
    ['@andon/features', 'services/features'],
  ]),
  pure: new Set(['services/features/src/rolling-window.ts']),
}
const problems = (file: string, specifier: string, isTypeOnly = false) => importProblems(file, specifier, isTypeOnly, declared).length

for (const [what, file, specifier] of [
  ['a service another service', 'services/actions/src/door.ts', '@andon/features'],
  ['a service another service by path', 'services/actions/src/door.ts', '../../features/src/service.ts'],
  ['a package a service', 'packages/kit/src/log.ts', '@andon/features'],
  ['the kit the command line', 'packages/kit/src/log.ts', '@andon/cli'],
  ['schemas the kit', 'schemas/src/index.ts', '@andon/kit'],
  ['a service kafkajs', 'services/actions/src/door.ts', 'kafkajs'],
  ['a service the other Kafka client', 'services/actions/src/door.ts', '@platformatic/kafka'],
  ['the platform the metrics client', 'packages/platform/src/index.ts', 'prom-client'],
  ['a service ONNX Runtime', 'services/clustering/src/score.ts', 'onnxruntime-node'],
  ['a workspace another by path', 'services/features/src/main.ts', '../../../packages/kit/src/index.ts'],
  ['a service the harness', 'services/features/src/main.ts', '../../../test/harness/fault-proxy.ts'],
  ['a pure file the file system', 'services/features/src/rolling-window.ts', 'node:fs'],
  ['a pure file a client', 'services/features/src/rolling-window.ts', 'ioredis'],
] as const) {
  test(`${what}: closed`, () => assert.ok(problems(file, specifier) > 0))
}

for (const [what, file, specifier] of [
  ['a service the kit', 'services/features/src/main.ts', '@andon/kit'],
  ['a service a subpath of the kit', 'services/features/src/main.ts', '@andon/kit/ids'],
  ['the kit schemas', 'packages/kit/src/log.ts', '@andon/schemas'],
  ['the kit kafkajs', 'packages/kit/src/log/kafka.ts', 'kafkajs'],
  ['inference ONNX Runtime', 'services/inference/src/session.ts', 'onnxruntime-node'],
  ['a test any client', 'packages/platform/test/registry.ts', '@kafkajs/confluent-schema-registry'],
  ['a test the harness', 'packages/kit/test/faults.int.test.ts', '../../../test/harness/fault-proxy.ts'],
  ['a file its neighbour', 'services/features/src/main.ts', './service.ts'],
  ['a pure file a type-free built-in', 'services/features/src/rolling-window.ts', 'node:buffer'],
] as const) {
  test(`${what}: open`, () => assert.equal(problems(file, specifier), 0))
}

test('a pure file may see the types of what it may not run', () => {
  assert.equal(problems('services/features/src/rolling-window.ts', 'node:fs', true), 0)
})
