// The press line's controller as plain rules: what it accepts, what it refuses, and the ledger of what really happened.
// The doors (line-simulator.ts, line-nats.ts, line-sparkplug.ts) and the tests stand on it. Time is handed in.

export type LineState = 'running' | 'stopping' | 'paused'
export type LineMode = 'automatic' | 'manual' | 'maintenance'
export type LineVerb = 'pause' | 'resume' | 'slow-down'

/** Speeds the drive takes by request, percent of its rated speed. */
export const slowestPercent = 20
export const fullSpeedPercent = 100

/** One physical effect. The ledger is what a test may compare the decisions on the log with. */
export interface LineEffect {
  readonly n: number
  readonly effect: LineVerb
  readonly requestId: string
  readonly atMs: number
}

/** One request as it was answered, effect or not. */
export interface LineAnswer {
  readonly request: LineVerb | 'burn'
  readonly requestId: string
  readonly accepted: boolean
  readonly code: string
  readonly atMs: number
}

export interface LineRequest {
  readonly verb: LineVerb
  readonly requestId: string
  readonly notAfterMs: number
  /** Of a slow-down. */
  readonly speedPercent?: number
}

/** What the controller remembers of requests; a real one may remember less. */
export interface LineGuards {
  readonly late: boolean
  readonly repeated: boolean
}

/** How a request or its answer goes astray between a door and its caller. */
export interface Misbehaviour {
  /** `lost`: never heard. `late`: acted on after `delayMs`. */
  readonly commands?: 'lost' | 'late'
  /** `lost`: the line acts and nobody hears of it. `slow`: the answer comes after `delayMs`. */
  readonly answers?: 'lost' | 'slow'
  readonly delayMs?: number
  /** For this many commands; default: until told otherwise. */
  readonly times?: number
}

export interface Line {
  readonly state: LineState
  readonly mode: LineMode
  readonly emergencyStop: boolean
  /** Guard door, light curtain, hydraulics: all say that the line may move. */
  readonly interlocksClosed: boolean
  /** Somebody at the machine has released the latch. */
  readonly localResetDone: boolean
  readonly speedPercent: number
  /** Request whose effect was reached last. */
  readonly doneRequestId: string
  /** The one door: what is asked is accepted at once or refused with a code. */
  ask(request: LineRequest, nowMs: number): { accepted: boolean; code: string }
  /** Asks for the normal controlled stop. Refused: late, seen before, burned, not automatic, emergency stop, interlock, `refuse`. */
  requestPause(requestId: string, notAfterMs: number, nowMs: number): { accepted: boolean; code: string }
  /** Whether the request took effect; from now on it is refused for ever. */
  burn(requestId: string, nowMs: number): boolean
  /** Asks to run again; needs the local reset at the machine first. */
  requestResume(requestId: string, notAfterMs: number, nowMs: number): { accepted: boolean; code: string }
  /** Somebody at the machine releases the latch. */
  localReset(): boolean
  /** Moves on: a stopping line comes to rest, a drive reaches its speed. */
  advance(nowMs: number): void
  /** Injection: refuse every request from now on. */
  refuse(on: boolean): void
  /** Injection: what the doors do to requests and answers; `{}` ends it. */
  misbehave(how: Misbehaviour): void
  /** For doors: what goes astray with the command that has just arrived. Counts it. */
  astray(): Misbehaviour
  setMode(mode: LineMode): void
  setEmergencyStop(on: boolean): void
  setInterlocks(closed: boolean): void
  /** Back to running, injections off. Ledger and known request ids stay: a controller does not forget what it did. */
  reset(): void
  ledger(): readonly LineEffect[]
  /** Answers to requests, without those that nobody heard. */
  answers(): readonly LineAnswer[]
}

