// A plot as plain data: which panels there are, what they show, and where ticks go. Drawn as SVG (plot-svg.ts) and in the
// terminal (plot-terminal.ts) from the same description, so that both say the same.

import { featureParts, featureUnit, statisticOf } from '@andon/schemas/feature-names'

/** Numbers over time, in the order of time; NaN where there is none. */
export interface Trace {
  /** Told apart by it where a panel has several; '' where it has one. */
  readonly label: string
  readonly timesUs: ArrayLike<number>
  readonly values: ArrayLike<number>
}

/** From … to, event time. */
export interface Span {
  readonly fromUs: number
  readonly toUs: number
}

export interface Labelled extends Span {
  readonly label: string
}

interface PanelHead {
  readonly channel: string
  /** What of the channel; '' = its samples. */
  readonly title: string
  /** As people write it; '' = none. */
  readonly unit: string
}

export interface LinePanel extends PanelHead {
  readonly kind: 'line'
  readonly isSignal: boolean
  readonly traces: readonly Trace[]
  /** Stretches without samples. */
  readonly gaps: readonly Span[]
  /** Stretches in which the sensor is suspected, with what of. */
  readonly flags: readonly Labelled[]
}

/** Many numbers of one kind, e.g. bands of a spectrum: a row each, the value as darkness. */
export interface HeatPanel extends PanelHead {
  readonly kind: 'heat'
  /** Lowest first. */
  readonly traces: readonly Trace[]
}

export type Panel = LinePanel | HeatPanel

export interface Plot extends Span {
  readonly title: string
  readonly subtitle: string
  readonly panels: readonly Panel[]
  readonly regimes: readonly (Labelled & { readonly isOff: boolean })[]
  readonly unmonitored: readonly Span[]
  /** Windows lie side by side: their numbers hold from start to end. */
  readonly stepUs: number | null
}

/** A vector as it is plotted. */
export interface PlottedVector {
  readonly windowStartUs: number
  readonly windowEndUs: number
  readonly values: Float64Array
  readonly quality: string
  readonly regime: string | null
  readonly machineOff: boolean
  readonly health: readonly { readonly channel: string; readonly flags: readonly string[] }[]
}

export interface Signal extends Trace {
  readonly channel: string
  readonly unit: string
  readonly gaps: readonly Span[]
}

/** UCUM as people read it. */
const printed: Readonly<Record<string, string>> = {
  '1': '',
  Cel: '°C',
  '[degF]': '°F',
  '/min': '1/min',
  '[g]': 'g',
  'm/s2': 'm/s²',
  Ohm: 'Ω',
  uPa: 'µPa',
}
export const unitText = (unit: string): string => printed[unit] ?? unit.replace(/^Cel(?=\/)/, '°C').replace(/^\[degF\](?=\/)/, '°F')

/** More numbers of one kind than this are shown as a field of shades. */
const MOST_LINES = 4

