// Time for what waits: retries and snapshot rounds of the processing loop, record timestamps. A simulation hands out a
// virtual one, so that a schedule runs as fast as it can and always the same way.

export interface Clock {
  /** ms UTC. */
  now(): number
  /** Calls `work` once after `ms`; what it returns cancels that. Keeps no process alive. */
  after(ms: number, work: () => void): () => void
}

export const systemClock: Clock = {
  now: Date.now,
  after: (ms, work) => {
    const timer = setTimeout(work, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
