// What the windows of an asset hold, said the slow way: from the set of accepted rows alone, window by window. Knows one
// plan and single values; shares nothing with the engine but the digest of sample ranges and the shape of ids.

import { samplesDigest, vectorId } from '@andon/kit'
import { statistics } from '@andon/schemas'
import type { AssetPlan } from '../src/plan.ts'

export interface OracleRow {
  readonly source: string
  readonly seq: number
  readonly timeUs: number
  readonly quality: number
  /** By channel; a channel that the row does not carry is missing. */
  readonly values: Readonly<Record<string, number>>
}

export interface OracleVector {
  readonly id: string
  readonly startUs: number
  readonly endUs: number
  readonly revision: number
  readonly numbers: Readonly<Record<string, number>>
  readonly missing: readonly string[]
  readonly isYoung: boolean
  readonly uncertainRows: number
  readonly badRows: number
}

const byOrder = (a: OracleRow, b: OracleRow): number =>
  a.timeUs - b.timeUs || (a.source < b.source ? -1 : a.source > b.source ? 1 : 0) || a.seq - b.seq

/** Every window of the rows, ascending by end. `lateUs` = lateness of the plan. */
export const oracleVectors = (
  plan: AssetPlan,
  assetId: string,
  accepted: readonly OracleRow[],
  servicedUs: number | null = null,
): OracleVector[] => {
  const rows = accepted.toSorted(byOrder)
  return endsOf(plan, rows).flatMap((endUs) => {
    const sinceUs = servicedUs !== null && servicedUs < endUs ? servicedUs : Number.NEGATIVE_INFINITY
    const before = rows.filter(({ timeUs }) => timeUs < endUs && timeUs >= sinceUs)
    const inside = new Set<OracleRow>()
    const numbers: Record<string, number> = {}
    const { length: window } = plan.scales[0]!
    const missing: string[] = []
    const carried = plan.channels.map(({ id }) => isCarried(plan, id) && newest(rows, id, endUs - usOf(window), sinceUs))
    plan.scales.forEach(({ name, length }, scale) => {
      for (const { id } of plan.channels) {
        const own = before.filter(({ values }) => id in values)
        const last = 'us' in length ? own.filter(({ timeUs }) => timeUs >= endUs - length.us) : own.slice(-length.rows)
        const held = last.filter(({ timeUs }) => !('us' in window) || timeUs >= endUs - window.us)
        for (const row of held) inside.add(row)
        const good = held.filter(({ quality, values }) => quality < 2 && Number.isFinite(values[id]))
        const isTold = isCarried(plan, id) === 'only' && Boolean(carried[plan.channels.findIndex((channel) => channel.id === id)])
        if (good.length === 0 && scale === 0 && !isTold) missing.push(id)
        const suffix = plan.scales.length > 1 ? `@${name}` : ''
        const startUs = endUs - ('us' in length ? length.us : 0)
        const known = isCarried(plan, id) !== false && 'us' in length ? newest(rows, id, startUs, sinceUs) : undefined
        const timed = good.map(({ timeUs, values }): [number, number] => [timeUs, values[id]!])
        if (known !== undefined) timed.unshift([startUs, known.values[id]!])
        Object.assign(
          numbers,
          numbersOf(
            good.map(({ values }) => values[id]!),
            id,
            suffix,
          ),
          carriedNumbersOf(timed, endUs, id, suffix),
        )
      }
    })
    const into = carried.filter((row) => row !== false && row !== undefined)
    if (inside.size === 0 && into.length === 0) return []
    const alive = inside.size === 0 ? before.filter((row) => row.timeUs < endUs - usOf(window)).slice(-1) : []
    const held = [...inside].toSorted(byOrder)
    const startUs = plan.hop === 'row' ? held[0]!.timeUs : endUs - (plan.scales[0]!.length as { us: number }).us
    const isBad = ({ quality, values }: OracleRow) =>
      quality >= 2 || plan.channels.some(({ id }) => id in values && !Number.isFinite(values[id]))
    const revision = revisionOf(plan, rows, endUs, startUs)
    return [
      {
        id: vectorId(plan.digest, assetId, endUs, revision, samplesDigest(rangesOf([...new Set([...held, ...into, ...alive])]))),
        startUs,
        endUs,
        revision,
        numbers,
        missing,
        isYoung: isYoung(plan, before, Math.max(rows[0]!.timeUs, sinceUs), endUs),
        uncertainRows: held.filter((row) => !isBad(row) && row.quality === 1).length,
        badRows: held.filter(isBad).length,
      },
    ]
  })
}

/** Overlapping windows that reach back beyond what was there. */
const isYoung = (
  { hop, scales, channels, latenessUs }: AssetPlan,
  before: readonly OracleRow[],
  begunUs: number,
  endUs: number,
): boolean => {
  const { length: window } = scales[0]!
  if (hop !== 'row') {
    const { us } = window as { us: number }
    return hop.us < us && begunUs > endUs - Math.max(us, hop.us + latenessUs)
  }
  const reachesBack = scales.map(({ length }) => {
    if ('us' in length) return begunUs > endUs - length.us
    if ('us' in window) return false // rows in a window of time
    const last = channels.map(({ id }) => before.filter(({ values }) => id in values).slice(-length.rows))
    const full = last.filter((own) => own.length === length.rows)
    const fullSinceUs = Math.max(...full.map((own) => own[0]!.timeUs))
    return full.length === 0 || last.some((own) => own.length > 0 && own.length < length.rows && own[0]!.timeUs > fullSinceUs)
  })
  return reachesBack.includes(true)
}