/** Panels of a channel: its samples, then its numbers in the order of the set; scales, quantiles and the like together. */
export const panelsOf = (
  signals: readonly Signal[],
  names: readonly string[],
  /** By name: the unit of the (first) channel that it is made of. */
  channelUnits: readonly string[],
  vectors: readonly PlottedVector[],
  only?: (name: string) => boolean,
): Panel[] => {
  const timesUs = Float64Array.from(vectors, ({ windowEndUs }) => windowEndUs)
  const groups = new Map<string, { channel: string; title: string; places: number[] }>()
  names.forEach((name, place) => {
    if (only !== undefined && !only(name)) return
    const { channel, statistic } = featureParts(name)
    const title = statisticOf(statistic) ?? statistic
    const key = `${channel} ${title}`
    const group = groups.get(key) ?? { channel, title, places: [] }
    groups.set(key, group)
    group.places.push(place)
  })
  const featurePanels = [...groups.values()].flatMap(({ channel, title, places }): Panel[] => {
    const unit = unitText(featureUnit(names[places[0] as number] as string, channelUnits[places[0] as number] ?? '1'))
    const isOne = new Set(places.map((place) => featureParts(names[place] as string).statistic)).size === 1
    const isOneScale = new Set(places.map((place) => featureParts(names[place] as string).scale)).size === 1
    const trace = (place: number): Trace => {
      const { statistic, scale } = featureParts(names[place] as string)
      const label =
        places.length === 1
          ? ''
          : isOne
            ? scale || statistic
            : [shortOf(statistic, title), isOneScale ? '' : scale].filter(Boolean).join(' ')
      return { label, timesUs, values: Float64Array.from(vectors, ({ values }) => values[place] ?? Number.NaN) }
    }
    const head = { channel, title: places.length === 1 || !isOne ? titleOf(names, places, title) : title, unit }
    if (places.length > MOST_LINES && !isOne) {
      const scales = new Set(places.map((place) => featureParts(names[place] as string).scale))
      return [...scales].map((scale): HeatPanel => {
        const own = places.filter((place) => featureParts(names[place] as string).scale === scale)
        return {
          ...head,
          title: [title, scale].filter(Boolean).join(' '),
          kind: 'heat',
          traces: own.map((place) => ({ ...trace(place), label: shortOf(featureParts(names[place] as string).statistic, title) })),
        }
      })
    }
    return [{ ...head, kind: 'line', isSignal: false, traces: places.map(trace), gaps: [], flags: [] }]
  })
  const channels = [...new Set([...signals.map(({ channel }) => channel), ...featurePanels.map(({ channel }) => channel)])]
  return channels.flatMap((channel): Panel[] => {
    const signal = signals.find((each) => each.channel === channel)
    const own = featurePanels.filter((panel) => panel.channel === channel)
    const flags = flagsOf(vectors, channel)
    const samples: LinePanel[] =
      signal === undefined
        ? []
        : [{ kind: 'line', channel, title: '', unit: unitText(signal.unit), isSignal: true, traces: [signal], gaps: signal.gaps, flags }]
    return [...samples, ...own]
  })
}

/** With the scale, where that is the same for all. */
const titleOf = (names: readonly string[], places: readonly number[], title: string): string => {
  const parts = places.map((place) => featureParts(names[place] as string))
  const scales = new Set(parts.map(({ scale }) => scale))
  const [first] = parts
  return [places.length === 1 ? (first?.statistic ?? title) : title, scales.size === 1 ? first?.scale : ''].filter(Boolean).join(' ')
}

/** bandRms10to250Hz → 10-250 Hz, logBandRms3 → 3, octave31_5HzDb → 31.5 Hz, p95 as it is. */
const shortOf = (statistic: string, title: string): string => {
  const band = /^[a-zA-Z]+?([\d_]+)to([\d_]+)Hz$/.exec(statistic)
  if (band !== null) return `${number(band[1])}-${number(band[2])} Hz`
  const octave = /^octave([\d_]+)HzDb$/.exec(statistic)
  if (octave !== null) return `${number(octave[1])} Hz`
  const order = /^order([\d_]+)Rms$/.exec(statistic)
  if (order !== null) return `${number(order[1])}×`
  return statistic.startsWith(title) && statistic.length > title.length ? statistic.slice(title.length) : statistic
}

const number = (part: string | undefined): string => (part ?? '').replace('_', '.')

/** Neighbouring windows that say the same become one stretch. */
const stretches = <T extends PlottedVector>(vectors: readonly T[], labelOf: (vector: T) => string | null): Labelled[] => {
  const found: { fromUs: number; toUs: number; label: string }[] = []
  for (const [i, vector] of vectors.entries()) {
    const label = labelOf(vector)
    if (label === null) continue
    // Of windows that overlap each stands for the time since the one before it.
    const fromUs = Math.max(vector.windowStartUs, vectors[i - 1]?.windowEndUs ?? Number.NEGATIVE_INFINITY)
    const last = found.at(-1)
    if (last !== undefined && last.label === label && fromUs <= last.toUs) last.toUs = vector.windowEndUs
    else found.push({ fromUs, toUs: vector.windowEndUs, label })
  }
  return found
}

