import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { betaCdf, betaQuantile } from '../../src/modes/beta.ts'
import { type FailureHistory, correlateFailures, failureDefaults } from '../../src/modes/failures.ts'
import { randomFrom } from '../../src/random.ts'

const DAY_US = 86_400_000_000
const ageless = { ...failureDefaults, horizonUs: 10 * DAY_US, halfLifeUs: Number.POSITIVE_INFINITY }

const isNear = (found: number, expected: number, tolerance = 1e-9): void =>
  assert.ok(Math.abs(found - expected) <= tolerance, `${found}, expected ${expected}`)

const choose = (n: number, k: number): number => (k === 0 ? 1 : (choose(n - 1, k - 1) * n) / k)

test('the beta distribution is that of binomial tails, and its quantiles turn it round', () => {
  for (const [n, k, p] of [
    [5, 2, 0.1],
    [20, 3, 0.05],
    [12, 12, 0.5],
    [40, 1, 0.001],
  ] as const) {
    let tail = 0
    for (let i = k; i <= n; i++) tail += choose(n, i) * p ** i * (1 - p) ** (n - i)
    isNear(betaCdf(p, k, n - k + 1), tail, 1e-12)
  }
  isNear(betaCdf(0.3, 0.5, 0.5), (2 / Math.PI) * Math.asin(Math.sqrt(0.3)), 1e-12)
  fc.assert(
    fc.property(
      fc.double({ min: 0.001, max: 0.999, noNaN: true }),
      fc.integer({ min: 1, max: 80 }),
      fc.integer({ min: 1, max: 80 }),
      (p, a, b) => isNear(betaCdf(betaQuantile(p, a / 2, b / 2), a / 2, b / 2), p, 1e-7),
    ),
  )
})

/** 200 days of one pump with failures on days 50, 100 and 150. */
const history = (starts: readonly number[], more: Partial<FailureHistory> = {}): FailureHistory => ({
  asOfUs: 200 * DAY_US,
  watched: [{ assetId: 'pump', fromUs: 0, toUs: 200 * DAY_US }],
  episodes: starts.map((day, i) => ({ episodeId: `episode-${i}`, modeId: 'mode', assetId: 'pump', startUs: day * DAY_US })),
  failures: [50, 100, 150].map((day) => ({ eventId: `failure-${day}`, assetId: 'pump', atUs: day * DAY_US })),
  interventions: [],
  ...more,
})

test('a hand-computed case: rates, lift, p-value and lead time', () => {
  const [mode] = correlateFailures(history([43, 46, 92, 120, 141, 170]), ageless)
  assert.ok(mode !== undefined)
  // Moments of days 0 to 190 count; 30 of these days lie within ten before a failure.
  isNear(mode.baseRate, 30 / 190)
  // 43 and 46 wait for the same failure.
  assert.deepEqual(
    mode.evidence.map(({ episodeIds, outcome, eventId }) => [episodeIds.length, outcome, eventId]),
    [
      [2, 'failure', 'failure-50'],
      [1, 'failure', 'failure-100'],
      [1, 'none', null],
      [1, 'failure', 'failure-150'],
      [1, 'none', null],
    ],
  )
  assert.deepEqual([mode.trials, mode.failures], [5, 3])
  isNear(mode.rate, 3.5 / 6)
  isNear(mode.lift, 3.5 / 6 / (30 / 190))
  isNear(mode.liftLow, betaQuantile(0.1, 3.5, 2.5) / (30 / 190))
  const p = 30 / 190
  isNear(mode.pValue, 10 * p ** 3 * (1 - p) ** 2 + 5 * p ** 4 * (1 - p) + p ** 5)
  assert.deepEqual(mode.lead, { medianUs: 8 * DAY_US, leastUs: 7 * DAY_US, mostUs: 9 * DAY_US, lowUs: 7.5 * DAY_US })
  assert.equal(mode.hasPrecededFailures, true)
})

test('too few trials or failures are no claim, however clear they look', () => {
  const [few] = correlateFailures(history([43, 92, 141]), ageless)
  assert.deepEqual([few?.trials, few?.failures, few?.hasPrecededFailures], [3, 3, false])
  const [one] = correlateFailures(history([10, 25, 43, 60, 75]), ageless)
  assert.deepEqual([one?.trials, one?.failures, one?.hasPrecededFailures], [5, 1, false])
})

test('an intervention before the failure takes its trial out of the count, and its days out of the base', () => {
  const interventions = [{ eventId: 'repair', assetId: 'pump', atUs: 95 * DAY_US }]
  const [mode] = correlateFailures(history([43, 92, 120, 141, 170], { interventions }), ageless)
  assert.deepEqual([mode?.trials, mode?.failures, mode?.censored], [4, 2, 1])
  assert.equal(mode?.evidence[1]?.eventId, 'repair')
  // Days 85 to 95 are out; 95 to 100 still see the failure.
  isNear(mode?.baseRate ?? 0, 25 / 180)
  const after = correlateFailures(history([43], { interventions: [{ ...interventions[0]!, atUs: 51 * DAY_US }] }), ageless)
  assert.equal(after[0]?.failures, 1)
})

