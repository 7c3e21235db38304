// Every kernel of the service. What a feature set may ask for is the catalogue in @andon/schemas; each of its statistics
// has exactly one kernel here.

import type { Statistic } from '@andon/schemas'
import { envelope } from './envelope.ts'
import type { Kernel } from './kernel.ts'
import { orders } from './orders.ts'
import { spectral } from './spectral.ts'

export const kernels: readonly Kernel[] = [
  spectral,
  envelope,
  orders,
]

const byStatistic = new Map<Statistic, Kernel>(kernels.flatMap((kernel) => kernel.statistics.map((statistic) => [statistic, kernel])))

/** The kernel that computes a statistic. */
export const kernelOf = (statistic: Statistic): Kernel => {
  const kernel = byStatistic.get(statistic)
  if (kernel === undefined) throw new Error(`no kernel computes ${statistic}`)
  return kernel
}
