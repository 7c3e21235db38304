// How well a clustering agrees with another one, or with known classes. Labels are any whole numbers; noise, -1, is a label like the others.

interface Table {
  readonly count: number
  /** Points of each pair of labels that occurs, of each label of the one side, and of the other. */
  readonly pairs: readonly { readonly a: number; readonly b: number; readonly count: number }[]
  readonly a: ReadonlyMap<number, number>
  readonly b: ReadonlyMap<number, number>
}

const tableOf = (one: ArrayLike<number>, other: ArrayLike<number>): Table => {
  if (one.length !== other.length) throw new RangeError(`${one.length} labels on one side, ${other.length} on the other`)
  const pairs = new Map<number, Map<number, number>>()
  const a = new Map<number, number>()
  const b = new Map<number, number>()
  for (let i = 0; i < one.length; i++) {
    const [x, y] = [one[i] as number, other[i] as number]
    const row = pairs.get(x) ?? new Map<number, number>()
    pairs.set(x, row.set(y, (row.get(y) ?? 0) + 1))
    a.set(x, (a.get(x) ?? 0) + 1)
    b.set(y, (b.get(y) ?? 0) + 1)
  }
  return { count: one.length, pairs: [...pairs].flatMap(([x, row]) => [...row].map(([y, count]) => ({ a: x, b: y, count }))), a, b }
}

/** Adjusted Rand index (Hubert and Arabie 1985): 1 when both sides group alike, 0 on average by chance. 1 where there is nothing to group. */
export const adjustedRand = (one: ArrayLike<number>, other: ArrayLike<number>): number => {
  const { count, pairs, a, b } = tableOf(one, other)
  const couples = (counts: Iterable<number>): number => {
    let sum = 0
    for (const n of counts) sum += (n * (n - 1)) / 2
    return sum
  }
  const [both, ofA, ofB, all] = [couples(pairs.map((pair) => pair.count)), couples(a.values()), couples(b.values()), couples([count])]
  const byChance = all === 0 ? 0 : (ofA * ofB) / all
  const most = (ofA + ofB) / 2
  return most === byChance ? 1 : (both - byChance) / (most - byChance)
}

export interface ClassAgreement {
  /** 1 when every cluster holds one class only. */
  readonly homogeneity: number
  /** 1 when every class lies in one cluster only. */
  readonly completeness: number
  /** Their harmonic mean (Rosenberg and Hirschberg 2007). */
  readonly vMeasure: number
  /** Share of points that are of the commonest class of their cluster. */
  readonly purity: number
}

export const classAgreement = (classes: ArrayLike<number>, labels: ArrayLike<number>): ClassAgreement => {
  const { count, pairs, a, b } = tableOf(classes, labels)
  const entropy = (counts: Iterable<number>): number => {
    let sum = 0
    for (const n of counts) sum -= (n / count) * Math.log(n / count)
    return sum
  }
  const [ofClasses, ofLabels] = [entropy(a.values()), entropy(b.values())]
  let shared = 0
  const commonest = new Map<number, number>()
  for (const pair of pairs) {
    shared += (pair.count / count) * Math.log((count * pair.count) / ((a.get(pair.a) as number) * (b.get(pair.b) as number)))
    commonest.set(pair.b, Math.max(commonest.get(pair.b) ?? 0, pair.count))
  }
  const homogeneity = ofClasses === 0 ? 1 : Math.max(0, shared / ofClasses)
  const completeness = ofLabels === 0 ? 1 : Math.max(0, shared / ofLabels)
  const sum = homogeneity + completeness
  return {
    homogeneity,
    completeness,
    vMeasure: sum === 0 ? 0 : (2 * homogeneity * completeness) / sum,
    purity: count === 0 ? 1 : [...commonest.values()].reduce((total, n) => total + n, 0) / count,
  }
}
