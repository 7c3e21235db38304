// Every kernel of the service. What a feature set may ask for is the catalogue in @andon/schemas; each of its statistics
// has exactly one kernel here.

import type { Statistic } from '@andon/schemas'
import { acoustic } from './acoustic.ts'
import { counters } from './counters.ts'
import { mains, phases } from './electric.ts'
import type { Kernel } from './kernel.ts'
import { moments } from './moments.ts'
import { orderStatistics } from './order-statistics.ts'
import { pairs } from './pairs.ts'
import { slow } from './slow.ts'
import { states } from './states.ts'
import { vibration } from './vibration.ts'

export const kernels: readonly Kernel[] = [moments, orderStatistics, slow, states, counters, pairs, vibration, acoustic, mains, phases]

const byStatistic = new Map<Statistic, Kernel>(kernels.flatMap((kernel) => kernel.statistics.map((statistic) => [statistic, kernel])))

/** The kernel that computes a statistic. */
export const kernelOf = (statistic: Statistic): Kernel => {
  const kernel = byStatistic.get(statistic)
  if (kernel === undefined) throw new Error(`no kernel computes ${statistic}`)
  return kernel
}
