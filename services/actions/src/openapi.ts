// OpenAPI 3.1 of the door, served at /openapi.json. Bodies come from the shapes that the routes check.

import { z } from 'zod'
import { bodies } from './bodies.ts'
import { teachingBodies } from './teaching-bodies.ts'

const json = (schema: object) => ({ 'application/json': { schema } })
const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
})
const anyObject = { type: 'object', additionalProperties: true } as const

const schemaOf = (shape: z.ZodType): object => {
  const { $schema: _dialect, ...schema } = z.toJSONSchema(shape, { io: 'input' }) as Record<string, unknown>
  return schema
}

const parameter = (name: string, where: 'path' | 'query' | 'header', description: string) => ({
  name,
  in: where,
  required: where === 'path',
  description,
  schema: { type: 'string' },
})

const read = (operationId: string, summary: string, parameters: readonly object[] = [], content: object = json(anyObject)) => ({
  operationId,
  summary,
  parameters,
  responses: {
    '200': { description: 'As the log says now', content },
    '400': problem('A parameter is not valid'),
    '401': problem('No or unknown bearer token'),
    '404': problem('Not known'),
  },
})

const ask = (operationId: string, summary: string, body: z.ZodType, parameters: readonly object[] = []) => ({
  operationId,
  summary,
  parameters: [...parameters, parameter('Idempotency-Key', 'header', 'A repeat with the same key is the same request')],
  requestBody: { required: true, content: json(schemaOf(body)) },
  responses: {
    '200': { description: 'Decided by the owner', content: json({ $ref: '#/components/schemas/Decided' }) },
    '202': {
      description: 'On the log, not decided yet',
      headers: { Location: { description: 'Where the answer will be', schema: { type: 'string' } } },
      content: json({ $ref: '#/components/schemas/Accepted' }),
    },
    '400': problem('Body is not valid'),
    '401': problem('No or unknown bearer token, or a stronger sign-in is needed (RFC 9470)'),
    '403': problem('Role or four eyes'),
    '404': problem('Not known'),
    '409': problem('Refused by the owner; `code` says why'),
    '429': problem('An agent proposes too often'),
    '422': problem('A document or range is not valid; `detail` names the offending path'),
  },
})

const stepId = parameter('stepId', 'path', 'Step')
const incidentId = parameter('incidentId', 'path', 'Incident')
const assetId = parameter('assetId', 'path', 'Asset')
const modeId = parameter('modeId', 'path', 'Stable id of the fault mode')
const failureId = parameter('failureId', 'path', 'Failure')
const episodeId = parameter('episodeId', 'path', 'Episode, as findings name it')

/** What people teach: fault modes, failures, verdicts. */
const teaching = {
  '/v1/fault-modes': {
    get: read('listFaultModes', 'What people have said of fault modes', [parameter('class', 'query', 'Only those of an asset class')]),
  },
  '/v1/fault-modes/{modeId}': {
    get: read('getFaultMode', 'What people have said of one', [modeId]),
    post: ask('nameFaultMode', 'Name a fault mode, or say what it stands for; what is left out stays', teachingBodies.mode, [modeId]),
  },
  '/v1/failures': {
    get: read('listFailures', 'Recorded failures and interventions, newest first', [
      parameter('asset', 'query', 'Only those of an asset'),
      parameter('class', 'query', 'Only those of an asset class'),
      parameter('withdrawn', 'query', 'true: withdrawn ones too'),
      parameter('limit', 'query', 'Most failures in one answer, 1 to 1000; default 200'),
      parameter('before', 'query', 'Only failures before this event time, microseconds UTC: `next` of the answer before'),
    ]),
    post: ask('recordFailure', 'Record a failure or an intervention; the same id again replaces what was said', teachingBodies.failure),
  },
  '/v1/failures/check': {
    post: {
      operationId: 'checkFailures',
      summary: 'What recording these failures would do, one answer each; changes nothing',
      requestBody: { required: true, content: json(schemaOf(teachingBodies.failures)) },
      responses: {
        '200': { description: 'recorded, changed, unchanged or refused, each with its code', content: json(anyObject) },
        '400': problem('Body is not valid'),
        '401': problem('No or unknown bearer token'),
        '403': problem('Role'),
      },
    },
  },
  '/v1/failures/{failureId}/withdraw': {
    post: ask('withdrawFailure', 'Take back a failure that was recorded by mistake', teachingBodies.withdrawal, [failureId]),
  },
  '/v1/verdicts': {
    get: read('listVerdicts', 'What people said of episodes, newest first', [
      parameter('episode', 'query', 'Only this one'),
      parameter('limit', 'query', 'Most verdicts in one answer, 1 to 1000; default 200'),
    ]),
  },
  '/v1/episodes/{episodeId}/verdict': {
    post: ask('judgeEpisode', 'Say what an episode was', teachingBodies.verdict, [episodeId]),
  },
}

const stream = (operationId: string) =>
  read(
    operationId,
    'Requests and facts as server-sent events',
    [
      parameter('Last-Event-ID', 'header', 'Cursor of the last event seen'),
      parameter('line', 'query', 'Only these control groups, comma separated'),
      parameter('asset', 'query', 'Only these assets, comma separated'),
      parameter('type', 'query', 'Only these types, comma separated'),
    ],
    { 'text/event-stream': { schema: { type: 'string' } } },
  )

