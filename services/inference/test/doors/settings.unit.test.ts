// Trace and log settings as both doors change them: which requests leave a line, and what the service logs.

import assert from 'node:assert/strict'
import test from 'node:test'
import { createLogger } from '@andon/kit'
import { doorSettings } from '../../src/doors/settings.ts'

const open = (level = 'info') => {
  const lines: { msg: string; model?: string; id?: string }[] = []
  const destination = { write: (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[number]) }
  const logger = createLogger({ service: 'inference', level, destination })
  return { settings: doorSettings(logger), logger, lines }
}

test('every so many requests of a model leave a line, up to the count', () => {
  const { settings, lines } = open()
  const ask = (model: string, requests: number): void => {
    for (let n = 1; n <= requests; n++) settings.traced({ model, id: `${model}-${n}`, door: 'grpc', durationMs: 1 })
  }
  ask('press', 10)
  assert.deepEqual(lines, [])
  settings.changeTrace('press', { trace_level: ['TIMESTAMPS'], trace_rate: '3', trace_count: '2' })
  ask('press', 12)
  ask('belt', 12)
  assert.deepEqual(
    lines.map(({ id }) => id),
    ['press-3', 'press-6'],
  )
  settings.changeTrace('press', { trace_count: ['-1'] })
  ask('press', 3)
  assert.equal(lines.length, 3)
  settings.changeTrace('press', { trace_level: null })
  ask('press', 3)
  assert.equal(lines.length, 3)
})

test('settings for all hold where a model has none of its own', () => {
  const { settings } = open()
  settings.changeTrace('', { trace_rate: '5', trace_level: ['TENSORS', 'TIMESTAMPS'] })
  settings.changeTrace('press', { trace_rate: '7' })
  assert.deepEqual([settings.trace('press').trace_rate, settings.trace('belt').trace_rate], ['7', '5'])
  assert.deepEqual(settings.trace('press').trace_level, ['TENSORS', 'TIMESTAMPS'])
  settings.changeTrace('press', { trace_rate: null })
  assert.equal(settings.trace('press').trace_rate, '5')
  for (const wrong of [
    { trace_level: ['OFF', 'TENSORS'] },
    { trace_level: ['LOUD'] },
    { trace_rate: '-1' },
    { trace_mode: 'opentelemetry' },
    { other: '1' },
  ])
    assert.throws(() => settings.changeTrace('', wrong), { code: 'ANDON_INFERENCE_INVALID_REQUEST' })
})

test("log settings are the log's levels", () => {
  const { settings, logger } = open()
  const start = settings.log()
  assert.deepEqual([start.log_info, start.log_warning, start.log_error, start.log_verbose_level], [true, true, true, 0])
  for (const [changes, level] of [
    [{ log_verbose_level: 1 }, 'debug'],
    [{ log_verbose_level: 2 }, 'trace'],
    [{ log_verbose_level: 0, log_info: false }, 'warn'],
    [{ log_warning: false }, 'error'],
    [{ log_error: false }, 'fatal'],
  ] as const) {
    settings.changeLog(changes)
    assert.equal(logger.level, level)
  }
  assert.deepEqual(settings.changeLog({ ...start }), start)
  assert.equal(logger.level, 'info')
  assert.throws(() => settings.changeLog({ log_file: 'x' }), { code: 'ANDON_INFERENCE_UNSUPPORTED' })
  for (const wrong of [{ log_info: 1 }, { log_verbose_level: -1 }, { log_format: 'json' }, { other: true }])
    assert.throws(() => settings.changeLog(wrong), { code: 'ANDON_INFERENCE_INVALID_REQUEST' })
  assert.equal(logger.level, 'info', 'what is refused changes nothing')
})
