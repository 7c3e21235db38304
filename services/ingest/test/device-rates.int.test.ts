// Rates of devices on a real Redis: one bucket for two processes' worth of limiters, and each alone while Redis is away.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLogger } from '@andon/kit'
import { startRedis } from '@andon/platform'
import { deviceRates } from '../src/adapters/device-rates.ts'
import { until } from './until.ts'

test('instances share a device’s bucket, count alone while Redis is away, and share again', { timeout: 60_000 }, async (t) => {
  const redis = await startRedis()
  t.after(() => redis.stop())
  const logger = createLogger({ service: 'ingest', level: 'silent' })
  const open = () => deviceRates({ bytesPerS: 1000, redisUrl: redis.url, namespace: `rates-${process.pid}.`, logger })
  const both = [open(), open()] as const
  t.after(() => Promise.all(both.map((rates) => rates.close())))
  await until(() => both.every((rates) => rates.isShared()))

  /** How much of what two instances try at once gets in. */
  const taken = async (device: string) => {
    const answers = await Promise.all(both.flatMap((rates) => Array.from({ length: 40 }, async () => rates.take(device, 100))))
    const refused = answers.filter((answer) => answer !== undefined)
    for (const { code, status, fields } of refused) {
      assert.deepEqual([code, status], ['ANDON_INGEST_RATE', 429])
      const { retryAfterS } = fields as { retryAfterS: number }
      assert.ok(retryAfterS >= 1 && retryAfterS <= 2)
    }
    return (answers.length - refused.length) * 100
  }
  assert.equal(await taken('press-1'), 2000, 'one bucket of two seconds')
  assert.equal(await taken('press-2'), 2000, 'each device has its own')
  assert.equal(await both[0].take('press-3', 1_000_000), undefined, 'a delivery larger than the bucket takes all of it')
  assert.ok((await both[1].take('press-3', 100)) !== undefined)

  await redis.kill()
  assert.equal(await taken('press-4'), 4000, 'one bucket each')
  assert.ok(both.every((rates) => !rates.isShared()))

  await redis.restart()
  await until(() => both.every((rates) => rates.isShared()))
  assert.equal(await taken('press-5'), 2000)
})
