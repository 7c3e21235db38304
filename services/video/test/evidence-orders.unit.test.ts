// Only orders of the partition's owner count, each is answered once.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fact, ownershipTaken, record, sign } from '@andon/decisions'
import type { Actions, Evidence } from '@andon/schemas'
import { createEvidenceOrders } from '../src/evidence-orders.ts'

const line = 'press-line'
const atUs = 1_000_000_000
const evidence = (fields: Partial<Evidence> = {}): Evidence => ({
  orderId: 'order-1',
  cameraIds: ['cam-a'],
  fromUs: 1,
  toUs: 2,
  clips: [],
  failure: null,
  ...fields,
})
const opened = fact('IncidentOpened', line, atUs, ['i-1'], { by: 'actions', incidentId: 'i-1', title: 'x' })
const ordered = fact('EvidenceOrdered', line, atUs, ['order-1'], { by: 'actions', incidentId: 'i-1', evidence: evidence() })
const clip = {
  clipId: 'clip-1',
  cameraId: 'cam-a',
  fromUs: 0,
  toUs: 3,
  uri: 'sha256:x',
  sha256: 'x',
  bytes: 1,
  manifestSha256: 'y',
  gaps: [],
}
const stored = (by: string) =>
  record('EvidenceStored', 'stored-1', line, atUs, { by, incidentId: 'i-1', evidence: evidence({ clips: [clip] }) })

const fold = (records: readonly Actions[]) => {
  const orders = createEvidenceOrders()
  records.forEach((each, offset) => orders.next({ partition: 0, offset, appendedUs: atUs, record: each }))
  return orders
}
const asOwner = (...facts: Actions[]) => [ownershipTaken(line, 1, 'owner-a', atUs), ...sign(facts, 1, 'owner-a')]

test('an order of the owner is open until video answers it, and its clip is known then', () => {
  assert.deepEqual(
    fold(asOwner(opened, ordered))
      .open()
      .map((order) => [order.orderId, order.incidentId, order.partition]),
    [['order-1', 'i-1', 0]],
  )
  const answered = fold([...asOwner(opened, ordered), stored('video')])
  assert.deepEqual(answered.open(), [])
  assert.ok(answered.isAnswered('order-1'))
  assert.equal(answered.clip('clip-1')?.incidentId, 'i-1')
})

test('an order of a deposed owner, without an owner, or stamped far from its append time is no order', () => {
  assert.deepEqual(fold(sign([opened, ordered], 1, 'owner-a')).open(), [])
  const deposed = [...asOwner(opened), ownershipTaken(line, 2, 'owner-b', atUs), ...sign([ordered], 1, 'owner-a')]
  assert.deepEqual(fold(deposed).open(), [])
  assert.deepEqual(fold(asOwner(opened, { ...ordered, atUs: atUs + 61_000_000 })).open(), [])
})

test('an order that comes again, or after its answer, is not worked on twice', () => {
  const orders = createEvidenceOrders()
  const made = [...asOwner(opened, ordered, ordered), stored('video'), ...sign([ordered], 1, 'owner-a')].map((each, offset) =>
    orders.next({ partition: 0, offset, appendedUs: atUs, record: each }),
  )
  assert.equal(made.filter((order) => order !== undefined).length, 1)
})

test('nobody but video answers an order', () => {
  assert.equal(fold([...asOwner(opened, ordered), stored('p-mallory')]).open().length, 1)
})
