// features/*.yaml: which numbers are made of a window of samples.

import { z } from 'zod'
import { readDocument } from './read.ts'
import type { Fault, ReadOptions } from './read.ts'

export const scalarStatistics = ['mean', 'std', 'min', 'max', 'slope', 'rms', 'kurtosis', 'crest', 'peak'] as const
export const bandStatistics = ['bandRms'] as const

const featureSetShape = z.strictObject({
  version: z.literal(1),
  name: z.string().regex(/^features\/[a-z0-9-]+$/, 'a name like features/press-vibration'),
  /** Length of a window, ms of event time. */
  windowMs: z.int().positive(),
  /** How long a window waits for out-of-order samples, ms. */
  latenessMs: z.int().min(0),
  /** Grace for clock skew on partition time, ms. */
  graceMs: z.int().min(0),
  features: z
    .array(
      z.strictObject({
        /** Channel id, or * for every scalar channel of the asset. */
        channel: z.string().min(1),
        statistics: z.array(z.enum([...scalarStatistics, ...bandStatistics])).min(1),
        bandsHz: z
          .array(z.tuple([z.number().min(0), z.number().positive()]))
          .min(1)
          .optional(),
      }),
    )
    .min(1),
})

export type FeatureSet = z.output<typeof featureSetShape>
export type Statistic = FeatureSet['features'][number]['statistics'][number]

/** Reads a feature set. Band statistics come with bands, and only they. */
export const parseFeatureSet = (source: unknown, options: ReadOptions = {}): FeatureSet =>
  readDocument(featureSetShape, source, { file: 'features', ...options }, faults)

const isBand = (statistic: Statistic): boolean => (bandStatistics as readonly string[]).includes(statistic)

const faults = (set: FeatureSet): Fault[] =>
  set.features.flatMap((feature, i) => {
    const found: Fault[] = []
    if (feature.statistics.some(isBand) && feature.bandsHz === undefined) {
      found.push({ path: ['features', i, 'bandsHz'], expected: 'a list of [low, high] in Hz for bandRms' })
    }
    if (feature.bandsHz !== undefined && !feature.statistics.every(isBand)) {
      found.push({ path: ['features', i, 'statistics'], expected: 'only bandRms where bandsHz is given' })
    }
    feature.bandsHz?.forEach(([low, high], j) => {
      if (low >= high) found.push({ path: ['features', i, 'bandsHz', j], expected: 'a low end below the high end' })
    })
    return found
  })
