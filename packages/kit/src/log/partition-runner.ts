// One partition being read: hands batches to a handler one after the other, keeps the position, retries what may be
// retried and asks again when marks are in doubt. Both log adapters feed it; it never talks to a broker itself.

import type { Clock } from './clock.ts'
import { systemClock } from './clock.ts'
import { isRetriable } from './log-error.ts'
import type { RecordBatch, RunContext, StartAt } from './port.ts'

export interface RunnerHandlers {
  readonly assignmentOnly?: boolean | undefined
  readonly onAssigned?:
    | ((topic: string, partition: number, committed: number | undefined) => Promise<StartAt | undefined> | StartAt | undefined)
    | undefined
  readonly onHold?: ((topic: string, partition: number) => Promise<void> | void) | undefined
  readonly onRevoked?: ((topic: string, partition: number, lost: boolean) => Promise<void> | void) | undefined
  readonly onBatch: (batch: RecordBatch, context: RunContext) => Promise<void | number> | void | number
  readonly onDoubt?: ((topic: string, partition: number) => Promise<StartAt | undefined>) | undefined
}

export interface RunnerHooks {
  /** Default: the system's. */
  readonly clock?: Clock
  /** Turns a start into an offset inside the log. */
  resolve(topic: string, partition: number, at: StartAt): Promise<number>
  /** The runner can take another batch, or moved. */
  onHungry(): void
  onProgress?(): void
  /** The batch was handled and is forgotten: its bytes may be written over. */
  onHandled?(batch: RecordBatch): void
  /** The handler failed for good. */
  onFatal(error: unknown): void
}

const FIRST_BACKOFF_MS = 100
const LAST_BACKOFF_MS = 5000

export class PartitionRunner {
  readonly topic: string
  readonly partition: number
  /** Next offset that the handler has not seen to its end. */
  position = 0
  /** How often it was in doubt. */
  doubts = 0
  /** Waiting before another try of the same batch. */
  backingOff = false
  private readonly handlers: RunnerHandlers
  private readonly hooks: RunnerHooks
  private readonly abort = new AbortController()
  private fetchAt = 0
  private ready = false
  private ahead: RecordBatch | undefined
  private working = false
  private held = false
  private doubtful = false
  private lost = false
  private outOfRange = false
  /** Where the owner wants to go on. It says so once: kept until the log has told the offset. */
  private goTo: StartAt | undefined
  private committed: number | undefined
  private wake: (() => void) | undefined
  private quiet: (() => void)[] = []
  private loop: Promise<void> | undefined

  constructor(topic: string, partition: number, handlers: RunnerHandlers, hooks: RunnerHooks) {
    this.topic = topic
    this.partition = partition
    this.handlers = handlers
    this.hooks = hooks
  }

  start(committed: number | undefined): void {
    this.committed = committed
    this.loop = this.run(committed)
  }

  /** Offset to fetch next; undefined while a fetched batch waits, the start is unknown or the runner is held. */
  wanted(): number | undefined {
    if (this.handlers.assignmentOnly) return undefined
    return this.ready && !this.ahead && !this.doubtful && !this.held && !this.abort.signal.aborted ? this.fetchAt : undefined
  }

  /** `position`, undefined while the start is unknown. */
  reached(): number | undefined {
    return this.ready ? this.position : undefined
  }

  /** True if the handler will soon have room again, so that a fetch should not wait long without this partition. */
  isFull(): boolean {
    return this.ahead !== undefined && !this.backingOff && !this.held
  }

  /**
   * Takes a batch fetched from `fetchedAt`; one that no longer fits is dropped, as is one that was asked for before the
   * last doubt (`doubts` as it was then): it may hold what the log has lost since.
   */
  offer(fetchedAt: number, batch: RecordBatch, doubts = this.doubts): void {
    if (doubts !== this.doubts || this.wanted() !== fetchedAt || batch.nextOffset <= fetchedAt) return
    this.ahead = batch
    this.fetchAt = batch.nextOffset
    this.wake?.()
  }

  /** Connection or leader epoch changed, perhaps while the start was worked out: before the next batch the owner checks its marks. */
  doubt(outOfRange = false): void {
    this.doubts++
    this.doubtful = true
    this.outOfRange ||= outOfRange
    this.ahead = undefined
    this.wake?.()
  }

  /** Position to commit, if it moved since the last time. */
  uncommitted(): number | undefined {
    return this.ready && !this.handlers.assignmentOnly && this.position !== this.committed ? this.position : undefined
  }

