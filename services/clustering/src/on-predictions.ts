// predictions → anomalies. Judges each asset's windows in order: combines the verdicts, runs the episode machine, assigns
// the window to a pattern, watches sensors, absolute limits and whether telemetry comes at all. A window passes once; a higher revision is judged in
// its place and corrects what was said only if the decision differs. Replaying the same records gives the same findings.

import { compareOrders, emitter, episodeId } from '@andon/kit'
import type { Emitter, Handler, Input, Order, Output } from '@andon/kit'
import type { AnomaliesInput, ContributionInput, NearestEpisodeInput, Predictions } from '@andon/schemas'
import { acceptEpisode, beyondAccepted, followAccepted } from './accepted-level.ts'
import type { DetectorSays } from './asset-detector.ts'
import { assetOf, beginEpoch, detectorOf, isDetectorOpen, keepClosed, keepWindow, keptWindow } from './asset-state.ts'
import type { AssetState, KeptWindow, PartitionMemory } from './asset-state.ts'
import { nearestTo } from './beside-episodes.ts'
import { combine } from './combine.ts'
import type { Evidence } from './combine.ts'
import type { DetectorArtefacts } from './detector-artefacts.ts'
import type { DetectorSet } from './detector-set.ts'
import { judge, severityOf } from './episode.ts'
import type { Episode, Machine, Step, Transition } from './episode.ts'
import { openFaultModes } from './fault-modes.ts'
import type { FaultModes, NamedMode } from './fault-modes.ts'
import { contributionsOf, sharesOf } from './finding.ts'
import { readDoubles } from '@andon/schemas/packed'
import { maskedNames } from '@andon/schemas/feature-names'
import type { AssetWords, WindowFacts, WindowWords } from './finding.ts'
import type { FittedAsset } from './fitted-asset.ts'
import type { Judged, LearntPrefix, Outcome } from './judged.ts'
import { judgeLimit, quietLimit } from './limit.ts'
import type { Card } from './model-cards.ts'
import { normalOfModels } from './mode-assignment.ts'
import type { PlacedWindow } from './mode-assignment.ts'
import { correction, reappearance, regimeFinding, registrationRequest, transitionFinding } from './outputs.ts'
import { watchSensors } from './sensor-fault.ts'
import { limitFinding, sensorFinding, telemetryFinding } from './state-findings.ts'
import { beginSilence, endSilence } from './telemetry-watch.ts'
import { NameLists, layoutOf } from './vector-layout.ts'

/** Share of the score from which a number counts as one that leads an episode. */
const LEADING_SHARE = 0.1
const LOWEST_SEVERITY = 4

export type { Outcome } from './judged.ts'

export interface PredictionsDependencies {
  readonly memory: PartitionMemory
  readonly set: DetectorSet
  /** Digest of the set. */
  readonly detectorSet: string
  readonly cardOf: (digest: string) => Card | undefined
  /** Fitted detectors; without a store of blobs they live in memory alone. */
  readonly artefacts: DetectorArtefacts
  /** What the drift watch learns from the windows a detector learns from; goes into its artefact. */
  readonly fitDrift?: (prefix: LearntPrefix) => unknown
  /** A replay asks for nothing: what it learns was registered when it was learnt first. */
  readonly isReplay?: boolean
  /** Default: no model and no teaching; patterns are told apart within the partition. */
  readonly faultModes?: FaultModes
  readonly wordsOf: (assetId: string, timeUs: number) => AssetWords
  /** What a person said of an episode, as of a record; none without. */
  readonly verdictOf?: (episodeId: string, input: Input<Predictions>) => string | null
  /** Resolves when every fact about models that is on the log by now has been read. */
  readonly settled: () => Promise<void>
  readonly countPrediction: (outcome: Outcome) => void
  readonly countFinding: (type: string) => void
  readonly countDetector?: (kind: FittedAsset['detector']['kind']) => void
  /** Told every window as it was judged, in order: for whoever streams a recording. */
  readonly judged?: (judged: Judged) => void
}

