// A plan and the views of one window → its numbers. What a plan needs is prepared once; a window then allocates nothing.

import type { Statistic } from '@andon/schemas'
import type { Asked, AssetPlan, Call, PlanChannel } from '../plan.ts'
import { kernelOf } from './index.ts'
import type { Compute, Kernel, Series, WindowContext } from './kernel.ts'

/** What the window of an asset shows to the kernels. */
export interface WindowView {
  /** The window is [startUs, endUs). */
  readonly startUs: number
  readonly endUs: number
  /** Good rows of a channel at a scale; undefined = none. Asked at most once per channel and scale. */
  readonly series: (channel: number, scale: number) => Series | undefined
}

/** Computes the numbers of a window. */
type Computation = (plan: AssetPlan, view: WindowView, values: Float64Array) => void

interface Prepared {
  readonly plan: AssetPlan
  readonly calls: readonly PreparedCall[]
  readonly window: OpenWindow
}

/** `compute` over other kernels. */
export const computeWith = (kernelFor: (statistic: Statistic) => Kernel): Computation => {
  /** By the calls of a plan: plans of equal assets share them, and with them what was prepared. */
  const known = new WeakMap<readonly Call[], Prepared>()
  const preparedOf = (plan: AssetPlan): Prepared => {
    const found = known.get(plan.calls)
    if (found !== undefined && isPreparedFor(found.plan, plan)) return found
    const prepared = { plan, calls: plan.calls.flatMap((call) => prepare(plan, call, kernelFor)), window: new OpenWindow(plan) }
    known.set(plan.calls, prepared)
    return prepared
  }
  return (plan, view, values) => {
    const { calls, window } = preparedOf(plan)
    window.open(view)
    for (const call of calls) {
      if (!call.look(window)) continue
      window.at(call.scale, call.series[0] as Series)
      call.compute(call.series, values, window)
    }
  }
}

/**
 * Computes what the plan asks for. `values` has one place per name of the plan, filled with NaN before; places of channels
 * without a good row keep it. Prepared closures are kept for as long as the plan's calls live.
 */
export const compute: Computation = computeWith(kernelOf)

const isPreparedFor = (prepared: AssetPlan, plan: AssetPlan): boolean =>
  prepared === plan || (prepared.channels === plan.channels && prepared.machine === plan.machine && prepared.scales === plan.scales)

/** One per kernel: a call of a stored plan may ask for what several kernels compute by now. */
const prepare = (plan: AssetPlan, call: Call, kernelFor: (statistic: Statistic) => Kernel): PreparedCall[] => {
  const asked = new Map<Kernel, Asked[]>()
  for (const each of call.asked) {
    const kernel = kernelFor(each.statistic)
    asked.set(kernel, [...(asked.get(kernel) ?? []), each])
  }
  const channels = call.channels.map((at) => plan.channels[at] as PlanChannel)
  return [...asked].map(
    ([kernel, own]) => new PreparedCall(call, kernel.prepare({ call: { ...call, asked: own }, channels, machine: plan.machine })),
  )
}

class PreparedCall {
  readonly compute: Compute
  readonly scale: number
  readonly series: Series[] = []
  private readonly channels: readonly number[]

  constructor({ channels, scale }: Call, compute: Compute) {
    this.compute = compute
    this.channels = channels
    this.scale = scale
  }

  /** Fetches the series of the call; false where a channel has none. */
  look(window: OpenWindow): boolean {
    for (let i = 0; i < this.channels.length; i++) {
      const series = window.series(this.channels[i] as number, this.scale)
      if (series === undefined) return false
      this.series[i] = series
    }
    return true
  }
}

/** The window that is computed now, as the kernels see it: one object per plan, set to the next window again and again. */
class OpenWindow implements WindowContext {
  startUs = 0
  endUs = 0
  private readonly plan: AssetPlan
  private view: WindowView | undefined
  private scale = 0
  /** By scale and channel; null = not asked for yet. */
  private readonly held: (Series | undefined | null)[]

  constructor(plan: AssetPlan) {
    this.plan = plan
    this.held = plan.scales.flatMap(() => plan.channels.map(() => null))
  }

  open(view: WindowView): void {
    this.view = view
    this.endUs = view.endUs
    this.held.fill(null)
  }

  /** Goes to a scale. One of rows begins with the oldest row of the channel that is looked at. */
  at(scale: number, { timesUs }: Series): void {
    const { length } = this.plan.scales[scale]!
    this.scale = scale
    if (scale === 0) this.startUs = this.view!.startUs
    else this.startUs = 'us' in length ? this.endUs - length.us : (timesUs[0] as number)
  }

  series(channel: number, scale: number): Series | undefined {
    const at = scale * this.plan.channels.length + channel
    const held = this.held[at]
    if (held !== null) return held
    const found = this.view!.series(channel, scale)
    this.held[at] = found
    return found
  }

  readonly shaftHz = (): number => {
    const { speedChannel, nominalSpeedRpm } = this.plan.machine
    const measured = speedChannel === null ? undefined : (this.series(speedChannel, this.scale) ?? this.series(speedChannel, 0))
    const rpm = measured === undefined ? (this.tachoRpm() ?? nominalSpeedRpm ?? Number.NaN) : meanOf(measured)
    return rpm > 0 ? rpm / 60 : Number.NaN // a shaft at rest has no orders
  }

  readonly tacho = (): Series | undefined => {
    const { tachoChannel } = this.plan.machine
    return tachoChannel === null ? undefined : this.series(tachoChannel, this.scale)
  }

  /** From the pulses of the window; undefined with fewer than two. */
  private tachoRpm(): number | undefined {
    const pulses = this.tacho()
    if (pulses === undefined || pulses.rows < 2) return undefined
    const tookUs = (pulses.timesUs[pulses.rows - 1] as number) - (pulses.timesUs[0] as number)
    return tookUs > 0 ? ((pulses.rows - 1) / this.plan.machine.tachoPulsesPerRev / tookUs) * 60e6 : undefined
  }
}

const meanOf = ({ elements, rows }: Series): number => {
  let sum = 0
  for (let i = 0; i < rows; i++) sum += elements[i] as number
  return sum / rows
}
