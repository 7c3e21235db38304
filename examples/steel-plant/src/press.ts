// The simulated press: shaft, stroke, vibration of the main bearing and three process values. Pure and seeded: it knows
// no clock, it is advanced sample by sample. The formulas and where they come from stand in docs/press-model.md.

import { seededRandom, type Random } from './random.ts'

export interface PressOptions {
  readonly seed: number
  readonly sampleRateHz?: number
  readonly nominalSpeedRpm?: number
  /** Impacts per shaft turn of a defect in the outer and in the inner race. */
  readonly bpfoOrder?: number
  readonly bpfiOrder?: number
}

/** What acts on the press from outside while a snippet is made. */
export interface PressInput {
  /** False: the drive is switched off and the shaft runs down. */
  readonly driveOn: boolean
  /** Wear of the bearing, 0 (healthy) to 1 (spalled). */
  readonly wear: number
}

export interface ProcessValues {
  readonly temperatureC: number
  readonly pressureBar: number
  readonly speedRpm: number
}

export interface Press {
  /** The next n samples of the accelerometer, g. */
  vibration(n: number, input: PressInput): Float32Array
  /** Process values as of the last sample. */
  process(): ProcessValues
}

/** Shaft turns per press stroke: 1500 rpm give 1.09 strokes a second. */
const turnsPerStroke = 23
const resonanceHz = 2400
const resonanceDamping = 0.035
const frameModeHz = 185
const frameModeDamping = 0.06
/** Random slip of the rolling elements, standard deviation as a share of the impact spacing. */
const slip = 0.01
/** Load-zone parameter ε of Stribeck's load distribution: below 0.5 less than half of the ring carries. */
const loadZone = 0.4
const ambientC = 24

/** Stribeck's distribution over the ring for point contact (exponent 3/2), 1 at the load line, 0 outside the zone. */
export const loadAt = (angleTurns: number): number => {
  const q = 1 - (1 - Math.cos(2 * Math.PI * angleTurns)) / (2 * loadZone)
  return q > 0 ? q ** 1.5 : 0
}

/** Press force over one stroke, 0 to 1: the ram works during the middle third. */
const forceAt = (strokeTurns: number): number => {
  const phase = strokeTurns - Math.floor(strokeTurns)
  return phase > 1 / 3 && phase < 2 / 3 ? 0.5 - 0.5 * Math.cos(2 * Math.PI * (3 * phase - 1)) : 0
}

/** x'' + 2ζω x' + ω² x = u, sampled: an impulse of size 1 rings with amplitude 1. */
const oscillator = (frequencyHz: number, damping: number, sampleRateHz: number) => {
  const omega = (2 * Math.PI * frequencyHz) / sampleRateHz
  const radius = Math.exp(-damping * omega)
  const dampedOmega = omega * Math.sqrt(1 - damping * damping)
  const a1 = 2 * radius * Math.cos(dampedOmega)
  const a2 = -radius * radius
  const b = Math.sin(dampedOmega)
  let y1 = 0
  let y2 = 0
  return (u: number): number => {
    const y = b * u + a1 * y1 + a2 * y2
    y2 = y1
    y1 = y
    return y
  }
}

/** Impacts of a defect: the next one is due after 1/order turns, give or take the slip of the rolling elements. */
const impacts = (order: number, random: Random) => {
  let nextTurns = random.uniform() / order
  return (turns: number): boolean => {
    if (turns < nextTurns) return false
    nextTurns += (1 + slip * random.normal()) / order
    if (nextTurns < turns) nextTurns = turns + 1 / order
    return true
  }
}

export const createPress = ({
  seed,
  sampleRateHz = 8192,
  nominalSpeedRpm = 1500,
  bpfoOrder = 3.585,
  bpfiOrder = 5.415,
}: PressOptions): Press => {
  const random = seededRandom(seed)
  const resonance = oscillator(resonanceHz, resonanceDamping, sampleRateHz)
  const frame = oscillator(frameModeHz, frameModeDamping, sampleRateHz)
  const outerRace = impacts(bpfoOrder, random)
  const innerRace = impacts(bpfiOrder, random)
  const dt = 1 / sampleRateHz
  const nominalHz = nominalSpeedRpm / 60

  let turns = random.uniform()
  let shaftHz = nominalHz
  let wander = 0
  let temperatureC = ambientC + 18
  let meanForce = 0
  let force = 0

  /** One sample: speed first, then everything that the turning shaft excites. */
  const sample = ({ driveOn, wear }: PressInput): number => {
    // Speed wanders by about 0.5 % within tens of seconds, droops by 1.5 % under load, and runs down with 0.8 s.
    wander += -wander * (dt / 20) + 0.005 * Math.sqrt((2 * dt) / 20) * random.normal()
    const targetHz = driveOn ? nominalHz * (1 + wander - 0.015 * force) : 0
    shaftHz += (targetHz - shaftHz) * (dt / (driveOn ? 0.3 : 0.8))
    turns += shaftHz * dt

    const speed = shaftHz / nominalHz
    const before = force
    force = forceAt(turns / turnsPerStroke) * Math.min(1, speed * 2)
    meanForce += (force - meanForce) * (dt / 5)

    let hit = 0
    if (outerRace(turns)) hit += 3.2 * wear ** 1.5 * (0.7 + 0.3 * force) * (1 + 0.1 * random.normal())
    // The inner race turns through the load zone: its impacts are modulated once per turn. It spalls after the outer one.
    if (innerRace(turns)) hit += 3.2 * Math.max(0, wear - 0.5) ** 1.5 * loadAt(turns) * (1 + 0.1 * random.normal())
    hit *= speed

    const roughness = 0.02 * speed * (1 + 1.5 * wear)
    const touchdown = before === 0 && force > 0 ? 0.25 * speed : 0
    return (
      0.05 * speed * speed * Math.sin(2 * Math.PI * turns) +
      0.02 * speed * speed * Math.sin(4 * Math.PI * turns + 0.7) +
      resonance(hit + roughness * random.normal()) +
      frame(touchdown + 0.003 * force * random.normal()) +
      roughness * random.normal() +
      0.003 * random.normal()
    )
  }

  let lastWear = 0
  return {
    vibration(n, input) {
      const out = new Float32Array(n)
      for (let i = 0; i < n; i++) out[i] = sample(input)
      lastWear = input.wear
      const heat = ambientC + 16 * (shaftHz / nominalHz) + 8 * meanForce + 9 * lastWear
      temperatureC += (heat - temperatureC) * ((n * dt) / 45)
      return out
    },
    process: () => ({
      temperatureC: temperatureC + 0.05 * random.normal(),
      pressureBar: Math.max(0, 35 * Math.min(1, (shaftHz / nominalHz) * 2) + 170 * force + 0.8 * random.normal()),
      speedRpm: Math.max(0, shaftHz * 60 + 0.8 * random.normal()),
    }),
  }
}