/** Judges windows without a log: what the handler does with a batch, in steps. */
export interface Judge {
  /** Before a batch: resolves when everything its judgement needs is at hand. */
  prepare(inputs: readonly Input<Predictions>[]): Promise<void>
  judge(input: Input<Predictions>, out: Emitter): Outcome
  /** After a batch, before anything of it is published: resolves when what it learnt is stored. */
  stored(): Promise<void>
}

export const openJudge = (given: PredictionsDependencies): Judge => {
  const dependencies = { ...given, faultModes: given.faultModes ?? openFaultModes({ memory: given.memory }) }
  const lists = new NameLists()
  return {
    async prepare(inputs) {
      const { memory, artefacts, faultModes } = dependencies
      await faultModes.prepare(inputs)
      const missing = new Set<string>()
      for (const { value } of inputs) {
        const detectors = memory.assets.get(value.assetId)?.detectors
        for (const featureSet in detectors) {
          const digest = detectors[featureSet]?.digest
          if (digest !== undefined && artefacts.of(digest) === undefined) missing.add(digest)
        }
      }
      for (const digest of missing) await artefacts.load(digest)
      // A verdict may overtake the fact that registered its model: judged without its card, a replay would differ.
      const isUnknown = ({ value }: Input<Predictions>) => value.verdicts.some(({ digest }) => dependencies.cardOf(digest) === undefined)
      if (inputs.some(isUnknown)) await dependencies.settled()
    },
    judge(input, out) {
      // Equal names, one list: nothing that follows from them is worked out again.
      const names = lists.shared(input.value.featureSetDigest, input.value.names)
      const judgement = new WindowJudgement(dependencies, out, input, { ...input.value, names })
      const outcome = judgement.run()
      dependencies.countPrediction(outcome)
      dependencies.judged?.(judgement.judged(outcome))
      return outcome
    },
    stored: () => dependencies.artefacts.stored(),
  }
}

export const onPredictions = (dependencies: PredictionsDependencies): Handler<Predictions> => {
  const judge = openJudge(dependencies)
  return async (batch) => {
    const out = emitter()
    await judge.prepare(batch.inputs)
    for (const input of batch.inputs) judge.judge(input, out)
    await judge.stored()
    return out
  }
}

type Given = PredictionsDependencies & { readonly faultModes: FaultModes }

/** One prediction, one window. */
class WindowJudgement {
  private readonly given: Given
  private readonly out: Emitter
  private readonly input: Input<Predictions>
  private readonly prediction: Predictions
  private seen: { readonly facts: WindowFacts; readonly machine: Machine; readonly transition: Transition | undefined } | undefined

  constructor(given: Given, out: Emitter, input: Input<Predictions>, prediction: Predictions) {
    this.given = given
    this.out = out
    this.input = input
    this.prediction = prediction
  }

  run(): Outcome {
    const { prediction, input } = this
    const state = assetOf(this.given.memory, prediction.assetId)
    const { windowEndUs, featureSet, vectorId } = prediction
    const order = input.order ?? { promotion: 0, index: 0, ...input.position }
    if (prediction.type === 'unmonitored') return this.fallSilent(state, order)
    const known = keptWindow(state, windowEndUs, featureSet)
    if (known !== undefined) {
      if (compareOrders(order, known.order) <= 0) return 'repeated'
      // A promotion brings another judgement of the same vector; otherwise an equal vector only takes the order.
      const isPromoted = order.promotion > known.order.promotion
      known.order = order
      if (known.vectorId === vectorId && !isPromoted) return 'repeated'
      known.vectorId = vectorId
      this.speakAgain(state)
      return this.revise(state, known)
    }
    this.speakAgain(state)
    const newest = state.windows.at(-1)
    const kept: KeptWindow = { windowEndUs, featureSet, vectorId, order, told: null }
    keepWindow(state, kept)
    // An older window seen for the first time would have to be judged before those that followed: it is kept, not judged.
    if (newest !== undefined && newest.windowEndUs > windowEndUs) return 'out-of-order'
    const { detectors } = state
    beginEpoch(state, prediction.baselineEpochUs)
    if (state.detectors !== detectors) for (const { digest } of Object.values(detectors)) this.forget(digest)
    state.before = state.machine
    const values = readDoubles(prediction.values)
    const idle = this.unjudged()
    const evidence = this.evidence(idle === undefined ? this.detect(state, state.machine, values) : undefined)
    const outcome = idle ?? this.judgeMachine(state, kept, evidence, values)
    this.watch(state, evidence, values)
    this.watchBeside(state, evidence, values)
    return outcome
  }

