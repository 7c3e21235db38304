// Facts about other processes and ports of this machine. A pid alone may be reused, so a process is named by pid and start time.

import { randomInt } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:net'

/** Names one process for as long as the machine runs: pid and start time in clock ticks (0 where the system does not tell). */
export interface ProcessIdentity {
  readonly pid: number
  readonly startTicks: number
}

/** Start time of a process in clock ticks since boot, undefined when it does not exist or is a zombie. */
export const startTicks = (pid: number): number | undefined => {
  if (process.platform !== 'linux') {
    try {
      process.kill(pid, 0)
      return 0
    } catch {
      return undefined
    }
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? undefined : Number(fields[19])
  } catch {
    return undefined
  }
}

export const identify = (pid: number): ProcessIdentity => ({ pid, startTicks: startTicks(pid) ?? 0 })

/** Does exactly this process still run. */
export const isRunning = (identity: ProcessIdentity): boolean => startTicks(identity.pid) === identity.startTicks

/** True when a server can listen on the port now. */
export const isPortFree = (port: number, host = '127.0.0.1'): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve(true)))
  })

/** Below 32768: from there on systems take ports for outgoing connections, and one may hold a server's port while it restarts. */
const SERVER_PORTS = { first: 10_240, last: 32_767 }

/** Free ports of this machine, all different; another process may still take one before it is used. */
export const freePorts = async (count: number): Promise<number[]> => {
  const ports = new Set<number>()
  while (ports.size < count) {
    const port = randomInt(SERVER_PORTS.first, SERVER_PORTS.last + 1)
    if (!ports.has(port) && (await isPortFree(port))) ports.add(port)
  }
  return [...ports]
}

const listeningInode = (port: number): string | undefined => {
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    if (!existsSync(table)) continue
    for (const line of readFileSync(table, 'utf8').split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/)
      const local = fields[1]?.split(':')[1]
      if (fields[3] === '0A' && local !== undefined && Number.parseInt(local, 16) === port) return fields[9]
    }
  }
  return undefined
}

/** Who listens on the port, as `redis-server (pid 812)`; undefined when the system does not tell (another user's process, macOS). */
export const portHolder = (port: number): string | undefined => {
  const inode = listeningInode(port)
  if (inode === undefined) return undefined
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    try {
      const holds = readdirSync(`/proc/${pid}/fd`).some((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`)
      if (holds) return `${readFileSync(`/proc/${pid}/comm`, 'utf8').trim()} (pid ${pid})`
    } catch {
      // The process ended meanwhile, or belongs to somebody else.
    }
  }
  return undefined
}

/** Memory of a process in bytes, shared pages counted in proportion; undefined where the system does not tell. */
export const memoryBytes = (pid: number): number | undefined => {
  try {
    const kib = /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]
    return kib === undefined ? undefined : Number(kib) * 1024
  } catch {
    return undefined
  }
}
