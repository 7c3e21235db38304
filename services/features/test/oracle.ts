// What the windows of an asset hold, said the slow way: from the set of accepted rows alone, window by window. Knows one
// plan and single values; shares nothing with the engine but the digest of sample ranges and the shape of ids.

import { samplesDigest, vectorId } from '@andon/kit'
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
    plan.scales.forEach(({ name, length }, scale) => {
      for (const { id } of plan.channels) {
        const own = before.filter(({ values }) => id in values)
        const last = 'us' in length ? own.filter(({ timeUs }) => timeUs >= endUs - length.us) : own.slice(-length.rows)
        const held = last.filter(({ timeUs }) => !('us' in window) || timeUs >= endUs - window.us)
        for (const row of held) inside.add(row)
        const good = held.filter(({ quality, values }) => quality < 2 && Number.isFinite(values[id]))
        if (good.length === 0 && scale === 0) missing.push(id)
        Object.assign(
          numbers,
          numbersOf(
            good.map(({ values }) => values[id]!),
            id,
            plan.scales.length > 1 ? `@${name}` : '',
          ),
        )
      }
    })
    if (inside.size === 0) return []
    const held = [...inside].toSorted(byOrder)
    const startUs = plan.hop === 'row' ? held[0]!.timeUs : endUs - (plan.scales[0]!.length as { us: number }).us
    const isBad = ({ quality, values }: OracleRow) =>
      quality >= 2 || plan.channels.some(({ id }) => id in values && !Number.isFinite(values[id]))
    const revision = revisionOf(plan, rows, endUs, startUs)
    return [
      {
        id: vectorId(plan.digest, assetId, endUs, revision, samplesDigest(rangesOf(held))),
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

const endsOf = ({ hop, scales }: AssetPlan, rows: readonly OracleRow[]): number[] => {
  const ends = new Set<number>()
  for (const { timeUs } of rows) {
    if (hop === 'row') {
      ends.add(timeUs + 1)
      continue
    }
    const lengthUs = (scales[0]!.length as { us: number }).us
    for (let endUs = Math.ceil((timeUs + 1) / hop.us) * hop.us; endUs <= timeUs + lengthUs; endUs += hop.us) ends.add(endUs)
  }
  return [...ends].toSorted((a, b) => a - b)
}

const revisionOf = (plan: AssetPlan, rows: readonly OracleRow[], endUs: number, startUs: number): number => {
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
