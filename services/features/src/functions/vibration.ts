// Everything that is read off the spectrum, the envelope and the orders of a waveform: a row is transformed once per call,
// whatever is asked of it.

import type { Statistic } from '@andon/schemas'
import { bandFigures } from './bands.ts'
import { envelopeOf, envelopeStatistics } from './envelope.ts'
import type { FigureOf } from './figure.ts'
import { gearFigures } from './gears.ts'
import type { Kernel } from './kernel.ts'
import { orderFigures, ordersByAngle } from './orders.ts'
import { spectrumOf, transformsOf } from './spectrum.ts'
import { velocityFigures } from './velocity.ts'

const figures: Partial<Record<Statistic, FigureOf>> = { ...bandFigures, ...velocityFigures, ...gearFigures, ...orderFigures }

export const vibration: Kernel = {
  statistics: [...(Object.keys(figures) as Statistic[]), ...envelopeStatistics],
  prepare: (given) => {
    const spectrumFor = spectrumOf(given.call.options.spectrum)
    const asked = given.call.asked.flatMap(({ statistic, places }) => figures[statistic]?.(given, places) ?? [])
    const others = [envelopeOf(given), ordersByAngle(given)].filter((each) => each !== undefined)
    const places = given.call.asked.flatMap((each) => [...each.places])
    return ([series], values, context) => {
      if (series === undefined) return
      const transforms = transformsOf(series)
      const spectrum = asked.length > 0 ? spectrumFor(series, transforms) : undefined
      if (spectrum !== undefined) for (const figure of asked) figure(spectrum, values, context)
      for (const write of others) write(series, transforms, values, context)
      // Squares of the largest doubles overflow: a number that is none is not told.
      for (const place of places) if (!Number.isFinite(values[place])) values[place] = Number.NaN
    }
  },
}