  /** The window before the asset's own detector; `before` is the machine before it. What models hold for abnormal is not learnt from. */
  private detect(state: AssetState, before: Machine, values: Float64Array): DetectorSays | undefined {
    const { assetId, featureSet, featureSetDigest, names, health, regime, windowEndUs } = this.prediction
    const { set, artefacts, fitDrift } = this.given
    const known = state.detectors[featureSet]
    const detector = detectorOf(state, featureSet, featureSetDigest)
    if (known !== undefined && known !== detector) this.forget(known.digest)
    const seen = { names, values: believed(values, names, health), regime, windowEndUs, isHealthy: before.level === null }
    const learnt = (digest: string, fitted: FittedAsset): void => {
      this.given.countDetector?.(fitted.detector.kind)
      if (this.given.isReplay !== true) this.out.emit(this.input, registrationRequest(digest, fitted))
    }
    return detector.take(seen, { assetId, featureSet, set: set.detector, artefacts, fitDrift, learnt })
  }

  private forget(digest: string | undefined): void {
    if (digest !== undefined) this.given.artefacts.forget(digest)
  }

  judged(outcome: Outcome): Judged {
    const { assetId, featureSet, vectorId, windowEndUs } = this.prediction
    const { seen } = this
    const evidence = seen?.facts.evidence
    const machine = seen?.machine ?? this.given.memory.assets.get(assetId)?.machine
    const episode = seen?.transition?.episode ?? machine?.episode ?? null
    return {
      outcome,
      assetId,
      featureSet,
      vectorId,
      windowEndUs,
      ratio: evidence?.ratio ?? null,
      pValue: evidence?.detector?.pValue ?? null,
      sources: evidence?.sources ?? [],
      isOpen: machine !== undefined && machine.episode !== null,
      isOpening: seen?.transition?.kind === 'opened',
      isClosing: seen?.transition?.kind === 'closed',
      episodeId: episode?.episodeId ?? null,
      severity: episode?.severity ?? null,
      changed: evidence?.detector?.changed ?? false,
      isNewRegime: evidence?.detector?.isNewRegime ?? false,
      clusterId: seen?.facts.cluster?.clusterId ?? null,
      faultModeId: seen?.facts.cluster?.modeId ?? null,
      faultMode: seen?.facts.cluster?.name ?? null,
      isNovel: seen?.facts.cluster?.isNovel ?? false,
      contributions: () => seen?.facts.contributions ?? [],
    }
  }

  /** The machine's part. A machine that is off or a young window is not judged: nothing opens, and what is open neither grows nor closes. */
  private judgeMachine(state: AssetState, kept: KeptWindow, evidence: Evidence | undefined, values: Float64Array): Outcome {
    if (evidence === undefined) {
      if (isHeld(state)) return this.outcomeWithoutEvidence()
      // Its detector went with the epoch that a service ended, and no model has a say.
      evidence = nothingHeard
    }
    const placed = this.place(state, values)
    const step = this.step(state, state.machine, evidence, placed)
    state.machine = step.machine
    const isClosing = step.transition?.kind === 'closed'
    const episode = isClosing ? (step.transition?.episode ?? null) : step.machine.episode
    const judged = { isAbove: evidence.ratio > 1, episode, isClosing }
    const shown = placed && this.given.faultModes.record(this.input, state.modes, placed, judged)
    const facts = this.factsOf(evidence, values, shown)
    this.seen = { facts, machine: step.machine, transition: step.transition }
    // Quiet windows at the end would make every pattern look like normal.
    if (episode !== null && evidence.ratio > 1) this.compare(state, evidence, values, episode, shown)
    if (step.transition !== undefined) this.tell(state, kept, facts, step.transition)
    if (isClosing && episode !== null) state.beside.close(episode.episodeId, this.prediction.windowEndUs)
    if (shown?.reappeared != null && episode !== null && !isClosing) this.send(reappearance(facts, episode, shown))
    this.tellRegime(state, facts)
    return 'judged'
  }

