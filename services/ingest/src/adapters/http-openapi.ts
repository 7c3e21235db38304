// OpenAPI 3.1 of the HTTP door, served at /openapi.json.

import { amendPaths } from './amend-openapi.ts'
import { errorsPath } from './http-answers.ts'
import { callsPrefix } from './http-calls.ts'
import { mediaTypes } from './http-media.ts'
import { telemetryPath } from './http-telemetry.ts'

/** Where the schema of Avro bodies is served. */
export const schemaPath = '/docs/telemetry-batch.avsc'

const reference = (name: string) => ({ $ref: `#/components/schemas/${name}` })
const problem = (description: string, headers: object = {}) => ({
  description,
  headers,
  content: { 'application/problem+json': { schema: reference('Problem') } },
})
const retryAfter = { 'Retry-After': { description: 'Seconds to wait', schema: { type: 'integer' } } }

const bodies: Readonly<Record<string, object>> = {
  'application/json': { schema: { oneOf: [reference('Reading'), { type: 'array', items: reference('Reading') }, reference('Columns')] } },
  'text/csv': {
    schema: { type: 'string', description: 'Column names in the first row: timeUs or time, source, asset, epoch, seq, quality, channels' },
  },
  'application/avro': { schema: { type: 'string', format: 'binary', description: `Object container file of batches, ${schemaPath}` } },
  'application/vnd.andon.telemetry+avro': { schema: { type: 'string', format: 'binary', description: `One batch, ${schemaPath}` } },
}

