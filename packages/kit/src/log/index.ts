// Public names of the log port, its adapters and the processing loop.

export * from './port.ts'
export { appendedList } from './appended.ts'
export { EncodedHeaders, encodeHeaders, headersAsMap } from './encoded-headers.ts'
export { RecordList } from './record-list.ts'
export { isRetriable } from './log-error.ts'
export { murmur2, partitionOf } from './murmur2.ts'
export { openMemoryLog } from './memory.ts'
export type { AppendFault, MemoryLog, MemoryLogOptions } from './memory.ts'
export { MemoryStore } from './memory-store.ts'
export { systemClock } from './clock.ts'
export type { Clock } from './clock.ts'
export { seeded } from './random.ts'
export type { Random } from './random.ts'
export type { RequestKind, Schedule } from './schedule.ts'
export { openSimulation } from './simulation.ts'
export type { SimulatedLog, Simulation, SimulationFaults, SimulationOptions } from './simulation.ts'
export type { Codec } from '../codec-port.ts'
export { emitter } from '../emitter.ts'
export { followTopic } from '../follow-topic.ts'
export type { FollowTopicOptions } from '../follow-topic.ts'
export { publish } from '../publish.ts'
export type { PublishOptions } from '../publish.ts'
export { runProcess } from '../process.ts'
export type { ProcessDeps } from '../process.ts'
export type { BatchInfo, ProcessMetrics, TraceBatch } from '../process-meters.ts'
export { decodeInput, toInput } from '../input.ts'
export {
  HEADER,
  LIVE,
  DedupeMarks,
  compareOrders,
  comparePositions,
  eventHeaders,
  formatCause,
  formatOrder,
  parseCause,
  parseOrder,
  rfc3339,
} from '../lineage.ts'
export type { Cause, DedupeEntry } from '../lineage.ts'
export { DEAD_LETTER_HEADER, deadLetterTopic } from '../dead-letters.ts'
export { changelogSpec, changelogTopic } from '../snapshots.ts'
export { holds, newestRecord } from '../marks.ts'
export type { Mark } from '../marks.ts'
export { openKafkaLog } from './kafka/log.ts'
export type { KafkaClient, KafkaLog, KafkaLogOptions } from './kafka/log.ts'
export type { Compression } from './kafka/compression.ts'
export type { TransactionalContext, TransactionalRunOptions } from './kafka/transactional-run.ts'
export type { Transaction, Transactor } from './kafka/transactor.ts'