const flagsOf = (vectors: readonly PlottedVector[], channel: string): Labelled[] =>
  stretches(vectors, ({ health }) => health.find((each) => each.channel === channel)?.flags.join(', ') ?? null)

export const regimesOf = (vectors: readonly PlottedVector[]): Plot['regimes'] => {
  const off = new Set(vectors.flatMap(({ regime, machineOff }) => (machineOff && regime !== null ? [regime] : [])))
  return stretches(vectors, ({ regime }) => regime).map((each) => ({ ...each, isOff: off.has(each.label) }))
}

export const unmonitoredOf = (vectors: readonly PlottedVector[]): Span[] =>
  stretches(vectors, ({ quality }) => (quality === 'unmonitored' ? quality : null))

/** Stretches between neighbours that are much further apart than usual. */
export const gapsOf = (timesUs: ArrayLike<number>, lengthUs = 0): Span[] => {
  const usual = usualStepUs(timesUs)
  const gaps: Span[] = []
  for (let i = 1; i < timesUs.length; i++) {
    const [a, b] = [timesUs[i - 1] as number, timesUs[i] as number]
    if (b - a > 5 * usual && b - a > lengthUs * 1.5) gaps.push({ fromUs: a + lengthUs, toUs: b })
  }
  return gaps
}

/** Median distance of neighbours, looked at in at most 2 000 of them. */
export const usualStepUs = (timesUs: ArrayLike<number>): number => {
  const stride = Math.max(1, Math.floor(timesUs.length / 2000))
  const steps: number[] = []
  for (let i = 1; i < timesUs.length; i += stride) {
    const step = (timesUs[i] as number) - (timesUs[i - 1] as number)
    if (step > 0) steps.push(step)
  }
  return steps.toSorted((a, b) => a - b)[Math.floor(steps.length / 2)] ?? 0
}

// --- scales ---

export interface Extent {
  readonly low: number
  readonly high: number
}

/** What an axis spans: all finite values inside the plot, with room where they are all the same. */
export const extentOf = (traces: readonly Trace[], { fromUs, toUs }: Span): Extent => {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const { timesUs, values } of traces)
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number
      const timeUs = timesUs[i] as number
      if (!Number.isFinite(value) || timeUs < fromUs || timeUs > toUs) continue
      if (value < low) low = value
      if (value > high) high = value
    }
  if (low > high) return { low: 0, high: 1 }
  if (high - low <= Math.abs(high) * 1e-9) {
    const room = Math.abs(high) > 0 ? Math.abs(high) * 0.1 : 1
    return { low: low - room, high: high + room }
  }
  return { low, high }
}

/** Round numbers inside the extent: about `count` of them, and at least two, so that a scale can be read. */
export const ticksOf = (extent: Extent, count: number): number[] => {
  for (let each = count; each < count + 6; each++) {
    const ticks = roundNumbers(extent, each)
    if (ticks.length >= 2) return ticks
  }
  return roundNumbers(extent, count)
}

const roundNumbers = ({ low, high }: Extent, count: number): number[] => {
  const raw = (high - low) / Math.max(1, count)
  const magnitude = 10 ** Math.floor(Math.log10(raw))
  const step = magnitude * ([1, 2, 2.5, 5, 10].find((each) => each * magnitude >= raw * 0.999) ?? 10)
  const ticks: number[] = []
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(Number((i * step).toPrecision(12)))
  return ticks
}

/** As short as it can be said with so many significant digits: 0.0042, 12.5, 1.2M, 3e-9. */
export const numberText = (value: number, digits = 3): string => {
  if (!Number.isFinite(value)) return '-'
  const size = Math.abs(value)
  if (size === 0) return '0'
  if (size >= 1e9 || size < 1e-4) return value.toExponential(Math.max(0, digits - 2)).replace('e+', 'e')
  if (size >= 1e6) return `${trimmed((value / 1e6).toPrecision(digits))}M`
  if (size >= 1e5) return `${trimmed((value / 1e3).toPrecision(digits))}k`
  if (size >= 10 ** digits) return String(Math.round(value))
  return trimmed(value.toPrecision(digits))
}

