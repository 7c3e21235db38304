// OpenAPI 3.1 of /v1/devices, served at /v1/devices/openapi.json; that of the readings is /openapi.json.

const reference = (name: string) => ({ $ref: `#/components/schemas/${name}` })
const json = (schema: object) => ({ 'application/json': { schema } })
const problem = (description: string) => ({ description, content: { 'application/problem+json': { schema: reference('Problem') } } })
const us = (description: string) => ({ type: ['integer', 'null'], description: `${description}, microseconds UTC` })

const refusals = {
  '400': problem('The request cannot be read'),
  '401': problem('No bearer token, or nobody’s'),
  '403': problem('The role is missing'),
  '404': problem('No such device'),
  '409': problem('Not in this state; the code says why'),
  '422': problem('An asset that the plant does not have'),
  '503': problem('Not decided yet; ask again with the same Idempotency-Key'),
}

const parameters = [
  { name: 'deviceId', in: 'path', required: true, schema: { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$' } },
  { name: 'Idempotency-Key', in: 'header', schema: { type: 'string' }, description: 'Makes a repeat of this call the same request' },
]

const operation = (operationId: string, summary: string, body: object | undefined, status: string, answer: object) => ({
  operationId,
  summary,
  parameters,
  ...(body === undefined ? {} : { requestBody: { required: true, content: json(body) } }),
  responses: { [status]: { description: summary, content: json(answer) }, ...refusals },
})

const object = (properties: Readonly<Record<string, object>>, required: readonly string[] = Object.keys(properties)) => ({
  type: 'object',
  additionalProperties: false,
  properties,
  required,
})
const text = { type: 'string' }
const texts = { type: 'array', items: text }
const move = object({ reason: text }, [])

/** The document; every object in it is fresh. */
export const devicesOpenApi = (): object => ({
  openapi: '3.1.0',
  info: {
    title: 'Andon devices',
    version: '1.0.0',
    summary: 'Who devices are, and who let them in',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  servers: [{ url: '/' }],
  security: [{ bearer: [] }],
  paths: {
    '/v1/devices': {
      get: {
        operationId: 'listDevices',
        summary: 'All devices, by id',
        responses: {
          '200': { description: 'Devices', content: json(object({ devices: { type: 'array', items: reference('Device') } })) },
          '401': refusals['401'],
        },
      },
    },
    '/v1/devices/{deviceId}': { get: operation('showDevice', 'One device', undefined, '200', reference('Device')) },
    '/v1/devices/{deviceId}/claim': {
      post: operation('claimDevice', 'A claim certificate with its key, good for one enrolment', object({}), '201', reference('Claim')),
    },
    '/v1/devices/{deviceId}/enrol': {
      post: operation('enrolDevice', 'Enrols with a certificate request (PKCS #10)', object({ csr: text }), '201', reference('Enrolled')),
    },
    '/v1/devices/{deviceId}/approve': {
      post: operation(
        'approveDevice',
        'Lets a pending device speak, or changes the assets of an active one',
        object({ assets: texts, certificateSha256: text, reason: text }, ['assets']),
        '200',
        reference('Device'),
      ),
    },
    '/v1/devices/{deviceId}/suspend': {
      post: operation('suspendDevice', 'Silences it until it is resumed', move, '200', reference('Device')),
    },
    '/v1/devices/{deviceId}/resume': { post: operation('resumeDevice', 'Lets a suspended device speak', move, '200', reference('Device')) },
    '/v1/devices/{deviceId}/revoke': {
      post: operation(
        'revokeDevice',
        'Revokes the device with all its certificates and keys, or one certificate',
        object({ reason: text, certificateSha256: text }, []),
        '200',
        reference('Device'),
      ),
    },
    '/v1/devices/{deviceId}/retire': { post: operation('retireDevice', 'Ends it for good', move, '200', reference('Device')) },
  },
  components: {
    securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
    schemas: {
      Device: object({
        id: text,
        site: text,
        status: { enum: ['claimed', 'pending', 'active', 'suspended', 'revoked', 'retired'] },
        assets: { ...texts, description: 'Assets it may feed; * is all of its site' },
        enrolledUs: us('When it enrolled'),
        approvedUs: us('When it was approved'),
        approvedBy: { type: ['string', 'null'] },
        claimExpiresUs: us('Until when its open claim can be used'),
        certificates: { type: 'array', items: reference('Certificate'), description: 'Newest first' },
        last: object({ type: text, atUs: { type: 'integer' }, by: text, reason: { type: ['string', 'null'] } }),
      }),
      Certificate: object({
        serial: text,
        sha256: text,
        notBeforeUs: { type: 'integer' },
        notAfterUs: { type: 'integer' },
        endsUs: { type: 'integer', description: 'Until when it counts' },
        state: { enum: ['valid', 'expired', 'superseded', 'revoked'] },
      }),
      Claim: object({
        deviceId: text,
        site: text,
        certificate: text,
        key: text,
        authorities: text,
        expiresUs: us('Until when it can be used'),
      }),
      Enrolled: object({ device: reference('Device'), certificate: text, authorities: text }),
      Problem: {
        type: 'object',
        description: 'RFC 9457',
        properties: {
          type: text,
          title: text,
          status: { type: 'integer' },
          detail: text,
          code: text,
          fields: { type: 'object' },
          docs: text,
        },
        required: ['type', 'title', 'status', 'detail', 'code'],
      },
    },
  },
})
