// Broker error codes and kafkajs errors, told apart by what a caller may do.

import { LogError } from '../../errors.ts'
import { logError } from '../log-error.ts'

export const CODE = {
  offsetOutOfRange: 1,
  unknownTopicOrPartition: 3,
  leaderNotAvailable: 5,
  notLeader: 6,
  requestTimedOut: 7,
  replicaNotAvailable: 9,
  messageTooLarge: 10,
  networkException: 13,
  coordinatorLoading: 14,
  coordinatorNotAvailable: 15,
  notCoordinator: 16,
  notEnoughReplicas: 19,
  notEnoughReplicasAfterAppend: 20,
  outOfOrderSequence: 45,
  duplicateSequence: 46,
  invalidProducerEpoch: 47,
  kafkaStorage: 56,
  unknownProducerId: 59,
  fencedLeaderEpoch: 74,
  unknownLeaderEpoch: 75,
} as const

const NAMES = new Map<number, string>(Object.entries(CODE).map(([name, code]) => [code, name]))

export const nameOfCode = (code: number): string => `${NAMES.get(code) ?? 'error'} (${code})`

/** The same request may succeed once leaders and brokers have settled. */
const TRANSIENT = new Set<number>([
  CODE.unknownTopicOrPartition,
  CODE.leaderNotAvailable,
  CODE.notLeader,
  CODE.requestTimedOut,
  CODE.replicaNotAvailable,
  CODE.networkException,
  CODE.coordinatorLoading,
  CODE.coordinatorNotAvailable,
  CODE.notCoordinator,
  CODE.notEnoughReplicas,
  CODE.notEnoughReplicasAfterAppend,
  CODE.kafkaStorage,
  CODE.fencedLeaderEpoch,
  CODE.unknownLeaderEpoch,
])

export const isTransient = (code: number): boolean => TRANSIENT.has(code)

/** The broker does not know our producer as we do: a new one is needed. */
export const isProducerState = (code: number): boolean =>
  code === CODE.outOfOrderSequence ||
  code === CODE.duplicateSequence ||
  code === CODE.invalidProducerEpoch ||
  code === CODE.unknownProducerId

/** kafkajs' name of a protocol error, such as REBALANCE_IN_PROGRESS; undefined for connection errors. */
export const typeOf = (error: unknown): string | undefined => {
  const { type, cause } = (error ?? {}) as { type?: unknown; cause?: unknown }
  return typeof type === 'string' ? type : cause ? typeOf(cause) : undefined
}

const FINAL_TYPES = new Set([
  'TOPIC_AUTHORIZATION_FAILED',
  'GROUP_AUTHORIZATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
  'SASL_AUTHENTICATION_FAILED',
  'UNSUPPORTED_SASL_MECHANISM',
  'ILLEGAL_SASL_STATE',
  'INVALID_TOPIC_EXCEPTION',
  'INVALID_CONFIG',
  'POLICY_VIOLATION',
  'UNSUPPORTED_VERSION',
  'INCONSISTENT_GROUP_PROTOCOL',
])

/** Any error as a LogError. Refusals of the broker are final; everything about connections, leaders and time may pass. */
export const toLogError = (error: unknown, what: string): LogError => {
  if (error instanceof LogError) return error
  const type = typeOf(error)
  const reason = error instanceof Error ? error.message : String(error)
  return type !== undefined && FINAL_TYPES.has(type)
    ? logError('fatal', 'ANDON_LOG_REFUSED', `${what}: the broker refused it (${type}): ${reason}`, error)
    : logError('retriable', 'ANDON_LOG_UNAVAILABLE', `${what}: ${reason}`, error)
}
