// One asset's records through the handler, and what was kept of its windows in the end, held against the oracle.

import assert from 'node:assert/strict'
import type { Input } from '@andon/kit'
import type { Features, Telemetry, Vector } from '@andon/schemas'
import { readDoubles } from '@andon/schemas/packed'
import { onTelemetry } from '../src/on-telemetry.ts'
import type { AssetPlan } from '../src/plan.ts'
import { keyedState, newMemory } from '../src/state.ts'
import { oracleVectors } from './oracle.ts'
import type { OracleRow } from './oracle.ts'

export const inputOf = (value: Telemetry, offset: number): Input<Telemetry> => ({
  topic: 'telemetry',
  partition: 0,
  position: { leaderEpoch: 0, offset },
  key: value.assetId || null,
  value,
  id: `${offset}`,
  type: value.type,
  timestampMs: 0,
  lane: 'live',
  order: undefined,
  traceparent: undefined,
})

export interface Outcome {
  /** All that was published, in order, as text. */
  readonly outputs: readonly string[]
  readonly kept: ReadonlyMap<number, Vector>
  /** `source/number` of rows that came too late. */
  readonly late: ReadonlySet<string>
}

const servicedAt = () => null

/** Gives records to the handler one by one; with restarts, from a snapshot after each of them. */
export const run = async (
  plan: AssetPlan,
  records: readonly Telemetry[],
  restarts = false,
  serviced: (id: string, endUs: number) => number | null = servicedAt,
): Promise<Outcome> => {
  let memory = newMemory()
  const stored = new Map<string, Uint8Array>()
  const outputs: string[] = []
  const kept = new Map<number, Vector>()
  const late = new Set<string>()
  const counts = { windowsClosed: () => {}, unmonitored: () => {}, rows: () => {}, malformed: () => {} }
  for (const [offset, record] of records.entries()) {
    const handle = onTelemetry({ memory, settled: async () => {}, servicedAt: serviced, planAt: () => plan, gapBound: 64, counts })
    const out = await handle({ topic: 'telemetry', partition: 0, inputs: [inputOf(record, offset)] })
    for (const { output, index } of out.outputs) {
      const { vector, late: report } = output.value as Features
      outputs.push(JSON.stringify([offset, index, output], (_, each: unknown) => (Buffer.isBuffer(each) ? each.toString('hex') : each)))
      if (report !== null && report !== undefined)
        for (const { sourceId, seqFrom, seqTo } of report.ranges)
          for (let seq = seqFrom; seq <= seqTo; seq++) late.add(`${sourceId}/${seq}`)
      if (vector === null || vector === undefined || vector.quality === 'unmonitored') continue
      const before = kept.get(vector.windowEndUs)
      assert.equal(vector.supersedes ?? null, before?.vectorId ?? null, 'a revision names the one before it')
      assert.ok(before === undefined || vector.revision > before.revision, 'a revision is higher than the one before it')
      kept.set(vector.windowEndUs, vector)
    }
    if (!restarts) continue
    const state = keyedState(memory)
    for (const key of [...state.dirty()].toReversed()) stored.set(key, Uint8Array.from(state.snapshot(key)))
    memory = newMemory()
    const into = keyedState(memory)
    for (const [key, bytes] of stored) into.restore(key, bytes, into.version)
  }
  return { outputs, kept, late }
}

/** What was kept in the end is what the accepted rows say. */
export const assertIsOracle = (
  plan: AssetPlan,
  rows: readonly OracleRow[],
  { kept, late }: Outcome,
  servicedUs: number | null = null,
): void => {
  const accepted = rows.filter(({ source, seq }) => !late.has(`${source}/${seq}`))
  const expected = oracleVectors(plan, 'press-1-process', accepted, servicedUs)
  assert.deepEqual(
    [...kept.keys()].toSorted((a, b) => a - b),
    expected.map(({ endUs }) => endUs),
  )
  for (const { id, startUs, endUs, revision, numbers, missing, isYoung, uncertainRows, badRows } of expected) {
    const found = kept.get(endUs)!
    assert.deepEqual(
      [found.windowStartUs, found.revision, found.missing, found.young, found.complete, found.uncertainRows, found.badRows],
      [startUs, revision, missing, isYoung, missing.length === 0 && !isYoung, uncertainRows, badRows],
    )
    assert.equal(found.vectorId, id)
    const values = readDoubles(found.values)
    found.names.forEach((name, i) => assert.ok(isNear(values[i]!, numbers[name]!), `${name}: ${values[i]}, expected ${numbers[name]}`))
  }
}

const isNear = (a: number, b: number): boolean =>
  Object.is(a, b) || a === b || Math.abs(a - b) <= 1e-12 * Math.abs(b) || (Number.isNaN(a) && Number.isNaN(b))
