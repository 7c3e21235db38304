// The press line's controller as plain rules: what it accepts, what it refuses, and the ledger of what really happened.
// The OPC UA door (line-simulator.ts) and the tests stand on it. Time is handed in.

export type LineState = 'running' | 'stopping' | 'paused'

/** One physical effect. The ledger is what a test may compare the decisions on the log with. */
export interface LineEffect {
  readonly n: number
  readonly effect: 'pause' | 'resume'
  readonly requestId: string
  readonly atMs: number
}

/** One request as it was answered, effect or not. */
export interface LineAnswer {
  readonly request: 'pause' | 'resume' | 'burn'
  readonly requestId: string
  readonly accepted: boolean
  readonly code: string
  readonly atMs: number
}

export interface Line {
  readonly state: LineState
  readonly mode: 'automatic' | 'manual'
  readonly emergencyStop: boolean
  /** Request whose effect was reached last. */
  readonly doneRequestId: string
  /** Asks for the normal controlled stop. Refused: late, seen before, burned, not automatic, emergency stop, `refuse`. */
  requestPause(requestId: string, notAfterMs: number, nowMs: number): { accepted: boolean; code: string }
  /** Whether the request took effect; from now on it is refused for ever. */
  burn(requestId: string, nowMs: number): boolean
  /** Asks to run again; needs the local reset at the machine first. */
  requestResume(requestId: string, notAfterMs: number, nowMs: number): { accepted: boolean; code: string }
  /** Somebody at the machine releases the latch. */
  localReset(): boolean
  /** Moves on: a stopping line comes to rest. */
  advance(nowMs: number): void
  /** Injection: refuse every pause from now on. */
  refuse(on: boolean): void
  setMode(mode: 'automatic' | 'manual'): void
  setEmergencyStop(on: boolean): void
  /** Back to running, injections off. Ledger and known request ids stay: a controller does not forget what it did. */
  reset(): void
  ledger(): readonly LineEffect[]
  answers(): readonly LineAnswer[]
}

/** `stopMs`: how long the press needs to come to rest at top dead centre. */
export const createLine = (stopMs = 2000): Line => {
  let state: LineState = 'running'
  let mode: 'automatic' | 'manual' = 'automatic'
  let emergencyStop = false
  let refuses = false
  let resetDone = false
  let doneRequestId = ''
  let stopping: { requestId: string; restAtMs: number } | undefined
  const accepted = new Set<string>()
  const burned = new Set<string>()
  const effects: LineEffect[] = []
  const answered: LineAnswer[] = []

  const answer = (request: 'pause' | 'resume', requestId: string, nowMs: number, code: string) => {
    answered.push({ request, requestId, accepted: code === 'OK', code, atMs: nowMs })
    return { accepted: code === 'OK', code }
  }
  const refusal = (requestId: string, notAfterMs: number, nowMs: number): string | undefined => {
    if (requestId === '') return 'NO_REQUEST_ID'
    if (accepted.has(requestId)) return 'REPEATED'
    if (burned.has(requestId)) return 'BURNED'
    if (!(nowMs <= notAfterMs)) return 'LATE'
    if (emergencyStop) return 'EMERGENCY_STOP'
    return mode === 'automatic' ? undefined : 'NOT_AUTOMATIC'
  }
  const take = (effect: 'pause' | 'resume', requestId: string, nowMs: number) => {
    accepted.add(requestId)
    effects.push({ n: effects.length + 1, effect, requestId, atMs: nowMs })
  }

  return {
    get state() {
      return state
    },
    get mode() {
      return mode
    },
    get emergencyStop() {
      return emergencyStop
    },
    get doneRequestId() {
      return doneRequestId
    },
    requestPause(requestId, notAfterMs, nowMs) {
      const code = refusal(requestId, notAfterMs, nowMs) ?? (refuses ? 'REFUSED' : state === 'running' ? 'OK' : 'NOT_RUNNING')
      if (code === 'OK') {
        take('pause', requestId, nowMs)
        state = 'stopping'
        resetDone = false
        stopping = { requestId, restAtMs: nowMs + stopMs }
      }
      return answer('pause', requestId, nowMs, code)
    },
    burn(requestId, nowMs) {
      const done = accepted.has(requestId)
      burned.add(requestId)
      answered.push({ request: 'burn', requestId, accepted: done, code: done ? 'DONE' : 'NOT_DONE', atMs: nowMs })
      return done
    },
    requestResume(requestId, notAfterMs, nowMs) {
      const code = refusal(requestId, notAfterMs, nowMs) ?? (state !== 'paused' ? 'NOT_PAUSED' : resetDone ? 'OK' : 'LOCAL_RESET_NEEDED')
      if (code === 'OK') {
        take('resume', requestId, nowMs)
        state = 'running'
        resetDone = false
        doneRequestId = requestId
      }
      return answer('resume', requestId, nowMs, code)
    },
    localReset() {
      resetDone = state === 'paused'
      return resetDone
    },
    advance(nowMs) {
      if (stopping === undefined || nowMs < stopping.restAtMs) return
      state = 'paused'
      doneRequestId = stopping.requestId
      stopping = undefined
    },
    refuse(on) {
      refuses = on
    },
    setMode(next) {
      mode = next
    },
    setEmergencyStop(on) {
      emergencyStop = on
    },
    reset() {
      state = 'running'
      mode = 'automatic'
      emergencyStop = refuses = resetDone = false
      stopping = undefined
    },
    ledger: () => effects,
    answers: () => answered,
  }
}
