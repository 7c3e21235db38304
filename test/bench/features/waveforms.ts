// The waveforms of P8f: a bearing whose outer race rings, noise, and what is asked of them.

import { randomFrom } from '../../harness/bench-statistics.ts'

export const ELEMENTS = 1024
export const SAMPLE_RATE_HZ = 10_240
export const LOG_BANDS = { count: 16, lowHz: 20, highHz: 5000 } as const
export const ENVELOPE_BAND_HZ = [2000, 4000] as const
export const SPEED_RPM = 6000
/** Outer race, inner race, ball, cage, as multiples of the shaft's frequency. */
export const ORDERS = { bpfoOrder: 3.5848, bpfiOrder: 5.4152, bsfOrder: 2.3568, ftfOrder: 0.3983 } as const

export const MACHINE = { nominalSpeedRpm: SPEED_RPM, bearing: { name: '6205', ...ORDERS } }
export const RULES = [
  { channel: 'c0', statistics: ['logBandRms'], logBands: LOG_BANDS },
  {
    channel: 'c0',
    statistics: ['envelopeRms', 'envelopeKurtosis', 'envelopeBpfo', 'envelopeBpfi', 'envelopeBsf', 'envelopeFtf'],
    envelopeBandHz: ENVELOPE_BAND_HZ,
  },
] as const

/** Different waveforms; prime, so that they move against the assets. */
export const WAVEFORMS = 127
const random = randomFrom(37)
const ring = (t: number): number => {
  const since = t % (1 / ((ORDERS.bpfoOrder * SPEED_RPM) / 60))
  return 3 * Math.exp(-900 * since) * Math.sin(2 * Math.PI * 3000 * since)
}

/** One after the other. */
export const waveformTable = Float32Array.from({ length: WAVEFORMS * ELEMENTS }, (_, i) => {
  const t = i / SAMPLE_RATE_HZ
  return 0.3 + 1.2 * Math.sin(2 * Math.PI * 100 * t) + ring(t) + 0.8 * (random() - 0.5)
})

/** Which of them an asset sends at its n-th moment. */
export const waveformAt = (asset: number, n: number): number => (asset * 7 + n) % WAVEFORMS

export const waveformBytes = (asset: number, n: number): Buffer =>
  Buffer.from(waveformTable.buffer, waveformAt(asset, n) * ELEMENTS * 4, ELEMENTS * 4)