/** `stopMs`: how long the press needs to come to rest at top dead centre, and the drive to reach another speed. */
export const createLine = (stopMs = 2000, guards: LineGuards = { late: true, repeated: true }): Line => {
  let state: LineState = 'running'
  let mode: LineMode = 'automatic'
  let emergencyStop = false
  let interlocksClosed = true
  let refuses = false
  let resetDone = false
  let speedPercent = fullSpeedPercent
  let doneRequestId = ''
  let misbehaviour: Misbehaviour = {}
  let misbehavesFor = 0
  let moving: { requestId: string; atMs: number; to: 'paused' | number } | undefined
  const accepted = new Set<string>()
  const burned = new Set<string>()
  const effects: LineEffect[] = []
  const answered: LineAnswer[] = []

  const refusal = ({ verb, requestId, notAfterMs, speedPercent: speed }: LineRequest, nowMs: number): string | undefined => {
    if (requestId === '') return 'NO_REQUEST_ID'
    if (guards.repeated && accepted.has(requestId)) return 'REPEATED'
    if (burned.has(requestId)) return 'BURNED'
    if (guards.late && !(nowMs <= notAfterMs)) return 'LATE'
    if (emergencyStop) return 'EMERGENCY_STOP'
    if (mode !== 'automatic') return 'NOT_AUTOMATIC'
    if (!interlocksClosed) return 'INTERLOCK'
    if (verb === 'resume') return state !== 'paused' ? 'NOT_PAUSED' : resetDone ? undefined : 'LOCAL_RESET_NEEDED'
    if (refuses) return 'REFUSED'
    if (state !== 'running') return 'NOT_RUNNING'
    if (verb === 'pause') return undefined
    return speed !== undefined && speed >= slowestPercent && speed <= fullSpeedPercent ? undefined : 'OUT_OF_RANGE'
  }

  const act = ({ verb, requestId, speedPercent: speed }: LineRequest, nowMs: number): void => {
    accepted.add(requestId)
    effects.push({ n: effects.length + 1, effect: verb, requestId, atMs: nowMs })
    resetDone = false
    if (verb === 'pause') {
      state = 'stopping'
      moving = { requestId, atMs: nowMs + stopMs, to: 'paused' }
    } else if (verb === 'slow-down') moving = { requestId, atMs: nowMs + stopMs, to: speed ?? fullSpeedPercent }
    else {
      state = 'running'
      doneRequestId = requestId
    }
  }

  const ask = (request: LineRequest, nowMs: number): { accepted: boolean; code: string } => {
    const code = refusal(request, nowMs) ?? 'OK'
    if (code === 'OK') act(request, nowMs)
    answered.push({ request: request.verb, requestId: request.requestId, accepted: code === 'OK', code, atMs: nowMs })
    return { accepted: code === 'OK', code }
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
    get interlocksClosed() {
      return interlocksClosed
    },
    get localResetDone() {
      return resetDone
    },
    get speedPercent() {
      return speedPercent
    },
    get doneRequestId() {
      return doneRequestId
    },
    ask,
    requestPause: (requestId, notAfterMs, nowMs) => ask({ verb: 'pause', requestId, notAfterMs }, nowMs),
    requestResume: (requestId, notAfterMs, nowMs) => ask({ verb: 'resume', requestId, notAfterMs }, nowMs),
    burn(requestId, nowMs) {
      const done = accepted.has(requestId)
      burned.add(requestId)
      answered.push({ request: 'burn', requestId, accepted: done, code: done ? 'DONE' : 'NOT_DONE', atMs: nowMs })
      return done
    },
    localReset() {
      resetDone = state === 'paused'
      return resetDone
    },
    advance(nowMs) {
      if (moving === undefined || nowMs < moving.atMs) return
      if (moving.to === 'paused') state = 'paused'
      else speedPercent = moving.to
      doneRequestId = moving.requestId
      moving = undefined
    },
    refuse(on) {
      refuses = on
    },
    misbehave(how) {
      misbehaviour = how
      misbehavesFor = how.times ?? Infinity
    },
    astray() {
      if (misbehavesFor <= 0) return {}
      misbehavesFor -= 1
      return misbehaviour
    },
    setMode(next) {
      mode = next
    },
    setEmergencyStop(on) {
      emergencyStop = on
    },
    setInterlocks(closed) {
      interlocksClosed = closed
    },
    reset() {
      state = 'running'
      mode = 'automatic'
      emergencyStop = refuses = resetDone = false
      interlocksClosed = true
      speedPercent = fullSpeedPercent
      moving = undefined
      misbehaviour = {}
      misbehavesFor = 0
    },
    ledger: () => effects,
    answers: () => answered,
  }
}
