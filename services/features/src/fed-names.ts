// Which numbers of the vector a channel feeds: those that are made of it, whatever they are called, and of the speed of the shaft
// those that look where it puts them. What a suspected sensor says is no evidence in any of them.

import { statistics } from '@andon/schemas'
import type { Statistic, StatisticDefinition } from '@andon/schemas'
import type { AssetPlan, Call, Machine } from './plan.ts'

/** By the calls of a plan, which plans of equal assets share: per asset they would weigh as much as its windows do. */
const known = new WeakMap<readonly Call[], readonly (readonly string[])[]>()

/** Names of the vector that a channel of the plan feeds, in its order; found once per plan. */
export const namesFedBy = (plan: AssetPlan, channel: number): readonly string[] => {
  let all = known.get(plan.calls)
  if (all === undefined) known.set(plan.calls, (all = plan.channels.map((_, at) => fedBy(plan, at))))
  return all[channel] as readonly string[]
}

const fedBy = ({ calls, machine, names }: AssetPlan, channel: number): string[] => {
  const places = new Set<number>()
  for (const call of calls) {
    const isOfIt = call.channels.includes(channel)
    for (const { statistic, places: own } of call.asked)
      if (isOfIt || shaftChannels(machine, call, statistic).includes(channel)) for (const place of own) places.add(place)
  }
  return names.filter((_, place) => places.has(place))
}

/** The channels that tell a statistic how fast the shaft turns. */
const shaftChannels = ({ speedChannel, tachoChannel, bearing }: Machine, { options }: Call, statistic: Statistic): (number | null)[] => {
  if (statistic === 'orderRms' && tachoChannel !== null) return [tachoChannel]
  const { needs }: StatisticDefinition = statistics[statistic]
  // Without a given band, the one that is demodulated has to pass the defect frequencies.
  const isBandFound = statistic.startsWith('envelope') && bearing !== null && options.envelopeBandHz === undefined
  return needs.includes('speed') || isBandFound ? [speedChannel, tachoChannel] : []
}
