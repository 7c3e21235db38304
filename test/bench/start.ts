// How long the second start of `andon up --demo` takes in the same folder, how long Ctrl-C takes, and whether anything is left.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isPortFree, platformPorts } from '@andon/platform'
import { topology } from '@andon/schemas'
import { Mesh, freeOffset } from '../harness/mesh.ts'
import { type Measurement, limit, load, rounded } from '../harness/bench-measurement.ts'
import { processesOf } from './mesh-processes.ts'
import { allProcesses, treeOf } from './process-tree.ts'

const START_SECONDS = 20
/** Services have 10 s to stop in order, the platform after them as long. */
const END_SECONDS = 20
const DEMO_PORTS = [7090, 7091, 7092, 7095, 7096, 4840] as const

const portsOf = (offset: number): number[] => [
  ...Object.values(platformPorts(offset)),
  ...Object.values(topology.services).flatMap(({ admin, ports }) => [admin, ...Object.values(ports)].map((port) => port + offset)),
  ...DEMO_PORTS.map((port) => port + offset),
]

const seconds = (sinceMs: number): number => rounded((performance.now() - sinceMs) / 1000)

/** Steps of a start, as `andon up` prints them: `  name: 1.2 s`. */
const stepsOf = (mesh: Mesh): string =>
  (mesh.output.join('').match(/^ {2}[\w ,-]+: \d+\.\d s$/gm) ?? []).map((line) => line.trim()).join(', ')

export const start = async (): Promise<Measurement[]> => {
  const home = mkdtempSync(join(tmpdir(), 'andon-start-'))
  const place = { home, offset: await freeOffset() }
  const cycle = async () => {
    const fromMs = performance.now()
    const mesh = await Mesh.start({ place })
    const startSeconds = seconds(fromMs)
    const { supervisor, children } = processesOf(mesh)
    const all = allProcesses()
    const pids = new Set([supervisor, ...children.map(({ pid }) => pid)].flatMap((root) => treeOf(root, all).map(({ pid }) => pid)))
    const stopFromMs = performance.now()
    await mesh.stop()
    const endSeconds = seconds(stopFromMs)
    const after = allProcesses()
    const left = [...pids].filter((pid) => after.has(pid)).map((pid) => `process ${pid} (${after.get(pid)?.name})`)
    for (const port of portsOf(place.offset)) if (!(await isPortFree(port))) left.push(`port ${port}`)
    return { startSeconds, endSeconds, left, steps: stepsOf(mesh), processes: pids.size }
  }
  try {
    const first = await cycle()
    const second = await cycle()
    const detail = { firstStartSeconds: first.startSeconds, steps: second.steps, load: load() }
    const left = [...first.left, ...second.left]
    return [
      limit('second-start', second.startSeconds, START_SECONDS, 's', 1, detail),
      limit('end', Math.max(first.endSeconds, second.endSeconds), END_SECONDS, 's', 2, { load: load() }),
      limit('left-behind', left.length, 0, 'processes and ports', 2, { processes: second.processes, left }),
    ]
  } finally {
    rmSync(home, { recursive: true, force: true, maxRetries: 5 })
  }
}
