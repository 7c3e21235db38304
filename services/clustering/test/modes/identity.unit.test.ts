import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { matrixOf } from '../../src/matrix.ts'
import {
  type Fit,
  type JudgedSample,
  type ModeRegistry,
  type Reconciled,
  type Transition,
  currentIdOf,
  emptyRegistry,
  identityDefaults,
  reconcile,
} from '../../src/modes/identity.ts'
import { fromPackedJson, toPackedJson } from '../../src/modes/packed.ts'
import { drawn, randomFrom } from '../../src/random.ts'

const METRIC = Float64Array.of(1, 0, 0, 1)

/** So many rows that had a mode and now are in a cluster, around a place, with scatter 1. */
interface Block {
  readonly rows: number
  readonly before: string | null
  readonly after: number
  readonly at?: number
  readonly weight?: number
}

const sampleOf = (blocks: readonly Block[], seed = 1): JudgedSample => {
  const random = randomFrom(seed)
  const rows = blocks.flatMap((block) => Array.from({ length: block.rows }, () => block))
  return {
    points: matrixOf(rows.map(({ at = 0 }) => [at + random.normal(), random.normal()])),
    rowIds: rows.map((_, i) => `row-${String(i).padStart(5, '0')}`),
    weights: Float64Array.from(rows, ({ weight = 1 }) => weight),
    before: rows.map(({ before }) => before),
    after: Int32Array.from(rows, ({ after }) => after),
  }
}

const fitOf = (fitId: string, clusters: number): Fit => ({ fitId, clusters, metric: METRIC })

const apply = (previous: ModeRegistry, fitId: string, blocks: readonly Block[], options = identityDefaults): Reconciled => {
  const clusters = Math.max(-1, ...blocks.map(({ after }) => after)) + 1
  return reconcile(previous, fitOf(fitId, clusters), sampleOf(blocks, previous.fits + 1), options)
}

/** A registry with as many modes, 20 apart, and their ids. */
const started = (modes: number): { registry: ModeRegistry; ids: string[] } => {
  const blocks = Array.from({ length: modes }, (_, i): Block => ({ rows: 100, before: null, after: i, at: 20 * i }))
  const { registry, modeIds } = apply(emptyRegistry('pump'), 'fit-0', blocks)
  return { registry, ids: [...modeIds] }
}

const ofType = <T extends Transition['type']>(transitions: readonly Transition[], type: T): Extract<Transition, { type: T }>[] =>
  transitions.filter((each): each is Extract<Transition, { type: T }> => each.type === type)

test('clusters of a first fit emerge, each with an id of its own', () => {
  const { registry, ids } = started(4)
  assert.equal(new Set(ids).size, 4)
  assert.deepEqual(
    registry.modes.map(({ modeId }) => modeId),
    ids.toSorted(),
  )
  assert.ok(ids.every((id) => /^[0-9a-f]{8}-[0-9a-f]{4}-8/.test(id)))
})

test('a mode survives with half of its mass, and no less', () => {
  const { registry, ids } = started(1)
  const [id = ''] = ids
  const half = apply(registry, 'fit-1', [
    { rows: 50, before: id, after: 0 },
    { rows: 50, before: id, after: -1 },
  ])
  assert.deepEqual(half.transitions, [{ type: 'survived', modeId: id, share: 0.5 }])
  const less = apply(registry, 'fit-1', [
    { rows: 49, before: id, after: 0 },
    { rows: 51, before: id, after: -1 },
  ])
  assert.deepEqual(
    less.transitions.map(({ type }) => type),
    ['disappeared', 'emerged'],
  )
  assert.notEqual(less.modeIds[0], id)
})

test('weights count, not rows', () => {
  const { registry, ids } = started(1)
  const [id = ''] = ids
  const { transitions } = apply(registry, 'fit-1', [
    { rows: 10, before: id, after: 0, weight: 9 },
    { rows: 90, before: id, after: -1 },
  ])
  assert.deepEqual(transitions, [{ type: 'survived', modeId: id, share: 0.5 }])
})

