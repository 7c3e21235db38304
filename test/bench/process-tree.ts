// CPU time and memory of process trees, from /proc. Linux only.

import { readFileSync, readdirSync } from 'node:fs'

/** Clock ticks per second of /proc/<pid>/stat: USER_HZ, 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100

interface ProcessStat {
  readonly pid: number
  readonly parent: number
  readonly name: string
  /** Own time and that of children which ended and were waited for. */
  readonly cpuSeconds: number
}

const read = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined // the process ended while we looked
  }
}

const statOf = (pid: number): ProcessStat | undefined => {
  const stat = read(`/proc/${pid}/stat`)
  if (stat === undefined) return undefined
  // The name is in brackets and may itself hold spaces and brackets.
  const end = stat.lastIndexOf(')')
  const fields = stat
    .slice(end + 2)
    .split(' ')
    .map(Number)
  const [user = 0, system = 0, childUser = 0, childSystem = 0] = fields.slice(11, 15)
  return {
    pid,
    parent: fields[1] ?? 0,
    name: stat.slice(stat.indexOf('(') + 1, end),
    cpuSeconds: (user + system + childUser + childSystem) / TICKS_PER_SECOND,
  }
}

/** Every process of the machine by pid. */
export const allProcesses = (): Map<number, ProcessStat> =>
  new Map(
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map((name) => statOf(Number(name)))
      .filter((stat) => stat !== undefined)
      .map((stat) => [stat.pid, stat]),
  )

/** A process and everything below it, except the trees of `without`. */
export const treeOf = (root: number, all: ReadonlyMap<number, ProcessStat>, without: ReadonlySet<number> = new Set()): ProcessStat[] => {
  const found: ProcessStat[] = []
  const visit = (pid: number): void => {
    const stat = all.get(pid)
    if (stat === undefined || without.has(pid)) return
    found.push(stat)
    for (const { pid: child, parent } of all.values()) if (parent === pid) visit(child)
  }
  visit(root)
  return found
}

/** Proportional set size in MiB: private memory plus this process's share of what it shares. */
export const pssMb = (pid: number): number => Number(/^Pss:\s+(\d+) kB/m.exec(read(`/proc/${pid}/smaps_rollup`) ?? '')?.[1] ?? 0) / 1024

export const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
