// The text of the metrics that Triton's and KServe's dashboards read.

import assert from 'node:assert/strict'
import test from 'node:test'
import { ModelConfig } from '@andon/schemas/inference'
import type { Servable } from '../../src/serving/servable.ts'
import { statisticsOf } from '../../src/serving/statistics.ts'
import type { Statistics } from '../../src/serving/statistics.ts'
import { RequestHistograms, tritonText } from '../../src/serving/triton-metrics.ts'

const servable = (name: string, version: number, statistics: Statistics, more: Partial<Servable> = {}): Servable => ({
  name,
  version,
  digest: 'd1',
  config: ModelConfig.fromPartial({}),
  inputs: [],
  outputs: [],
  provider: 'CPUExecutionProvider',
  run: () => Promise.reject(new Error('no model')),
  statistics: () => statistics.read(),
  close: async () => {},
  ...more,
})

const lines = (text: string, name: string): string[] => text.split('\n').filter((line) => line.startsWith(`${name}{`))

test("a version's counters are those of its statistics, in microseconds", () => {
  const statistics = statisticsOf('press', '3', () => 0)
  const batch = { inputUs: 10, runUs: 200, outputUs: 5 }
  statistics.success({ rows: 2, totalUs: 1000, queueUs: 700, batch })
  statistics.success({ rows: 3, totalUs: 900, queueUs: 600, batch })
  statistics.execution({ rows: 5, ...batch })
  statistics.cacheMiss({ lookupUs: 4 })
  statistics.cacheHit({ totalUs: 2, queueUs: 0, lookupUs: 1 })
  statistics.failure({ totalUs: 10, reason: 'REJECTED' })
  statistics.failure({ totalUs: 10, reason: 'REJECTED' })
  statistics.failure({ totalUs: 10, reason: 'BACKEND' })
  const text = tritonText([servable('press', 3, statistics, { failures: () => statistics.failures(), waiting: 7 })])
  const of = 'model="press",version="3"'
  for (const [name, value] of [
    ['nv_inference_request_success', 3],
    ['nv_inference_count', 5],
    ['nv_inference_exec_count', 1],
    ['nv_inference_request_duration_us', 1906],
    ['nv_inference_queue_duration_us', 1300],
    ['nv_inference_compute_input_duration_us', 20],
    ['nv_inference_compute_infer_duration_us', 400],
    ['nv_inference_compute_output_duration_us', 10],
    ['nv_cache_num_hits_per_model', 1],
    ['nv_cache_num_misses_per_model', 1],
    ['nv_cache_hit_duration_per_model', 1],
    ['nv_cache_miss_duration_per_model', 4],
    ['nv_inference_pending_request_count', 7],
  ] as const)
    assert.deepEqual(lines(text, name), [`${name}{${of}} ${value}`])
  assert.deepEqual(
    lines(text, 'nv_inference_request_failure'),
    Object.entries({ REJECTED: 2, CANCELED: 0, BACKEND: 1, OTHER: 0 }).map(
      ([reason, value]) => `nv_inference_request_failure{${of},reason="${reason}"} ${value}`,
    ),
  )
  assert.deepEqual(lines(text, 'andon_inference_model_info'), [
    `andon_inference_model_info{${of},digest="d1",provider="CPUExecutionProvider"} 1`,
  ])
})

test('failures without a reason are other ones, and names are escaped', () => {
  const statistics = statisticsOf('a', '1', () => 0)
  statistics.failure({ totalUs: 1, reason: 'BACKEND' })
  const text = tritonText([servable('say "\\"\n', 1, statistics)])
  assert.deepEqual(lines(text, 'nv_inference_request_failure').slice(2), [
    'nv_inference_request_failure{model="say \\"\\\\\\"\\n",version="1",reason="BACKEND"} 0',
    'nv_inference_request_failure{model="say \\"\\\\\\"\\n",version="1",reason="OTHER"} 1',
  ])
  assert.equal(lines(text, 'nv_inference_pending_request_count')[0]!.at(-1), '0')
})

test('without a model every family is there, and empty', () => {
  const text = tritonText([])
  assert.match(text, /# TYPE nv_inference_request_success counter\n/)
  assert.ok(text.split('\n').every((line) => line === '' || line.startsWith('# ')))
})

test("a histogram's buckets are cumulative, and its bounds belong to the bucket below them", () => {
  const histograms = new RequestHistograms()
  for (const predictS of [0.0001, 0.0002, 0.6, 99]) histograms.observe('press', { preprocessS: 0, predictS, postprocessS: 0.001 })
  const text = histograms.text()
  const bucket = (le: string): string => `request_predict_seconds_bucket{model_name="press",le="${le}"}`
  for (const [le, count] of [
    ['0.0001', 1],
    ['0.00025', 2],
    ['0.5', 2],
    ['0.75', 3],
    ['10', 3],
    ['+Inf', 4],
  ] as const)
    assert.ok(text.includes(`${bucket(le)} ${count}\n`), le)
  assert.match(text, /request_predict_seconds_sum\{model_name="press"\} 99\.600\d*\n/)
  assert.match(text, /request_postprocess_seconds_count\{model_name="press"\} 4\n/)
})

test('a version with a latency target says what it took, and every sample stands below the header of its family', () => {
  const latency = { runs: 200, p50Ms: 1, p95Ms: 2, p99Ms: 4, targets: { p95Ms: 3, p99Ms: 3 }, isWithin: false }
  const text = tritonText([
    servable(
      'press',
      3,
      statisticsOf('press', '3', () => 0),
      { latency },
    ),
  ])
  const of = 'model="press",version="3"'
  assert.deepEqual(lines(text, 'andon_inference_model_within_target'), [`andon_inference_model_within_target{${of}} 0`])
  assert.deepEqual(
    lines(text, 'andon_inference_model_latency_seconds'),
    Object.entries({ '0.5': 0.001, '0.95': 0.002, '0.99': 0.004 }).map(
      ([quantile, value]) => `andon_inference_model_latency_seconds{${of},quantile="${quantile}"} ${value}`,
    ),
  )
  let family = ''
  for (const line of text.trimEnd().split('\n')) {
    if (line.startsWith('# TYPE ')) family = line.split(' ')[2]!
    else if (!line.startsWith('#')) assert.ok(line.startsWith(`${family}{`), line)
  }
})