const trimmed = (text: string): string => (text.includes('.') && !text.includes('e') ? text.replace(/\.?0+$/, '') : text)

/** Labels of an axis have the same number of decimals. */
export const tickTexts = (ticks: readonly number[]): string[] => {
  const largest = Math.max(0, ...ticks.map(Math.abs))
  if (largest >= 1e5 || (largest > 0 && largest < 1e-3)) return ticks.map((tick) => numberText(tick))
  const decimals = Math.max(0, ...ticks.map((tick) => (String(tick).split('.')[1] ?? '').length))
  return ticks.map((tick) => tick.toFixed(decimals))
}

export interface TimeTick {
  readonly timeUs: number
  readonly text: string
  /** A new day, or the first tick: the date is told with it. */
  readonly date: string | null
}

const SECOND = 1_000_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500].map((each) => each * 1000),
  ...[1, 2, 5, 10, 15, 30].map((each) => each * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((each) => each * MINUTE),
  ...[1, 2, 3, 6, 12].map((each) => each * HOUR),
  ...[1, 2, 7, 14].map((each) => each * DAY),
]

/** Ticks at round UTC times, at most `count` of them; months and years at their first days. */
export const timeTicksOf = ({ fromUs, toUs }: Span, count: number): TimeTick[] => {
  const step = STEPS.find((each) => (toUs - fromUs) / each <= count)
  const times: number[] = []
  if (step === undefined) {
    const from = new Date(fromUs / 1000)
    const months = [1, 2, 3, 6, 12, 24, 60, 120].find((each) => (toUs - fromUs) / (each * 30.4 * DAY) <= count) ?? 240
    for (let month = Math.ceil((from.getUTCFullYear() * 12 + from.getUTCMonth()) / months) * months; ; month += months) {
      const timeUs = Date.UTC(Math.floor(month / 12), month % 12, 1) * 1000
      if (timeUs > toUs) break
      if (timeUs >= fromUs) times.push(timeUs)
    }
  } else for (let timeUs = Math.ceil(fromUs / step) * step; timeUs <= toUs; timeUs += step) times.push(timeUs)
  let day = ''
  return times.map((timeUs): TimeTick => {
    const iso = new Date(timeUs / 1000).toISOString()
    const date = iso.slice(0, 10)
    if (step === undefined) return { timeUs, text: iso.slice(0, 7), date: null }
    if (step >= DAY) {
      const year = date.slice(0, 4)
      const isNewYear = year !== day
      day = year
      return { timeUs, text: date.slice(5), date: isNewYear ? year : null }
    }
    const text = step >= MINUTE ? iso.slice(11, 16) : step >= SECOND ? iso.slice(11, 19) : iso.slice(17, 23)
    const isNew = date !== day
    day = date
    return { timeUs, text, date: isNew ? date : null }
  })
}

export interface Columned {
  /** Per column of the plot; NaN where it has no value. */
  readonly low: Float64Array
  readonly high: Float64Array
  readonly first: Float64Array
  readonly last: Float64Array
}

/** A trace cut into columns: lowest, highest, first and last value of each, so that no peak is lost. */
export const columned = ({ timesUs, values }: Trace, { fromUs, toUs }: Span, columns: number): Columned => {
  const make = () => new Float64Array(columns).fill(Number.NaN)
  const [low, high, first, last] = [make(), make(), make(), make()]
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number
    const timeUs = timesUs[i] as number
    if (!Number.isFinite(value) || timeUs < fromUs || timeUs > toUs) continue
    const at = Math.min(columns - 1, Math.floor(((timeUs - fromUs) / (toUs - fromUs)) * columns))
    if (!(value >= (low[at] as number))) low[at] = value // also where there was none
    if (!(value <= (high[at] as number))) high[at] = value
    if (Number.isNaN(first[at])) first[at] = value
    last[at] = value
  }
  return { low, high, first, last }
}
