// The detector of one asset and feature set: collects healthy windows, learns from them in the stream, then judges every window
// that follows. The newest window can be judged again. State is a checkpoint and the windows since it, never what was fitted:
// that is an artefact, known by its digest. Equal windows give equal judgements, wherever the stream was cut.

import { chooseColumns } from './detectors/columns.ts'
import { openMultivariate } from './detectors/multivariate.ts'
import type { MultivariateState, MultivariateStream } from './detectors/multivariate.ts'
import { openUnivariate } from './detectors/univariate.ts'
import type { UnivariateState, UnivariateStream } from './detectors/univariate.ts'
import { packed, unpacked } from './detectors/packed.ts'
import type { DetectorArtefacts } from './detector-artefacts.ts'
import type { DetectorSet } from './detector-set.ts'
import { fitAsset } from './fitted-asset.ts'
import type { FittedAsset } from './fitted-asset.ts'
import type { LearntPrefix } from './judged.ts'

/** A window as the detector sees it. */
export interface DetectorWindow {
  readonly names: readonly string[]
  /** NaN where a number is missing or its sensor is suspected. */
  readonly values: Float64Array
  readonly regime: string | null
  readonly windowEndUs: number
  /** May be learnt from: no model is in an episode. */
  readonly isHealthy: boolean
}

/** What the detector says of the window it was given last. */
export interface DetectorSays {
  readonly digest: string
  readonly fitted: FittedAsset
  readonly ratio: number
  readonly pValue: number
  readonly changed: boolean
  readonly isNewRegime: boolean
  /** Numbers by how far out they are, as shares that sum to 1; valid until the next window. */
  contributions(): { readonly name: string; readonly share: number }[]
}

export interface DetectorContext {
  readonly assetId: string
  readonly featureSet: string
  readonly set: DetectorSet['detector']
  readonly artefacts: DetectorArtefacts
  readonly fitDrift?: ((prefix: LearntPrefix) => unknown) | undefined
  /** Told once per artefact, when it was learnt. */
  readonly learnt: (digest: string, fitted: FittedAsset) => void
}

/** Windows judged between two checkpoints: restoring judges as many again, saving copies as many rows. */
const checkpointEvery = 32

type StreamState = MultivariateState | UnivariateState

interface Learning {
  readonly kind: 'learning'
  /** Numbers that are collected; those of the vector until the columns are chosen. */
  names: readonly string[]
  offered: number
  rows: Float64Array[]
  windowEndsUs: number[]
  regimes: (string | null)[]
}

interface Judging {
  readonly kind: 'judging'
  readonly digest: string
  /** The stream before `rows`; null: as it was fitted. */
  checkpoint: StreamState | null
  /** The checkpoint as text, once it was saved. */
  checkpointText: string | null
  /** The stream began after a silence: what it learnt from does not lie before its first row. */
  isCold: boolean
  checkpointOpen: boolean
  rows: Float64Array[]
  windowEndsUs: number[]
  /** Its episode after the newest window. */
  isOpen: boolean
  /** The stream after `rows`; absent until the artefact is at hand. */
  stream: Stream | undefined
}

interface Said {
  /** False while windows fill: nothing can be said. */
  readonly isJudged: boolean
  readonly ratio: number
  readonly pValue: number
  readonly isOpen: boolean
  readonly changed: boolean
  readonly isNewRegime: boolean
}

/** Both profiles, as one. */
interface Stream {
  /** Columns that are judged. */
  readonly columns: readonly number[]
  /** Its episode after the newest row. */
  readonly isOpen: boolean
  push(row: Float64Array, windowEndUs: number): Said
  contributions(shares: Float64Array): void
  state(): StreamState
}

export interface SavedDetector {
  readonly featureSetDigest: string
  readonly epochUs: number | null
  readonly phase: string
}

export class AssetDetector {
  readonly featureSetDigest: string
  readonly epochUs: number | null
  private phase: Learning | Judging

