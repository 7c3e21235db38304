// Topics and schemas of the mesh: both are brought to what schemas/ says before a service starts.

import { openKafkaLog } from '@andon/kit'
import { AndonError } from '@andon/kit/errors'
import { avroSchemas, topicNames, topology } from '@andon/schemas'

const put = async (url: string, method: 'PUT' | 'POST', body: unknown): Promise<void> => {
  const response = await fetch(url, {
    method,
    headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
    body: JSON.stringify(body),
  })
  const text = await response.text()
  if (!response.ok) throw new AndonError('ANDON_SCHEMA_REFUSED', `The schema registry refused ${method} ${url}: ${text}`)
}

/** Registers the value schema of every shared topic; each must follow those before it (FULL_TRANSITIVE). */
export const registerSchemas = async (registryUrl: string, namespace: string): Promise<void> => {
  await put(`${registryUrl}/config`, 'PUT', { compatibility: 'FULL_TRANSITIVE' })
  for (const topic of topicNames) {
    const subject = encodeURIComponent(`${namespace}${topic}-value`)
    await put(`${registryUrl}/subjects/${subject}/versions`, 'POST', { schema: JSON.stringify(avroSchemas[topic]) })
  }
}

/** Creates the shared topics of topology.json. */
export const createTopics = async (brokers: readonly string[], namespace: string): Promise<void> => {
  const log = await openKafkaLog({ brokers: [...brokers], clientId: 'andon-up', namespace })
  try {
    await log.admin.ensureTopics(
      topicNames.map((name) => ({ name, partitions: topology.topics[name].partitions, configs: topology.topics[name].configs })),
    )
  } finally {
    await log.close()
  }
}
