// The set `identity`: fault modes whose clusters split, merge, emerge and drift over 20 refits must be reported as such, and the others keep
// their ids. The world is drawn from seeds, so what happens in it is known; sampling, clustering, fitting and reconciling are the product's.

import { hdbscan } from '@andon/clustering/density/hdbscan'
import { type Transition, emptyRegistry } from '@andon/clustering/modes/identity'
import { openAssigner } from '@andon/clustering/modes/members'
import { type ModesInForce, NOVEL, refit, regrouped } from '@andon/clustering/modes/refit'
import { Sample } from '@andon/clustering/modes/sample'
import { type Random, randomFrom } from '@andon/clustering/random'
import type { QualitySet } from './line.ts'

const SEEDS = Array.from({ length: 12 }, (_, i) => i + 1)
const REFITS = 20
const ROWS_PER_REFIT = 1200
const WIDTHS = [8, 10, 12, 16] as const
/** Share of rows that belong to nothing. */
const NOISE = 0.03
/** Standard deviations between the places of different modes, at least. */
const APART = 25
/** Length of a mode that will split. */
const LONG = 12
/** Distance of two modes that will merge. */
const PAIR = 18
/** How far the parts of a mode that splits go outwards, so that they are as far apart as other modes. */
const OUTWARDS = 3
const DRIFT = 4
/** Refits from the first row after a change until it counts as not reported. */
const PATIENCE = 2
const ECHO = 5
const HOUR_US = 3_600_000_000
const KINDS = ['emergence', 'split', 'drift', 'merge'] as const
type Kind = (typeof KINDS)[number]

/** Rows of a mode lie around the line between its ends, which are one place unless it is long. */
interface Blob {
  readonly name: string
  ends: readonly [Float64Array, Float64Array]
  readonly scatter: Float64Array
  weight: number
}

interface Planted {
  readonly kind: Kind
  readonly refit: number
  /** Blobs that are there afterwards, and those that were before. */
  readonly now: readonly string[]
  readonly before: readonly string[]
  reported: number | undefined
}

interface Score {
  readonly planted: Planted[]
  keptMass: number
  allMass: number
  reused: number
  /** Transitions other than survival that nothing planted explains. */
  unplanned: number
  readonly leastSurvival: number
}

const draw = (random: Random, width: number, length: number): Float64Array => {
  const direction = Float64Array.from({ length: width }, () => random.normal())
  const size = Math.hypot(...direction)
  return direction.map((value) => (value / size) * length)
}

const plus = (a: Float64Array, b: Float64Array, share = 1): Float64Array => a.map((value, i) => value + share * (b[i] as number))
const apart = (a: Float64Array, b: Float64Array): number => Math.hypot(...a.map((value, i) => value - (b[i] as number)))

const openWorld = (random: Random, width: number) => {
  const blobs: Blob[] = []
  let names = 0
  const blob = (ends: Blob['ends'], weight: number): Blob => {
    const scatter = Float64Array.from({ length: width }, () => 0.7 + 0.6 * random.uniform())
    return { name: `blob-${++names}`, ends, scatter, weight }
  }
  /** A place that is far from all there are, with room for what is `long`. */
  const place = (long: number): Float64Array => {
    for (;;) {
      const found = draw(random, width, 30 + 60 * random.uniform())
      if (blobs.every(({ ends }) => ends.every((end) => apart(end, found) > APART + long))) return found
    }
  }
  const emerge = (): Blob => {
    const at = place(0)
    const added = blob([at, at], 0.7 + 0.6 * random.uniform())
    blobs.push(added)
    return added
  }
  const long = (): Blob => {
    const at = place(LONG)
    const added = blob([at, plus(at, draw(random, width, LONG))], 1.3)
    blobs.push(added)
    return added
  }
  const pair = (): [Blob, Blob] => {
    const at = place(PAIR)
    const other = plus(at, draw(random, width, PAIR))
    const added: [Blob, Blob] = [blob([at, at], 1), blob([other, other], 0.8 + 0.1 * random.uniform())]
    blobs.push(...added)
    return added
  }
  const take = (gone: readonly Blob[]): void => gone.forEach((each) => blobs.splice(blobs.indexOf(each), 1))
  const change: Readonly<Record<Kind, (refitAt: number, reserved: Reserved) => Planted>> = {
    emergence: (refitAt) => ({ kind: 'emergence', refit: refitAt, now: [emerge().name], before: [], reported: undefined }),
    split: (refitAt, { longs }) => {
      const one = longs.pop() as Blob
      take([one])
      const [from, to] = one.ends
      const along = to.map((value, i) => ((value - (from[i] as number)) / LONG) * OUTWARDS)
      const parts = [plus(from, along, -1), plus(to, along)].map((end) => blob([end, end], 0.65))
      blobs.push(...parts)
      return { kind: 'split', refit: refitAt, now: parts.map(({ name }) => name), before: [one.name], reported: undefined }
    },
    merge: (refitAt, { pairs }) => {
      const two = pairs.pop() as [Blob, Blob]
      take(two)
      const one = blob([two[0].ends[0], two[1].ends[0]], 1.6)
      blobs.push(one)
      return { kind: 'merge', refit: refitAt, now: [one.name], before: two.map(({ name }) => name), reported: undefined }
    },
    drift: (refitAt, { plain }) => {
      const one = plain[random.below(plain.length)] as Blob
      const shift = draw(random, width, DRIFT)
      one.ends = [plus(one.ends[0], shift), plus(one.ends[1], shift)]
      return { kind: 'drift', refit: refitAt, now: [one.name], before: [one.name], reported: undefined }
    },
  }
  const next = (): { values: Float64Array; blob: string | null } => {
    if (random.uniform() < NOISE) return { values: Float64Array.from({ length: width }, () => 120 * random.uniform() - 60), blob: null }
    let at = random.uniform() * blobs.reduce((sum, { weight }) => sum + weight, 0)
    const chosen = blobs.find(({ weight }) => (at -= weight) < 0) ?? (blobs.at(-1) as Blob)
    const [from, to] = chosen.ends
    const share = random.uniform()
    return {
      values: from.map((value, i) => value + share * ((to[i] as number) - value) + (chosen.scatter[i] as number) * random.normal()),
      blob: chosen.name,
    }
  }
  /** Weights wander, within a factor of two. */
  const wander = (): void =>
    blobs.forEach((each) => (each.weight = Math.min(2, Math.max(0.5, each.weight * Math.exp(0.15 * random.normal())))))
  return { blobs, emerge, long, pair, change, next, wander }
}