  constructor(featureSetDigest: string, epochUs: number | null, phase: Learning | Judging = nothingLearnt()) {
    this.featureSetDigest = featureSetDigest
    this.epochUs = epochUs
    this.phase = phase
  }

  /** Digest of what it judges with; undefined while it learns. */
  get digest(): string | undefined {
    return this.phase.kind === 'judging' ? this.phase.digest : undefined
  }

  /** Its own episode, after the newest window it judged. */
  get isOpen(): boolean {
    return this.phase.kind === 'judging' && this.phase.isOpen
  }

  /** End of the newest window that it learnt from or judged since its checkpoint. */
  get newestUs(): number | undefined {
    return this.phase.windowEndsUs.at(-1)
  }

  /** Takes a window; one with the end of the newest takes its place. Undefined while there is nothing to say. */
  take(window: DetectorWindow, context: DetectorContext): DetectorSays | undefined {
    const { phase } = this
    if (phase.kind === 'judging' && context.artefacts.isLost(phase.digest)) this.phase = nothingLearnt()
    if (this.phase.kind === 'learning') {
      const judging = this.learn(this.phase, window, context)
      if (judging === undefined) return undefined
      this.phase = judging
    }
    return this.judge(this.phase, window, context)
  }

  /** Judging from this window on, once enough windows lie before it. */
  private learn(learning: Learning, window: DetectorWindow, context: DetectorContext): Judging | undefined {
    const { set } = context
    const isAgain = learning.windowEndsUs.at(-1) === window.windowEndUs
    if (!isAgain && learning.rows.length >= set.learningWindows) {
      const judging = this.fit(learning, window, context)
      if (judging !== undefined) return judging
      this.phase = learning = nothingLearnt()
    }
    if (!window.isHealthy) return undefined
    if (learning.rows.length === 0) {
      learning.names = window.names
      learning.offered = window.names.length
    }
    if (isAgain) dropNewest(learning)
    const row = new Float64Array(learning.names.length)
    readRow(learning.names, window, row)
    learning.rows.push(row)
    learning.windowEndsUs.push(window.windowEndUs)
    learning.regimes.push(window.regime)
    if (learning.rows.length === set.chooseAfter) choose(learning, mostColumns(set))
    return undefined
  }

  private fit(learning: Learning, window: DetectorWindow, context: DetectorContext): Judging | undefined {
    const { assetId, featureSet, set, artefacts, fitDrift } = context
    const { names, offered, rows, windowEndsUs, regimes } = learning
    const prefix: LearntPrefix = {
      assetId,
      featureSet,
      featureSetDigest: this.featureSetDigest,
      names,
      rows: { values: flat(rows, names.length), rows: rows.length, width: names.length },
      regimes,
      windowEndsUs: Float64Array.from(windowEndsUs),
    }
    const fitted = fitAsset(prefix, { baselineEpochUs: this.epochUs, offered, set, fitDrift })
    if (fitted === undefined) return undefined
    const digest = artefacts.add(fitted)
    context.learnt(digest, fitted)
    const isCold = window.windowEndUs - fitted.learntUntilUs > longestSilence(fitted)
    return {
      kind: 'judging',
      digest,
      checkpoint: null,
      checkpointText: null,
      isCold,
      checkpointOpen: false,
      rows: [],
      windowEndsUs: [],
      isOpen: false,
      stream: undefined,
    }
  }

