import { test } from 'node:test'
import assert from 'node:assert/strict'
import { resolve } from 'node:path'
import { env, portDefault, readConfig, sharedSettings } from '../src/index.ts'

const read = (source: Record<string, string>, setting: Parameters<typeof readConfig>[1][string]) =>
  readConfig(source, { value: setting }).value

const refused = (source: Record<string, string>, spec: Parameters<typeof readConfig>[1], ...parts: RegExp[]): void => {
  assert.throws(
    () => readConfig(source, spec),
    (error: Error & { code?: string }) => {
      assert.equal(error.code, 'ANDON_SETTING_INVALID')
      for (const part of parts) assert.match(error.message, part)
      return true
    },
  )
}

test('a missing setting names itself, what it is for, what is expected and what to do', () => {
  refused(
    {},
    { url: env.url('ACTIONS_URL', 'Where actions listens') },
    /^ACTIONS_URL \(Where actions listens\): expected a URL, found nothing\. Set ACTIONS_URL in the environment/,
  )
})

test('all bad settings are in one error', () => {
  refused({ A: 'x', B: 'y' }, { a: env.integer('A', 'a'), b: env.boolean('B', 'b') }, /A .*found "x"/, /B .*found "y"/)
})

test('a secret is never shown', () => {
  const secret = { ...env.secret('S', 'a secret'), parse: () => undefined }
  assert.throws(
    () => readConfig({ S: 'hunter2' }, { secret }),
    (error: Error) => !error.message.includes('hunter2'),
  )
})

const cases: [setting: unknown, text: string, value: unknown][] = [
  [env.integer('X', ''), '-12', -12],
  [env.number('X', ''), '0.25', 0.25],
  [env.boolean('X', ''), 'false', false],
  [env.boolean('X', ''), '1', true],
  [env.list('X', ''), 'a:1, b:2', ['a:1', 'b:2']],
  [env.port('X', ''), '0', 0],
  [env.path('X', ''), 'data', resolve('data')],
  [env.url('X', ''), 'http://h:1/', 'http://h:1'],
  [env.oneOf(['all', 'door'], 'X', ''), 'door', 'door'],
]
for (const [setting, text, value] of cases) {
  test(`"${text}" reads as ${JSON.stringify(value)}`, () => assert.deepEqual(read({ X: text }, setting as never), value))
}

for (const [setting, text] of [
  [env.integer('X', ''), '1.5'],
  [env.integer('X', ''), '1e3'],
  [env.number('X', ''), ' '],
  [env.port('X', ''), '65536'],
  [env.list('X', ''), 'a,,b'],
  [env.url('X', ''), 'localhost'],
  [env.oneOf(['all'], 'X', ''), 'none'],
] as const) {
  test(`"${text}" is not ${setting.expected}`, () => refused({ X: text }, { setting }, /X/))
}

test('an empty variable counts as not set; an optional one is null', () => {
  assert.equal(read({ X: '' }, env.integer('X', '', 7)), 7)
  assert.equal(read({}, env.optional(env.string('X', ''))), null)
})

test('conventional ports move with ANDON_PORT_OFFSET, given ones do not', () => {
  const spec = {
    ...sharedSettings,
    admin: env.port('FEATURES_ADMIN_PORT', '', portDefault('features', 'admin')),
    http: env.port('H', '', portDefault('actions', 'http')),
  }
  const shifted = readConfig({ ANDON_PORT_OFFSET: '1000', H: '7072' }, spec)
  assert.equal(shifted.admin, 8082)
  assert.equal(shifted.http, 7072)
  assert.deepEqual(shifted.kafkaBrokers, ['127.0.0.1:10092'])
  assert.equal(readConfig({}, spec).registryUrl, 'http://127.0.0.1:8081')
  assert.throws(() => portDefault('features', 'http'), RangeError)
})