const usOf = (length: AssetPlan['scales'][number]['length']): number => ('us' in length ? length.us : 0)

/** Whether windows take over what a channel showed before; `only` = nothing else is asked of it. */
const isCarried = ({ hop, calls, channels, scales }: AssetPlan, id: string): false | 'only' | 'too' => {
  const asked = calls
    .filter((call) => call.channels.some((at) => channels[at]!.id === id))
    .flatMap((call) => call.asked.map(({ statistic }) => 'us' in scales[call.scale]!.length && statistics[statistic].carriesIn))
  if (hop === 'row' || !asked.includes(true)) return false
  return asked.includes(false) ? 'too' : 'only'
}

const newest = (rows: readonly OracleRow[], id: string, beforeUs: number, sinceUs: number): OracleRow | undefined =>
  rows.findLast((row) => row.quality < 2 && Number.isFinite(row.values[id]) && row.timeUs < beforeUs && row.timeUs >= sinceUs)

/** Numbers of values that hold until the next: what came before the window stands in front, from its start on. */
const carriedNumbersOf = (timed: readonly [number, number][], endUs: number, channel: string, suffix: string): Record<string, number> => {
  const steps = timed.slice(1).map(([, value], i) => [timed[i]![1], value] as const)
  const counted = steps.map(([from, to]) => (to >= from ? to - from : to < from / 2 ? Math.max(to, 0) : to - from))
  const us = (wanted: (value: number) => boolean): number =>
    timed.reduce((sum, [timeUs, value], i) => sum + (wanted(value) ? (timed[i + 1]?.[0] ?? endUs) - timeUs : 0), 0)
  const none = timed.length === 0
  const all = {
    increase: counted.reduce((sum, step) => sum + step, 0),
    stateChanges: steps.filter(([from, to]) => from !== to).length,
    state0S: us((value) => value === 0) / 1e6,
    timeInBandPct: none ? 0 : (100 * us((value) => value >= 0)) / (endUs - timed[0]![0]),
  }
  return Object.fromEntries(Object.entries(all).map(([name, x]) => [`${channel}.${name}${suffix}`, none ? Number.NaN : x]))
}

const endsOf = (plan: AssetPlan, rows: readonly OracleRow[]): number[] => {
  const { hop, scales, channels, graceUs } = plan
  const ends = new Set<number>()
  for (const { timeUs } of rows) {
    if (hop === 'row') {
      ends.add(timeUs + 1)
      continue
    }
    const lengthUs = (scales[0]!.length as { us: number }).us
    const aliveUs = channels.some(({ id }) => isCarried(plan, id) !== false) ? Math.max(0, 2 * lengthUs - graceUs) : 0
    for (let endUs = Math.ceil((timeUs + 1) / hop.us) * hop.us; endUs <= timeUs + lengthUs + aliveUs; endUs += hop.us) ends.add(endUs)
  }
  return [...ends].toSorted((a, b) => a - b)
}

const revisionOf = (plan: AssetPlan, rows: readonly OracleRow[], endUs: number, startUs: number): number => {
  if (plan.channels.some(({ id }) => isCarried(plan, id) !== false))
    return 1 + rows.filter(({ timeUs }) => timeUs >= startUs - plan.latenessUs && timeUs < endUs).length
  if (plan.hop !== 'row') return rows.filter(({ timeUs }) => timeUs >= startUs && timeUs < endUs).length
  const before = rows.filter(({ timeUs }) => timeUs < endUs)
  const held = plan.scales.flatMap(({ length }) =>
    plan.channels.map(({ id }) => {
      const own = before.filter(({ values }) => id in values)
      return 'us' in length ? own.filter(({ timeUs }) => timeUs >= endUs - length.us).length : Math.min(own.length, length.rows)
    }),
  )
  return Math.max(...held) + before.filter(({ timeUs }) => timeUs >= endUs - 1 - plan.latenessUs).length
}

const numbersOf = (values: readonly number[], channel: string, suffix: string): Record<string, number> => {
  const none = values.length === 0
  const all = {
    count: values.length,
    mean: values.reduce((sum, x) => sum + x, 0) / values.length,
    max: Math.max(...values),
    last: values.at(-1) ?? Number.NaN,
  }
  return Object.fromEntries(Object.entries(all).map(([name, x]) => [`${channel}.${name}${suffix}`, none ? Number.NaN : x]))
}

const rangesOf = (rows: readonly OracleRow[]) => {
  const numbers = Map.groupBy(rows, ({ source }) => source)
  return [...numbers].flatMap(([sourceId, own]) => {
    const ranges: { sourceId: string; epoch: number; seqFrom: number; seqTo: number }[] = []
    for (const seq of own.map((row) => row.seq).toSorted((a, b) => a - b)) {
      const last = ranges.at(-1)
      if (last?.seqTo === seq - 1) last.seqTo = seq
      else ranges.push({ sourceId, epoch: 1, seqFrom: seq, seqTo: seq })
    }
    return ranges
  })
}
