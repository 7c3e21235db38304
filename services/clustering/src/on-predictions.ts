// predictions → anomalies. Judges each asset's windows in order: combines the verdicts, runs the episode machine, assigns
// the window to a pattern, watches for sensors that stand still. A window passes once; a higher revision is judged in
// its place and corrects what was said only if the decision differs. Replaying the same records gives the same findings.

import { compareOrders, emitter, episodeId } from '@andon/kit'
import type { Emitter, Handler, Input, Output } from '@andon/kit'
import type { AnomaliesInput, Predictions } from '@andon/schemas'
import { assetOf, keepClosed, keepWindow } from './asset-state.ts'
import type { AssetState, KeptWindow, PartitionMemory } from './asset-state.ts'
import { combine } from './combine.ts'
import type { Evidence } from './combine.ts'
import type { DetectorSet } from './detector-set.ts'
import { judge, severityOf } from './episode.ts'
import type { Machine, Step, Transition } from './episode.ts'
import { assignWindow, standardOf } from './fault-modes.ts'
import type { Pattern } from './fault-modes.ts'
import { contributionsOf } from './finding.ts'
import { readDoubles } from '@andon/schemas/packed'
import type { AssetWords, WindowFacts } from './finding.ts'
import type { Card } from './model-cards.ts'
import { correction, discovery, sensorFinding, transitionFinding } from './outputs.ts'
import { watchSensors } from './sensor-fault.ts'

export type Outcome = 'judged' | 'learning' | 'repeated' | 'revised' | 'out-of-order' | 'no-score'

export interface PredictionsDependencies {
  readonly memory: PartitionMemory
  readonly set: DetectorSet
  /** Digest of the set. */
  readonly detectorSet: string
  readonly cardOf: (digest: string) => Card | undefined
  readonly wordsOf: (assetId: string, timeUs: number) => AssetWords
  /** Resolves when every fact about models that is on the log by now has been read. */
  readonly settled: () => Promise<void>
  readonly countPrediction: (outcome: Outcome) => void
  readonly countFinding: (type: string) => void
}

export const onPredictions =
  (dependencies: PredictionsDependencies): Handler<Predictions> =>
  async (batch) => {
    const out = emitter()
    // A verdict may overtake the fact that registered its model: judged without its card, a replay would differ.
    const isUnknown = ({ value }: Input<Predictions>) => value.verdicts.some(({ digest }) => dependencies.cardOf(digest) === undefined)
    if (batch.inputs.some(isUnknown)) await dependencies.settled()
    for (const input of batch.inputs) dependencies.countPrediction(new WindowJudgement(dependencies, out, input).run())
    return out
  }

/** One prediction, one window. */
class WindowJudgement {
  private readonly given: PredictionsDependencies
  private readonly out: Emitter
  private readonly input: Input<Predictions>
  private readonly prediction: Predictions

  constructor(given: PredictionsDependencies, out: Emitter, input: Input<Predictions>) {
    this.given = given
    this.out = out
    this.input = input
    this.prediction = input.value
  }

  run(): Outcome {
    const { prediction, input } = this
    if (prediction.type !== 'verdicts') return 'learning'
    const state = assetOf(this.given.memory, prediction.assetId)
    const { windowStartUs, featureSet, vectorId } = prediction
    const order = input.order ?? { promotion: 0, index: 0, ...input.position }
    const known = state.windows.find((window) => window.windowStartUs === windowStartUs && window.featureSet === featureSet)
    if (known !== undefined) {
      if (compareOrders(order, known.order) <= 0) return 'repeated'
      // A promotion brings another judgement of the same vector; otherwise an equal vector only takes the order.
      const isPromoted = order.promotion > known.order.promotion
      known.order = order
      if (known.vectorId === vectorId && !isPromoted) return 'repeated'
      known.vectorId = vectorId
      return this.revise(state, known)
    }
    const newest = state.windows.at(-1)
    const kept: KeptWindow = { windowStartUs, featureSet, vectorId, order, told: null }
    keepWindow(state, kept)
    // An older window seen for the first time would have to be judged before those that followed: it is kept, not judged.
    if (newest !== undefined && newest.windowStartUs > windowStartUs) return 'out-of-order'
    return this.judgeNew(state, kept)
  }

