// What today's code says otherwise than a history has it, and which of that is intended.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface HistoryDifference {
  readonly of: 'actions' | 'anomalies'
  /** Partition and offset: of the decision's first fact, or of the prediction that was judged. */
  readonly at: string
  /** What was decided on, in words. */
  readonly about: string
  /** Field of the fact or finding, by its type: `StepProposed.proposal.approvalsNeeded`. */
  readonly path: string
  /** What was recorded. */
  readonly expected: unknown
  /** What today's code says. */
  readonly found: unknown
}

/** A change of the rules that is wanted. Without `at` it covers every place where this path differs. */
export interface Intended extends Pick<HistoryDifference, 'of' | 'path'> {
  readonly at?: string
  readonly reason: string
}

/** The intended differences that lie beside a history; throws for an entry that says no reason. */
export const readIntended = (name: string): Intended[] => {
  const intended = JSON.parse(readFileSync(join(import.meta.dirname, name, 'intended.json'), 'utf8')) as Intended[]
  const silent = intended.find(({ reason }) => (reason ?? '').trim() === '')
  if (silent) throw new Error(`${name}/intended.json: ${silent.path} gives no reason`)
  return intended
}

const covers = (intended: Intended, difference: HistoryDifference): boolean =>
  intended.of === difference.of && intended.path === difference.path && (intended.at ?? difference.at) === difference.at

/** What nobody intended, and intended entries that do not come true (any more). */
export const unintended = (
  differences: readonly HistoryDifference[],
  intended: readonly Intended[],
): { readonly unexpected: HistoryDifference[]; readonly stale: Intended[] } => ({
  unexpected: differences.filter((difference) => !intended.some((one) => covers(one, difference))),
  stale: intended.filter((one) => !differences.some((difference) => covers(one, difference))),
})

const MOST_TOLD = 40

/** How often each path differs, most often first. */
const counted = (differences: readonly HistoryDifference[]): string =>
  [...Map.groupBy(differences, ({ of, path }) => `${of} ${path}`)]
    .toSorted(([, a], [, b]) => b.length - a.length)
    .map(([path, all]) => `${path} × ${all.length}`)
    .join(', ')

/** Every difference with what was asked, expected and found, and what to do about it. */
export const report = (name: string, unexpected: readonly HistoryDifference[], stale: readonly Intended[]): string =>
  [
    ...unexpected
      .slice(0, MOST_TOLD)
      .map(
        ({ of, at, about, path, expected, found }) =>
          `${of} ${at}, ${about}\n    ${path}: expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`,
      ),
    ...(unexpected.length > MOST_TOLD ? [`… in all: ${counted(unexpected)}`] : []),
    ...stale.map(
      ({ of, path, at }) => `${of} ${at ?? 'anywhere'}: ${path} is intended to differ and does not: remove it from intended.json`,
    ),
    `What to do: docs/how-to/decision-histories.md (history ${name})`,
  ].join('\n')
