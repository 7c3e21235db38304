// The verifier is itself tested with planted faults: a clean ledger passes, and each fault is found and named.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Actions, Features, Predictions, Telemetry } from '@andon/schemas'
import { type Ledger, type Stored, verifyLedger } from './ledger.ts'

const times = (...us: number[]): Buffer => {
  const bytes = Buffer.alloc(8 * us.length)
  us.forEach((t, i) => bytes.writeBigInt64LE(BigInt(t), 8 * i))
  return bytes
}

let offset = 0
const stored = <T>(value: T, headers: Record<string, string> = {}, partition = 0): Stored<T> => ({
  partition,
  offset: offset++,
  timestampMs: 0,
  headers,
  value,
})

const block = (seqFrom: number, seqTo: number, withheld: number[] = []): Stored<Telemetry> => {
  const seqs = Array.from({ length: seqTo - seqFrom + 1 }, (_, i) => seqFrom + i).filter((seq) => !withheld.includes(seq))
  const value = {
    type: 'block',
    assetId: 'a',
    tick: null,
    block: { sourceId: 's', epoch: 1, seqFrom, seqTo, withheld, timesUs: times(...seqs) },
  }
  return stored(value as unknown as Telemetry)
}

const vector = (id: string, startUs: number, endUs: number, seqFrom: number, seqTo: number, order: string): Stored<Features> => {
  const ranges = [{ sourceId: 's', epoch: 1, seqFrom, seqTo }]
  const value = {
    type: 'vector',
    assetId: 'a',
    late: null,
    vector: { vectorId: id, featureSet: 'f', featureSetDigest: 'd', windowStartUs: startUs, windowEndUs: endUs, ranges },
  }
  return stored(value as unknown as Features, { 'andon-order': order })
}

const prediction = (vectorId: string, of: Stored<Features>): Stored<Predictions> =>
  stored({ predictionId: `p-${vectorId}`, vectorId } as unknown as Predictions, { 'andon-cause': `features/0/0/${of.offset}/0` })

let stamp = 0
const fact = (type: string, more: Record<string, unknown> = {}, owner = 'o1', epoch = 1): Stored<Actions> => {
  const value = { type, line: 'l', by: 'owner', atUs: stamp++, epoch, owner, stepId: 'step', incidentId: 'inc', ...more }
  return stored(value as unknown as Actions)
}

const request = (type: string, more: Record<string, unknown> = {}): Stored<Actions> => fact(type, { epoch: null, owner: null, ...more })

const propose = (): Stored<Actions> =>
  fact('StepProposed', { by: 'policy', proposal: { command: { effect: 'motion', commandHash: 'h' }, approvalsNeeded: 1, expiresUs: 1e9 } })
const approve = (by = 'p-1', commandHash = 'h'): Stored<Actions> =>
  fact('DecisionRecorded', { by, decision: { verdict: 'approve', commandHash } })
const executing = (id = 'r-1', attempt = 1): Stored<Actions> =>
  fact('Executing', { execution: { attempt, commandRequestId: id, notAfterUs: 1e9 } })
const take = (): Stored<Actions> => fact('OwnershipTaken')

const build = (change: Partial<Ledger> = {}): Ledger => {
  offset = 0
  stamp = 0
  const [v1, v2] = [vector('v1', 0, 10, 1, 3, '0.0.1.0'), vector('v2', 10, 20, 11, 12, '0.0.2.0')]
  return {
    acknowledged: [1, 2, 3, 11, 12].map((seq) => ({ sourceId: 's', epoch: 1, seq })),
    telemetry: [block(1, 3), block(4, 12, [5])],
    features: [v1, v2, vector('v1b', 0, 10, 1, 9, '0.0.3.0'), vector('v2b', 10, 20, 10, 12, '0.0.4.0')],
    predictions: [prediction('v1', v1), prediction('v2', v2)],
    anomalies: [],
    actions: [take(), propose(), approve(), executing(), fact('Executed')],
    effects: [{ requestId: 'r-1', command: 'line.pause', atMs: 1 }],
    ...change,
  }
}

test('a clean ledger passes', () => {
  assert.deepEqual(verifyLedger(build()), { acknowledged: 5, lost: [], duplicates: [], misordered: [], unapproved: [], pass: true })
})

test('a planted loss is found: acknowledged, in no block', () => {
  const verdict = verifyLedger(build({ telemetry: [block(1, 2), block(4, 12, [5])] }))
  assert.deepEqual(verdict.lost, ['s@1 number 3: acknowledged, in no block'])
  assert.equal(verdict.pass, false)
})

test('a planted loss is found: in a block, in no window and no late report', () => {
  const verdict = verifyLedger(build({ features: [vector('v1', 0, 10, 1, 2, '0.0.1.0'), vector('v2', 10, 20, 4, 12, '0.0.2.0')] }))
  assert.match(verdict.lost.join(), /number 3: in a block of a, in no kept window/)
  const late = {
    type: 'late',
    assetId: 'a',
    vector: null,
    late: { windowStartUs: 0, lost: false, ranges: [{ sourceId: 's', epoch: 1, seqFrom: 3, seqTo: 3 }] },
  }
  const told = verifyLedger(
    build({
      features: [vector('v1', 0, 10, 1, 2, '0.0.1.0'), vector('v2', 10, 20, 4, 12, '0.0.2.0'), stored(late as unknown as Features)],
    }),
  )
  assert.deepEqual(told.lost, [])
})

