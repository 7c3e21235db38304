// What people teach, one rule each: given facts, when a request, then facts.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { EpisodeVerdict, FailureRecord, FaultModeNote } from '@andon/schemas'
import { fold, outcome, record } from '../src/index.ts'
import type { TeachingPlant } from '../src/index.ts'
import { copied, LINE, MINUTE, T0 } from './fixtures.ts'
import { codeOf, Partition, typesOf } from './partition.ts'

const plant: TeachingPlant = {
  placeOf: (assetId) => (assetId.startsWith('pump') ? { classId: 'pump', equipmentClass: 'PU' } : undefined),
  hasClass: (classId) => classId === 'pump' || classId === 'fan',
}

const taught = (): Partition => {
  const partition = new Partition()
  partition.context = { plant }
  return partition
}

let asked = 0
const by = (roles: readonly string[], id = 'p-lead') => ({ by: id, roles: [...roles] })

const naming = (note: Partial<FaultModeNote> = {}, fields: readonly string[] | null = null, roles = ['process-engineer']) =>
  record('FaultModeNameRequested', `name-${(asked += 1)}`, LINE, T0, {
    ...by(roles),
    faultMode: {
      classId: 'pump',
      modeId: 'mode-1',
      name: 'Worn bearing',
      labels: [],
      standing: 'fault',
      rootCause: null,
      instruction: null,
      cause: null,
      consequence: null,
      response: null,
      timeToRespondS: null,
      ...note,
    },
    detail: fields === null ? null : JSON.stringify({ fields }),
  })

const failureOf = (fields: Partial<FailureRecord> = {}): FailureRecord => ({
  failureId: 'f-1',
  assetId: 'pump-1',
  kind: 'failure',
  atUs: T0 - MINUTE,
  restoredUs: null,
  mode: 'VIB',
  mechanism: '2.4',
  cause: null,
  detection: null,
  component: null,
  workOrder: null,
  note: '',
  withdrawn: false,
  ...fields,
})

const recording = (fields: Partial<FailureRecord> = {}, roles = ['integrator']) =>
  record('FailureRecordRequested', `failure-${(asked += 1)}`, LINE, T0, { ...by(roles, 'p-cmms'), failure: failureOf(fields) })

const judging = (fields: Partial<EpisodeVerdict> = {}, roles = ['operator'], assetId: string | null = null) =>
  record('VerdictRequested', `verdict-${(asked += 1)}`, LINE, T0, {
    ...by(roles, 'p-operator'),
    assetId,
    episodeVerdict: { episodeId: 'e-1', findingId: 'f-1', verdict: 'confirmed', modeId: null, note: '', ...fields },
  })

describe('fault modes', () => {
  test('a person names a mode, and the fact says who', () => {
    const partition = taught()
    const [named] = partition.ask(naming())
    assert.deepEqual([named?.type, named?.by, named?.faultMode?.name], ['FaultModeNamed', 'p-lead', 'Worn bearing'])
    assert.equal(partition.state.teaching.modes.get('mode-1')?.what.name, 'Worn bearing')
  })

  test('what a request leaves out stays as it was', () => {
    const partition = taught()
    partition.ask(naming({ labels: ['bearing'], cause: 'lack of grease' }))
    partition.ask(naming({ name: null, standing: 'known', timeToRespondS: 3600 }, ['standing', 'timeToRespondS']))
    const note = partition.state.teaching.modes.get('mode-1')?.what
    assert.deepEqual(
      [note?.name, note?.labels, note?.cause, note?.standing, note?.timeToRespondS],
      ['Worn bearing', ['bearing'], 'lack of grease', 'known', 3600],
    )
  })

  test('the same words again are the same fact; other words are another', () => {
    const partition = taught()
    const [first] = partition.ask(naming())
    const [again] = partition.ask(naming())
    const [changed] = partition.ask(naming({ name: 'Bearing' }))
    const [back] = partition.ask(naming())
    assert.equal(again?.id, first?.id)
    assert.equal(new Set([first?.id, changed?.id, back?.id]).size, 3)
    assert.equal(partition.state.teaching.modes.get('mode-1')?.what.name, 'Worn bearing')
  })

  test('operators, unknown classes and standings are refused with what would do', () => {
    const partition = taught()
    assert.equal(codeOf(partition.ask(naming({}, null, ['operator']))), 'ANDON_ACTIONS_ROLE')
    assert.equal(codeOf(partition.ask(naming({ classId: 'press' }))), 'ANDON_ACTIONS_UNKNOWN_CLASS')
    const [refusal] = partition.ask(naming({ standing: 'bad' }))
    assert.equal(refusal?.refusal?.message, 'standing: expected one of fault, normal, known, ignore, found bad')
    partition.ask(naming())
    assert.equal(codeOf(partition.ask(naming({ classId: 'fan' }))), 'ANDON_ACTIONS_UNKNOWN_MODE')
  })
})

