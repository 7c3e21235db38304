// Seals, one rule each: the owner says once what the sealer stored, and nothing waits for it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Seal } from '@andon/schemas'
import { record } from '../src/index.ts'
import { copied, LINE, planOf, T0 } from './fixtures.ts'
import { codeOf, Partition, typesOf } from './partition.ts'

const digest = (text: string): string => text.repeat(64)
const sealOf = (fields: Partial<Seal> = {}): Seal => ({
  digest: digest('a'),
  findingId: 'f-1',
  itemCount: 1,
  bytes: 9,
  items: [{ kind: 'finding', id: 'f-1', digest: digest('b'), bytes: 9, position: 'anomalies/0/0/0' }],
  gaps: [{ what: 'snapshot', why: 'none was retained' }],
  ...fields,
})

const opened = (): { partition: Partition; incidentId: string } => {
  const partition = new Partition()
  partition.context = { plan: planOf() }
  partition.ask(copied())
  const [incidentId = ''] = partition.state.incidents.keys()
  return { partition, incidentId }
}

let asked = 0
const asking = (incidentId: string | null, seal: Seal | null, by = 'sealer', id = `seal-${(asked += 1)}`) =>
  record('SealRequested', id, LINE, T0, { by, incidentId, seal })

test('a seal becomes one fact with digests and gaps, and the incident goes on as it was', () => {
  const { partition, incidentId } = opened()
  const before = structuredClone([...partition.state.steps.values()])
  const [fact, ...others] = partition.ask(asking(incidentId, sealOf()))
  assert.equal(fact?.type, 'IncidentSealed')
  assert.deepEqual(fact?.seal, sealOf())
  assert.deepEqual(others, [])
  assert.deepEqual(partition.state.incidents.get(incidentId)?.seal, sealOf())
  assert.deepEqual([...partition.state.steps.values()], before)
})

test('the same request again is no second fact, and a later seal is refused', () => {
  const { partition, incidentId } = opened()
  partition.ask(asking(incidentId, sealOf(), 'sealer', 'same'))
  assert.deepEqual(partition.ask(asking(incidentId, sealOf(), 'sealer', 'same')), [])
  assert.equal(codeOf(partition.ask(asking(incidentId, sealOf({ digest: digest('c') })))), 'ANDON_ACTIONS_SEALED')
  assert.equal(partition.state.incidents.get(incidentId)?.seal?.digest, digest('a'))
  assert.deepEqual(typesOf(partition.entries.map(({ record: one }) => one)).filter((type) => type === 'IncidentSealed').length, 1)
})

test('only the sealer seals, only what it stored, only an incident that is known', () => {
  const { partition, incidentId } = opened()
  assert.equal(codeOf(partition.ask(asking(incidentId, sealOf(), 'p-lead'))), 'ANDON_ACTIONS_ROLE')
  assert.equal(codeOf(partition.ask(asking(incidentId, null))), 'ANDON_ACTIONS_MALFORMED')
  assert.equal(codeOf(partition.ask(asking(incidentId, sealOf({ digest: 'short' })))), 'ANDON_ACTIONS_MALFORMED')
  assert.equal(codeOf(partition.ask(asking('i-0', sealOf()))), 'ANDON_ACTIONS_UNKNOWN_INCIDENT')
  assert.equal(partition.state.incidents.get(incidentId)?.seal, undefined)
})