  private unjudged(): Outcome | undefined {
    const { machineOff, type } = this.prediction
    if (machineOff) return 'machine-off'
    return type === 'young' ? 'young' : undefined
  }

  /** Neither normal nor abnormal: nothing opens, nothing closes. */
  private outcomeWithoutEvidence(): Outcome {
    const { type } = this.prediction
    if (type === 'verdicts') return 'no-score'
    return type === 'unscored' ? 'unscored' : 'learning'
  }

  private tellRegime(state: AssetState, facts: WindowFacts): void {
    const { detector } = facts.evidence
    if (detector?.isNewRegime !== true || state.regimeTold === detector.digest) return
    state.regimeTold = detector.digest
    this.send(regimeFinding(facts, detector.digest))
  }

  /** Beside the machine: sensors and absolute limits, whether a model is there or not. */
  private watch(state: AssetState, evidence: Evidence | undefined, values: Float64Array): void {
    const { set, cardOf } = this.given
    const { names, health, machineOff, vectorId, windowEndUs: atUs } = this.prediction
    const words = this.words(evidence)
    const card = this.normalOf(evidence)
    // A sensor is flagged for as long as an episode takes to open, and well for as long.
    const { on, off } = set.episode
    const rules = { stuckWindows: set.stuckWindows, flaggedWindows: on, clearWindows: on }
    // Of a few rows after a start many signs are true.
    if (this.prediction.type !== 'young')
      for (const fault of watchSensors(state.sensors, { names, values, health, machineOff, vectorId, atUs }, card, rules))
        this.send(sensorFinding(words, fault, values, card, cardOf))

    const { zones } = layoutOf(names)
    if (machineOff || zones.length === 0) return
    const masked = maskedNames(names, health)
    for (const { name, at, velocity, velocityAt } of zones) {
      if (masked.has(name)) continue
      const velocityMmS = velocity === undefined ? null : (values[velocityAt] as number)
      const window = { zone: values[at] as number, velocityMmS, vectorId, atUs }
      const { watch, transition } = judgeLimit(state.limits[name] ?? quietLimit, window, { on, off })
      state.limits[name] = watch
      if (transition !== undefined) this.send(limitFinding(words, name, velocity, transition, values))
    }
  }

  /** Drift of what is normal, and limits that are ahead. */
  private watchBeside(state: AssetState, evidence: Evidence | undefined, values: Float64Array): void {
    const { names, health, featureSet } = this.prediction
    const digest = state.detectors[featureSet]?.digest
    const fitted = digest === undefined ? undefined : this.given.artefacts.of(digest)
    const window = {
      words: this.words(evidence),
      values: believed(values, names, health),
      detector: digest === undefined || fitted === undefined ? undefined : { digest, fitted },
      isEpisodeOpen: state.machine.episode !== null,
      isNewRegime: evidence?.detector?.isNewRegime === true,
      faultyChannels: faultyOf(state),
      verdictOf: (episode: string) => this.verdictOf(episode),
    }
    for (const output of state.beside.watch(window)) this.send(output)
  }

