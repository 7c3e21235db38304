// The schema registry behind two calls, through @kafkajs/confluent-schema-registry. Used at start and for unknown ids only.

import { COMPATIBILITY, SchemaRegistry } from '@kafkajs/confluent-schema-registry'
import type { SchemaType } from '@kafkajs/confluent-schema-registry'
import { AndonError, messageOf } from './errors.ts'
import { checkReachable } from './reach.ts'

export interface Registry {
  /** Id of a schema under a subject; registers it (FULL_TRANSITIVE) when allowed and missing. */
  idOf(subject: string, schema: { type: SchemaType.AVRO; schema: string }, mayRegister: boolean): Promise<number>
  /** The schema with an id; undefined when there is none. Rejects with a retriable error when the registry cannot be asked. */
  schema(id: number): Promise<object | undefined>
}

/** Asks the registry at a URL; rejects with ANDON_UNREACHABLE, naming the setting, when nothing listens there. */
export const openRegistry = async (url: string, settingName = 'ANDON_REGISTRY_URL'): Promise<Registry> => {
  await checkReachable([url], settingName)
  // Retry settings are given whole: the client keeps the last ones of any instance as its defaults.
  const client = new SchemaRegistry({
    host: url,
    retry: { maxRetryTimeInSecs: 3, initialRetryTimeInSecs: 0.1, factor: 0.2, multiplier: 2, retries: 3 },
  })
  return {
    async idOf(subject, schema, mayRegister) {
      try {
        if (!mayRegister) return await client.getRegistryIdBySchema(subject, schema)
        return (await client.register(schema, { subject, compatibility: COMPATIBILITY.FULL_TRANSITIVE })).id
      } catch (error) {
        if (isTransient(error)) throw unavailable(url, error)
        // Some registries refuse one of two that register the same subject at the same moment; the schema is there then.
        const found = mayRegister ? await client.getRegistryIdBySchema(subject, schema).catch(() => undefined) : undefined
        if (found !== undefined) return found
        const advice = mayRegister
          ? 'Keep schema changes FULL_TRANSITIVE compatible (schemas/README.md).'
          : 'Register it with `andon up`, or set ANDON_REGISTER_SCHEMAS=true.'
        throw new AndonError(
          'ANDON_CODEC_SCHEMA_REFUSED',
          `Subject ${subject} of ${url} does not take today's schema: ${messageOf(error)}. ${advice}`,
          {
            cause: error,
            fields: { subject },
          },
        )
      }
    },
    async schema(id) {
      try {
        const type = (await client.getSchema(id)) as { schema?: (options: object) => object }
        return type.schema?.({ exportAttrs: true })
      } catch (error) {
        if (statusOf(error) === 404) return undefined
        throw unavailable(url, error)
      }
    },
  }
}

const unavailable = (url: string, cause: unknown): AndonError =>
  new AndonError('ANDON_CODEC_REGISTRY_UNAVAILABLE', `The schema registry at ${url} does not answer: ${messageOf(cause)}`, {
    retriable: true,
    cause,
  })

const statusOf = (error: unknown): number | undefined =>
  typeof error === 'object' && error !== null ? (error as { status?: number }).status : undefined

/** No answer (status 400 and a network message in the client) or a server fault. */
const isTransient = (error: unknown): boolean => {
  const status = statusOf(error)
  return status === undefined
    ? /ECONN|socket|timeout|network/i.test(messageOf(error))
    : status >= 500 || /ECONN|socket hang up/i.test(messageOf(error))
}