/** The document; every object in it is fresh. */
export const openApi = (): object => ({
  openapi: '3.1.0',
  info: {
    title: 'Andon ingest',
    version: '1.0.0',
    summary: 'Readings in; 202 once they are safe',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  servers: [{ url: '/' }],
  security: [{ bearer: [] }, { certificate: [] }],
  paths: {
    [telemetryPath]: {
      post: {
        operationId: 'sendTelemetry',
        summary: 'Sends readings',
        parameters: [
          {
            name: 'Idempotency-Key',
            in: 'header',
            description: 'With the place in the body it identifies readings that have no sequence number; kept for 10 minutes',
            schema: { type: 'string', minLength: 1, maxLength: 255 },
          },
          {
            name: 'mapping',
            in: 'query',
            description: 'Id of a source file of kind file that maps a CSV body',
            schema: { type: 'string' },
          },
          {
            name: 'Content-Encoding',
            in: 'header',
            schema: { enum: ['gzip', 'zstd', 'deflate', 'br', 'identity'] },
          },
        ],
        requestBody: {
          required: true,
          content: Object.fromEntries(mediaTypes.map((type) => [type, bodies[type] ?? { schema: { type: 'string' } }])),
        },
        responses: {
          '202': { description: 'Safe, quarantined readings included', content: { 'application/json': { schema: reference('Receipt') } } },
          '400': problem('Nothing of the body can be read'),
          '401': problem('Neither a bearer token nor a valid certificate'),
          '403': problem('The sender may not send telemetry'),
          '408': problem('The request did not come in whole in time'),
          '411': problem('Neither Content-Length nor chunked'),
          '413': problem('Too large'),
          '415': problem('Media type or content encoding not supported'),
          '417': problem('Expect: something else than 100-continue'),
          '431': problem('Headers too large'),
          '429': problem('Too much at once', retryAfter),
          '503': problem('Cannot be made safe now', retryAfter),
        },
      },
    },
    [callsPrefix]: {
      post: {
        operationId: 'callByButton',
        summary: 'A press of a button: a human call, as `andon call` makes one',
        requestBody: {
          required: true,
          content: {
            'application/json': {
              schema: {
                type: 'object',
                required: ['button'],
                properties: {
                  button: { type: 'string', description: 'Id of its source file' },
                  epoch: { type: 'integer', minimum: 0 },
                  seq: { type: 'integer', minimum: 0, description: 'Number of the press: a repeat of it is the same call' },
                },
              },
            },
          },
        },
        responses: {
          '202': {
            description: 'The call is on the log',
            content: {
              'application/json': { schema: { type: 'object', required: ['callId'], properties: { callId: { type: 'string' } } } },
            },
          },
          '400': problem('The body names no button'),
          '401': problem('Neither a bearer token nor a valid certificate'),
          '403': problem('The sender may not press this button'),
          '404': problem('No source file of kind button has this id'),
          '413': problem('Too large'),
          '503': problem('The call cannot be made now', retryAfter),
        },
      },
    },
    ...amendPaths(problem, retryAfter),
    [schemaPath]: {
      get: {
        operationId: 'getBatchSchema',
        summary: 'Avro schema of a batch',
        security: [],
        responses: { '200': { description: 'The schema', content: { 'application/json': { schema: { type: 'object' } } } } },
      },
    },
    [errorsPath]: {
      get: {
        operationId: 'getErrors',
        summary: 'Every error code and what to do about it',
        security: [],
        responses: { '200': { description: 'A page with an anchor per code', content: { 'text/html': { schema: { type: 'string' } } } } },
      },
    },
  },
  components: {
    securitySchemes: { bearer: { type: 'http', scheme: 'bearer' }, certificate: { type: 'mutualTLS' } },
    schemas: {
      Reading: {
        type: 'object',
        required: ['source', 'timeUs'],
        properties: {
          source: { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$' },
          asset: { type: ['string', 'null'], description: 'Where the plant file does not name the source' },
          epoch: { type: ['integer', 'null'], minimum: 0, description: 'Higher after a restart of the counter' },
          seq: { type: ['integer', 'null'], minimum: 0, description: 'Rises by one' },
          timeUs: { type: 'integer', description: 'Microseconds since 1970, UTC' },
          quality: { enum: [0, 1, 2, null], description: '0 good, 1 uncertain, 2 bad' },
          values: { type: ['object', 'null'], additionalProperties: { type: ['number', 'null'] } },
          units: { type: ['object', 'null'], additionalProperties: { type: 'string' }, description: "UCUM units other than the plant's" },
          waveform: {
            type: ['object', 'null'],
            required: ['channel', 'sampleRateHz', 'f32'],
            properties: {
              channel: { type: 'string' },
              sampleRateHz: { type: 'number', exclusiveMinimum: 0 },
              sensitivity: { type: ['number', 'null'], description: 'mV per unit' },
              f32: { type: 'string', contentEncoding: 'base64', description: 'Little-endian float32' },
              burst: {
                type: ['object', 'null'],
                description: 'Where it is one part of a longer measurement',
                required: ['id', 'part', 'parts'],
                properties: {
                  id: { type: 'string', minLength: 1, maxLength: 128 },
                  part: { type: 'integer', minimum: 1 },
                  parts: { type: 'integer', minimum: 1, maximum: 10_000 },
                  scheduledUs: { type: ['integer', 'null'], description: 'When it was due, microseconds since 1970, UTC' },
                },
              },
            },
          },
          recordedUs: { type: ['integer', 'null'], description: 'Original time of a replayed recording' },
        },
      },
      Columns: {
        type: 'object',
        description: 'Rows of one source; all lists have one entry per row',
        required: ['source', 'timesUs', 'channels'],
        properties: {
          source: { type: 'string' },
          asset: { type: ['string', 'null'] },
          epoch: { type: ['integer', 'null'], minimum: 0 },
          seq: { type: ['integer', 'null'], minimum: 0, description: 'Of the first row' },
          timesUs: { type: 'array', items: { type: 'integer' } },
          channels: { type: 'object', additionalProperties: { type: 'array', items: { type: ['number', 'null'] } } },
          units: {
            type: ['object', 'null'],
            additionalProperties: { type: 'string' },
            description: 'UCUM, by channel, where not the plant’s',
          },
          qualities: { type: ['array', 'null'], items: { enum: [0, 1, 2] } },
        },
        additionalProperties: false,
      },
      Receipt: {
        type: 'object',
        required: ['accepted', 'duplicates', 'quarantined'],
        properties: {
          accepted: { type: 'integer' },
          duplicates: { type: 'integer' },
          quarantined: {
            type: 'array',
            items: {
              type: 'object',
              required: ['index', 'code', 'message', 'docs'],
              properties: {
                index: { type: 'integer', description: 'Place in the body, from 0' },
                code: { type: 'string' },
                message: { type: 'string' },
                docs: { type: 'string', format: 'uri-reference' },
              },
            },
          },
        },
      },
      Problem: {
        type: 'object',
        description: 'RFC 9457',
        required: ['type', 'title', 'status', 'detail', 'code', 'docs'],
        properties: {
          type: { type: 'string', format: 'uri' },
          title: { type: 'string' },
          status: { type: 'integer' },
          detail: { type: 'string', description: 'What was found, where, and what is expected' },
          code: { type: 'string', description: 'Stable: ANDON_INGEST_…' },
          docs: { type: 'string', format: 'uri-reference' },
          fields: { type: 'object' },
        },
      },
    },
  },
})