  /** A window of the open episode goes into what later ones are compared with. */
  private compare(state: AssetState, evidence: Evidence, values: Float64Array, episode: Episode, shown: NamedMode | undefined): void {
    const { names, health, featureSet, windowEndUs } = this.prediction
    const { classId } = this.given.wordsOf(this.prediction.assetId, windowEndUs)
    const card = this.normalOf(evidence)
    const { episodeId: id, openedUs } = episode
    const seen = { names, values: believed(values, names, health), normalOf: (name: string) => card?.features.get(name) }
    state.beside.see({ ...seen, episodeId: id, classId, featureSet, openedUs, faultModeId: shown?.modeId ?? null })
  }

  /** Past episodes like the open one, of the class's assets on this partition. */
  private nearest(): readonly NearestEpisodeInput[] {
    const { assets } = this.given.memory
    const state = assets.get(this.prediction.assetId)
    if (state === undefined) return []
    const others = function* () {
      for (const [assetId, { beside }] of assets) yield [assetId, beside] as const
    }
    return nearestTo(state.beside, others(), (episode) => this.verdictOf(episode))
  }

  private verdictOf(episode: string): string | null {
    return this.given.verdictOf?.(episode, this.input) ?? null
  }

  /** No telemetry: the asset is watched by nobody. What is open stays as it is. */
  private fallSilent(state: AssetState, order: Order): Outcome {
    const silence = beginSilence(state.telemetry, this.prediction, order)
    if (silence === undefined) return 'repeated'
    this.send(telemetryFinding(this.words(undefined), 'opened', silence, state.machine.episode !== null))
    return 'unmonitored'
  }

  private speakAgain(state: AssetState): void {
    const silence = endSilence(state.telemetry, this.prediction.windowEndUs)
    if (silence !== undefined) this.send(telemetryFinding(this.words(undefined), 'closed', silence, false))
  }

  private evidence(detector?: DetectorSays): Evidence | undefined {
    const { prediction } = this
    const { baselineEpochUs } = prediction
    const isStale = (digest: string): boolean => {
      const learntUntilUs = this.given.cardOf(digest)?.learntUntilUs ?? null
      return baselineEpochUs !== null && learntUntilUs !== null && learntUntilUs < baselineEpochUs
    }
    const evidence = combine(prediction, isStale, detector)
    if (evidence === undefined || this.given.memory.assets.get(prediction.assetId)?.beside.standing === undefined) return evidence
    // What is judged by a normal that has drifted is for people.
    return { ...evidence, doubts: [...new Set([...evidence.doubts, 'drift'])].toSorted() }
  }

  /** Normal as the source that leads learnt it. */
  private normalOf(evidence: Evidence | undefined): Card | undefined {
    if (evidence === undefined) return undefined
    const { detector, verdict, isLedByDetector } = evidence
    if (detector !== undefined && (isLedByDetector || verdict === undefined)) return this.given.artefacts.cardOf(detector.digest)
    return verdict && this.given.cardOf(verdict.digest)
  }

  private words(evidence: Evidence | undefined): WindowWords {
    const { assetId, windowEndUs } = this.prediction
    const asset = this.given.wordsOf(assetId, windowEndUs)
    return { assetId, prediction: this.prediction, asset, detectorSet: this.given.detectorSet, evidence }
  }

  /** Another revision of a window that passed. The newest one is judged again in its place; an older one only corrects. */
  private revise(state: AssetState, kept: KeptWindow): Outcome {
    const idle = this.unjudged()
    if (idle !== undefined) return idle
    const values = readDoubles(this.prediction.values)
    const isNewest = state.windows.at(-1) === kept
    const evidence = this.evidence(isNewest ? this.detect(state, state.before, values) : undefined)
    if (evidence === undefined) return this.outcomeWithoutEvidence()
    const facts = this.factsOf(evidence, values, undefined)
    if (isNewest) this.reviseNewest(state, kept, facts)
    else this.reviseOlder(kept, facts)
    return 'revised'
  }

