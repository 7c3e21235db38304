// Schemas and topology → one AsyncAPI 3 document: a channel per topic, an operation per service that reads or writes it.

import type { AvroRecord } from './avro.ts'
import type { Topology } from './topology.ts'

/** Headers of every record: CloudEvents 1.0 in binary mode, trace context and lineage. */
const headers = {
  type: 'object',
  required: ['ce_id', 'ce_source', 'ce_type', 'ce_specversion', 'ce_time'],
  properties: {
    ce_specversion: { type: 'string', const: '1.0' },
    ce_id: { type: 'string', description: 'Logical identity: equal on every replay.' },
    ce_source: { type: 'string', description: 'Service that published the record.' },
    ce_type: { type: 'string', description: 'The type field of the body.' },
    ce_time: { type: 'string', format: 'date-time', description: 'Event time.' },
    ce_subject: { type: 'string', description: 'What the record is about, e.g. the asset.' },
    traceparent: { type: 'string', description: 'W3C trace context.' },
    'andon-run': { type: 'string', description: 'Present on replayed records: the replay run.' },
  },
}

const pascal = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1)

/** Text of generated/asyncapi.json. */
export const generateAsyncApi = (topology: Topology, schemas: Readonly<Record<string, AvroRecord>>, version: string): string => {
  const channels: Record<string, unknown> = {}
  const messages: Record<string, unknown> = {}
  for (const [topic, definition] of Object.entries(topology.topics)) {
    const schema = schemas[topic]
    if (schema === undefined) throw new Error(`Topic ${topic} has no schema`)
    messages[topic] = {
      name: pascal(topic),
      summary: schema.doc ?? '',
      contentType: 'application/vnd.apache.avro+binary',
      headers: { $ref: '#/components/schemas/RecordHeaders' },
      payload: { schemaFormat: 'application/vnd.apache.avro;version=1.9.0', schema },
      bindings: {
        kafka: {
          key: { type: 'string', description: `The ${definition.key}.` },
          schemaIdLocation: 'payload',
          schemaIdPayloadEncoding: 'confluent',
          bindingVersion: '0.5.0',
        },
      },
    }
    channels[topic] = {
      address: topic,
      description: schema.doc ?? '',
      messages: { [topic]: { $ref: `#/components/messages/${topic}` } },
      bindings: { kafka: { topic, partitions: definition.partitions, bindingVersion: '0.5.0' } },
    }
  }
  const operations: Record<string, unknown> = {}
  for (const [service, edges] of Object.entries(topology.services)) {
    for (const topic of edges.writes) operations[`${service}-writes-${topic}`] = operation('send', service, topic)
    for (const topic of edges.reads) operations[`${service}-reads-${topic}`] = operation('receive', service, topic)
  }
  const document = {
    asyncapi: '3.0.0',
    info: {
      title: 'Andon',
      version,
      description:
        'Topics of the mesh. Values are Avro in Confluent framing (0x00, 4-byte schema id), subjects <topic>-value, FULL_TRANSITIVE.',
      license: { name: 'Apache-2.0' },
    },
    defaultContentType: 'application/vnd.apache.avro+binary',
    servers: {
      local: {
        host: '127.0.0.1:9092',
        protocol: 'kafka',
        description: 'What `andon up` starts.',
        bindings: { kafka: { schemaRegistryUrl: 'http://127.0.0.1:8081', schemaRegistryVendor: 'confluent', bindingVersion: '0.5.0' } },
      },
    },
    channels,
    operations,
    components: { messages, schemas: { RecordHeaders: headers } },
  }
  return `${JSON.stringify(document, null, 2)}\n`
}

const operation = (action: 'send' | 'receive', service: string, topic: string) => ({
  action,
  channel: { $ref: `#/channels/${topic}` },
  summary: `${service} ${action === 'send' ? 'writes' : 'reads'} ${topic}`,
  tags: [{ name: service }],
  messages: [{ $ref: `#/channels/${topic}/messages/${topic}` }],
})
