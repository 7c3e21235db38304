// What the plant file says of a machine → what kernels look for: defect frequencies as orders, limits of the zones.

import type { Plant } from '@andon/schemas'
import { zoneLimitsMmS } from '@andon/schemas/iso-zones'
import type { Machine } from './plan.ts'

type PlantAsset = Plant['assets'][number]

/** `ids`: the channels of the plan; empty where nothing asks for the speed. */
export const machineOf = (asset: PlantAsset, ids: readonly string[]): Machine => {
  const { bearing, gears, nominalSpeedRpm, speedChannel, tacho, zones } = asset
  return {
    speedChannel: placeOf(speedChannel, ids),
    nominalSpeedRpm: nominalSpeedRpm ?? null,
    tachoChannel: placeOf(tacho?.channel, ids),
    tachoPulsesPerRev: tacho?.pulsesPerRev ?? 1,
    bearing: bearing === undefined ? null : bearingOrders(bearing),
    gears: gears ?? [],
    zoneLimitsMmS: zones === undefined ? null : zoneLimitsMmS(zones),
  }
}

const placeOf = (id: string | undefined, ids: readonly string[]): number | null => {
  const place = id === undefined ? -1 : ids.indexOf(id)
  return place < 0 ? null : place
}

/** Multiples of the shaft frequency, of a bearing whose outer ring stands still (Randall and Antoni 2011). */
export const bearingOrders = (bearing: NonNullable<PlantAsset['bearing']>): NonNullable<Machine['bearing']> => {
  if ('bpfoOrder' in bearing) {
    const { bpfoOrder, bpfiOrder, bsfOrder, ftfOrder } = bearing
    return { bpfoOrder, bpfiOrder, bsfOrder, ftfOrder }
  }
  const { balls, ballDiameterMm, pitchDiameterMm, contactAngleDeg } = bearing
  const ratio = (ballDiameterMm / pitchDiameterMm) * Math.cos((contactAngleDeg * Math.PI) / 180)
  return {
    bpfoOrder: (balls / 2) * (1 - ratio),
    bpfiOrder: (balls / 2) * (1 + ratio),
    bsfOrder: (pitchDiameterMm / (2 * ballDiameterMm)) * (1 - ratio * ratio),
    ftfOrder: (1 - ratio) / 2,
  }
}