  private judge(judging: Judging, window: DetectorWindow, { artefacts }: DetectorContext): DetectorSays | undefined {
    const fitted = artefacts.of(judging.digest)
    if (fitted === undefined) throw new RangeError(`detector ${judging.digest} is not at hand`)
    const row = new Float64Array(fitted.names.length)
    readRow(fitted.names, window, row)
    const isAgain = judging.windowEndsUs.at(-1) === window.windowEndUs
    if (isAgain) {
      dropNewest(judging)
      judging.stream = undefined
    }
    judging.stream ??= reopened(judging, fitted)
    const { stream } = judging
    // Of a window of which less than half is there nothing is said.
    if (!isHalfThere(row, stream.columns)) {
      judging.isOpen = stream.isOpen
      return undefined
    }
    if (judging.rows.length >= checkpointEvery) {
      judging.checkpoint = stream.state()
      judging.checkpointOpen = stream.isOpen
      judging.checkpointText = null
      judging.rows = []
      judging.windowEndsUs = []
    }
    judging.rows.push(row)
    judging.windowEndsUs.push(window.windowEndUs)
    const said = stream.push(row, window.windowEndUs)
    judging.isOpen = said.isOpen
    if (!said.isJudged) return undefined
    const { digest } = judging
    const { ratio, pValue, changed, isNewRegime } = said
    return { digest, fitted, ratio, pValue, changed, isNewRegime, contributions: () => contributionsOf(stream, fitted.names) }
  }

  toJSON(): SavedDetector {
    const { featureSetDigest, epochUs, phase } = this
    return { featureSetDigest, epochUs, phase: phaseText(phase) }
  }

  static restored({ featureSetDigest, epochUs, phase }: SavedDetector): AssetDetector {
    return new AssetDetector(featureSetDigest, epochUs, phaseOf(phase))
  }
}

const nothingLearnt = (): Learning => ({ kind: 'learning', names: [], offered: 0, rows: [], windowEndsUs: [], regimes: [] })

const dropNewest = (phase: Learning | Judging): void => {
  phase.rows.pop()
  phase.windowEndsUs.pop()
  if (phase.kind === 'learning') phase.regimes.pop()
}

/** Numbers that a detector can carry on the windows it has, and that a snapshot can carry while it learns. */
const mostColumns = ({ learningWindows, mostColumns, windowsPerColumn, mostNumbers }: DetectorSet['detector']): number =>
  Math.max(1, Math.min(mostColumns, Math.floor(learningWindows / windowsPerColumn), Math.floor(mostNumbers / learningWindows)))

const choose = (learning: Learning, most: number): void => {
  const width = learning.names.length
  if (width <= most) return
  const places = chooseColumns({ values: flat(learning.rows, width), rows: learning.rows.length, width }, most)
  learning.names = places.map((at) => learning.names[at] as string)
  learning.rows = learning.rows.map((row) => Float64Array.from(places, (at) => row[at] as number))
}

/** Writes the window's numbers by name; NaN for one that it has not. */
const readRow = (wanted: readonly string[], { names, values }: DetectorWindow, row: Float64Array): void => {
  for (let k = 0; k < wanted.length; k++) {
    const name = wanted[k] as string
    const at = names[k] === name ? k : names.indexOf(name)
    const value = at < 0 ? Number.NaN : (values[at] as number)
    row[k] = Number.isFinite(value) ? value : Number.NaN
  }
}

const isHalfThere = (row: Float64Array, columns: readonly number[]): boolean => {
  let there = 0
  for (const at of columns) if (row[at] === row[at]) there++
  return 2 * there >= columns.length
}

/** A longer silence empties the detector's windows: twice its longest one. */
const longestSilence = ({ detector, periodUs }: FittedAsset): number =>
  detector.kind === 'univariate'
    ? Number.POSITIVE_INFINITY
    : 2 * periodUs * Math.max(...detector.fitted.constants.families.map(({ window }) => window))

const reopened = ({ checkpoint, checkpointOpen, isCold, rows, windowEndsUs }: Judging, fitted: FittedAsset): Stream => {
  const stream =
    fitted.detector.kind === 'multivariate'
      ? multivariateStream(fitted, fitted.detector, checkpoint as MultivariateState | null, checkpointOpen, isCold)
      : univariateStream(fitted.detector, checkpoint as UnivariateState | null, checkpointOpen)
  rows.forEach((row, i) => stream.push(row, windowEndsUs[i] as number))
  return stream
}

