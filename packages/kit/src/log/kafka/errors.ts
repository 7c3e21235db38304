// Broker error codes, told apart by what a caller may do.

import { LogError } from '../../errors.ts'
import type { LogErrorKind } from '../log-error.ts'
import { logError } from '../log-error.ts'

export const CODE = {
  offsetOutOfRange: 1,
  corruptMessage: 2,
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
  illegalGeneration: 22,
  unknownMemberId: 25,
  rebalanceInProgress: 27,
  topicAuthorizationFailed: 29,
  groupAuthorizationFailed: 30,
  clusterAuthorizationFailed: 31,
  topicAlreadyExists: 36,
  notController: 41,
  outOfOrderSequence: 45,
  duplicateSequence: 46,
  invalidProducerEpoch: 47,
  invalidTransactionState: 48,
  invalidProducerIdMapping: 49,
  concurrentTransactions: 51,
  transactionCoordinatorFenced: 52,
  transactionalIdAuthorizationFailed: 53,
  operationNotAttempted: 55,
  kafkaStorage: 56,
  unknownProducerId: 59,
  fencedLeaderEpoch: 74,
  unknownLeaderEpoch: 75,
  memberIdRequired: 79,
  fencedInstanceId: 82,
  producerFenced: 90,
} as const

const NAMES = new Map<number, string>(Object.entries(CODE).map(([name, code]) => [code, name]))

export const nameOfCode = (code: number): string => `${NAMES.get(code) ?? 'error'} (${code})`

/** The same request may succeed once leaders, coordinators and brokers have settled. */
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
  CODE.rebalanceInProgress,
  CODE.notController,
  CODE.concurrentTransactions,
  CODE.transactionCoordinatorFenced,
  CODE.operationNotAttempted,
  CODE.kafkaStorage,
  CODE.fencedLeaderEpoch,
  CODE.unknownLeaderEpoch,
])

/** Somebody newer speaks under this name. */
const FENCED = new Set<number>([
  CODE.illegalGeneration,
  CODE.unknownMemberId,
  CODE.fencedInstanceId,
  CODE.invalidProducerEpoch,
  CODE.producerFenced,
])

export const isTransient = (code: number): boolean => TRANSIENT.has(code)

/** The broker does not know our producer as we do: a new one is needed. */
const isProducerState = (code: number): boolean =>
  code === CODE.outOfOrderSequence ||
  code === CODE.duplicateSequence ||
  code === CODE.invalidProducerEpoch ||
  code === CODE.unknownProducerId

/** What a broker's refusal means to a caller; the code stays readable by `brokerCodeOf`. */
export const brokerError = (code: number, what: string): LogError => {
  const [kind, name]: [LogErrorKind, string] = isTransient(code)
    ? ['retriable', 'ANDON_LOG_UNAVAILABLE']
    : FENCED.has(code)
      ? ['fenced', 'ANDON_LOG_FENCED']
      : ['fatal', 'ANDON_LOG_REFUSED']
  return new LogError(kind, name, `${what}: the broker answered ${nameOfCode(code)}`, { fields: { brokerCode: code } })
}

/** The broker's code behind an error, or undefined if it was none of its answers. */
export const brokerCodeOf = (error: unknown): number | undefined =>
  error instanceof LogError ? (error.fields['brokerCode'] as number | undefined) : undefined

/** Any error as a LogError. What is none yet is about connections and time, and may pass. */
export const toLogError = (error: unknown, what: string): LogError =>
  error instanceof LogError
    ? error
    : logError('retriable', 'ANDON_LOG_UNAVAILABLE', `${what}: ${error instanceof Error ? error.message : String(error)}`, error)

const TRANSACTION_DOUBT = new Set<number | undefined>([
  CODE.outOfOrderSequence,
  CODE.duplicateSequence,
  CODE.invalidTransactionState,
  CODE.invalidProducerIdMapping,
  CODE.unknownProducerId,
])

/** The broker does not know a transaction as we do: its id has to be opened again, which says nothing about whose it is. */
export const isTransactionDoubt = (error: unknown): boolean => TRANSACTION_DOUBT.has(brokerCodeOf(error))

/** What a refused batch means to those who appended it. */
export const appendRefusal = (topic: string, partition: number, code: number, isTransactional: boolean): LogError => {
  const what = `Appending to ${topic}/${partition}: ${nameOfCode(code)}`
  if (isTransactional && code !== CODE.messageTooLarge) return brokerError(code, what)
  if (isProducerState(code))
    return logError('retriable', 'ANDON_LOG_TAIL_LOST', `${what}: the broker does not know what we appended before`)
  if (code === CODE.messageTooLarge)
    return logError('fatal', 'ANDON_LOG_TOO_LARGE', `${what}: a record or batch is larger than the topic allows`)
  return logError(isTransient(code) ? 'retriable' : 'fatal', 'ANDON_LOG_REFUSED', what)
}

/** The graver of two failures. */
export const graver = (a: LogError | undefined, b: LogError): LogError =>
  a && (a.kind !== 'retriable' || a.code === 'ANDON_LOG_TAIL_LOST') ? a : b
