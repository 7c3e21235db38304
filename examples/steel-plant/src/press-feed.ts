// Turns the press into two sources: snippets of vibration (4/s) and rows of process values (5/s). Pure: advanced to a given time,
// it hands out what was measured until then, numbered without holes; injections are handed in.

import { packWaveform, type Reading } from './reading.ts'
import type { Press } from './press.ts'

export const stuckChannels = ['vibrationG', 'temperatureC', 'pressureBar', 'speedRpm'] as const
export type StuckChannel = (typeof stuckChannels)[number]

/** What is switched on at the press now. */
export interface PressInjections {
  readonly driveOn: boolean
  /** Wear grows while true and stays when it is full. */
  readonly bearingWear: boolean
  /** Channel whose sensor repeats its last value, without the dither of a living sensor. */
  readonly stuck: StuckChannel | undefined
}

export interface PressFeed {
  due(nowUs: number, injections: PressInjections): { vibration: Reading[]; process: Reading[] }
  /** 0 to 1. */
  wear(): number
  /** A new bearing. */
  repair(): void
}

export const vibrationSource = 'press-1-vib'
export const processSource = 'press-1-plc'
const sampleRateHz = 8192
const snippet = 2048
/** The press advances in steps of 1/32 s. */
const step = 256
const stepUs = (step * 1e6) / sampleRateHz
const processEveryUs = 200_000
/** From healthy to spalled. */
const wearS = 25

export const openPressFeed = (press: Press, startUs: number): PressFeed => {
  const epoch = Math.floor(startUs / 1e6)
  let steps = 0
  let wear = 0
  let processSeq = 0
  let samples = new Float32Array(snippet)
  const frozen = new Map<StuckChannel, number>()

  const held = (channel: StuckChannel, value: number, stuck: StuckChannel | undefined): number => {
    if (stuck !== channel) frozen.delete(channel)
    else if (!frozen.has(channel)) frozen.set(channel, value)
    return frozen.get(channel) ?? value
  }

  return {
    due(nowUs, { driveOn, bearingWear, stuck }) {
      const vibration: Reading[] = []
      const process: Reading[] = []
      for (; startUs + (steps + 1) * stepUs <= nowUs; steps++) {
        if (bearingWear) wear = Math.min(1, wear + stepUs / 1e6 / wearS)
        const part = press.vibration(step, { driveOn, wear })
        if (stuck === 'vibrationG') part.fill(held('vibrationG', part[0]!, stuck))
        else frozen.delete('vibrationG')
        const place = (steps * step) % snippet
        samples.set(part, place)
        if (place + step === snippet) {
          const seq = (steps * step + step) / snippet - 1
          const timeUs = startUs + Math.round((seq * snippet * 1e6) / sampleRateHz)
          const waveform = { channel: 'vibrationG', sampleRateHz, f32: packWaveform(samples) }
          vibration.push({ source: vibrationSource, asset: 'press-1', epoch, seq, timeUs, waveform })
          samples = new Float32Array(snippet)
        }
        if ((steps + 1) * stepUs >= processSeq * processEveryUs) {
          const now = press.process()
          const values = {
            temperatureC: held('temperatureC', now.temperatureC, stuck),
            pressureBar: held('pressureBar', now.pressureBar, stuck),
            speedRpm: held('speedRpm', now.speedRpm, stuck),
          }
          const timeUs = startUs + processSeq * processEveryUs
          process.push({ source: processSource, asset: 'press-1-process', epoch, seq: processSeq++, timeUs, values })
        }
      }
      return { vibration, process }
    },
    wear: () => wear,
    repair() {
      wear = 0
    },
  }
}
