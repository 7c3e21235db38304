// Releases and corrections in the OpenAPI document of the HTTP door. Bodies are described by the shapes that check them.

import { z } from 'zod'
import { correctionShape, releasesShape } from '../amendments.ts'
import { amendingRoles, correctionsPath, releasesPath } from './amend.ts'

const schemaOf = (shape: z.ZodType): object => {
  const { $schema: _dialect, ...schema } = z.toJSONSchema(shape, { io: 'input', unrepresentable: 'any' })
  return schema
}

const answerOf = (properties: Readonly<Record<string, object>>) => ({
  'application/json': { schema: { type: 'object', required: Object.keys(properties), properties } },
})

const accepted = { type: 'integer', description: 'Readings that are taken, or would be' }
const dryRun = { type: 'boolean' }
const refused = {
  type: 'array',
  description: 'Releases of which nothing is taken; they stay in quarantine',
  items: {
    type: 'object',
    required: ['index', 'code', 'message'],
    properties: {
      index: { type: 'integer', description: 'Place in `releases`, from 0' },
      code: { type: 'string' },
      message: { type: 'string' },
    },
  },
}

/** `problem`: an answer with problem details, of the document that these paths become part of. */
export const amendPaths = (problem: (description: string, headers?: object) => object, retryAfter: object): object => {
  const operation = (operationId: string, summary: string, shape: z.ZodType, answer: Readonly<Record<string, object>>) => ({
    post: {
      operationId,
      summary,
      description: `For people with one of the roles ${amendingRoles.join(', ')}. The same request again changes nothing.`,
      security: [{ bearer: [] }],
      requestBody: { required: true, content: { 'application/json': { schema: schemaOf(shape) } } },
      responses: {
        '200': { description: 'A dry run: nothing was written', content: answerOf(answer) },
        '202': { description: 'What is accepted is safe', content: answerOf(answer) },
        '400': problem('The body is not as described, or contradicts itself or the plant file; nothing was written'),
        '401': problem('No bearer token'),
        '403': problem('A token without one of the roles'),
        '413': problem('More than 16 MiB'),
        '415': problem('Not JSON'),
        '429': problem('Too much at once', retryAfter),
        '503': problem('Cannot be made safe now', retryAfter),
      },
    },
  })
  return {
    [releasesPath]: operation('releaseReadings', 'Readings that ingest refused, once more', releasesShape, { accepted, refused, dryRun }),
    [correctionsPath]: operation('correctRange', 'Samples that supersede those of a range', correctionShape, {
      accepted,
      correctionId: { type: 'string', format: 'uuid' },
      dryRun,
    }),
  }
}
