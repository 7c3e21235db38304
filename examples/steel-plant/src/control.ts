// The demo plant's control door: switch injections on, put everything back, see the state and what the line really did.

import { Answer, serveJson } from './json-server.ts'
import type { Cameras } from './cameras.ts'
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

export const startControl = async ({ host, port, injected, feed, line, cameras, outboxes, acknowledged, positions }: ControlOptions) => {
  const state = () => ({
    simulated: ['press-1', 'press-1-process', 'press-line', 'cam-press-front', 'cam-press-rear'],
    recordings: positions(),
    injected: { ...injected, stuck: injected.stuck ?? null },
    wear: feed().wear(),
    line: { state: line.line.state, mode: line.line.mode, emergencyStop: line.line.emergencyStop, doneRequestId: line.line.doneRequestId },
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
      // Acts of a person at the machine, which no message can stand in for.
      'POST /line/local-reset': () => ({ done: line.line.localReset() }),
      'POST /line/mode': (call) => {
        const mode = call.json()['mode']
        if (mode !== 'automatic' && mode !== 'manual') throw new Answer(400, { error: 'mode: expected automatic or manual' })
        line.line.setMode(mode)
        return state()
      },
      'POST /line/emergency-stop': (call) => {
        const on = call.json()['on'] ?? true
        if (typeof on !== 'boolean') throw new Answer(400, { error: 'on: expected true or false' })
        line.line.setEmergencyStop(on)
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
