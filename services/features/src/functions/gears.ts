// Gear meshes: the line at teeth times the turns of the gear's shaft, its harmonics, and the sidebands that a fault of one
// tooth puts around it, one turn of the shaft apart (ISO 13373-2).

import type { FigureOf } from './figure.ts'
import { highestBin, linePower } from './spectrum.ts'
import type { Spectrum } from './spectrum.ts'

const HARMONICS = 2
const SIDEBANDS = 3
/** The measured speed may be off by so much. */
const SPEED_ERROR = 0.005

/** The bin of the line nearest to where the speed puts it; undefined beyond the spectrum. */
const lineBin = (spectrum: Spectrum, hz: number, leastHz: number): number | undefined => {
  const aroundHz = Math.min(Math.max(spectrum.binHz, SPEED_ERROR * hz), leastHz)
  return highestBin(spectrum, hz - aroundHz, hz + aroundHz)
}

interface Mesh {
  readonly meshHz: number
  /** Turns of the gear's shaft. */
  readonly turnHz: number
}

/** Mean square at the mesh frequency and its harmonics; NaN where the first is beyond the spectrum. */
const meshPower = (spectrum: Spectrum, { meshHz, turnHz }: Mesh, harmonics: number): number => {
  let sum = Number.NaN
  for (let harmonic = 1; harmonic <= harmonics; harmonic++) {
    const bin = lineBin(spectrum, harmonic * meshHz, turnHz / 2)
    if (bin === undefined) break
    sum = (harmonic === 1 ? 0 : sum) + linePower(spectrum, bin, reachWithin(spectrum, turnHz))
  }
  return sum
}

/** Bins of a line that are not yet those of the next one, a turn of the shaft away. */
const reachWithin = ({ reach, binHz }: Spectrum, turnHz: number): number =>
  Math.max(0, Math.min(reach, Math.floor((turnHz / binHz - 1) / 2)))

/** Sum of the sidebands' amplitudes over that of the mesh; NaN where they lie too close to be told apart. */
const sidebandRatio = (spectrum: Spectrum, { meshHz, turnHz }: Mesh, sidebands: number): number => {
  const { reach, binHz } = spectrum
  // Main lobes of neighbours may touch, not more.
  if (turnHz < reach * binHz) return Number.NaN
  const middle = lineBin(spectrum, meshHz, turnHz / 2)
  if (middle === undefined) return Number.NaN
  const within = reachWithin(spectrum, turnHz)
  const mesh = Math.sqrt(linePower(spectrum, middle, within))
  if (!(mesh > 0)) return Number.NaN
  let sum = 0
  for (let k = 1; k <= sidebands; k++)
    for (const side of [-1, 1]) {
      // Counted from the line that was found: an error of the speed is small between neighbours.
      const hz = middle * binHz + side * k * turnHz
      const bin = hz >= (reach + 1) * binHz ? highestBin(spectrum, hz - binHz, hz + binHz) : undefined
      if (bin !== undefined) sum += Math.sqrt(linePower(spectrum, bin, within))
    }
  return sum / mesh
}

/** The largest over the gears, of those that can be computed. */
const largestOf =
  (figure: (spectrum: Spectrum, mesh: Mesh) => number, { machine }: Parameters<FigureOf>[0], place: number): ReturnType<FigureOf> =>
  (spectrum, values, context) => {
    const shaftHz = context.shaftHz()
    if (!(shaftHz > 0)) return
    let largest = Number.NaN
    for (const { teeth, shaftRatio } of machine.gears) {
      const turnHz = shaftHz * shaftRatio
      const value = figure(spectrum, { meshHz: teeth * turnHz, turnHz })
      if (Number.isNaN(largest) || value > largest) largest = value
    }
    values[place] = largest
  }

const gearMeshRms: FigureOf = (given, [place = -1]) => {
  const harmonics = 1 + (given.call.options.harmonics ?? HARMONICS)
  return largestOf((spectrum, mesh) => Math.sqrt(meshPower(spectrum, mesh, harmonics)), given, place)
}

const gearSidebandRatio: FigureOf = (given, [place = -1]) => {
  const sidebands = given.call.options.sidebands ?? SIDEBANDS
  return largestOf((spectrum, mesh) => sidebandRatio(spectrum, mesh, sidebands), given, place)
}

export const gearFigures = { gearMeshRms, gearSidebandRatio }
