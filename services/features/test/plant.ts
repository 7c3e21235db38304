// A plant with one oven for tests of the whole service: its documents, and samples on the log.

import { canonicalJson, publish, sha256Hex } from '@andon/kit'
import type { Codec, Log } from '@andon/kit'
import { avroSchemas } from '@andon/schemas'
import type { Features } from '@andon/schemas'
import { blockOf, blockRecord, tickRecord } from './blocks.ts'

const plant = {
  version: 1,
  site: { id: 'works', name: 'Works', timezone: 'UTC' },
  lines: [{ id: 'line-1', name: 'Line 1', area: 'area-1' }],
  assetClasses: [{ id: 'slow-machine', featureSet: 'features/slow' }],
  assets: [
    {
      id: 'oven-1',
      name: 'Oven 1',
      line: 'line-1',
      class: 'slow-machine',
      sources: ['oven-1-plc'],
      channels: [{ id: 'temperatureC', unit: 'Cel', kind: 'scalar' }],
    },
  ],
}
const featureSet = {
  version: 1,
  name: 'features/slow',
  windowMs: 1000,
  latenessMs: 1500,
  graceMs: 250,
  features: [{ channel: '*', statistics: ['mean', 'max'] }],
}

/** The shared topics, two partitions each, `config` one. */
export const createTopics = async (log: Log): Promise<void> => {
  const names = Object.keys(avroSchemas).filter((name) => name !== 'changelog')
  await log.admin.ensureTopics(names.map((name) => ({ name, partitions: name === 'config' ? 1 : 2 })))
}

export const publishDocuments = async (log: Log, codec: Codec): Promise<void> => {
  const document = (name: string, kind: string, body: unknown) => {
    const text = canonicalJson(body)
    const value = { type: 'ConfigPublished', name, kind, digest: sha256Hex(text), body: text, effectiveFromUs: 0, by: 'p-test', atUs: 0 }
    return { topic: 'config', key: name, value, id: name, type: 'ConfigPublished', timeUs: 0, partition: 0 }
  }
  await publish(log, codec, [document('plant', 'plant', plant), document('features/slow', 'feature-set', featureSet)], 'test')
}

/** One sample of the oven; the window of a second closes with the first sample of the next one. */
export const sample = async (log: Log, codec: Codec, seq: number, timeS: number, value: number): Promise<void> => {
  const block = blockRecord(blockOf([{ seq, timeS, values: [value] }], { sourceId: 'oven-1-plc' }), 'oven-1')
  const output = {
    topic: 'telemetry',
    key: 'oven-1',
    value: block,
    id: `oven-1-plc/1/${seq}`,
    type: 'block',
    timeUs: Math.round(timeS * 1e6),
  }
  await publish(log, codec, [output], 'test')
}

/** A tick in both partitions. */
export const tick = async (log: Log, codec: Codec, upToS: number): Promise<void> => {
  const value = tickRecord('ingest-0', upToS)
  const output = { topic: 'telemetry', key: null, value, id: `tick/${upToS}`, type: 'tick', timeUs: 0 }
  await publish(
    log,
    codec,
    [0, 1].map((partition) => ({ ...output, partition })),
    'test',
  )
}

/** Everything on the features topic, in order per partition. */
export const featuresOf = async (log: Log, codec: Codec): Promise<Features[]> => {
  const found: Features[] = []
  for (let partition = 0; partition < (await log.admin.partitions('features')); partition++) {
    for await (const batch of log.read({ topic: 'features', partition, from: 'earliest', to: 'latest' })) {
      for (const record of batch.records) found.push(await codec.decodeAsync<Features>('features', Buffer.from(record.value as Buffer)))
    }
  }
  return found
}
