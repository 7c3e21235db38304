// Which data goes first: that of control-class assets, as the plant file names them. Pure.

import type { Plant } from '@andon/schemas'
import type { Delivery } from './adapters/source.ts'
import { readingsOf } from './json-payload.ts'

/** Assets of control classes, and those that are control-class themselves. */
export const controlAssets = (plant: Plant): ReadonlySet<string> => {
  const classes = new Set(plant.assetClasses.filter(({ control }) => control === true).map(({ id }) => id))
  return new Set(plant.assets.filter((asset) => asset.priority === 'control' || classes.has(asset.class)).map(({ id }) => id))
}

/** True when all of the delivery is for these assets. Looks into it, so it is asked only when not everybody can be let in. */
export const isAllFor = (assets: ReadonlySet<string>, delivery: Delivery, assetOf: (source: string) => string | undefined): boolean => {
  if (assets.size === 0) return false
  const isFor = ({ source, asset }: { readonly source?: unknown; readonly asset?: unknown }) => {
    const by = source ?? delivery.source ?? delivery.device?.id
    const named = asset ?? (typeof by === 'string' ? assetOf(by) : undefined)
    return typeof named === 'string' && assets.has(named)
  }
  if ('columns' in delivery) return delivery.columns.every(isFor)
  const readings = 'readings' in delivery ? delivery.readings : readingsOf(delivery.payload, delivery.format)
  return readings !== undefined && readings.length > 0 && readings.every(({ value }) => isFor(Object(value) as object))
}
