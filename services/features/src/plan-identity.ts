// Which plans cut and compute windows alike. The plant file's digest is no part of that: an edit that leaves an asset as it
// was must not cut its windows in two. What assets of a class share of their plans is stored, and held, once.

import { createHash } from 'node:crypto'
import type { AssetPlan } from './plan.ts'

/** A plan without what is the asset's own. */
export type PlanBody = Omit<AssetPlan, 'sources' | 'plantDigest'>

/** Bodies by the parts that equal assets share, so that the text of a plan is made once. */
const digests = new WeakMap<AssetPlan['calls'], { readonly plan: AssetPlan; readonly digest: string }[]>()
const ofPlans = new WeakMap<AssetPlan, string>()

/** SHA-256 (hex) of a plan's body. */
export const bodyDigest = (plan: AssetPlan): string => {
  const known = ofPlans.get(plan)
  if (known !== undefined) return known
  const similar = digests.get(plan.calls) ?? []
  const found = similar.find((each) => isSameBody(each.plan, plan))
  const digest = found?.digest ?? createHash('sha256').update(bodyText(plan)).digest('hex')
  if (found === undefined) digests.set(plan.calls, [...similar, { plan, digest }])
  ofPlans.set(plan, digest)
  return digest
}

const isSameBody = (a: AssetPlan, b: AssetPlan): boolean => {
  const { sources: _sources, plantDigest: _plant, ...parts } = a
  return (Object.keys(parts) as (keyof typeof parts)[]).every((part) => a[part] === b[part])
}

export const bodyOf = ({ sources: _sources, plantDigest: _plant, ...body }: AssetPlan): PlanBody => body

export const bodyText = (plan: AssetPlan): string => JSON.stringify(bodyOf(plan), (_, value: unknown) => sorted(value))

/** With keys in one order, so that equal plans have equal texts. */
const sorted = (value: unknown): unknown =>
  value === null || typeof value !== 'object' || Array.isArray(value)
    ? value
    : Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))

/** True when windows of both plans are cut, closed and computed alike. */
export const isEqualPlan = (a: AssetPlan, b: AssetPlan): boolean =>
  a === b || (a.sources.length === b.sources.length && a.sources.every((id, i) => id === b.sources[i]) && bodyDigest(a) === bodyDigest(b))

/** An order of plans that follows from what they say. */
export const comparePlans = (a: AssetPlan, b: AssetPlan): number => {
  const [left, right] = [a, b].map((plan) => `${bodyDigest(plan)} ${plan.sources.join(' ')}`) as [string, string]
  return left < right ? -1 : left > right ? 1 : 0
}