interface Reserved {
  readonly plain: Blob[]
  readonly longs: Blob[]
  readonly pairs: [Blob, Blob][]
}

const majority = (ids: readonly (string | undefined)[]): string | undefined => {
  const counts = new Map<string | undefined, number>()
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1)
  return [...counts].toSorted((a, b) => b[1] - a[1])[0]?.[0]
}

/** One asset class over all refits. */
const runSeed = (seed: number, note: (text: string) => void): Score => {
  const random = randomFrom(seed)
  const width = WIDTHS[seed % WIDTHS.length] as number
  const world = openWorld(random, width)
  const reserved: Reserved = {
    plain: [world.emerge(), world.emerge(), world.emerge()],
    longs: [world.long(), world.long()],
    pairs: [world.pair(), world.pair()],
  }
  // Two changes of every kind in random order, two refits apart, the last of them early enough to be waited for.
  const kinds = [...KINDS, ...KINDS].map((kind) => ({ kind, at: random.uniform() })).toSorted((a, b) => a.at - b.at)

  let inForce: ModesInForce = { registry: emptyRegistry(`class-${seed}`), model: undefined }
  let sample = new Sample({ width, quota: 100, quotas: { [NOVEL]: 500 }, mostGroups: 64, keep: { halfLifeUs: HOUR_US / 4 } })
  const blobOf = new Map<string, string | null>()
  const ever = new Set<string>()
  const planted: Planted[] = []
  const score = { planted, keptMass: 0, allMass: 0, reused: 0, unplanned: 0, leastSurvival: 1 }
  let idOfBlob = new Map<string, string | undefined>()
  let rowNumber = 0

  for (let at = 0; at < REFITS; at++) {
    const due = at >= 3 && at % 2 === 1 ? kinds.shift() : undefined
    if (due !== undefined) planted.push(world.change[due.kind](at, reserved))
    world.wander()
    const assign = inForce.model === undefined ? undefined : openAssigner(inForce.model)
    for (let i = 0; i < ROWS_PER_REFIT; i++) {
      const { values, blob } = world.next()
      const rowId = `row-${seed}-${++rowNumber}`
      blobOf.set(rowId, blob)
      sample.offer({ rowId, group: assign?.(values).modeId ?? NOVEL, timeUs: (at + i / ROWS_PER_REFIT) * HOUR_US, values })
    }
    const result = refit(inForce, sample, (points) => hdbscan(points).labels, `fit-${seed}-${at}`)
    const rows = sample.all()
    const [was, is] = [inForce.model === undefined ? undefined : openAssigner(inForce.model), openAssigner(result.model)]
    const judged = rows.map(({ rowId, values }) => ({
      blob: blobOf.get(rowId) ?? null,
      before: was?.(values).modeId,
      after: is(values).modeId,
    }))
    const nowIdOf = new Map(
      world.blobs.map(({ name }) => [name, majority(judged.filter(({ blob }) => blob === name).map(({ after }) => after))] as const),
    )

    // Ids of blobs that nothing but drift happened to.
    const open = planted.filter((change) => at - change.refit < PATIENCE)
    const touched = new Set(open.filter(({ kind }) => kind !== 'drift').flatMap(({ now, before }) => [...now, ...before]))
    for (const { blob, before, after } of judged) {
      if (blob === null || touched.has(blob) || before === undefined || before !== idOfBlob.get(blob) || !nowIdOf.has(blob)) continue
      score.allMass++
      if (after === before) score.keptMass++
    }
    for (const { modeId } of inForce.registry.modes) ever.add(modeId)
    const before = new Set(inForce.registry.modes.map(({ modeId }) => modeId))
    for (const { modeId } of result.registry.modes) if (!before.has(modeId) && ever.has(modeId)) score.reused++

    if (at > 0) {
      const explained = new Set<Transition>()
      for (const change of open) {
        for (const transition of result.transitions) {
          if (!isReport(transition, change, idOfBlob, nowIdOf)) continue
          change.reported ??= at
          explained.add(transition)
        }
      }
      // What was changed is still moving a little while the sample forgets how it was before.
      const echoing = planted.filter((change) => at - change.refit < ECHO).flatMap(({ now, before: was }) => [...now, ...was])
      const echoIds = new Set(echoing.flatMap((blob) => [idOfBlob.get(blob), nowIdOf.get(blob)]))
      const isEcho = ({ type, modeId }: Transition): boolean => type === 'drifted' && echoIds.has(modeId)
      for (const transition of result.transitions) {
        if (transition.type === 'survived' || explained.has(transition) || isEcho(transition)) continue
        score.unplanned++
        note(`seed ${seed}, refit ${at}: unplanned ${transition.type} (${open.map(({ kind }) => kind).join(', ') || 'quiet'})`)
      }
      score.leastSurvival = Math.min(score.leastSurvival, result.survival)
    }
    for (const change of planted) {
      if (at - change.refit === PATIENCE - 1 && change.reported === undefined)
        note(`seed ${seed}: ${change.kind} of refit ${change.refit} not reported`)
    }
    // A blob that was replaced is still known by its last id until its change is reported.
    idOfBlob = new Map([...idOfBlob, ...nowIdOf])
    inForce = { registry: result.registry, model: result.model }
    sample = regrouped(sample, result.model)
  }
  return score
}

