// The readings of the HTTP benchmarks: three channels of a machine as they move, the same for everybody who sends them.

import { compileEncoder } from '@andon/kit'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repositoryRoot } from '@andon/platform'
import { randomFrom } from '../../harness/bench-statistics.ts'
import { sourceOf } from './rig.ts'

/** Readings in a batch. */
export const BATCH = 100
const EPOCH = 1_795_000_000
const STEP_US = 1000
const MOVES = 997

const random = randomFrom(31)
const moves = Array.from({ length: MOVES }, (_, i) => ({
  temperatureC: Number((60 + 10 * Math.sin(i / 40) + random()).toFixed(2)),
  pressureBar: Number((5 + Math.sin(i / 25) + 0.1 * random()).toFixed(3)),
  speedRpm: Math.round(1480 + 20 * random()),
}))
const channels = ['temperatureC', 'pressureBar', 'speedRpm'] as const

/** Reading `seq` of a machine, as it is sent in JSON. */
export const readingJson = (machine: number, seq: number, startUs: number): string => {
  const values = moves[(seq + machine) % MOVES]!
  return `{"source":"${sourceOf(machine)}","epoch":${EPOCH},"seq":${seq},"timeUs":${startUs + seq * STEP_US},"values":{"temperatureC":${values.temperatureC},"pressureBar":${values.pressureBar},"speedRpm":${values.speedRpm}}}`
}

export const batchJson = (machine: number, seqFrom: number, startUs: number): string =>
  `[${Array.from({ length: BATCH }, (_, i) => readingJson(machine, seqFrom + i, startUs)).join(',')}]`

const schema = JSON.parse(readFileSync(join(repositoryRoot, 'services/ingest/docs/telemetry-batch.avsc'), 'utf8')) as object
const encode = compileEncoder(schema)
const slab = Buffer.alloc(64 * 1024)

/** The same batch as one Avro record. */
export const batchAvro = (machine: number, seqFrom: number, startUs: number): Buffer => {
  const timesUs = new BigInt64Array(BATCH)
  const values = new Float64Array(BATCH * channels.length)
  for (let i = 0; i < BATCH; i++) {
    timesUs[i] = BigInt(startUs + (seqFrom + i) * STEP_US)
    channels.forEach((id, channel) => (values[channel * BATCH + i] = moves[(seqFrom + i + machine) % MOVES]![id]))
  }
  const batch = {
    source: sourceOf(machine),
    asset: null,
    epoch: EPOCH,
    seqFrom,
    channels: [...channels],
    units: [],
    timesUs: Buffer.from(timesUs.buffer),
    values: Buffer.from(values.buffer),
    qualities: Buffer.alloc(0),
  }
  return Buffer.from(slab.subarray(0, encode(batch, slab, 0)))
}
