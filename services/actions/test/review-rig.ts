// Findings for review on any log: they become work where a policy names their type, and only there.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { publish } from '@andon/kit'
import type { Codec, Log } from '@andon/kit'
import type { Actions, AnomaliesInput } from '@andon/schemas'
import { eventually, findingOf, plantDocuments, publishDocuments, readActions, startActions } from './rig.ts'

export const reviewPolicy = {
  version: 1,
  name: 'policies/review',
  when: 'finding.type == "FaultModeDrifted" || (finding.type == "DriftDetected" && finding.severity <= 3)',
  plan: [{ step: 'inspection', command: 'inspection.create', params: { priority: 'normal' }, approvals: 0 }],
  evidence: null,
  budget: { perLinePerHour: 12 },
  runbook: 'docs/runbooks/default.md',
}

/** Says that it was done. */
export const idle = {
  prepare: async () => ({ send: async () => ({ kind: 'Executed' as const, readback: '{}', title: 'done' }) }),
  settle: async () => ({ isDone: true, readback: '{}' }),
  close: async () => {},
}

const told = async (log: Log, codec: Codec, type: string, id: string, severity: number): Promise<void> => {
  const finding = findingOf({ findingId: `f-${id}`, episodeId: `e-${id}`, severity, model: '', modelRole: '', title: `${type} ${id}` })
  const value: AnomaliesInput = { type, assetId: finding.assetId, finding }
  await publish(
    log,
    codec,
    [{ topic: 'anomalies', key: finding.assetId, value, id: finding.findingId, type, timeUs: finding.atUs }],
    'test',
  )
}

/** The topics are there; documents are not. */
export const reviewFindingsBecomeWork = async (t: TestContext, log: Log, codec: Codec, settings: Record<string, string> = {}) => {
  const documents = plantDocuments()
  const [first] = documents
  assert.ok(first)
  await publishDocuments(log, codec, [
    ...documents,
    { ...first, name: reviewPolicy.name, kind: 'policy', digest: 'review', body: JSON.stringify(reviewPolicy) },
  ])
  await startActions(t, { log, codec, executors: { opcua: idle, notify: idle, job: idle } }, settings)
  const records = await readActions(t, log, codec)
  await told(log, codec, 'FaultModeDiscovered', 'new', 4)
  await told(log, codec, 'DriftDetected', 'small', 4)
  await told(log, codec, 'DriftDetected', 'stays', 3)
  await told(log, codec, 'FaultModeDrifted', 'moved', 4)
  await told(log, codec, 'EpisodeOpened', 'plain', 3)
  const answered = (id: string): Actions | undefined =>
    records.find(({ requestId, type }) => requestId === `f-${id}` && type !== 'StepProposed')
  await eventually(() => {
    for (const id of ['new', 'small', 'stays', 'moved', 'plain']) assert.ok(answered(id), id)
  })
  const answers = ['new', 'small', 'stays', 'moved', 'plain'].map((id) => answered(id)?.refusal?.code ?? answered(id)?.type)
  assert.deepEqual(answers, [
    'ANDON_ACTIONS_REVIEW_ONLY',
    'ANDON_ACTIONS_REVIEW_ONLY',
    'IncidentOpened',
    'IncidentOpened',
    'IncidentOpened',
  ])
  const planned = records.filter(({ type }) => type === 'StepProposed').map(({ requestId, proposal }) => `${requestId} ${proposal?.policy}`)
  assert.ok(planned.includes('f-moved policies/review') && planned.includes('f-stays policies/review'), planned.join())
}