/** The document; every object in it is fresh. */
export const openApi = (version: string): object => ({
  openapi: '3.1.0',
  info: {
    title: 'Andon actions',
    version,
    summary: 'Incidents, decisions, holds and evidence',
    description:
      'Nothing changes by a GET. Requests are appended to the log; the owner of the partition decides. Andon is not a safety function.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  servers: [{ url: '/' }],
  security: [{ bearer: [] }],
  paths: {
    '/v1/incidents': {
      get: read('listIncidents', 'Incidents, newest first', [
        parameter('open', 'query', 'true: only open ones'),
        parameter('limit', 'query', 'Most incidents in one answer, 1 to 1000; default 200'),
        parameter('before', 'query', 'Only incidents opened before this, microseconds UTC: `next` of the answer before'),
      ]),
    },
    '/v1/alarms/kpi': { get: read('getAlarmKpis', 'Alarms of each line: rate, floods, standing, stale, shelved, top sources') },
    '/v1/incidents/{incidentId}': { get: read('getIncident', 'One incident with steps, evidence and timeline', [incidentId]) },
    '/v1/incidents/{incidentId}/evidence': { post: ask('orderEvidence', 'Order video of an incident', bodies.evidence, [incidentId]) },
    '/v1/steps/{stepId}/approve': { post: ask('approveStep', 'Approve a step', bodies.decision, [stepId]) },
    '/v1/steps/{stepId}/reject': { post: ask('rejectStep', 'Reject a step', bodies.decision, [stepId]) },
    '/v1/steps/{stepId}/revoke': { post: ask('revokeStep', 'Take a proposal or approval back', bodies.decision, [stepId]) },
    '/v1/steps/{stepId}/abstain': {
      post: ask('abstain', 'Say neither yes nor no; takes the own approval back', bodies.decision, [stepId]),
    },
    '/v1/steps/{stepId}/withdraw': { post: ask('withdrawStep', 'Take back what you proposed yourself', bodies.decision, [stepId]) },
    '/v1/steps/{stepId}/delegate': {
      post: ask('delegateStep', 'Lend the right to decide this step, for at most 12 hours', bodies.delegation, [stepId]),
    },
    '/v1/steps/{stepId}/modify': {
      post: ask('modifyStep', 'Put another command in its place; others decide anew', bodies.modification, [stepId]),
    },
    '/v1/incidents/{incidentId}/acknowledge': {
      post: ask('acknowledgeIncident', 'Say that you have it: what was only told stops escalating', bodies.acknowledgement, [incidentId]),
    },
    '/v1/incidents/{incidentId}/propose': {
      post: ask('proposeStep', 'Propose a command of the catalogue by hand; somebody else decides', bodies.proposal, [incidentId]),
    },
    '/v1/incidents/{incidentId}/comment': { post: ask('commentIncident', 'Add a remark to the timeline', bodies.comment, [incidentId]) },
    '/v1/incidents/{incidentId}/shelve': {
      post: ask('shelveIncident', 'Tell nobody for a while, at most 24 hours; deadlines run on', bodies.shelving, [incidentId]),
    },
    '/v1/incidents/{incidentId}/unshelve': {
      post: ask('unshelveIncident', 'Back from the shelf before its time', bodies.acknowledgement, [incidentId]),
    },
    '/v1/alarms/suppressed': { get: read('listSuppressed', 'Assets out of service or suppressed by design, with reason and end') },
    '/v1/assets/{assetId}/suppress': {
      post: ask('suppressAlarms', 'Alarms of an asset are stored and page nobody, for at most 90 days', bodies.suppression, [assetId]),
    },
    '/v1/assets/{assetId}/restore': { post: ask('restoreAlarms', 'Alarms of an asset count again', bodies.restoration, [assetId]) },
    '/v1/calls': { post: ask('call', 'Pull the cord: call for help on a line or asset', bodies.call) },
    '/v1/holds': { get: read('listHolds', 'Holds, oldest first'), post: ask('hold', 'Stop all execution in a scope', bodies.hold) },
    '/v1/holds/{holdId}/lift': { post: ask('liftHold', 'Lift one hold', bodies.lift, [parameter('holdId', 'path', 'Hold')]) },
    '/v1/config': { post: ask('applyDocuments', 'Validate and publish plant documents', bodies.config) },
    '/v1/requests/{requestId}': { get: read('getRequest', 'What became of a request', [parameter('requestId', 'path', 'Request')]) },
    '/v1/actions/stream': { get: stream('streamActions') },
    '/v1/events': { get: stream('streamEvents') },
    ...teaching,
    '/v1/status': { get: read('getStatus', 'Partitions and their owners, breakers, active holds') },
  },
  components: {
    securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
    schemas: {
      Decided: {
        type: 'object',
        required: ['requestId', 'isDecided', 'outcome'],
        properties: {
          requestId: { type: 'string' },
          isDecided: { const: true },
          outcome: { type: 'string', description: 'Type of the first fact that answered' },
          incidentId: { type: ['string', 'null'] },
          stepId: { type: ['string', 'null'] },
          step: anyObject,
        },
      },
      Accepted: {
        type: 'object',
        required: ['requestId', 'isDecided', 'link'],
        properties: { requestId: { type: 'string' }, isDecided: { const: false }, link: { type: 'string' } },
      },
      Problem: {
        type: 'object',
        description: 'RFC 9457',
        required: ['type', 'title', 'status', 'detail', 'code'],
        properties: {
          type: { type: 'string' },
          title: { type: 'string' },
          status: { type: 'integer' },
          detail: { type: 'string' },
          code: { type: 'string', description: 'Stable: ANDON_ACTIONS_…' },
        },
      },
    },
  },
})