const isReport = (
  transition: Transition,
  { kind, now, before }: Planted,
  knownBefore: ReadonlyMap<string, string | undefined>,
  knownNow: ReadonlyMap<string, string | undefined>,
): boolean => {
  const was = before.map((blob) => knownBefore.get(blob))
  const is = now.map((blob) => knownNow.get(blob))
  if (kind === 'emergence') return transition.type === 'emerged' && is[0] === transition.modeId
  if (kind === 'drift') return transition.type === 'drifted' && was[0] === transition.modeId
  if (kind === 'merge') return transition.type === 'absorbed' && was.includes(transition.modeId) && was.includes(transition.intoId)
  if (transition.type !== 'split' || transition.modeId !== was[0]) return false
  return is[0] !== is[1] && is.some((id) => transition.children.some(({ modeId }) => modeId === id))
}

export const identity: QualitySet = {
  name: 'identity',
  title: `fault modes that split, merge, emerge and drift over ${REFITS} refits, drawn from seeds`,
  run: ({ note }) => {
    const scores = SEEDS.map((seed) => runSeed(seed, note))
    const planted = scores.flatMap((score) => score.planted)
    const reported = (of: readonly Planted[]): number => of.filter((each) => each.reported !== undefined).length / of.length
    const sum = (of: (score: Score) => number): number => scores.reduce((all, score) => all + of(score), 0)
    return {
      seeds: SEEDS,
      figures: [
        { name: 'reported', value: reported(planted), atLeast: 0.95 },
        ...KINDS.map((kind) => ({ name: `kinds.${kind}`, value: reported(planted.filter((each) => each.kind === kind)) })),
        { name: 'kept', value: sum(({ keptMass }) => keptMass) / sum(({ allMass }) => allMass), atLeast: 0.95, digits: 4 },
        { name: 'reused', value: sum(({ reused }) => reused), atMost: 0 },
        { name: 'unplannedPerRefit', value: sum(({ unplanned }) => unplanned) / (SEEDS.length * (REFITS - 1)) },
        { name: 'leastSurvival', value: Math.min(...scores.map(({ leastSurvival }) => leastSurvival)) },
      ],
      detail: { planted: planted.length, refits: REFITS, rowsPerRefit: ROWS_PER_REFIT, widths: WIDTHS },
    }
  },
}
