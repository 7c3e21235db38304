import { test } from 'node:test'
import assert from 'node:assert/strict'
import { childTraceparent, createLogger, createMetrics, newTraceparent, parseTraceparent, withLogFields } from '../src/index.ts'

test('a log line is one JSON object with service, level, time and the fields around it', async () => {
  const lines: string[] = []
  const log = createLogger({ service: 'actions', destination: { write: (line) => void lines.push(line) } })
  await withLogFields({ incidentId: 'i1' }, async () => {
    await Promise.resolve()
    withLogFields({ stepId: 's1' }, () => log.info({ token: 'hunter2' }, 'step approved'))
  })
  log.info('outside')
  log.debug('too fine')
  const [first, second] = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  assert.deepEqual(
    { ...first, time: '' },
    { level: 'info', time: '', service: 'actions', incidentId: 'i1', stepId: 's1', token: '[Redacted]', msg: 'step approved' },
  )
  assert.equal(second?.['incidentId'], undefined)
  assert.equal(lines.length, 2)
})

test('a metric asked for twice is the same; names follow the rule', async () => {
  const metrics = createMetrics('features')
  metrics.counter('andon_features_windows_closed_total', 'Windows closed', ['outcome']).inc({ outcome: 'ok' })
  metrics.counter('andon_features_windows_closed_total', 'Windows closed', ['outcome']).inc({ outcome: 'ok' })
  metrics.histogram('andon_features_duration_seconds', 'Time').observe(0.2)
  metrics.gauge('andon_features_assets', 'Assets').set(3)
  assert.match(await metrics.text(), /andon_features_windows_closed_total\{outcome="ok",service="features"\} 2/)
  assert.throws(() => metrics.counter('windows', 'x'), /found windows/)
})

test('a child span keeps the trace, the sampling flag and gets an id of its own', () => {
  const parent = newTraceparent()
  const child = childTraceparent(parent)
  assert.equal(parseTraceparent(child)?.traceId, parseTraceparent(parent)?.traceId)
  assert.notEqual(parseTraceparent(child)?.spanId, parseTraceparent(parent)?.spanId)
  assert.equal(parseTraceparent(childTraceparent(parent.replace(/01$/, '00')))?.isSampled, false)
})

for (const bad of [
  undefined,
  '',
  '00-abc-def-01',
  `00-${'0'.repeat(32)}-${'1'.repeat(16)}-01`,
  `ff-${'1'.repeat(32)}-${'1'.repeat(16)}-01`,
]) {
  test(`${bad ?? 'nothing'} is no traceparent, and a child of it starts a trace`, () => {
    assert.equal(parseTraceparent(bad), undefined)
    assert.ok(parseTraceparent(childTraceparent(bad)))
  })
}
