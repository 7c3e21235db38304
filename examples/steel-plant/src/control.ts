// The demo plant's control door: switch injections on, put everything back, see the state and what the line really did.

import { Answer, serveJson } from './json-server.ts'
import type { Cameras } from './cameras.ts'
import { shown } from './line-door.ts'
import type { Misbehaviour } from './line.ts'
import type { LineSimulator } from './line-simulator.ts'
import { stuckChannels, type PressFeed, type StuckChannel } from './press-feed.ts'
import type { AcknowledgedRange, OutboxCounts } from './outbox.ts'

/** What is injected now; the press loop reads it, this door writes it. */
export interface Injected {
  bearingWear: boolean
  stuck: StuckChannel | undefined
  lineRefuses: boolean
}

export const nothingInjected = (): Injected => ({ bearingWear: false, stuck: undefined, lineRefuses: false })

export interface ControlOptions {
  readonly host: string
  readonly port: number
  readonly injected: Injected
  readonly feed: () => PressFeed
  readonly line: LineSimulator
  readonly cameras: Cameras | undefined
  readonly outboxes: () => Readonly<Record<string, OutboxCounts>>
  readonly acknowledged: () => Readonly<Record<string, readonly AcknowledgedRange[]>>
  readonly positions: () => Readonly<Record<string, string | undefined>>
}

const asStuckChannel = (value: unknown): StuckChannel => {
  const channel = stuckChannels.find((one) => one === (value ?? 'pressureBar'))
  if (!channel) throw new Answer(400, { error: `channel: expected one of ${stuckChannels.join(', ')}` })
  return channel
}

const asFlag = (body: Readonly<Record<string, unknown>>, name: string): boolean => {
  const value = body[name] ?? true
  if (typeof value !== 'boolean') throw new Answer(400, { error: `${name}: expected true or false` })
  return value
}

/** `{}` ends what was injected. */
const asMisbehaviour = ({ commands, answers, delayMs, times }: Readonly<Record<string, unknown>>): Misbehaviour => {
  if (commands !== undefined && commands !== 'lost' && commands !== 'late')
    throw new Answer(400, { error: 'commands: expected lost or late' })
  if (answers !== undefined && answers !== 'lost' && answers !== 'slow') throw new Answer(400, { error: 'answers: expected lost or slow' })
  const whole = (name: string, value: unknown): number | undefined => {
    if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= 0)) return value as number | undefined
    throw new Answer(400, { error: `${name}: expected a whole number of at least 0` })
  }
  const [delay, count] = [whole('delayMs', delayMs), whole('times', times)]
  return {
    ...(commands === undefined ? {} : { commands }),
    ...(answers === undefined ? {} : { answers }),
    ...(delay === undefined ? {} : { delayMs: delay }),
    ...(count === undefined ? {} : { times: count }),
  }
}

export const startControl = async ({ host, port, injected, feed, line, cameras, outboxes, acknowledged, positions }: ControlOptions) => {
  const state = () => ({
    simulated: ['press-1', 'press-1-process', 'press-line', 'cam-press-front', 'cam-press-rear'],
    recordings: positions(),
    injected: { ...injected, stuck: injected.stuck ?? null },
    wear: feed().wear(),
    line: shown(line.line, Date.now()),
    cameras: cameras?.state() ?? [],
    sources: outboxes(),
  })
  const freeze = (camera: unknown, on: boolean) => {
    if (!cameras) throw new Answer(409, { error: 'The cameras are switched off (STEEL_PLANT_CAMERAS=false)' })
    if (camera !== undefined && typeof camera !== 'string') throw new Answer(400, { error: 'camera: expected a camera id' })
    try {
      cameras.freeze(camera, on)
    } catch (error) {
      throw new Answer(404, { error: error instanceof Error ? error.message : String(error) })
    }
  }

  return serveJson(
    {
      'POST /inject/bearing-wear': () => {
        injected.bearingWear = true
        return state()
      },
      'POST /inject/sensor-stuck': (call) => {
        injected.stuck = asStuckChannel(call.json()['channel'])
        return state()
      },
      'POST /inject/camera-freeze': (call) => {
        freeze(call.json()['camera'], true)
        return state()
      },
      'POST /inject/line-refuses': () => {
        injected.lineRefuses = true
        line.refuse(true)
        return state()
      },
      'POST /inject/line-astray': (call) => {
        line.line.misbehave(asMisbehaviour(call.json()))
        return state()
      },
      // Acts of a person at the machine, which no message can stand in for.
      'POST /line/local-reset': () => ({ done: line.line.localReset() }),
      'POST /line/mode': (call) => {
        const mode = call.json()['mode']
        if (mode !== 'automatic' && mode !== 'manual' && mode !== 'maintenance')
          throw new Answer(400, { error: 'mode: expected automatic, manual or maintenance' })
        line.line.setMode(mode)
        return state()
      },
      'POST /line/emergency-stop': (call) => {
        line.line.setEmergencyStop(asFlag(call.json(), 'on'))
        return state()
      },
      'POST /line/interlocks': (call) => {
        line.line.setInterlocks(asFlag(call.json(), 'closed'))
        return state()
      },
      'POST /reset': () => {
        Object.assign(injected, nothingInjected())
        feed().repair()
        line.reset()
        if (cameras) cameras.freeze(undefined, false)
        return state()
      },
      'GET /state': state,
      'GET /acknowledged': () =>
        Object.entries(acknowledged()).flatMap(([source, ranges]) => ranges.map((range) => ({ source, ...range }))),
      'GET /ledger': () => ({ effects: line.ledger(), answers: line.answers() }),
    },
    { host, port, setting: 'STEEL_PLANT_CONTROL_PORT' },
  )
}
