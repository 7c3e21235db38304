// Zones of vibration severity after ISO 20816-3: upper limits of zones A, B and C of the velocity on the housing, 10 Hz (2 Hz
// below 600 rpm) to 1000 Hz.

import type { Asset } from './documents/plant.ts'

const isoLimitsMmS = {
  1: { rigid: [2.3, 4.5, 7.1], flexible: [3.5, 7.1, 11] },
  2: { rigid: [1.4, 2.8, 4.5], flexible: [2.3, 4.5, 7.1] },
} as const

/** Limits in mm/s RMS: those of the plant file, else by the machine's group and support. */
export const zoneLimitsMmS = (zones: NonNullable<Asset['zones']>): readonly [number, number, number] =>
  'limitsMmS' in zones ? zones.limitsMmS : isoLimitsMmS[zones.group][zones.support]
