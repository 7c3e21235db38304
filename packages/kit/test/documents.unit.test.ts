import { test } from 'node:test'
import assert from 'node:assert/strict'
import { followDocuments, localCodec, openMemoryLog, publish } from '../src/index.ts'
import type { FeatureSet } from '@andon/schemas'

const codec = localCodec()

const open = async () => {
  const log = openMemoryLog({ partitions: 1 })
  await log.admin.ensureTopics([{ name: 'config', partitions: 1 }])
  const warnings: object[] = []
  const documents = await followDocuments(log, codec, { logger: { warn: (fields: object) => void warnings.push(fields) } as never })
  const apply = async (name: string, kind: string, body: unknown, effectiveFromUs: number): Promise<void> => {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    const value = {
      type: 'DocumentApplied',
      name,
      kind,
      digest: `d:${text}`,
      body: text,
      effectiveFromUs,
      by: 'p-lead',
      atUs: effectiveFromUs,
    }
    await publish(
      log,
      codec,
      [{ topic: 'config', key: name, value, id: `${name}/${effectiveFromUs}`, type: value.type, timeUs: effectiveFromUs }],
      'test',
    )
    await documents.caughtUp()
  }
  return { log, documents, apply, warnings }
}

const set = (windowMs: number) => ({
  version: 1,
  name: 'features/power',
  windowMs,
  latenessMs: 0,
  graceMs: 0,
  features: [{ channel: '*', statistics: ['mean'] }],
})

test('a document holds from its event time on; the newest is the one to get', async () => {
  const { log, documents, apply } = await open()
  await apply('features/power', 'feature-set', set(1000), 100)
  await apply('features/power', 'feature-set', set(2000), 200)
  const windowAt = (timeUs: number) => documents.at<FeatureSet>('features/power', timeUs)?.value.windowMs
  assert.deepEqual([windowAt(50), windowAt(100), windowAt(199), windowAt(200)], [1000, 1000, 1000, 2000])
  assert.equal(documents.get<FeatureSet>('features/power')?.value.windowMs, 2000)
  assert.deepEqual(
    documents.list('feature-set').map((each) => each.name),
    ['features/power'],
  )
  assert.deepEqual(documents.list('policy'), [])
  assert.equal(documents.get('plant'), undefined)
  await documents.stop()
  await log.close()
})

test('a change is told once, a repeat is none, an unreadable one leaves the last in force', async () => {
  const { log, documents, apply, warnings } = await open()
  const told: number[] = []
  const end = documents.onChange((document) => told.push((document.value as FeatureSet).windowMs!))
  await apply('features/power', 'feature-set', set(1000), 100)
  await apply('features/power', 'feature-set', set(1000), 150)
  await apply('features/power', 'feature-set', { ...set(1), windowMs: -1 }, 200)
  await apply('features/power', 'feature-set', 'not json', 300)
  assert.deepEqual(told, [1000])
  assert.equal(warnings.length, 2)
  assert.equal(documents.get<FeatureSet>('features/power')?.value.windowMs, 1000)
  end()
  await apply('features/power', 'feature-set', set(3000), 400)
  assert.deepEqual(told, [1000])
  await documents.stop()
  await log.close()
})