test('a mode that splits stays in its largest part, and the others name it as their parent', () => {
  const { registry, ids } = started(2)
  const [one = '', two = ''] = ids
  const {
    transitions,
    modeIds,
    registry: next,
    survival,
  } = apply(registry, 'fit-1', [
    { rows: 30, before: one, after: 0, at: -3 },
    { rows: 45, before: one, after: 1, at: 3 },
    { rows: 25, before: one, after: -1 },
    { rows: 90, before: two, after: 2, at: 20 },
  ])
  assert.deepEqual(
    transitions,
    [
      { type: 'split', modeId: one, share: 0.45, children: [{ modeId: modeIds[0], share: 0.3 }] },
      { type: 'survived', modeId: two, share: 1 },
    ].toSorted((a, b) => (a.modeId < b.modeId ? -1 : 1)),
  )
  assert.deepEqual([modeIds[1], modeIds[2]], [one, two])
  assert.equal(next.modes.find(({ modeId }) => modeId === modeIds[0])?.parentId, one)
  assert.equal(survival, 165 / 190)
})

test('of modes that become one the heaviest stays, and the ids of the others lead to it', () => {
  const { registry, ids } = started(3)
  const [one = '', two = '', three = ''] = ids
  const merged = apply(registry, 'fit-1', [
    { rows: 60, before: one, after: 0 },
    { rows: 100, before: two, after: 0 },
    { rows: 80, before: three, after: 0 },
  ])
  assert.deepEqual(merged.modeIds, [two])
  assert.deepEqual(
    new Set(ofType(merged.transitions, 'absorbed').map(({ modeId, intoId }) => `${modeId} ${intoId}`)),
    new Set([`${one} ${two}`, `${three} ${two}`]),
  )
  assert.equal(merged.survival, 1)
  assert.equal(currentIdOf(merged.registry, three), two)
  const again = apply(merged.registry, 'fit-2', [
    { rows: 60, before: two, after: 0 },
    { rows: 100, before: null, after: 1, at: 20 },
  ])
  const [, newer = ''] = again.modeIds
  const last = apply(again.registry, 'fit-3', [
    { rows: 60, before: two, after: 0 },
    { rows: 100, before: newer, after: 0 },
  ])
  assert.equal(currentIdOf(last.registry, three), newer)
  assert.equal(currentIdOf(last.registry, 'never heard of'), undefined)
})

test('a part that is another mode by right is no child', () => {
  const { registry, ids } = started(2)
  const [one = '', two = ''] = ids
  const { transitions, modeIds } = apply(registry, 'fit-1', [
    { rows: 60, before: one, after: 0 },
    { rows: 40, before: one, after: 1 },
    { rows: 100, before: two, after: 1 },
  ])
  assert.deepEqual(modeIds, [one, two])
  assert.deepEqual(ofType(transitions, 'split'), [])
  assert.deepEqual(ofType(transitions, 'survived').length, 2)
})

test('rows that nobody knew become a mode that emerged', () => {
  const { registry, ids } = started(1)
  const { transitions, modeIds } = apply(registry, 'fit-1', [
    { rows: 100, before: ids[0] as string, after: 1 },
    { rows: 40, before: null, after: 0, at: 50 },
  ])
  assert.deepEqual(transitions.slice(1), [{ type: 'emerged', modeId: modeIds[0], mass: 40 }])
  assert.equal(modeIds[1], ids[0])
})

test('a mode that the sample does not show stays, until it was unseen for long', () => {
  const options = { ...identityDefaults, mostUnseen: 3 }
  let { registry, ids } = started(2)
  const [one = '', two = ''] = ids
  const blocks: Block[] = [{ rows: 100, before: one, after: 0 }]
  for (let fit = 1; fit <= 2; fit++) {
    const next = apply(registry, `fit-${fit}`, blocks, options)
    assert.deepEqual(next.unseen, [two])
    assert.equal(currentIdOf(next.registry, two), two)
    registry = next.registry
  }
  const last = apply(registry, 'fit-3', blocks, options)
  assert.deepEqual(ofType(last.transitions, 'disappeared'), [{ type: 'disappeared', modeId: two }])
  assert.equal(currentIdOf(last.registry, two), undefined)
  assert.throws(() => apply(last.registry, 'fit-4', [{ rows: 5, before: two, after: 0 }], options), /does not know/)
})

