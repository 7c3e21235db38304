// Receive time. Wall clock at start plus monotonic time, so that a stepped wall clock never turns a tick or a receive time back.

export interface Clock {
  /** Receive time, microseconds UTC. */
  readonly nowUs: () => number
  /** Milliseconds since some moment, never going back. */
  readonly monotonicMs: () => number
  /** Wall clock minus receive time, seconds: how far the host's clock was stepped since the start. */
  readonly stepS: () => number
}

export const systemClock = (): Clock => {
  const startUs = Math.round((performance.timeOrigin + performance.now()) * 1000)
  const startMs = performance.now()
  const wallUs = Date.now() * 1000
  // timeOrigin is itself wall clock at process start plus monotonic time; a step between the two is taken over once, here.
  const offsetUs = Math.abs(wallUs - startUs) > 1_000_000 ? wallUs : startUs
  const nowUs = () => offsetUs + Math.round((performance.now() - startMs) * 1000)
  return { nowUs, monotonicMs: () => performance.now(), stepS: () => Date.now() / 1000 - nowUs() / 1e6 }
}
