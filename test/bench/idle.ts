// What the mesh costs while nothing happens: demo plant and cameras on, no finding being decided. CPU over a minute, memory at its end.

import { setTimeout as sleep } from 'node:timers/promises'
import { Mesh } from '../harness/mesh.ts'
import { type Measurement, limit, load, rounded } from '../harness/bench-measurement.ts'
import { SIMULATOR, processesOf } from './mesh-processes.ts'
import { allProcesses, pssMb, sum, treeOf } from './process-tree.ts'

const SETTLE_MS = 60_000
const MEASURE_MS = 60_000
const CPU_PERCENT = 25
const MEMORY_GIB = 2

interface Part {
  readonly name: string
  readonly pids: readonly number[]
  readonly cpuSeconds: number
}

/** The supervisor and each child with all that is below it; every process counts once. */
const partsOf = (mesh: Mesh): Part[] => {
  const all = allProcesses()
  const { supervisor, children } = processesOf(mesh)
  const part = (name: string, root: number, without?: ReadonlySet<number>): Part => {
    const tree = treeOf(root, all, without)
    return { name, pids: tree.map(({ pid }) => pid), cpuSeconds: sum(tree.map(({ cpuSeconds }) => cpuSeconds)) }
  }
  return [part('supervisor', supervisor, new Set(children.map(({ pid }) => pid))), ...children.map(({ name, pid }) => part(name, pid))]
}

export const idle = async (): Promise<Measurement[]> => {
  const mesh = await Mesh.start()
  try {
    await sleep(SETTLE_MS)
    const startedMs = performance.now()
    const before = new Map(partsOf(mesh).map((part) => [part.name, part.cpuSeconds]))
    await sleep(MEASURE_MS)
    const wallSeconds = (performance.now() - startedMs) / 1000
    const parts = partsOf(mesh).map(({ name, pids, cpuSeconds }) => ({
      name,
      cpuPercent: rounded((100 * (cpuSeconds - (before.get(name) ?? 0))) / wallSeconds),
      pssMb: Math.round(sum(pids.map(pssMb))),
      processes: pids.length,
    }))
    const own = parts.filter(({ name }) => name !== SIMULATOR)
    const apart = parts.filter(({ name }) => name === SIMULATOR)
    const detail = { measuredSeconds: rounded(wallSeconds), load: load(), parts: own, simulators: apart }
    return [
      limit('idle-cpu', sum(own.map(({ cpuPercent }) => cpuPercent)), CPU_PERCENT, '% of one core', 1, detail),
      limit('idle-memory', sum(own.map((part) => part.pssMb)) / 1024, MEMORY_GIB, 'GiB PSS', 1, { load: load() }),
    ]
  } finally {
    await mesh.stop()
  }
}
