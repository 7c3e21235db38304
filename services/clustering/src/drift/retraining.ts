// When a new model is proposed: enough new windows, many novel ones, drift that stays, or people's verdicts; never while an episode is
// open, a sensor is at fault or the regime is unknown, and not again before the cooldown is over. A proposal only: gates and people decide.

export interface RetrainingRules {
  /** New windows: this many, and this share of those the model learnt from. */
  readonly newWindows: number
  readonly newShare: number
  /** Share of novel windows among the last `novelWindows`. */
  readonly novelShare: number
  readonly novelWindows: number
  /** Share of features that drifted, in this many checks in a row. */
  readonly driftedShare: number
  readonly driftChecks: number
  readonly verdicts: number
  /** Event time between two proposals, microseconds. */
  readonly cooldownUs: number
}

export const defaultRetrainingRules: RetrainingRules = {
  newWindows: 1000,
  newShare: 0.25,
  novelShare: 0.15,
  novelWindows: 500,
  driftedShare: 0.3,
  driftChecks: 3,
  verdicts: 20,
  cooldownUs: 7 * 86_400e6,
}

/** Plain data. */
export interface RetrainingState {
  readonly newWindows: number
  /** 0 and 1 of the last windows, oldest first. */
  readonly novel: readonly number[]
  readonly driftedChecks: number
  readonly verdicts: number
  readonly proposedUs: number | null
}

export const noRetraining: RetrainingState = { newWindows: 0, novel: [], driftedChecks: 0, verdicts: 0, proposedUs: null }

export type RetrainingTrigger = 'new-windows' | 'novel-share' | 'drift' | 'verdicts'

export interface RetrainingStep {
  readonly atUs: number
  /** Windows the model in use learnt from. */
  readonly learntWindows: number
  /** What the window is: only a plain one counts. */
  readonly window?: { readonly isPlain: boolean; readonly isNovel: boolean }
  /** Share of features that drifted at a check that found a change; 0 of one that found none. */
  readonly driftedShare?: number
  /** Verdicts that people gave since. */
  readonly verdicts?: number
  /** An episode is open, a sensor at fault or the regime unknown: counts go on, nothing is proposed. */
  readonly isFrozen: boolean
}

/** One step: the next state, and the triggers of a proposal where there is one. */
export const retrainingAfter = (
  state: RetrainingState,
  step: RetrainingStep,
  rules: RetrainingRules = defaultRetrainingRules,
): { readonly state: RetrainingState; readonly proposal: readonly RetrainingTrigger[] | null } => {
  const { window } = step
  const isCounted = window?.isPlain === true && !step.isFrozen
  const next = {
    newWindows: state.newWindows + (isCounted ? 1 : 0),
    novel: isCounted ? [...state.novel, window.isNovel ? 1 : 0].slice(-rules.novelWindows) : state.novel,
    driftedChecks:
      step.driftedShare === undefined ? state.driftedChecks : step.driftedShare >= rules.driftedShare ? state.driftedChecks + 1 : 0,
    verdicts: state.verdicts + (step.verdicts ?? 0),
    proposedUs: state.proposedUs,
  }
  if (step.isFrozen || (next.proposedUs !== null && step.atUs - next.proposedUs < rules.cooldownUs)) return { state: next, proposal: null }
  const novel = next.novel.reduce((sum, value) => sum + value, 0)
  const triggers: RetrainingTrigger[] = []
  if (next.newWindows >= Math.max(rules.newWindows, rules.newShare * step.learntWindows)) triggers.push('new-windows')
  if (next.novel.length === rules.novelWindows && novel > rules.novelShare * rules.novelWindows) triggers.push('novel-share')
  if (next.driftedChecks >= rules.driftChecks) triggers.push('drift')
  if (next.verdicts >= rules.verdicts) triggers.push('verdicts')
  if (triggers.length === 0) return { state: next, proposal: null }
  return { state: { ...noRetraining, proposedUs: step.atUs }, proposal: triggers }
}
