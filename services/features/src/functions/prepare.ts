// A plan and the views of one window → its numbers. What a plan needs is prepared once; a window then allocates nothing.

import { statistics } from '@andon/schemas'
import type { Statistic } from '@andon/schemas'
import type { Asked, AssetPlan, Call, PlanChannel } from '../plan.ts'
import { kernelOf } from './index.ts'
import type { Before, Compute, Kernel, Series, WindowContext } from './kernel.ts'

/** What the window of an asset shows to the kernels. */
export interface WindowView {
  /** The window is [startUs, endUs). */
  readonly startUs: number
  readonly endUs: number
  /** Good rows of a channel at a scale; undefined = none. Asked at most once per channel and scale. */
  readonly series: (channel: number, scale: number) => Series | undefined
  /** What the channel showed when the scale began, for statistics that it is carried into; null or left out = not known. */
  readonly before?: (channel: number, scale: number) => Before | null
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

/**
 * One per kernel, as a call of a stored plan may ask for what several kernels compute by now; what carries values in apart
 * from the rest, as it can be computed without a row.
 */
const prepare = (plan: AssetPlan, call: Call, kernelFor: (statistic: Statistic) => Kernel): PreparedCall[] => {
  const { length } = plan.scales[call.scale]!
  const isOfTime = plan.hop !== 'row' && 'us' in length
  const parts: { readonly kernel: Kernel; readonly carriesIn: boolean; readonly own: Asked[] }[] = []
  for (const each of call.asked) {
    const kernel = kernelFor(each.statistic)
    const { carriesIn } = statistics[each.statistic]
    const known = parts.find((part) => part.kernel === kernel && part.carriesIn === carriesIn)
    if (known === undefined) parts.push({ kernel, carriesIn, own: [each] })
    else known.own.push(each)
  }
  const channels = call.channels.map((at) => plan.channels[at] as PlanChannel)
  return parts.map(({ kernel, carriesIn, own }) => {
    const computed = kernel.prepare({ call: { ...call, asked: own }, channels, machine: plan.machine })
    return new PreparedCall(call, computed, carriesIn && isOfTime)
  })
}

class PreparedCall {
  readonly compute: Compute
  readonly scale: number
  readonly series: Series[] = []
  private readonly channels: readonly number[]
  private readonly carriesIn: boolean

  constructor({ channels, scale }: Call, compute: Compute, carriesIn: boolean) {
    this.compute = compute
    this.carriesIn = carriesIn
    this.channels = channels
    this.scale = scale
  }

  /** Fetches the series of the call; false where a channel has none. */
  look(window: OpenWindow): boolean {
    for (let i = 0; i < this.channels.length; i++) {
      const channel = this.channels[i] as number
      const series = window.series(channel, this.scale) ?? (this.carriesIn ? window.carried(channel, this.scale) : undefined)
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

  /** A channel without a row, by what it showed before. */
  carried(channel: number, scale: number): Series | undefined {
    const before = this.view!.before?.(channel, scale) ?? null
    return before === null ? undefined : { ...noRows, before }
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

const noRows: Series = { rows: 0, timesUs: new Float64Array(0), elements: new Float64Array(0), width: 1, widths: null, sampleRateHz: null }

const meanOf = ({ elements, rows }: Series): number => {
  let sum = 0
  for (let i = 0; i < rows; i++) sum += elements[i] as number
  return sum / rows
}
