// What the mesh agrees on, as code: record types, Avro schemas, topology and the plant's documents.

import { readFileSync } from 'node:fs'
import type { AvroRecord } from './avro.ts'
import { schemaNames } from '../generated/types.ts'
import type { Records } from '../generated/types.ts'

export * from '../generated/types.ts'
export { checkCompatibility, checkFull } from './compatibility.ts'
export type { Incompatibility, IncompatibilityType } from './compatibility.ts'
export * from './documents/index.ts'
export { readPlantFolder } from './plant-folder.ts'
export type { PlantDocument } from './plant-folder.ts'
export { topology, serviceNames, topicNames } from './topology.ts'
export type { ServiceEdges, ServiceName, TopicDefinition, TopicName, Topology } from './topology.ts'
export type { AvroRecord, AvroSchema } from './avro.ts'

/** `telemetry`, … `config`, and `changelog`. */
export type SchemaName = keyof Records

const read = (name: SchemaName): AvroRecord =>
  JSON.parse(readFileSync(new URL(`../avro/${name}.avsc`, import.meta.url), 'utf8')) as AvroRecord

/** Avro schema by name: one per shared topic, and `changelog`. */
export const avroSchemas: Readonly<Record<SchemaName, AvroRecord>> = Object.fromEntries(
  schemaNames.map((name) => [name, read(name)]),
) as Record<SchemaName, AvroRecord>

/** Schema of a topic's values: `telemetry.run.7` holds telemetry, `features.changelog` a changelog. Undefined for foreign topics. */
export const schemaOfTopic = (topic: string): SchemaName | undefined => {
  if (topic.endsWith('.changelog')) return 'changelog'
  const base = topic.split('.', 1)[0] ?? topic
  return (schemaNames as readonly string[]).includes(base) ? (base as SchemaName) : undefined
}
