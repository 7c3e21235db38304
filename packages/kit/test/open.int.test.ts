// Opening the log: both brokers and registry are asked at once, and the one that does not answer is named by its setting.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { type Kafka, startKafka } from '@andon/platform'
import { openLog } from '../src/open.ts'

describe('opening the log', () => {
  let kafka: Kafka
  before(async () => {
    kafka = await startKafka()
  })
  after(() => kafka.stop())

  const settings = (registryUrl: string, kafkaBrokers: string[]) => ({ kafkaBrokers, registryUrl, namespace: '', registerSchemas: false })
  const closed = '127.0.0.1:9'

  it('names the brokers when they do not answer', async () => {
    await assert.rejects(openLog(settings('http://127.0.0.1:9', [closed]), 'test'), /ANDON_KAFKA_BROKERS/)
  })

  it('names the registry when only it does not answer, and leaves nothing open', async () => {
    await assert.rejects(openLog(settings('http://127.0.0.1:9', kafka.brokers), 'test'), /ANDON_REGISTRY_URL/)
  })

  it('names the registry when something else answers there', async () => {
    const stranger = createServer((_request, response) => response.writeHead(404).end('no registry'))
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve))
    const { port } = stranger.address() as AddressInfo
    await assert.rejects(openLog(settings(`http://127.0.0.1:${port}`, kafka.brokers), 'test'))
    stranger.close()
  })
})
