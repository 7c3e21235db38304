// Everything that is read off the power spectrum of a waveform: one spectrum per call, whatever is asked of it.

import type { Statistic } from '@andon/schemas'
import { bandFigures } from './bands.ts'
import type { FigureOf } from './figure.ts'
import { gearFigures } from './gears.ts'
import type { Kernel } from './kernel.ts'
import { spectrumOf } from './spectrum.ts'
import { velocityFigures } from './velocity.ts'

const figures = { ...bandFigures, ...velocityFigures, ...gearFigures } satisfies Partial<Record<Statistic, FigureOf>>

const names = Object.keys(figures) as (keyof typeof figures)[]

export const spectral: Kernel = {
  statistics: names,
  prepare: (given) => {
    const spectrum = spectrumOf(given.call.options.spectrum)
    const asked = given.call.asked.map(({ statistic, places }) => {
      const figure = figures[statistic as keyof typeof figures]
      return figure(given, places)
    })
    return ([series], values, context) => {
      const found = series && spectrum(series)
      if (found !== undefined) for (const figure of asked) figure(found, values, context)
    }
  },
}