test('a survivor that moved has drifted: once where it went, whether at one go or little by little', () => {
  const { registry, ids } = started(2)
  const [one = '', two = ''] = ids
  const at = (previous: ModeRegistry, fitId: string, place: number) =>
    apply(previous, fitId, [
      { rows: 100, before: one, after: 0, at: place },
      { rows: 100, before: two, after: 1, at: 20 },
    ])
  const jumped = at(registry, 'fit-1', 3)
  const [drift, ...others] = ofType(jumped.transitions, 'drifted')
  assert.equal(drift?.modeId, one)
  assert.ok(Math.abs((drift?.moved ?? 0) - 3) < 0.4, `moved ${drift?.moved}`)
  assert.deepEqual(others, [])
  assert.deepEqual(ofType(at(jumped.registry, 'fit-2', 3).transitions, 'drifted'), [])

  let creeping = registry
  const told: number[] = []
  for (let fit = 1; fit <= 10; fit++) {
    const { registry: next, transitions } = at(creeping, `fit-${fit}`, 0.3 * fit)
    if (ofType(transitions, 'drifted').length > 0) told.push(fit)
    creeping = next
  }
  assert.equal(told.length, 2)
})

test('a mode that stays where it is does not drift, however few its rows and many its axes', () => {
  const width = 16
  const metric = Float64Array.from({ length: width ** 2 }, (_, at) => (at % (width + 1) === 0 ? 1 : 0))
  let told = 0
  for (let seed = 0; seed < 40; seed++) {
    const random = randomFrom(seed)
    let registry = emptyRegistry('pump')
    let mode: string | null = null
    for (let fit = 0; fit < 5; fit++) {
      const rows = 25
      const sample: JudgedSample = {
        points: matrixOf(Array.from({ length: rows }, () => Array.from({ length: width }, () => random.normal()))),
        rowIds: Array.from({ length: rows }, (_, i) => `row-${i}`),
        weights: new Float64Array(rows).fill(1),
        before: Array.from({ length: rows }, () => mode),
        after: new Int32Array(rows),
      }
      const next = reconcile(registry, { fitId: `fit-${fit}`, clusters: 1, metric }, sample)
      told += ofType(next.transitions, 'drifted').length
      registry = next.registry
      mode = next.modeIds[0] as string
    }
  }
  assert.ok(told <= 2, `${told} of 160`)
})

/** A history of random refits: rows wander between modes, clusters come and go. */
const history = (seed: number, fits: number, permute: boolean): { steps: Reconciled[]; samples: JudgedSample[] } => {
  const random = randomFrom(seed)
  let registry = emptyRegistry(`class-${seed}`)
  const steps: Reconciled[] = []
  const samples: JudgedSample[] = []
  for (let fit = 0; fit < fits; fit++) {
    const clusters = 1 + random.below(7)
    const known = registry.modes.map(({ modeId }) => modeId)
    const home = known.map(() => random.below(clusters))
    const rows = 20 + random.below(120)
    const given = Array.from({ length: rows }, (_, row) => {
      const mode = random.below(known.length + 1)
      const at = random.uniform()
      const after = row < clusters ? row : mode < known.length && at < 0.7 ? (home[mode] as number) : at < 0.9 ? random.below(clusters) : -1
      return { before: known[mode] ?? null, after, weight: 0.1 + random.uniform(), place: random.normal() }
    })
    // The same clusters under other numbers; drawn by a generator of its own, so that the histories are otherwise the same.
    const order = permute ? drawn(randomFrom(seed * 1000 + fit), clusters, clusters) : Int32Array.from({ length: clusters }, (_, i) => i)
    const sample: JudgedSample = {
      points: matrixOf(given.map(({ place }) => [place, -place])),
      rowIds: given.map((_, i) => `row-${seed}-${i}`),
      weights: Float64Array.from(given, ({ weight }) => weight),
      before: given.map(({ before }) => before),
      after: Int32Array.from(given, ({ after }) => (after < 0 ? -1 : (order[after] as number))),
    }
    const step = reconcile(registry, fitOf(`fit-${fit}`, clusters), sample, { ...identityDefaults, mostUnseen: 3 })
    registry = step.registry
    steps.push(step)
    samples.push(sample)
  }
  return { steps, samples }
}

