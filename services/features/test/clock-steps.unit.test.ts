// Device clocks that step, as real ones do: rows keep their numbers and their times, nothing is lost or counted twice, and what
// the step made too old is said to be late.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SECOND_US, blockOf, blockRecord, modelPlan, tickRecord } from './blocks.ts'
import type { PlanOptions } from './blocks.ts'
import { assertIsOracle, run } from './one-asset.ts'
import type { OracleRow } from './oracle.ts'

const MINUTE_US = 60 * SECOND_US
const dayUs = Date.UTC(2014, 0, 7) * 1000

/** Numenta Anomaly Benchmark, machine_temperature_system_failure, 7 January 2014: the clock goes back from 02:55 to 02:00. */
const recorded: readonly (readonly [string, number])[] = [
  ['01:50', 95.181],
  ['01:55', 94.22],
  ['02:00', 94.423],
  ['02:05', 94.699],
  ['02:10', 95.333],
  ['02:15', 95.079],
  ['02:20', 94.881],
  ['02:25', 94.564],
  ['02:30', 93.431],
  ['02:35', 93.73],
  ['02:40', 93.193],
  ['02:45', 93.968],
  ['02:50', 93.397],
  ['02:55', 92.856],
  ['02:00', 94.14],
  ['02:05', 94.112],
  ['02:10', 94.639],
  ['02:15', 93.271],
  ['02:20', 93.89],
  ['02:25', 93.397],
  ['02:30', 94.199],
  ['02:35', 94.125],
  ['02:40', 93.531],
  ['02:45', 92.785],
  ['02:50', 93.255],
  ['02:55', 93.656],
  ['03:00', 91.457],
  ['03:05', 92.225],
]

const timeUs = (clock: string): number => dayUs + (Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3))) * MINUTE_US

const rowsOf = (times: readonly number[], values: readonly number[]): OracleRow[] =>
  times.map((each, i) => ({ source: 'plc', seq: i + 1, timeUs: each, quality: 0, values: { x: values[i]! } }))

/** A block per row, received by a clock that does not step. */
const recordsOf = (rows: readonly OracleRow[], everyUs: number) => {
  const startUs = rows[0]!.timeUs
  const records = rows.flatMap(({ seq, timeUs: at, values }, i) => {
    const receivedUs = startUs + i * everyUs
    const block = blockOf([{ seq, timeS: at / SECOND_US, values: [values['x']!] }], { sourceId: 'plc', channels: ['x'], receivedUs })
    return [blockRecord(block), tickRecord('t', receivedUs / SECOND_US)]
  })
  return [...records, tickRecord('t', (startUs + 1000 * rows.length * everyUs) / SECOND_US)]
}

const base: PlanOptions = { sources: ['plc'], graceUs: SECOND_US, statistics: { x: ['count', 'mean', 'max', 'last'] } }
const kinds: Readonly<Record<string, PlanOptions>> = {
  'of half an hour': { ...base, windowUs: 30 * MINUTE_US },
  'of half an hour every ten minutes': { ...base, windowUs: 30 * MINUTE_US, hopUs: 10 * MINUTE_US },
  'of 20 rows at every row': { ...base, isByRow: true, lengths: [{ rows: 20 }] },
}

const rows = rowsOf(
  recorded.map(([clock]) => timeUs(clock)),
  recorded.map(([, value]) => value),
)
const steppedAt = rows.findIndex(({ timeUs: at }, i) => i > 0 && at < rows[i - 1]!.timeUs)

for (const [kind, options] of Object.entries(kinds)) {
  test(`a clock that steps back within the lateness: the repeated hour joins its windows (${kind})`, async () => {
    const plan = modelPlan({ ...options, latenessUs: 2 * 60 * MINUTE_US })
    const outcome = await run(plan, recordsOf(rows, 5 * MINUTE_US))
    assert.equal(outcome.late.size, 0)
    assertIsOracle(plan, rows, outcome)
  })

  test(`a clock that steps back beyond the lateness: what is too old is late, row by row, the rest is in its windows (${kind})`, async () => {
    const plan = modelPlan({ ...options, latenessUs: 10 * MINUTE_US })
    const outcome = await run(plan, recordsOf(rows, 5 * MINUTE_US))
    assert.ok(outcome.late.size > 0, 'some of the repeated hour is late')
    assert.ok(
      [...outcome.late].every((id) => Number(id.split('/')[1]) > steppedAt),
      'nothing from before the step is',
    )
    assertIsOracle(plan, rows, outcome)
  })

  test(`a clock that steps forward: rows from then on go where it says, and those before it stay (${kind})`, async () => {
    const stepped = rows.map((row, i) => ({ ...row, timeUs: dayUs + i * 5 * MINUTE_US + (i < 14 ? 0 : 600 * MINUTE_US) }))
    const plan = modelPlan({ ...options, latenessUs: 10 * MINUTE_US })
    const outcome = await run(plan, recordsOf(stepped, 5 * MINUTE_US))
    assert.equal(outcome.late.size, 0)
    assertIsOracle(plan, stepped, outcome)
  })

  test(`a clock that steps forward and is set right again: what comes with the right time is late until it has caught up (${kind})`, async () => {
    const stepped = rows.map((row, i) => ({ ...row, timeUs: dayUs + i * 5 * MINUTE_US + (i === 10 ? 30 * MINUTE_US : 0) }))
    const plan = modelPlan({ ...options, latenessUs: 10 * MINUTE_US })
    const outcome = await run(plan, recordsOf(stepped, 5 * MINUTE_US))
    assertIsOracle(plan, stepped, outcome)
    assert.ok(!outcome.late.has(`plc/${rows.length}`), 'once caught up, rows are in their windows')
  })
}