test('a horizon that is not over counts neither way', () => {
  const [mode] = correlateFailures(
    history([43, 195], { failures: [...history([]).failures, { eventId: 'late', assetId: 'pump', atUs: 196 * DAY_US }] }),
    ageless,
  )
  assert.deepEqual([mode?.trials, mode?.pending], [1, 1])
  const unwatched = correlateFailures(history([43], { watched: [{ assetId: 'pump', fromUs: 100 * DAY_US, toUs: 200 * DAY_US }] }), ageless)
  assert.deepEqual([unwatched[0]?.trials, unwatched[0]?.pending], [0, 1])
})

test('failures of another asset do not count, and without failures nothing is claimed', () => {
  const other = history([43, 92, 120, 141, 170])
  const [mode] = correlateFailures({ ...other, failures: other.failures.map((failure) => ({ ...failure, assetId: 'fan' })) }, ageless)
  assert.deepEqual([mode?.failures, mode?.hasPrecededFailures, mode?.pValue], [0, false, 1])
  assert.deepEqual(correlateFailures(history([]), ageless), [])
})

test('old evidence fades, with its base', () => {
  const halfLifeUs = 50 * DAY_US
  const [mode] = correlateFailures(history([43, 92, 120, 141, 170]), { ...ageless, halfLifeUs })
  const weight = (day: number) => 2 ** ((day - 200) / 50)
  const hits = weight(43) + weight(92) + weight(141)
  const all = hits + weight(120) + weight(170)
  isNear(mode?.rate ?? 0, (0.5 + hits) / (1 + all))
  const mass = (from: number, to: number) => weight(to) - weight(from)
  isNear(mode?.baseRate ?? 0, (mass(40, 50) + mass(90, 100) + mass(140, 150)) / mass(0, 190), 1e-9)
})

/** A year and a half of 20 machines: failures by chance, and modes of which some are followed by failures more often than chance. */
const simulated = (seed: number, modes: number, telling: number, withInterventions: boolean): FailureHistory => {
  const random = randomFrom(seed)
  const days = 540
  const assets = Array.from({ length: 20 }, (_, i) => `asset-${i}`)
  const wait = (meanDays: number) => -Math.log(1 - random.uniform()) * meanDays
  const times = (meanDays: number): number[] => {
    const found: number[] = []
    for (let at = wait(meanDays); at < days; at += wait(meanDays)) found.push(at)
    return found
  }
  const events = (kind: string, meanDays: number) =>
    assets.flatMap((assetId) => times(meanDays).map((day, i) => ({ eventId: `${kind}-${assetId}-${i}`, assetId, atUs: day * DAY_US })))
  const failures = events('failure', 150)
  const episodes = Array.from({ length: modes }, (_, mode) =>
    assets.flatMap((assetId) => {
      const at =
        mode < telling
          ? failures
              .filter((each) => each.assetId === assetId && random.uniform() < 0.5)
              .map(({ atUs }) => atUs / DAY_US - 3 * random.uniform())
          : []
      return [...at, ...times(300)].map((day, i) => ({
        episodeId: `${mode}-${assetId}-${i}`,
        modeId: `mode-${mode}`,
        assetId,
        startUs: day * DAY_US,
      }))
    }),
  ).flat()
  return {
    asOfUs: days * DAY_US,
    watched: assets.map((assetId) => ({ assetId, fromUs: 0, toUs: days * DAY_US })),
    episodes,
    failures,
    interventions: withInterventions ? events('repair', 60) : [],
  }
}

/** Histories in which some mode meets what is asked, of 200. */
const claimed = (
  withInterventions: boolean,
  options: typeof failureDefaults,
  episodesOf = (history: FailureHistory) => history,
): number => {
  let claims = 0
  for (let seed = 0; seed < 200; seed++) {
    const lines = correlateFailures(episodesOf(simulated(seed, 6, 0, withInterventions)), options)
    if (lines.some(({ hasPrecededFailures }) => hasPrecededFailures)) claims++
  }
  return claims
}
/** 5 % of 200 and three standard errors. */
const MOST_CLAIMS = 19

test('where nothing is to be found claims are as rare as stated by the adjusted p-value alone, interventions or not', () => {
  const open = { ...failureDefaults, halfLifeUs: Number.POSITIVE_INFINITY, leastTrials: 1, leastFailures: 1, leastLift: 0 }
  for (const withInterventions of [false, true]) {
    const claims = claimed(withInterventions, open)
    assert.ok(claims <= MOST_CLAIMS, `${claims} of 200`)
  }
})

test('episodes that come in bursts claim no more', () => {
  const inBursts = (history: FailureHistory): FailureHistory => ({
    ...history,
    episodes: history.episodes.flatMap((episode) =>
      [0, 1, 2, 5].map((day) => ({ ...episode, episodeId: `${episode.episodeId}-${day}`, startUs: episode.startUs + day * DAY_US })),
    ),
  })
  const claims = claimed(false, failureDefaults, inBursts)
  assert.ok(claims <= MOST_CLAIMS, `${claims} of 200`)
})

test('a mode that precedes half of the failures is found, and those beside it are not', () => {
  let [found, others] = [0, 0]
  for (let seed = 0; seed < 40; seed++) {
    for (const { modeId, hasPrecededFailures } of correlateFailures(simulated(seed, 6, 1, false))) {
      if (!hasPrecededFailures) continue
      if (modeId === 'mode-0') found++
      else others++
    }
  }
  assert.ok(found >= 38, `${found} of 40`)
  assert.ok(others <= 6, `${others} others`)
})