  private reviseNewest(state: AssetState, kept: KeptWindow, facts: WindowFacts): void {
    const { told } = kept
    const { ratio } = facts.evidence
    const step = sameEpisode(this.step(state, state.before, facts.evidence), told)
    const { transition, machine } = step
    state.machine = machine
    this.seen = { facts, machine, transition }
    this.tellRegime(state, facts)
    const isSame = told !== null && transition?.kind === told.kind && transition.episode.severity === told.severity
    if (isSame) return
    if (told !== null) {
      if (told.kind === 'closed') state.closed = state.closed.filter(({ episode }) => episode.episodeId !== told.episode.episodeId)
      const severity = (transition?.episode ?? machine.episode)?.severity ?? null
      // An update that is not due any more changes nothing for whoever decided on it, unless its severity differs.
      const isQuiet = told.kind === 'updated' && transition === undefined && severity === told.severity
      if (!isQuiet) this.send(correction(facts, told, { ratio, severity, isOpen: machine.episode !== null }))
      kept.told = null
    }
    if (transition === undefined) return
    if (told?.kind === transition.kind) kept.told = toldOf(transition, facts)
    else this.tell(state, kept, facts, transition)
  }

  /** Windows after it were judged already: the machine stays, what was told because of this window is set right. */
  private reviseOlder(kept: KeptWindow, facts: WindowFacts): void {
    const { told } = kept
    // A detector judges what many windows say together: a model's word on one of them does not set that right.
    if (told === null || told.byDetector) return
    const { ratio } = facts.evidence
    const { set } = this.given
    const severity = ratio > 1 ? severityOf(ratio, set) : null
    const holds = told.kind === 'closed' ? ratio <= 1 : severity === told.severity
    if (holds) return
    this.send(correction(facts, told, { ratio, severity, isOpen: ratio > 1 }))
    kept.told = severity === null ? null : { ...told, severity }
  }

  /** Beside the asset's own normal: its detector's, which knows best, else its models'. */
  private place(state: AssetState, values: Float64Array): PlacedWindow | undefined {
    const { artefacts, cardOf, faultModes } = this.given
    const digest = state.detectors[this.prediction.featureSet]?.digest
    const learnt = digest === undefined ? undefined : artefacts.cardOf(digest)?.features
    return faultModes.place(this.input, values, learnt ?? normalOfModels(this.prediction, cardOf))
  }

  private step(state: AssetState, machine: Machine, evidence: Evidence, placed?: PlacedWindow): Step {
    const { set, detectorSet } = this.given
    const { assetId, vectorId, windowEndUs, historical } = this.prediction
    const masked = maskedNames(this.prediction.names, this.prediction.health)
    const mayQuieten = !state.led.some((name) => masked.has(name))
    const standing = this.given.faultModes.standing(this.input, placed)
    // People call the mode normal, or want nothing said about it.
    const isAccepted = standing === 'normal' || standing === 'ignore'
    const { episode } = machine
    if (episode !== null && this.given.faultModes.isNormalNow(this.input, episode.episodeId)) {
      const accepting = acceptEpisode(machine, evidence.ratio, set)
      state.accepted = accepting?.accepted ?? null
      if (accepting !== undefined) return accepting.step
    }
    if (state.accepted) state.accepted = followAccepted(state.accepted, evidence.ratio, set)
    const level = state.accepted ?? null
    const heard = (ratio: number | undefined) => {
      if (ratio === undefined) return undefined
      return isAccepted ? 0 : level === null ? ratio : beyondAccepted(ratio, level)
    }
    // At an accepted level the detector's own episode goes on: the run of windows beyond that level decides.
    const models = heard(level === null ? evidence.verdict?.ratio : evidence.ratio)
    const detector = level === null ? { ratio: heard(evidence.detector?.ratio), isOpen: !isAccepted && isDetectorOpen(state) } : undefined
    const window = { ratio: models, vectorId, atUs: windowEndUs, historical, mayQuieten, ...(detector && { detector }) }
    const step = judge(machine, window, set, (opening) => episodeId(assetId, detectorSet, opening))
    // Quiet windows of such an episode say nothing that is graver.
    const isKnown = standing === 'known' || (machine.episode?.severity === LOWEST_SEVERITY && evidence.ratio <= 1)
    return isKnown ? lowest(step) : step
  }

