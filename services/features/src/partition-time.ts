// How far receive time has come in one telemetry partition: the minimum over the ticks of all ingest instances and
// recorders. A pure function of the partition's records; it never goes back.

import { NEVER_US } from './intervals.ts'

/** An instance leaves after this many ticks of one other instance without one of its own; ticks are paced at 1/s. */
const SILENT_AFTER_TICKS = 30
/** A returning instance counts again once it is this close to partition time, so a backlog neither pulls back nor stalls. */
const REJOIN_WITHIN_US = 30_000_000
/** An instance that has been silent this long is forgotten: a bound on memory, it may return as a new one. */
const FORGET_AFTER_TICKS = 3_600

interface Instance {
  upToUs: number
  inside: boolean
  /** Ticks of each other instance since this one's last tick. */
  missed: Record<string, number>
}

export interface PartitionTime {
  timeUs: number
  instances: Record<string, Instance>
}

export const startOfTime = (): PartitionTime => ({ timeUs: NEVER_US, instances: {} })

/** Applies a tick; true when partition time advanced. */
export const onTick = (time: PartitionTime, instanceId: string, upToUs: number): boolean => {
  const me = (time.instances[instanceId] ??= { upToUs, inside: false, missed: {} })
  me.upToUs = Math.max(me.upToUs, upToUs)
  me.missed = {}
  for (const [id, other] of Object.entries(time.instances)) {
    if (id === instanceId) continue
    const missed = (other.missed[instanceId] ?? 0) + 1
    other.missed[instanceId] = missed
    if (missed >= SILENT_AFTER_TICKS) other.inside = false
    if (missed >= FORGET_AFTER_TICKS) delete time.instances[id]
  }
  if (me.upToUs >= time.timeUs - REJOIN_WITHIN_US) me.inside = true

  let lowestUs = Number.POSITIVE_INFINITY
  for (const instance of Object.values(time.instances)) if (instance.inside && instance.upToUs < lowestUs) lowestUs = instance.upToUs
  if (lowestUs === Number.POSITIVE_INFINITY || lowestUs <= time.timeUs) return false
  time.timeUs = lowestUs
  return true
}