const multivariateStream = (
  { names, periodUs }: FittedAsset,
  { fitted }: Extract<FittedAsset['detector'], { kind: 'multivariate' }>,
  from: MultivariateState | null,
  wasOpen: boolean,
  isColdStart: boolean,
): Stream => {
  const stream: MultivariateStream = openMultivariate(fitted, from ?? undefined, { periodUs, isColdStart })
  const signed = new Float64Array(names.length)
  let isOpen = wasOpen
  return {
    columns: fitted.cleaning.channels,
    get isOpen() {
      return isOpen
    },
    push(row, windowEndUs) {
      const { isJudged, ratio, pValue, isEpisodeOpen, changed, isNewRegime } = stream.push(row, windowEndUs)
      isOpen = isEpisodeOpen
      return { isJudged, ratio, pValue, isOpen, changed, isNewRegime }
    },
    contributions: (shares) => stream.contributions(shares, signed),
    state: () => stream.state(),
  }
}

const univariateStream = (
  { column, fitted }: Extract<FittedAsset['detector'], { kind: 'univariate' }>,
  from: UnivariateState | null,
  wasOpen: boolean,
): Stream => {
  const stream: UnivariateStream = openUnivariate(fitted, from ?? undefined)
  let isOpen = wasOpen
  return {
    columns: [column],
    get isOpen() {
      return isOpen
    },
    push(row) {
      const { ratio, pValue, isEpisodeOpen } = stream.push(row[column] as number)
      const changed = isEpisodeOpen !== isOpen
      isOpen = isEpisodeOpen
      return { isJudged: true, ratio, pValue, isOpen, changed, isNewRegime: false }
    },
    contributions: (shares) => {
      shares.fill(0)
      shares[column] = 1
    },
    state: () => stream.state(),
  }
}

const contributionsOf = (stream: Stream, names: readonly string[]) => {
  const shares = new Float64Array(names.length)
  stream.contributions(shares)
  const sum = shares.reduce((total, share) => total + share, 0)
  return names.map((name, at) => ({ name, share: sum > 0 ? (shares[at] as number) / sum : 0 }))
}

const flat = (rows: readonly Float64Array[], width: number): Float64Array => {
  const values = new Float64Array(rows.length * width)
  rows.forEach((row, t) => values.set(row, t * width))
  return values
}

const rowsOf = (values: Float64Array, width: number): Float64Array[] =>
  Array.from({ length: width === 0 ? 0 : values.length / width }, (_, t) => values.slice(t * width, (t + 1) * width))

const phaseText = (phase: Learning | Judging): string => {
  const { rows, windowEndsUs } = phase
  const width = rows[0]?.length ?? 0
  const kept = { width, rows: flat(rows, width), windowEndsUs: Float64Array.from(windowEndsUs) }
  if (phase.kind === 'learning') {
    const { kind, names, offered, regimes } = phase
    return packed({ kind, names, offered, regimes, ...kept })
  }
  const { kind, digest, isCold, isOpen, checkpoint, checkpointOpen } = phase
  phase.checkpointText ??= checkpoint === null ? null : packed(checkpoint)
  return packed({ kind, digest, isCold, isOpen, checkpointOpen, checkpointText: phase.checkpointText, ...kept })
}

interface Kept {
  readonly width: number
  readonly rows: Float64Array
  readonly windowEndsUs: Float64Array
}

const phaseOf = (text: string): Learning | Judging => {
  const saved = unpacked(text) as (Omit<Learning, 'rows' | 'windowEndsUs'> | Omit<Judging, 'rows' | 'windowEndsUs'>) & Kept
  const rows = rowsOf(saved.rows, saved.width)
  const windowEndsUs = [...saved.windowEndsUs]
  if (saved.kind === 'learning')
    return { kind: 'learning', names: saved.names, offered: saved.offered, regimes: saved.regimes, rows, windowEndsUs }
  const { digest, isCold, isOpen, checkpointOpen, checkpointText } = saved
  const checkpoint = checkpointText === null ? null : (unpacked(checkpointText) as StreamState)
  return { kind: 'judging', digest, isCold, isOpen, checkpointOpen, checkpoint, checkpointText, rows, windowEndsUs, stream: undefined }
}