  private judgeNew(state: AssetState, kept: KeptWindow): Outcome {
    const { set, detectorSet, cardOf } = this.given
    const { prediction } = this
    state.before = state.machine
    const evidence = combine(prediction)
    if (evidence === undefined) return 'no-score'

    const step = this.step(state.machine, evidence)
    state.machine = step.machine
    const values = readDoubles(prediction.values)
    const standard = standardOf(prediction, cardOf)
    const pattern = assignWindow(state.space, step.machine, prediction, values, evidence.ratio, standard, set, detectorSet)
    const facts = this.factsOf(evidence, values, pattern)
    if (step.transition !== undefined) this.tell(state, kept, facts, step.transition)
    if (pattern?.isDiscovered === true) this.send(discovery(facts, pattern.cluster))

    const card = cardOf(evidence.verdict.digest)
    if (card !== undefined) {
      const window = { vectorId: prediction.vectorId, atUs: prediction.windowEndUs }
      for (const fault of watchSensors(state.sensors, prediction.names, values, card, window, set.stuckWindows)) {
        this.send(sensorFinding(facts, fault, values, card, set.stuckWindows))
      }
    }
    return 'judged'
  }

  /** Another revision of a window that passed. The newest one is judged again in its place; an older one only corrects. */
  private revise(state: AssetState, kept: KeptWindow): Outcome {
    const evidence = combine(this.prediction)
    if (evidence === undefined) return 'no-score'
    const facts = this.factsOf(evidence, readDoubles(this.prediction.values), undefined)
    if (state.windows.at(-1) === kept) this.reviseNewest(state, kept, facts)
    else this.reviseOlder(kept, facts)
    return 'revised'
  }

  private reviseNewest(state: AssetState, kept: KeptWindow, facts: WindowFacts): void {
    const { told } = kept
    const { ratio } = facts.evidence
    const step = sameEpisode(this.step(state.before, facts.evidence), told)
    const { transition, machine } = step
    state.machine = machine
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
    if (told?.kind === transition.kind) kept.told = toldOf(transition)
    else this.tell(state, kept, facts, transition)
  }

  /** Windows after it were judged already: the machine stays, what was told because of this window is set right. */
  private reviseOlder(kept: KeptWindow, facts: WindowFacts): void {
    const { told } = kept
    if (told === null) return
    const { ratio } = facts.evidence
    const { set } = this.given
    const severity = ratio > 1 ? severityOf(ratio, set) : null
    const holds = told.kind === 'closed' ? ratio <= 1 : severity === told.severity
    if (holds) return
    this.send(correction(facts, told, { ratio, severity, isOpen: ratio > 1 }))
    kept.told = severity === null ? null : { ...told, severity }
  }

  private step(machine: Machine, evidence: Evidence): Step {
    const { set, detectorSet } = this.given
    const { assetId, vectorId, windowEndUs, historical } = this.prediction
    const window = { ratio: evidence.ratio, vectorId, atUs: windowEndUs, historical }
    return judge(machine, window, set, (opening) => episodeId(assetId, detectorSet, opening))
  }

  private factsOf(evidence: Evidence, values: Float64Array, pattern: Pattern | undefined): WindowFacts {
    const { prediction } = this
    const asset = this.given.wordsOf(prediction.assetId, prediction.windowEndUs)
    const card = this.given.cardOf(evidence.verdict.digest)
    return {
      assetId: prediction.assetId,
      prediction,
      promotion: this.input.order?.promotion ?? 0,
      evidence,
      asset,
      contributions: contributionsOf(evidence.verdict, prediction.names, values, card, asset),
      detectorSet: this.given.detectorSet,
      cluster: pattern && { clusterId: pattern.cluster.clusterId, isNovel: pattern.isNovel, isKnownFault: pattern.isKnownFault },
    }
  }

  private tell(state: AssetState, kept: KeptWindow, facts: WindowFacts, transition: Transition): void {
    kept.told = toldOf(transition)
    if (transition.kind === 'closed') keepClosed(state, { episode: transition.episode, closedUs: this.prediction.windowEndUs })
    this.send(transitionFinding(facts, transition, this.given.set.episode.closeBelow))
  }

  private send(output: Output<AnomaliesInput>): void {
    this.given.countFinding(output.type)
    this.out.emit(this.input, output)
  }
}

const toldOf = ({ kind, episode }: Transition): NonNullable<KeptWindow['told']> => ({ kind, severity: episode.severity, episode })

/** An episode that was opened by an earlier revision of the window keeps its identity. */
const sameEpisode = (step: Step, told: KeptWindow['told']): Step => {
  if (told?.kind !== 'opened' || step.transition?.kind !== 'opened') return step
  const { episodeId: id, openingVectorId } = told.episode
  const episode = { ...step.transition.episode, episodeId: id, openingVectorId }
  return { machine: { ...step.machine, episode }, transition: { ...step.transition, episode } }
}
