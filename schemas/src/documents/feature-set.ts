// features/*.yaml: which numbers are made of a window of samples.

import { z } from 'zod'
import { nearest } from './nearest.ts'
import { readDocument } from './read.ts'
import type { Fault, ReadOptions } from './read.ts'
import { octaveCentres, statisticNames, statistics } from './statistics.ts'
import type { OptionName, Statistic } from './statistics.ts'

/** A length in words: 20rows, 500ms, 60s, 5min. */
const lengthShape = z.string().regex(/^[1-9]\d*(rows|ms|s|min)$/, 'a length like 20rows, 500ms, 60s or 5min')

/** What a length in words means. */
export const lengthOf = (text: string): { readonly rows: number } | { readonly us: number } => {
  const unit = text.replace(/^\d+/, '')
  const amount = Number.parseInt(text, 10)
  return unit === 'rows' ? { rows: amount } : { us: amount * (unitsUs[unit] ?? Number.NaN) }
}

const unitsUs: Readonly<Record<string, number>> = { ms: 1000, s: 1_000_000, min: 60_000_000 }

const band = z.tuple([z.number().min(0), z.number().positive()])
const share = z.number().gt(0).lt(1)

const ruleOptions = {
  quantiles: z.array(share).min(1).optional(),
  limits: z.tuple([z.number().nullable(), z.number().nullable()]).optional(),
  halfLifeMs: z.number().positive().optional(),
  states: z.array(z.number()).min(1).optional(),
  wrapsAt: z.number().positive().optional(),
  bandsHz: z.array(band).min(1).optional(),
  logBands: z.strictObject({ count: z.int().min(1).max(64), lowHz: z.number().positive(), highHz: z.number().positive() }).optional(),
  spectrum: z
    .strictObject({
      detrend: z.enum(['none', 'mean', 'linear']).optional(),
      window: z.enum(['hann', 'hamming', 'blackman', 'flattop', 'rectangular']).optional(),
      segment: z
        .int()
        .min(16)
        .max(1 << 20)
        .refine((length) => (length & (length - 1)) === 0, 'a power of two')
        .optional(),
      overlap: z.number().min(0).max(0.95).optional(),
    })
    .optional(),
  velocityBandHz: band.optional(),
  envelopeBandHz: band.optional(),
  harmonics: z.int().min(1).max(20).optional(),
  sidebands: z.int().min(1).max(10).optional(),
  orders: z.array(z.number().positive()).min(1).optional(),
  octaveFraction: z.union([z.literal(1), z.literal(3)], '1 for octaves or 3 for third octaves').optional(),
  octaveRangeHz: band.optional(),
  fundamentalHz: z.number().positive().optional(),
} satisfies Record<OptionName, z.ZodType>

const optionNames = Object.keys(ruleOptions) as OptionName[]

const rule = z.strictObject({
  /** Channel id, or * for every scalar channel of the asset. */
  channel: z.string().min(1).optional(),
  /** Channels that a statistic takes together: a pair, or three phases. */
  channels: z.array(z.string().min(1)).min(2).max(3).optional(),
  /** What the numbers are called instead of their channel: `scrap.increaseRatio`. */
  as: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9-]*$/, 'a name of letters, digits and hyphens')
    .optional(),
  /** Scales it is computed at; all of the set unless given. */
  scales: z.array(lengthShape).min(1).optional(),
  statistics: z.array(z.string().min(1)).min(1),
  ...ruleOptions,
})

/** A bound on a number of the vector: atLeast, below or both, or equals alone. */
const condition = z.strictObject({ atLeast: z.number().optional(), below: z.number().optional(), equals: z.number().optional() })

/** A check of health with its figure, or false for none. */
const check = (figure: z.ZodNumber | z.ZodInt, words: string) => z.union([figure, z.literal(false)], `${words}, or false`).optional()

/** Nothing is filled in here: the digest of a set is that of what its author wrote. */
const featureSetShape = z.strictObject({
  version: z.literal(1),
  name: z.string().regex(/^features\/[a-z0-9-]+$/, 'a name like features/press-vibration'),
  /** Length of a window, ms of event time; or windowRows. */
  windowMs: z.int().positive().optional(),
  /** Length of a window in rows, for windows that end at every row. */
  windowRows: z.int().min(2).optional(),
  /** From the end of one window to the end of the next, ms of event time; windows follow each other unless given. */
  hopMs: z.int().positive().optional(),
  /** `every-row`: a window ends at every row of single values. */
  closes: z.literal('every-row').optional(),
  /** Shorter lengths that are computed at once, beside that of the window. */
  scales: z.array(lengthShape).min(1).optional(),
  /** How long a window waits for out-of-order samples, ms. */
  latenessMs: z.int().min(0),
  /** Grace for clock skew on partition time, ms. */
  graceMs: z.int().min(0),
  features: z.array(rule).min(1),
  /** The first whose conditions all hold is the regime of the window. */
  regimes: z
    .array(
      z.strictObject({
        id: z.string().regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'an id of lower-case letters, digits and hyphens'),
        /** The machine is off. */
        off: z.boolean().optional(),
        /** By names of the vector: { "speedRpm.mean": { below: 50 } }. Without a condition it always holds. */
        when: z.record(z.string(), condition).optional(),
      }),
    )
    .min(1)
    .optional(),
  /** When a sensor is suspected; false switches a check off. What is not said: `healthDefaults`. */
  health: z
    .strictObject({
      stuckRows: check(z.int().min(2), 'at least 2 rows'),
      flat: z.boolean().optional(),
      saturatedShare: check(z.number().positive().max(1), 'a share above 0 and up to 1'),
      dropOutShare: check(z.number().positive().max(1), 'a share above 0 and up to 1'),
      gapPeriods: check(z.number().gt(1), 'more than 1 usual distance'),
      noiseFactor: check(z.number().gt(1), 'a factor above 1'),
    })
    .optional(),
})