test('the numbers that a clusterer gives its clusters change no id, no transition and no bit of the registry', () => {
  for (let seed = 0; seed < 25; seed++) {
    const [plain, permuted] = [history(seed, 12, false), history(seed, 12, true)]
    plain.steps.forEach((step, i) => {
      assert.deepEqual(permuted.steps[i]?.registry, step.registry)
      assert.deepEqual(permuted.steps[i]?.transitions, step.transitions)
    })
  }
})

test('over long histories no id is used again, every mode has one fate, and no mass is lost', () => {
  fc.assert(
    fc.property(fc.nat(100_000), (seed) => {
      const { steps, samples } = history(seed, 40, false)
      const ever = new Set<string>()
      let before = new Set<string>()
      steps.forEach(({ registry, transitions, modeIds, unseen, flows, survival }, i) => {
        const now = new Set(registry.modes.map(({ modeId }) => modeId))
        for (const id of now) {
          if (before.has(id)) continue
          assert.ok(!ever.has(id), `${id} came back`)
          ever.add(id)
        }
        // Each old mode is told about once (drift comes beside survival), each new one as emerged or as a child.
        const fates = transitions.filter(({ type }) => type !== 'drifted' && type !== 'emerged').map(({ modeId }) => modeId)
        assert.deepEqual([...fates, ...unseen].toSorted(), [...before].toSorted())
        const born = [
          ...ofType(transitions, 'emerged').map(({ modeId }) => modeId),
          ...ofType(transitions, 'split').flatMap(({ children }) => children.map(({ modeId }) => modeId)),
        ]
        assert.deepEqual(born.toSorted(), [...now].filter((id) => !before.has(id)).toSorted())
        assert.equal(new Set(modeIds).size, modeIds.length)
        for (const { intoId } of ofType(transitions, 'absorbed')) assert.ok(now.has(intoId))
        for (const { modeId, intoId } of registry.retired) {
          assert.ok(!now.has(modeId))
          if (intoId !== null && currentIdOf(registry, modeId) !== undefined) assert.ok(now.has(currentIdOf(registry, modeId) as string))
        }
        const mass = samples[i]?.weights.reduce((a, b) => a + b, 0) as number
        assert.ok(Math.abs(flows.reduce((sum, flow) => sum + flow.mass, 0) - mass) < 1e-9 * mass)
        assert.ok(survival >= 0 && survival <= 1 + 1e-12)
        before = now
      })
    }),
    { numRuns: 30 },
  )
})

test('the same refit of the same registry gives the same ids; a second time in a row it is refused', () => {
  const { registry, ids } = started(2)
  const blocks: Block[] = [
    { rows: 100, before: ids[0] as string, after: 0 },
    { rows: 100, before: null, after: 1, at: 40 },
  ]
  const [first, second] = [apply(registry, 'fit-1', blocks), apply(fromPackedJson(toPackedJson(registry)) as ModeRegistry, 'fit-1', blocks)]
  assert.deepEqual(second, first)
  assert.throws(() => apply(first.registry, 'fit-1', []), /applied already/)
  assert.throws(() => apply(first.registry, 'fit-0', [{ rows: 9, before: null, after: 0 }]), /applied before/)
})

test('ids that are over are remembered up to a bound', () => {
  let registry = emptyRegistry('pump')
  const options = { ...identityDefaults, mostUnseen: 1, mostRetired: 5 }
  for (let fit = 0; fit < 12; fit++) registry = apply(registry, `fit-${fit}`, [{ rows: 10, before: null, after: 0 }], options).registry
  assert.equal(registry.modes.length, 1)
  assert.equal(registry.retired.length, 5)
  assert.equal(registry.retired.at(-1)?.retiredFitId, 'fit-11')
})

test('a sample that does not fit is refused', () => {
  const { registry, ids } = started(1)
  const good = sampleOf([{ rows: 3, before: ids[0] as string, after: 0 }])
  const bad: [Partial<JudgedSample>, RegExp][] = [
    [{ rowIds: ['a', 'a', 'b'] }, /twice/],
    [{ weights: Float64Array.of(1, 0, 1) }, /weighs 0/],
    [{ after: Int32Array.of(0, 1, 0) }, /cluster 1/],
    [{ after: Int32Array.of(-1, -1, -1) }, /no row/],
    [{ before: [null] }, /columns/],
  ]
  for (const [change, why] of bad) assert.throws(() => reconcile(registry, fitOf('fit-1', 1), { ...good, ...change }), why)
})
