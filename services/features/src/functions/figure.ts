// What is read off one spectrum: figures are prepared from a plan and share the spectrum of their call. See spectral.ts.

import type { Preparation, WindowContext } from './kernel.ts'
import type { Spectrum } from './spectrum.ts'

/** Writes its numbers to their places; what cannot be computed stays as it is, NaN. */
export type Figure = (spectrum: Spectrum, values: Float64Array, context: WindowContext) => void

/** Prepares a figure whose numbers go to `places`. */
export type FigureOf = (given: Preparation, places: readonly number[]) => Figure