  private factsOf(evidence: Evidence, values: Float64Array, shown: NamedMode | undefined): WindowFacts {
    const words = this.words(evidence)
    const { detector, verdict, isLedByDetector } = evidence
    const card = this.normalOf(evidence)
    const nearest = (): readonly NearestEpisodeInput[] => this.nearest()
    let told: readonly ContributionInput[] | undefined
    const contributions = (): readonly ContributionInput[] => {
      const shares = isLedByDetector ? detector?.contributions() : verdict && sharesOf(verdict)
      return contributionsOf(shares ?? [], this.prediction.names, values, card, words.asset)
    }
    return {
      ...words,
      evidence,
      promotion: this.input.order?.promotion ?? 0,
      // Most windows are told to nobody.
      get contributions() {
        return (told ??= contributions())
      },
      cluster: shown,
      get nearest() {
        return nearest()
      },
    }
  }

  private tell(state: AssetState, kept: KeptWindow, facts: WindowFacts, transition: Transition): void {
    kept.told = toldOf(transition, facts)
    const leading = facts.contributions.filter(({ share }) => share >= LEADING_SHARE).map(({ name }) => name)
    state.led = [...new Set([...(transition.kind === 'opened' ? [] : state.led), ...leading])]
    if (transition.kind === 'closed') keepClosed(state, { episode: transition.episode, closedUs: this.prediction.windowEndUs })
    this.send(transitionFinding(facts, transition, this.given.set.episode.closeBelow))
  }

  private send(output: Output<AnomaliesInput>): void {
    this.given.countFinding(output.type)
    this.out.emit(this.input, output)
  }
}

const NO_CHANNELS: ReadonlySet<string> = new Set()

const faultyOf = ({ sensors }: AssetState): ReadonlySet<string> => {
  let faulty: Set<string> | undefined
  for (const channel in sensors) if (sensors[channel]?.fault != null) (faulty ??= new Set()).add(channel)
  return faulty ?? NO_CHANNELS
}

const toldOf = ({ kind, episode }: Transition, { evidence }: WindowFacts): NonNullable<KeptWindow['told']> => ({
  kind,
  severity: episode.severity,
  episode,
  byDetector: evidence.isLedByDetector || evidence.verdict === undefined,
})

/** Of a suspected sensor nothing is believed. */
const believed = (values: Float64Array, names: readonly string[], health: Predictions['health']): Float64Array => {
  if (health.length === 0) return values
  const masked = maskedNames(names, health)
  return values.map((value, at) => (masked.has(names[at] as string) ? Number.NaN : value))
}

/** A mode that people know and accept for now: its episodes have the lowest severity and are not told again while they last. */
const lowest = ({ machine, transition }: Step): Step => {
  const low = <T extends { readonly severity: number }>(episode: T): T => ({ ...episode, severity: LOWEST_SEVERITY })
  return {
    machine: machine.episode === null ? machine : { ...machine, episode: low(machine.episode) },
    transition: transition === undefined || transition.kind === 'updated' ? undefined : { ...transition, episode: low(transition.episode) },
  }
}

/** No window without evidence can be the end of what is open. */
const isHeld = (state: AssetState): boolean => state.machine.episode === null || state.machine.level !== null || isDetectorOpen(state)

const nothingHeard: Evidence = { ratio: 0, verdict: undefined, detector: undefined, isLedByDetector: false, sources: [], doubts: [] }

/** An episode that was opened by an earlier revision of the window keeps its identity. */
const sameEpisode = (step: Step, told: KeptWindow['told']): Step => {
  if (told?.kind !== 'opened' || step.transition?.kind !== 'opened') return step
  const { episodeId: id, openingVectorId } = told.episode
  const episode = { ...step.transition.episode, episodeId: id, openingVectorId }
  return { machine: { ...step.machine, episode }, transition: { ...step.transition, episode } }
}