test('a vector that was never scored is a loss', () => {
  const [v1, v2] = [vector('v1', 0, 10, 1, 9, '0.0.1.0'), vector('v2', 10, 20, 10, 12, '0.0.2.0')]
  const verdict = verifyLedger(build({ features: [v1, v2], predictions: [prediction('v2', { ...v2, offset: v2.offset + 100 })] }))
  assert.match(verdict.lost.join(), /vector v1 at features 0:\d+: never scored/)
})

test('a planted duplicate is found: one sample in two windows', () => {
  const verdict = verifyLedger(build({ features: [vector('v1', 0, 10, 1, 11, '0.0.1.0'), vector('v2', 10, 20, 11, 12, '0.0.2.0')] }))
  assert.match(verdict.duplicates.join(), /number 11: in windows v1 and v2/)
})

test('windows that overlap share samples, and a window is known by its end', () => {
  const features = [
    vector('v1', 0, 10, 1, 9, '0.0.1.0'),
    vector('v2', 2, 12, 2, 11, '0.0.2.0'),
    vector('v2b', 1, 12, 1, 11, '0.0.3.0'),
    vector('v3', 10, 20, 10, 12, '0.0.4.0'),
  ]
  assert.deepEqual(verifyLedger(build({ features })).duplicates, [])
  const planted = [...features, vector('v4', 20, 30, 12, 12, '0.0.5.0')]
  assert.match(verifyLedger(build({ features: planted })).duplicates.join(), /number 12: in windows v3 and v4/)
})

test('a planted duplicate is found: one id with two contents', () => {
  const [a, b] = [vector('v1', 0, 10, 1, 9, '0.0.1.0'), vector('v1', 0, 10, 1, 8, '0.0.2.0')]
  assert.match(
    verifyLedger(build({ features: [a, b, vector('v2', 10, 20, 10, 12, '0.0.3.0')] })).duplicates.join(),
    /id v1 with another content/,
  )
})

test('a planted reorder is found', () => {
  const verdict = verifyLedger(build({ telemetry: [block(4, 12, [5]), block(1, 3)] }))
  assert.match(verdict.misordered.join(), /number 1 first appears after 12/)
})

test('a repeated block is neither a duplicate nor a reorder', () => {
  const [a, b] = [block(1, 3), block(4, 12, [5])]
  assert.equal(verifyLedger(build({ telemetry: [a, b, { ...a, offset: 90 }, { ...b, offset: 91 }] })).pass, true)
})

const unapprovedBy = (actions: Stored<Actions>[]): string => verifyLedger(build({ actions })).unapproved.join()

test('a planted unapproved effect is found, whatever is missing', () => {
  assert.match(unapprovedBy([take(), propose(), approve()]), /no intent on the log/)
  assert.match(unapprovedBy([take(), propose(), executing()]), /0 of 1 approvals precede/)
  assert.match(unapprovedBy([take(), propose(), approve('p-1', 'other'), executing()]), /0 of 1 approvals precede/)
  assert.match(unapprovedBy([take(), propose(), approve('policy'), executing()]), /0 of 1 approvals precede/)
  assert.match(unapprovedBy([take(), propose(), executing(), approve()]), /0 of 1 approvals precede/)
  assert.match(unapprovedBy([take(), propose(), approve(), fact('StepExpired'), executing()]), /StepExpired precedes/)
  assert.match(
    unapprovedBy([take(), propose(), approve(), request('HoldRequested', { hold: { holdIds: ['h'], scope: '*' } }), executing()]),
    /a hold precedes/,
  )
  assert.match(unapprovedBy([take(), propose(), approve(), request('RevokeRequested'), executing()]), /a revocation precedes/)
  assert.match(
    unapprovedBy([
      take(),
      propose(),
      fact('DecisionRecorded', { by: 'p', decision: { verdict: 'approve', commandHash: 'h' } }, 'stranger'),
      executing(),
    ]),
    /0 of 1 approvals/,
  )
  assert.match(
    unapprovedBy([
      take(),
      propose(),
      approve(),
      fact('Executing', { execution: { attempt: 1, commandRequestId: 'r-1', notAfterUs: 1 } }, 'o1', 0),
    ]),
    /its intent is void/,
  )
})

test('an effect that came twice is found', () => {
  const effect = { requestId: 'r-1', command: 'line.pause', atMs: 1 }
  assert.match(verifyLedger(build({ effects: [effect, effect] })).duplicates.join(), /twice on the machine/)
  const second = build({
    actions: [take(), propose(), approve(), executing('r-1'), executing('r-2', 2)],
    effects: [effect, { ...effect, requestId: 'r-2' }],
  })
  assert.match(verifyLedger(second).duplicates.join(), /the step had its effect already/)
})

test('a lifted hold no longer blocks', () => {
  const hold = { hold: { holdIds: ['h'], scope: 'l' } }
  assert.equal(unapprovedBy([take(), propose(), approve(), request('HoldRequested', hold), fact('HoldLifted', hold), executing()]), '')
})
