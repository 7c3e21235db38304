// What a processing loop reports: per batch, never per record.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMetrics, openMemoryLog, runProcess } from '@andon/kit'
import type { BatchInfo } from '@andon/kit'
import { jsonCodec } from './json-codec.ts'
import { add, doubles, outputs, until } from './process-rig.ts'
import type { Add } from './process-rig.ts'

const quiet = { info: () => undefined, warn: () => undefined }

test('a batch has one span, which ends with its error', async (t) => {
  const log = openMemoryLog({ partitions: 1 })
  t.after(() => log.close())
  await add(log, 'a', 1, 2, 3)
  const spans: (BatchInfo & { error?: unknown })[] = []
  const failure = new Error('broken')
  let isBroken = false
  const run = await runProcess<Add>(
    log,
    jsonCodec,
    {
      service: 'adder',
      input: 'numbers',
      open: () => ({
        handle: (batch) => {
          if (isBroken) throw failure
          return doubles().handle(batch)
        },
      }),
    },
    {
      logger: quiet,
      metrics: createMetrics('adder'),
      trace: (batch) => (error) => void spans.push(error === undefined ? batch : { ...batch, error }),
    },
  )
  await until(() => spans.length === 1, 'the first span')
  isBroken = true
  await add(log, 'a', 4)
  await assert.rejects(run.ended, failure)
  assert.deepEqual(spans, [
    { service: 'adder', topic: 'numbers', partition: 0, firstOffset: 0, records: 3 },
    { service: 'adder', topic: 'numbers', partition: 0, firstOffset: 3, records: 1, error: failure },
  ])
})

test('the lag falls with every batch and goes with its partitions', async (t) => {
  const log = openMemoryLog({ partitions: 2, maxBatchRecords: 4 })
  t.after(() => log.close())
  const numbers = Array.from({ length: 10 }, (_, i) => i)
  await add(log, 'a', ...numbers)
  const metrics = createMetrics('adder')
  const lags: number[] = []
  const gauge = metrics.gauge('andon_kit_lag_records', 'Input records not handled yet, of the partitions assigned here', ['topic'])
  const set = gauge.set.bind(gauge) as (labels: object, value: number) => void
  gauge.set = ((labels: object, value: number) => {
    lags.push(value)
    set(labels, value)
  }) as typeof gauge.set
  const run = await runProcess<Add>(log, jsonCodec, { service: 'adder', input: 'numbers', open: doubles }, { logger: quiet, metrics })
  await until(async () => (await outputs(log)).length === 10, 'all outputs')
  await until(() => lags.includes(0), 'no lag')
  assert.deepEqual(lags.slice(0, 3), [6, 2, 0])
  await run.stop()
  assert.equal(lags.at(-1), 0)
  assert.match(await metrics.text(), /andon_kit_inputs_total\{topic="numbers",service="adder"\} 10/)
})

test('a handler gets as many inputs at once as it asked for, and what it gave is there before the next', async (t) => {
  const log = openMemoryLog({ partitions: 1 })
  t.after(() => log.close())
  await add(log, 'a', ...Array.from({ length: 25 }, (_, i) => i))
  const sizes: number[] = []
  const there: number[] = []
  const run = await runProcess<Add>(
    log,
    jsonCodec,
    {
      service: 'adder',
      input: 'numbers',
      maxBatchRecords: 10,
      open: () => ({
        handle: async (batch) => {
          there.push((await outputs(log)).length)
          sizes.push(batch.inputs.length)
          return doubles().handle(batch)
        },
      }),
    },
    { logger: quiet, metrics: createMetrics('adder') },
  )
  await until(async () => (await outputs(log)).length === 25, 'all outputs')
  await run.stop()
  assert.deepEqual(sizes, [10, 10, 5])
  assert.deepEqual(there, [0, 10, 20])
})
