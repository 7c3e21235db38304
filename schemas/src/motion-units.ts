// Units of vibration: of what a velocity can be made, and how.

/** What a unit measures, as a number of time derivatives of displacement, and how much of m, m/s or m/s2 it is. */
export interface MotionUnit {
  readonly derivatives: 0 | 1 | 2
  readonly scale: number
}

const G = 9.80665
const ACCELERATION = { 'm/s2': 1, 'm/s^2': 1, 'm/s²': 1, 'm.s-2': 1, 'mm/s2': 1e-3, 'm[g]': G / 1000, '[g]': G, g: G }
const VELOCITY = { 'm/s': 1, 'mm/s': 1e-3, 'um/s': 1e-6, 'µm/s': 1e-6, '[in_i]/s': 0.0254 }
const DISPLACEMENT = { m: 1, mm: 1e-3, um: 1e-6, µm: 1e-6, '[mil_i]': 25.4e-6 }

const units: ReadonlyMap<string, MotionUnit> = new Map(
  ([2, 1, 0] as const).flatMap((derivatives) =>
    Object.entries([DISPLACEMENT, VELOCITY, ACCELERATION][derivatives]!).map(([unit, scale]) => [unit, { derivatives, scale }] as const),
  ),
)

/**
 * Units of vibration, in UCUM's spelling and a few usual ones. `g` means the acceleration: grams do not vibrate. Of any
 * other unit there is no velocity: undefined.
 */
export const motionUnit = (unit: string): MotionUnit | undefined => units.get(unit)