describe('failures', () => {
  test('a failure recorded twice is known once, whatever request brings it', () => {
    const partition = taught()
    const [first] = partition.ask(recording())
    const [again] = partition.ask(recording())
    assert.deepEqual([first?.type, again?.type, again?.id], ['FailureRecorded', 'FailureRecorded', first?.id])
    assert.equal(partition.state.teaching.failures.size, 1)
    assert.equal(partition.state.teaching.failures.get('f-1')?.revision, 1)
  })

  test('the same failure with more known of it replaces what was said', () => {
    const partition = taught()
    partition.ask(recording())
    partition.ask(recording({ restoredUs: T0, note: 'bearing exchanged' }))
    partition.ask(recording())
    const known = partition.state.teaching.failures.get('f-1')
    assert.deepEqual([known?.what.restoredUs, known?.revision], [null, 3])
  })

  test('a withdrawn failure stays withdrawn when the import is repeated', () => {
    const partition = taught()
    partition.ask(recording())
    const [withdrawn] = partition.ask(recording({ withdrawn: true, mode: null, note: '' }))
    assert.deepEqual([withdrawn?.type, withdrawn?.failure?.mode, withdrawn?.failure?.withdrawn], ['FailureWithdrawn', 'VIB', true])
    assert.equal(partition.ask(recording({ withdrawn: true }))[0]?.id, withdrawn?.id)
    assert.equal(codeOf(partition.ask(recording())), 'ANDON_ACTIONS_FAILURE_WITHDRAWN')
    assert.equal(codeOf(partition.ask(recording({ failureId: 'f-2', withdrawn: true }))), 'ANDON_ACTIONS_UNKNOWN_FAILURE')
  })

  test('codes are those of the standard for the class of the asset, and a refusal names those nearby', () => {
    const partition = taught()
    const said = (fields: Partial<FailureRecord>): string => partition.ask(recording(fields))[0]?.refusal?.message ?? ''
    assert.match(said({ mode: 'VIBR' }), /^mode: expected a failure mode of ISO 14224 for pumps \(PU\), found VIBR; nearby: VIB vibration/)
    assert.match(said({ mode: 'FTC' }), /for pumps .* found FTC; nearby: FTS/)
    assert.match(said({ mechanism: '2.9' }), /^mechanism: .* found 2\.9; nearby: 2\.0 material failure/)
    assert.match(said({ cause: '9' }), /^cause: /)
    assert.match(said({ detection: '12' }), /^detection: .*nearby: 1[01 ]/)
    assert.match(said({ mode: null }), /^mode: expected .*UNK/)
    assert.deepEqual(typesOf(partition.ask(recording({ kind: 'intervention', mode: null, mechanism: null }))), ['FailureRecorded'])
  })

  test('times that cannot be, unknown assets and other roles are refused', () => {
    const partition = taught()
    assert.equal(codeOf(partition.ask(recording({ atUs: T0 + 10 * MINUTE }))), 'ANDON_ACTIONS_BAD_FAILURE')
    assert.equal(codeOf(partition.ask(recording({ restoredUs: T0 - 2 * MINUTE }))), 'ANDON_ACTIONS_BAD_FAILURE')
    assert.equal(codeOf(partition.ask(recording({ assetId: 'press-9' }))), 'ANDON_ACTIONS_UNKNOWN_PLACE')
    assert.equal(codeOf(partition.ask(recording({}, ['operator']))), 'ANDON_ACTIONS_ROLE')
    partition.ask(recording())
    assert.equal(codeOf(partition.ask(recording({ assetId: 'pump-2' }))), 'ANDON_ACTIONS_FAILURE_KNOWN')
  })

  test('a work order links the failure to the incident whose job carries it', () => {
    const partition = new Partition()
    partition.ask(copied())
    partition.intend('inspection')
    const step = partition.step('inspection')
    const readback = JSON.stringify({ status: 201, location: '/jobs/WO-17', body: '{}' })
    partition.write([outcome(step, 'Executed', 'answer', readback, null, T0)])
    const ask = (workOrder: string, assetId = 'press-1') =>
      partition.ask(recording({ failureId: `of ${workOrder} ${assetId}`, assetId, workOrder }))[0]?.incidentId
    assert.equal(ask('WO-17'), step.incidentId)
    assert.equal(ask('WO-1'), null)
    assert.equal(ask('WO-17', 'press-2'), null)
    const incident = partition.state.incidents.get(step.incidentId)
    const told = incident?.timeline.filter(({ type }) => type === 'FailureRecorded').map(({ title }) => title)
    assert.deepEqual(told, ['Failure of press-1 (VIB)'])
  })
})

describe('verdicts', () => {
  test('the last word on an episode counts, in the timeline of its incident', () => {
    const partition = taught()
    partition.ask(copied())
    partition.ask(judging())
    const [said] = partition.ask(judging({ verdict: 'false-alarm', note: 'crane passed' }))
    assert.equal(partition.state.teaching.verdicts.get('e-1')?.what.verdict, 'false-alarm')
    assert.deepEqual([said?.assetId, said?.title], ['press-1', 'Verdict: false-alarm, crane passed'])
    const [incident] = partition.state.incidents.values()
    assert.equal(incident?.timeline.at(-1)?.type, 'VerdictRecorded')
  })

  test('an episode that no incident knows needs its asset; other words and roles are refused', () => {
    const partition = taught()
    assert.equal(codeOf(partition.ask(judging())), 'ANDON_ACTIONS_UNKNOWN_EPISODE')
    assert.deepEqual(typesOf(partition.ask(judging({}, ['technician'], 'pump-1'))), ['VerdictRecorded'])
    assert.equal(codeOf(partition.ask(judging({ verdict: 'maybe' }, ['operator'], 'pump-1'))), 'ANDON_ACTIONS_BAD_TEACHING')
    assert.equal(codeOf(partition.ask(judging({}, ['integrator'], 'pump-1'))), 'ANDON_ACTIONS_ROLE')
  })
})

test('what was taught is a function of the records alone', () => {
  const partition = taught()
  for (const request of [
    naming(),
    recording(),
    judging({}, ['operator'], 'pump-1'),
    recording({ withdrawn: true }),
    naming({ name: null }),
  ])
    partition.ask(request)
  assert.deepEqual(fold(partition.entries).teaching, partition.state.teaching)
  assert.deepEqual([...partition.state.pending], [])
})
