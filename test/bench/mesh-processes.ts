// Which processes a running mesh consists of: the supervisor, what it named in its state file, and everything below those.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { MeshState } from '@andon/platform'
import type { Mesh } from '../harness/mesh.ts'

export interface MeshProcesses {
  readonly supervisor: number
  /** Name and pid of services, platform and demo plant. */
  readonly children: readonly { readonly name: string; readonly pid: number }[]
}

/** The demo plant's process: what it starts is simulation, not Andon. */
export const SIMULATOR = 'steel-plant'

export const processesOf = (mesh: Mesh): MeshProcesses => {
  const state = JSON.parse(readFileSync(join(mesh.home, 'state.json'), 'utf8')) as MeshState
  return { supervisor: state.supervisor.pid, children: state.children.map(({ name }) => ({ name, pid: mesh.pid(name) })) }
}