  markCommitted(position: number): void {
    this.committed = position
  }

  /** Finishes the batch in hand and takes no other one until `release`; the owner may round off, the partition is still its. */
  async hold(): Promise<void> {
    this.held = true
    this.wake?.()
    if (this.working) await new Promise<void>((resolve) => this.quiet.push(resolve))
    if (!this.ready || this.abort.signal.aborted) return
    try {
      await this.handlers.onHold?.(this.topic, this.partition)
    } catch {
      // The rebalance goes on; what was not kept is worked out again by the next owner.
    }
  }

  release(): void {
    this.held = false
    this.wake?.()
    this.hooks.onHungry()
  }

  /** The partition belongs to somebody else from now on: the handler's signal says so at once. */
  lose(): void {
    this.lost = true
    this.end()
  }

  /** Ends after the batch in hand; then tells the owner. */
  async close(): Promise<void> {
    this.end()
    await this.loop
    await this.handlers.onRevoked?.(this.topic, this.partition, this.lost)
  }

  private end(): void {
    this.abort.abort()
    this.wake?.()
  }

  private async run(committed: number | undefined): Promise<void> {
    try {
      await this.retrying(async () => {
        const at = (await this.handlers.onAssigned?.(this.topic, this.partition, committed)) ?? committed ?? 'earliest'
        this.moveTo(await this.hooks.resolve(this.topic, this.partition, at))
      })
      this.ready = !this.abort.signal.aborted
      this.hooks.onHungry()
      this.hooks.onProgress?.()
      while (!this.abort.signal.aborted) {
        if (this.held || (!this.ahead && !this.doubtful)) {
          await new Promise<void>((resolve) => {
            this.wake = resolve
          })
          this.wake = undefined
          continue
        }
        await this.turn()
      }
    } catch (error) {
      this.end()
      this.hooks.onFatal(error)
    }
  }

  private async turn(): Promise<void> {
    this.working = true
    try {
      if (this.doubtful) await this.retrying(() => this.settleDoubt())
      else await this.handle(this.ahead!)
    } finally {
      this.working = false
      for (const resolve of this.quiet.splice(0)) resolve()
    }
  }

  private async handle(batch: RecordBatch): Promise<void> {
    this.ahead = undefined
    this.hooks.onHungry()
    let next: number | void
    const done = await this.retrying(async () => {
      next = batch.count > 0 ? await this.handlers.onBatch(batch, { signal: this.abort.signal }) : undefined
    }, true)
    if (!done) {
      // Doubt, a hold or the end came first: the batch will be read again.
      this.moveTo(this.position)
      return
    }
    this.position = next! ?? batch.nextOffset
    if (next! !== undefined && next! !== batch.nextOffset) this.moveTo(next!)
    this.hooks.onHandled?.(batch)
    this.hooks.onProgress?.()
  }

  private async settleDoubt(): Promise<void> {
    this.doubtful = false
    const outOfRange = this.outOfRange
    this.outOfRange = false
    try {
      this.goTo = (await this.handlers.onDoubt?.(this.topic, this.partition)) ?? this.goTo
      // Without an answer we go on from where we were, inside what the log still holds.
      this.moveTo(await this.hooks.resolve(this.topic, this.partition, this.goTo ?? this.position))
      this.goTo = undefined
    } catch (error) {
      this.doubtful = true
      this.outOfRange = outOfRange
      throw error
    }
    this.hooks.onProgress?.()
  }

  private moveTo(offset: number): void {
    this.position = offset
    this.fetchAt = offset
    this.ahead = undefined
    this.hooks.onHungry()
  }

  /** Repeats a step that failed retriably; false if it was given up because of an interruption. */
  private async retrying(step: () => Promise<void>, interruptible = false): Promise<boolean> {
    for (let wait = FIRST_BACKOFF_MS; ; wait = Math.min(wait * 2, LAST_BACKOFF_MS)) {
      try {
        await step()
        return true
      } catch (error) {
        if (!isRetriable(error)) throw error
        this.backingOff = true
        await this.sleep(wait)
        this.backingOff = false
        if (this.abort.signal.aborted || (interruptible && (this.doubtful || this.held))) return false
      }
    }
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        cancel()
        this.wake = undefined
        resolve()
      }
      const cancel = (this.hooks.clock ?? systemClock).after(ms, end)
      this.wake = end
      if (this.abort.signal.aborted) end()
    })
  }
}
