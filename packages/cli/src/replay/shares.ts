// A hop's partitions among its processes: each has a share of the plan, its own files, and says by itself how far it has come.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ReplayProgress } from '@andon/kit'
import { progressFile } from '@andon/kit/replay/open'
import type { PartitionRange, ReplayPlan } from '@andon/kit/replay/plan'
import type { Home } from '@andon/platform'
import type { HopFiles } from './child.ts'
import { type ReplayHop, runFolder } from './manifest.ts'

/** What one process of a hop works on. */
interface Share {
  readonly files: HopFiles
  readonly plan: ReplayPlan
}

/** The shares of a hop, as many as it has processes; never none. The same ones whenever it is asked. */
export const sharesOf = (home: Home, id: string, { service, plan, jobs }: Pick<ReplayHop, 'service' | 'plan' | 'jobs'>): Share[] => {
  const folder = runFolder(home, id)
  return dealt(plan.partitions, jobs).map((partitions, i) => {
    const [name, data] = i === 0 ? [service, 'data'] : [`${service}-${i + 1}`, `data-${i + 1}`]
    const files = { folder, data: join(folder, data), plan: join(folder, `${name}.json`), log: join(folder, `${name}.log`) }
    return { files, plan: { ...plan, partitions } }
  })
}

/** Deals ranges out, the longest first, each to whom has the least so far. */
const dealt = (ranges: readonly PartitionRange[], jobs: number): PartitionRange[][] => {
  const hands = Array.from({ length: Math.max(1, Math.min(jobs, ranges.length)) }, () => ({ records: 0, ranges: [] as PartitionRange[] }))
  for (const range of ranges.toSorted((a, b) => b.to - b.start - (a.to - a.start) || a.partition - b.partition)) {
    const least = hands.reduce((one, other) => (other.records < one.records ? other : one))
    least.records += range.to - range.start
    least.ranges.push(range)
  }
  return hands.map((hand) => hand.ranges.toSorted((a, b) => a.partition - b.partition))
}

/** What the processes of a hop said last, taken together; undefined before any of them said anything. */
export const readProgress = (shares: readonly Share[]): ReplayProgress | undefined => {
  const said = shares.map(({ files }) => progressOf(files))
  const [first] = said.filter((each) => each !== undefined)
  if (first === undefined) return undefined
  return {
    id: first.id,
    service: first.service,
    records: sum(said.map((each) => each?.records ?? 0)),
    total: sum(shares.flatMap(({ plan }) => plan.partitions.map(({ start, to }) => to - start))),
    appended: sum(said.map((each) => each?.appended ?? 0)),
    isDone: said.every((each) => each?.isDone === true),
    partitions: said.flatMap((each) => each?.partitions ?? []),
  }
}

const progressOf = ({ plan }: HopFiles): ReplayProgress | undefined => {
  try {
    return JSON.parse(readFileSync(progressFile(plan), 'utf8')) as ReplayProgress
  } catch {
    return undefined
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0)