/** What is looked for where a set says nothing: only what no machine does by itself. */
export const healthDefaults = {
  stuckRows: false,
  flat: false,
  saturatedShare: 0.02,
  dropOutShare: 0.2,
  gapPeriods: 5,
  noiseFactor: false,
} as const

type FeatureSetFile = z.output<typeof featureSetShape>
export type FeatureRule = Omit<FeatureSetFile['features'][number], 'statistics'> & { readonly statistics: readonly Statistic[] }
export type FeatureSet = Omit<FeatureSetFile, 'features'> & { readonly features: readonly FeatureRule[] }

/** Reads a feature set. Statistics are known ones and come with the options they require, and only such as they read. */
export const parseFeatureSet = (source: unknown, options: ReadOptions = {}): FeatureSet =>
  readDocument(featureSetShape, source, { file: 'features', ...options }, faults) as FeatureSet

const faults = (set: FeatureSetFile): Fault[] => [
  ...windowFaults(set),
  ...scaleFaults(set),
  ...set.features.flatMap((each, i) => [...ruleFaults(each, ['features', i]), ...ruleScaleFaults(set, each, ['features', i])]),
  ...regimeFaults(set.regimes ?? []),
]

/** Windows that a row may belong to: each is computed, and held until it is final. */
const OVERLAPS = 1000

const windowFaults = (set: FeatureSetFile): Fault[] => {
  const found: Fault[] = []
  if ((set.windowMs === undefined) === (set.windowRows === undefined))
    found.push({ path: ['windowMs'], expected: 'either windowMs or windowRows' })
  if (set.windowRows !== undefined && set.closes !== 'every-row')
    found.push({ path: ['windowRows'], expected: 'closes: every-row beside it; other windows are cut by time' })
  if (set.hopMs !== undefined && set.closes !== undefined) found.push({ path: ['hopMs'], expected: 'either hopMs or closes: every-row' })
  if (set.hopMs === undefined || set.windowMs === undefined) return found
  if (set.hopMs > set.windowMs)
    found.push({ path: ['hopMs'], expected: `at most the ${set.windowMs} ms of the window, or samples would be left out` })
  if (set.hopMs * OVERLAPS < set.windowMs)
    found.push({
      path: ['hopMs'],
      expected: `at least ${Math.ceil(set.windowMs / OVERLAPS)} ms, so that a row is in ${OVERLAPS} windows at most`,
    })
  return found
}

/** The length of the window, where the set says one. */
const windowOf = ({ windowMs, windowRows }: FeatureSetFile): ReturnType<typeof lengthOf> | undefined =>
  windowMs === undefined ? (windowRows === undefined ? undefined : { rows: windowRows }) : { us: windowMs * 1000 }

const isSameLength = (a: ReturnType<typeof lengthOf>, b: ReturnType<typeof lengthOf>): boolean => JSON.stringify(a) === JSON.stringify(b)

const scaleFaults = (set: FeatureSetFile): Fault[] => {
  const window = windowOf(set)
  const lengths = (set.scales ?? []).map(lengthOf)
  return lengths.flatMap((length, i): Fault[] => {
    const path = ['scales', i]
    if (lengths.slice(0, i).some((each) => isSameLength(each, length))) return [{ path, expected: 'each length once' }]
    if (window === undefined) return []
    if ('rows' in window && 'us' in length) return [{ path, expected: 'rows, as the window has' }]
    if ('rows' in window && 'rows' in length && length.rows > window.rows)
      return [{ path, expected: `at most the ${window.rows} rows of the window` }]
    if ('us' in window && 'us' in length && length.us > window.us)
      return [{ path, expected: `at most the ${window.us / 1000} ms of the window` }]
    return []
  })
}

/** A rule chooses among the scales of the set; the window is one of them. */
const ruleScaleFaults = (set: FeatureSetFile, { scales = [] }: FeatureSetFile['features'][number], path: Fault['path']): Fault[] => {
  const window = windowOf(set)
  const known = [...(window === undefined ? [] : [window]), ...(set.scales ?? []).map(lengthOf)]
  return scales.flatMap((name, i) => {
    if (known.some((length) => isSameLength(length, lengthOf(name)))) return []
    return [
      {
        path: [...path, 'scales', i],
        expected: `a length of the set (the window${(set.scales ?? []).map((each) => `, ${each}`).join('')})`,
      },
    ]
  })
}

