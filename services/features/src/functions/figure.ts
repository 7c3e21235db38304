// What is read off a waveform: figures are prepared from a plan and share the transforms and the spectrum of their call. See
// vibration.ts.

import type { Preparation, Series, WindowContext } from './kernel.ts'
import type { RowTransforms, Spectrum } from './spectrum.ts'

/** Writes numbers of one spectrum to their places; what cannot be computed stays as it is, NaN. */
export type Figure = (spectrum: Spectrum, values: Float64Array, context: WindowContext) => void

/** Prepares a figure whose numbers go to `places`; undefined where the spectrum is not what it reads. */
export type FigureOf = (given: Preparation, places: readonly number[]) => Figure | undefined

/** Writes numbers of the rows themselves to their places. */
export type WaveformFigures = (series: Series, transforms: RowTransforms, values: Float64Array, context: WindowContext) => void
