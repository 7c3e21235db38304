// Records to produce: values as a sensor gives them, the same ones in every run and for every contender. Constant payloads would
// flatter whoever compresses; wholly random ones nobody sends.

import { randomFrom } from '../../harness/bench-statistics.ts'

export const VALUE_BYTES = 100
/** Different values; prime, so that they move against the keys. */
export const VALUES = 997
export const KEYS = 256

/** Twelve slow waves with noise as float64, after a counter: 100 bytes. */
export const sensorValues = (): Buffer[] => {
  const random = randomFrom(17)
  return Array.from({ length: VALUES }, (_, i) => {
    const value = Buffer.alloc(VALUE_BYTES)
    value.writeInt32LE(i)
    for (let channel = 0; channel < 12; channel++)
      value.writeDoubleLE(20 + 5 * channel + 3 * Math.sin((i + channel) / 50) + 0.05 * (random() - 0.5), 4 + channel * 8)
    return value
  })
}

export const keyOf = (i: number): string => `asset-${1000 + (i % KEYS)}`
