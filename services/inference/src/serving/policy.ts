// How requests for one model wait and are put together: Triton's dynamic_batching, instance_group and queue policies, checked and with
// their defaults, as the scheduler obeys them.

export interface QueuePolicy {
  /** A request whose time in the queue is over: refused, or put behind all others. */
  readonly timeoutAction: 'reject' | 'delay'
  /** 0: it waits as long as it takes. */
  readonly defaultTimeoutUs: number
  /** Requests may ask for less time than the default; never for more. */
  readonly allowsTimeoutOverride: boolean
  /** Requests that may wait; one more is turned away. Never unbounded. */
  readonly maxQueueSize: number
}

export interface SchedulingPolicy {
  /** Rows of one batch at most; 0: the model has no batch dimension and every request runs alone. */
  readonly maxBatchRows: number
  /** Batches of this model that run side by side. */
  readonly instances: number
  /** Requests are put together at all; false: each runs alone, in order. */
  readonly isDynamic: boolean
  /** Sizes that are worth waiting for, ascending. */
  readonly preferredBatchRows: readonly number[]
  /** Longest wait for one of them while the oldest request could run; 0: none. */
  readonly maxQueueDelayUs: number
  /** Answers come in the order of the requests. */
  readonly preservesOrdering: boolean
  /** 0: none; else 1 (highest) … levels. */
  readonly priorityLevels: number
  readonly defaultPriority: number
  readonly defaultQueue: QueuePolicy
  /** By level, where it differs. */
  readonly priorityQueues: ReadonlyMap<number, QueuePolicy>
}