const regimeFaults = (regimes: NonNullable<FeatureSetFile['regimes']>): Fault[] => {
  const always = regimes.findIndex(({ when = {} }) => Object.keys(when).length === 0)
  return regimes.flatMap(({ id, when = {} }, i): Fault[] => {
    if (regimes.findIndex((each) => each.id === id) < i) return [{ path: ['regimes', i, 'id'], expected: 'an id that is used once' }]
    if (always >= 0 && i > always)
      return [{ path: ['regimes', i], expected: `it before ${regimes[always]?.id}, which has no condition and always holds` }]
    return Object.entries(when).flatMap(([name, { atLeast, below, equals }]): Fault[] => {
      const path = ['regimes', i, 'when', name]
      const bounds = [atLeast, below].filter((bound) => bound !== undefined).length
      if ((equals === undefined) === (bounds === 0)) return [{ path, expected: 'atLeast, below or both, or equals alone' }]
      if (atLeast !== undefined && below !== undefined && atLeast >= below) return [{ path, expected: 'atLeast lower than below' }]
      return []
    })
  })
}

const ruleFaults = (each: FeatureSetFile['features'][number], path: Fault['path']): Fault[] => {
  const found: Fault[] = []
  if ((each.channel === undefined) === (each.channels === undefined))
    found.push({ path: [...path, 'channel'], expected: 'either channel or channels' })
  if (each.channel === '*' && each.as !== undefined)
    found.push({ path: [...path, 'as'], expected: 'no as beside "*": the numbers of several channels would have one name' })
  each.channels?.forEach((id, i) => {
    if (each.channels?.indexOf(id) !== i) found.push({ path: [...path, 'channels', i], expected: 'another channel: each is given once' })
  })
  const asked = each.statistics.filter((name): name is Statistic => name in statistics)
  each.statistics.forEach((name, i) => {
    if (!(name in statistics)) {
      found.push({ path: [...path, 'statistics', i], expected: `a statistic; the nearest known one is ${nearest(name, statisticNames)}` })
      return
    }
    const { channels, requires } = statistics[name as Statistic]
    const given = each.channels?.length ?? 1
    if (channels !== given)
      found.push({ path: [...path, 'statistics', i], expected: `${name} of ${channels} ${channels === 1 ? 'channel' : 'channels'}` })
    for (const option of requires as readonly OptionName[])
      if (each[option] === undefined) found.push({ path: [...path, option], expected: `${option}, which ${name} needs` })
  })
  for (const option of optionNames) {
    if (each[option] === undefined) continue
    const isRead = asked.some((name) => [...statistics[name].requires, ...statistics[name].reads].some((read) => read === option))
    if (!isRead) found.push({ path: [...path, option], expected: `no ${option}: none of ${each.statistics.join(', ')} reads it` })
  }
  return [...found, ...intervalFaults(each, path), ...repeatFaults(each, path)]
}

type Interval = readonly [place: Fault['path'], low: number | null, high: number | null]

const intervalFaults = (each: FeatureSetFile['features'][number], path: Fault['path']): Fault[] => {
  const intervals = (each.bandsHz ?? []).map(([low, high], i): Interval => [['bandsHz', i], low, high])
  if (each.limits !== undefined) intervals.push([['limits'], ...each.limits])
  if (each.logBands !== undefined) intervals.push([['logBands'], each.logBands.lowHz, each.logBands.highHz])
  for (const option of ['velocityBandHz', 'envelopeBandHz', 'octaveRangeHz'] as const) {
    const interval = each[option]
    if (interval !== undefined) intervals.push([[option], ...interval])
  }
  const found = intervals.flatMap(([place, low, high]): Fault[] => {
    if (low === null && high === null) return [{ path: [...path, ...place], expected: 'a number at one end at least' }]
    return low === null || high === null || low < high ? [] : [{ path: [...path, ...place], expected: 'a low end below the high end' }]
  })
  if (each.octaveRangeHz !== undefined && found.length === 0 && octaveCentres(each).length === 0)
    found.push({ path: [...path, 'octaveRangeHz'], expected: 'a range that holds a centre frequency (31.5, 63, 125 ... Hz)' })
  return found
}

/** Lists in which a repeated entry would give two numbers of one name. */
const repeatFaults = (each: FeatureSetFile['features'][number], path: Fault['path']): Fault[] =>
  (['statistics', 'scales', 'quantiles', 'states', 'orders', 'bandsHz'] as const).flatMap((field) => {
    const entries = (each[field] ?? []).map((entry) => JSON.stringify(entry))
    const at = entries.findIndex((entry, i) => entries.indexOf(entry) < i)
    return at < 0 ? [] : [{ path: [...path, field, at], expected: 'each entry once' }]
  })
