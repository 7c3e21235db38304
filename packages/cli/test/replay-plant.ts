// A small plant for replay tests: ovens on one line, a second of samples per window, a policy that asks nobody.

import { canonicalJson, sha256Hex } from '@andon/kit'
import type { Append, Codec, Output } from '@andon/kit'
import { join } from 'node:path'
import { repositoryRoot } from '@andon/platform'
import { parseNamed, readPlantFolder } from '@andon/schemas'
import type { Config, Finding, TelemetryInput } from '@andon/schemas'

/** Plant, feature set, commands and policy as records of `config`; with a port, notices and jobs would go there. */
export const documents = (assets: readonly string[], trapPort?: number): Output<Config>[] => {
  const plant = {
    version: 1,
    site: { id: 'works', name: 'Works', timezone: 'UTC' },
    lines: [{ id: 'line-1', name: 'Line 1', area: 'area-1' }],
    assetClasses: [{ id: 'oven', featureSet: 'features/oven' }],
    assets: assets.map((id) => ({
      id,
      name: id,
      line: 'line-1',
      class: 'oven',
      sources: [`${id}-plc`],
      channels: [{ id: 'temperatureC', unit: 'Cel', kind: 'scalar' }],
    })),
    ...(trapPort === undefined
      ? {}
      : {
          notifications: {
            webhooks: [
              {
                id: 'trap',
                url: `http://127.0.0.1:${trapPort}/webhook`,
                secretEnv: 'ACTIONS_WEBHOOK_SECRET',
                types: ['IncidentOpened', 'StepProposed'],
              },
            ],
            smtp: { host: '127.0.0.1', port: trapPort, from: 'andon@works.example', to: ['technicians@works.example'] },
            jobs: { url: `http://127.0.0.1:${trapPort}/jobs` },
          },
        }),
  }
  const features = {
    version: 1,
    name: 'features/oven',
    windowMs: 1000,
    latenessMs: 1500,
    graceMs: 250,
    features: [{ channel: '*', statistics: ['mean', 'max'] }],
  }
  return [
    document('plant', 'plant', plant),
    document('features/oven', 'feature-set', features),
    document('commands', 'commands', demo('commands')),
    document('policies/default', 'policy', demo('policies/default')),
    document('boundaries/look-and-tell', 'boundary', demo('boundaries/look-and-tell')),
  ]
}

/** A document of the demo plant. */
const demo = (name: string): unknown =>
  readPlantFolder(join(repositoryRoot, 'examples/steel-plant')).find((each) => each.name === name)?.value

const document = (name: string, kind: string, value: unknown): Output<Config> => {
  const body = canonicalJson(parseNamed(name, value).value)
  const digest = sha256Hex(body)
  const record: Config = { type: 'ConfigPublished', name, kind, digest, body, effectiveFromUs: 0, by: 'test', atUs: 0 }
  return { topic: 'config', key: name, partition: 0, value: record, id: digest, type: record.type, timeUs: 0 }
}

/** Two samples a second of every asset and a tick a second, in record time, from `startMs` on. */
export const telemetryOf = (codec: Codec, assets: readonly string[], partitions: number, startMs: number, seconds: number): Append[] => {
  const records: Append[] = []
  const append = (key: string | null, id: string, type: string, timeMs: number, value: TelemetryInput, partition?: number): void => {
    const headers = { ce_id: id, ce_type: type, ce_source: 'test', 'andon-lane': 'live' }
    const bytes = Buffer.from(codec.encode('telemetry', value))
    records.push({ topic: 'telemetry', key, value: bytes, timestampMs: timeMs, headers, ...(partition === undefined ? {} : { partition }) })
  }
  for (let half = 0; half < seconds * 2; half++) {
    const timeMs = startMs + half * 500
    for (const assetId of assets) append(assetId, `${assetId}-plc/1/${half}`, 'block', timeMs, sample(assetId, half, timeMs))
    for (let partition = 0; half % 2 === 1 && partition < partitions; partition++)
      append(
        null,
        `tick/${half}/${partition}`,
        'tick',
        timeMs,
        { type: 'tick', assetId: '', block: null, tick: { instance: 'ingest-0', upToUs: timeMs * 1000 } },
        partition,
      )
  }
  return records
}

const sample = (assetId: string, seq: number, timeMs: number): TelemetryInput => {
  const samples = Buffer.alloc(8)
  samples.writeDoubleLE(20 + Math.sin(seq / 7) + assetId.length)
  const timesUs = Buffer.alloc(8)
  timesUs.writeBigInt64LE(BigInt(timeMs * 1000))
  return {
    type: 'block',
    assetId,
    tick: null,
    block: {
      sourceId: `${assetId}-plc`,
      epoch: 1,
      seqFrom: seq,
      seqTo: seq,
      withheld: [],
      rows: 1,
      channels: ['temperatureC'],
      units: ['Cel'],
      dtype: 'f64',
      width: 1,
      samples,
      timesUs,
      qualities: Buffer.alloc(0),
      sampleRateHz: null,
      sensitivity: null,
      recordedUs: null,
      receivedUs: timeMs * 1000,
      historical: false,
      skewUs: 0,
    },
  }
}

/** An episode of the first oven that has just opened. */
export const findingAt = (atUs: number): Finding => ({
  findingId: 'f-1',
  episodeId: 'e-1',
  assetId: 'oven-1',
  transition: 'opened',
  severity: 3,
  ratio: 1.6,
  peakRatio: 1.6,
  openedUs: atUs,
  atUs,
  openingVectorId: 'v-1',
  vectorId: 'v-1',
  predictionId: 'p-1',
  model: 'm',
  modelVersion: 1,
  modelDigest: 'd',
  modelRole: 'champion',
  detectorSet: 's',
  contributions: [],
  clusterId: null,
  clusterIsNovel: false,
  faultMode: null,
  doubts: [],
  historical: false,
  recordedUs: null,
  title: 'Oven 1 is 1.6 times its line',
  about: 'machine',
  faultModeId: null,
  pValue: null,
  regime: null,
  sources: [],
  nearest: [],
  precedent: null,
})
