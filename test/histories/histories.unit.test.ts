// Every recorded history, decided again by today's code: the same requests, deadlines, predictions and documents have to
// give the same facts and findings, unless a difference is intended and says why. And a changed rule is noticed.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { decide, dueFacts } from '@andon/decisions'
import type { Rules } from '../../services/actions/src/redecide.ts'
import { defaultDetectorSet, detectorSetDigest } from '../../services/clustering/src/detector-set.ts'
import { type HistoryDifference, type Intended, readIntended, report, unintended } from './differences.ts'
import { type History, historyNames, readHistory } from './history.ts'
import { redecided } from './redecided.ts'
import { rejudge } from './rejudge.ts'

const assertAsRecorded = (name: string, differences: readonly HistoryDifference[], of: HistoryDifference['of']): void => {
  const { unexpected, stale } = unintended(
    differences,
    readIntended(name).filter((one) => one.of === of),
  )
  assert.ok(unexpected.length + stale.length === 0, `\n${report(name, unexpected, stale)}`)
}

const readings = new Map<string, Promise<History>>()
const historyOf = (name: string): Promise<History> => {
  const reading = readings.get(name) ?? readHistory(name)
  readings.set(name, reading)
  return reading
}

test('there is a history to decide again', () => assert.ok(historyNames().length > 0))

for (const name of historyNames()) {
  test(`what people and policies decided in ${name} is decided the same way today`, async () => {
    const { compared, differences } = redecided(await historyOf(name))
    assert.ok(compared > 50, `${compared} decisions`)
    assertAsRecorded(name, differences, 'actions')
  })

  test(`what was found in ${name} is found today`, async () => {
    const { compared, findings, differences } = await rejudge(await historyOf(name))
    assert.ok(compared > 200 && findings.length > 5, `${findings.length} findings in ${compared} predictions`)
    assertAsRecorded(name, differences, 'anomalies')
  })
}

describe('a changed rule is noticed', () => {
  const newest = historyNames().at(-1) ?? ''
  const pathsWith = async (rules: Rules): Promise<string[]> => redecided(await historyOf(newest), rules).differences.map(({ path }) => path)
  const rules: Rules = { decide, dueFacts }

  test('a policy that needs one approval fewer', async () => {
    const lenient: Rules = {
      ...rules,
      decide(request, state, context) {
        const steps = context.plan?.steps.map((step) => ({ ...step, approvals: step.approvals - 1 })) ?? []
        return decide(request, state, { ...context, plan: context.plan && { ...context.plan, steps } })
      },
    }
    assert.ok((await pathsWith(lenient)).includes('StepProposed.proposal.approvalsNeeded'))
  })

  test('an approval that counts although its role may not decide', async () => {
    const anybody: Rules = {
      ...rules,
      decide: (request, state, context) => decide({ ...request, roles: ['process-engineer', 'operator', 'shift-lead'] }, state, context),
    }
    const { differences } = redecided(await historyOf(newest), anybody)
    const refusal = differences.find(({ path }) => path === 'RequestRefused')
    assert.match(String(refusal?.expected), /ANDON_ACTIONS_ROLE/)
    assert.match(refusal?.about ?? '', /^ApproveRequested .* by p-operator/)
  })

  test('a deadline that comes a minute early', async () => {
    const hasty: Rules = { ...rules, dueFacts: (state, context) => dueFacts(state, { ...context, atUs: context.atUs + 60_000_000 }) }
    assert.ok((await pathsWith(hasty)).some((path) => path.startsWith('TimerFired')))
  })

  test('a document that came later than the decision on it', async () => {
    const history = await historyOf(newest)
    const before = { ...history, config: history.config.filter(({ value }) => value.name !== 'policies/furnace-fan') }
    const paths = redecided(before).differences.map(({ path }) => path)
    assert.ok(paths.includes('StepProposed.proposal.policy') && paths.includes('StepProposed'), paths.join())
  })

  test('an episode that opens one window later', async () => {
    const set = { ...defaultDetectorSet, episode: { ...defaultDetectorSet.episode, on: defaultDetectorSet.episode.on + 1 } }
    const { differences } = await rejudge(await historyOf(newest), { set, detectorSet: detectorSetDigest(defaultDetectorSet) })
    assert.ok(differences.some(({ path, found }) => path === 'EpisodeOpened' && found === 'nothing'))
  })

  test('a score that moves by a millionth, and not one that moves by less than a billionth', async () => {
    const history = await historyOf(newest)
    const paths = async (factor: number): Promise<string[]> => {
      const predictions = history.predictions.map(({ value, ...rest }) => {
        const verdicts = value.verdicts.map((verdict) => ({ ...verdict, ratio: verdict.ratio * factor }))
        return { ...rest, value: { ...value, verdicts } }
      })
      const { differences } = await rejudge({ ...history, predictions })
      return unintended(differences, readIntended(newest)).unexpected.map(({ path }) => path)
    }
    assert.ok((await paths(1 + 1e-6)).some((path) => path.endsWith('.finding.ratio')))
    assert.deepEqual(await paths(1 + 1e-12), [])
  })
})

describe('intended differences', () => {
  const difference: HistoryDifference = {
    of: 'actions',
    at: '3/17',
    about: 'a call',
    path: 'IncidentOpened.title',
    expected: 'a',
    found: 'b',
  }
  const intend = (fields: Partial<Intended>): Intended => ({
    of: 'actions',
    path: 'IncidentOpened.title',
    reason: 'clearer words',
    ...fields,
  })

  test('cover their path, everywhere or at one place', () => {
    for (const fields of [{}, { at: '3/17' }]) assert.deepEqual(unintended([difference], [intend(fields)]), { unexpected: [], stale: [] })
  })

  test('cover nothing else', () => {
    for (const fields of [{ of: 'anomalies' as const }, { at: '3/18' }, { path: 'IncidentOpened' }])
      assert.deepEqual(unintended([difference], [intend(fields)]).unexpected, [difference])
  })

  test('that do not come true are told', () => {
    const { stale } = unintended([], [intend({})])
    assert.match(report('v1', [], stale), /is intended to differ and does not/)
  })

  test('are told with what was asked, expected and found', () => {
    assert.match(report('v1', [difference], []), /actions 3\/17, a call\n {4}IncidentOpened.title: expected "a", found "b"/)
  })

  test('are counted by path where there are many', () => {
    const many = Array.from({ length: 50 }, (_, offset) => ({ ...difference, at: `3/${offset}` }))
    assert.match(report('v1', many, []), /in all: actions IncidentOpened.title × 50/)
  })
})
