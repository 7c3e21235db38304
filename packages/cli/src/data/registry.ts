// The schema registry over its HTTP API: versions of a subject, and registering one. Confluent's paths and answers.

import { AndonError, messageOf } from '@andon/kit/errors'
import type { AvroRecord } from '@andon/schemas'

export interface RegisteredVersion {
  readonly version: number
  readonly id: number
  readonly schema: AvroRecord
}

export interface RegistryClient {
  /** Every version of a subject, oldest first; empty when the registry does not know the subject. */
  versions(subject: string): Promise<RegisteredVersion[]>
  /** The schema with an id; undefined when the registry has none. */
  byId(id: number): Promise<AvroRecord | undefined>
  /** Registers a schema and gives its id. Throws ANDON_CLI_SCHEMA_REFUSED with the registry's reason. */
  register(subject: string, schema: AvroRecord): Promise<number>
}

export const registryClient = (url: string): RegistryClient => {
  const ask = async (path: string, body?: unknown): Promise<Response> => {
    try {
      return await fetch(`${url}${path}`, {
        signal: AbortSignal.timeout(15_000),
        ...(body === undefined
          ? {}
          : { method: 'POST', headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' }, body: JSON.stringify(body) }),
      })
    } catch (error) {
      throw new AndonError(
        'ANDON_UNREACHABLE',
        `The schema registry at ${url} does not answer: ${messageOf(error)}. Check ANDON_REGISTRY_URL.`,
        { cause: error },
      )
    }
  }
  const refused = async (answer: Response, what: string): Promise<AndonError> => {
    const { message } = (await answer.json().catch(() => ({}))) as { message?: string }
    return new AndonError('ANDON_CLI_SCHEMA_REFUSED', `${what}: the registry answers ${answer.status}, ${message ?? answer.statusText}`)
  }
  return {
    async versions(subject) {
      const answer = await ask(`/subjects/${encodeURIComponent(subject)}/versions`)
      if (answer.status === 404) return []
      if (!answer.ok) throw await refused(answer, subject)
      const found: RegisteredVersion[] = []
      for (const version of (await answer.json()) as number[]) {
        const one = await ask(`/subjects/${encodeURIComponent(subject)}/versions/${version}`)
        if (!one.ok) throw await refused(one, `${subject} version ${version}`)
        const { id, schema } = (await one.json()) as { id: number; schema: string }
        found.push({ version, id, schema: JSON.parse(schema) as AvroRecord })
      }
      return found
    },
    async byId(id) {
      const answer = await ask(`/schemas/ids/${id}`)
      if (answer.status === 404) return undefined
      if (!answer.ok) throw await refused(answer, `schema ${id}`)
      return JSON.parse(((await answer.json()) as { schema: string }).schema) as AvroRecord
    },
    async register(subject, schema) {
      const answer = await ask(`/subjects/${encodeURIComponent(subject)}/versions`, { schema: JSON.stringify(schema), schemaType: 'AVRO' })
      if (!answer.ok) throw await refused(answer, subject)
      return ((await answer.json()) as { id: number }).id
    },
  }
}
