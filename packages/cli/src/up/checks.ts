// What must be right before anything is started. Each check throws one message that says what was found, what is expected and what to do.

import { existsSync, mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { AndonError, messageOf } from '@andon/kit/errors'
import {
  type PartName,
  type PlatformPorts,
  PARTS,
  clusterPorts,
  findPart,
  installCommand,
  isPortFree,
  kafkaCache,
  portHolder,
  requireJava,
} from '@andon/platform'
import { serviceNames, topology } from '@andon/schemas'

export interface PortUse {
  readonly port: number
  readonly what: string
  /** Setting that moves this port alone, if there is one. */
  readonly setting?: string
}

const settingOf = (service: string, name: string): string => `${service}_${name}_PORT`.toUpperCase().replaceAll('-', '_')

const DEMO_PORTS = { control: 7090, sink: 7091, smtp: 7092, camera: 7095, admin: 7096, line: 4840 } as const

/** Every port that a start will listen on. */
export const portsInUse = (
  platform: PlatformPorts,
  offset: number,
  withDemo: boolean,
  source: NodeJS.ProcessEnv,
  brokers: 1 | 3 = 1,
): PortUse[] => {
  const named = (owner: string, name: string, conventional: number): PortUse => {
    const setting = settingOf(owner, name)
    return { port: Number(source[setting] || conventional + offset), what: `${owner} ${name}`, setting }
  }
  return [
    ...Object.entries(platform).map(([what, port]) => ({ port: port as number, what })),
    ...(brokers === 3
      ? Object.entries(clusterPorts(platform)).flatMap(([what, ports]: [string, readonly number[]]) =>
          ports.slice(what === 'replication' ? 0 : 1).map((port) => ({ port, what: `kafka ${what}` })),
        )
      : []),
    ...serviceNames.flatMap((service) => {
      const { admin, ports } = topology.services[service]
      return [named(service, 'admin', admin), ...Object.entries(ports).map(([name, port]) => named(service, name, port))]
    }),
    ...(withDemo ? Object.entries(DEMO_PORTS).map(([name, port]) => named('steel-plant', name, port)) : []),
  ]
}

/** Throws when one of the ports is taken; names each with its holder. */
export const checkPorts = async (uses: readonly PortUse[]): Promise<void> => {
  const busy = (await Promise.all(uses.map(async (use) => ((await isPortFree(use.port)) ? [] : [use])))).flat()
  if (busy.length === 0) return
  const lines = busy.map(({ port, what, setting }) => {
    const holder = portHolder(port)
    return `  ${port} (${what}${setting === undefined ? '' : `, ${setting}`}): in use${holder === undefined ? '' : ` by ${holder}`}`
  })
  throw new AndonError(
    'ANDON_PORT_BUSY',
    `Expected free ports, found\n${lines.join('\n')}\nEnd what uses them, or shift all ports together: ANDON_PORT_OFFSET=10000.`,
  )
}

/** Throws unless the state folder can be written and its disk has room. */
export const checkDisk = (home: string, minFreeMb: number): void => {
  const probe = join(home, `.probe-${process.pid}`)
  try {
    mkdirSync(home, { recursive: true })
    try {
      writeFileSync(probe, 'x'.repeat(4096))
    } finally {
      rmSync(probe, { force: true })
    }
  } catch (error) {
    throw new AndonError(
      'ANDON_HOME_NOT_WRITABLE',
      `ANDON_HOME: expected a folder that can be written, found ${home}: ${messageOf(error)}. Make room, or choose another ANDON_HOME.`,
    )
  }
  const { bavail, bsize } = statfsSync(home)
  const freeMb = Math.floor((bavail * bsize) / 1024 / 1024)
  if (freeMb >= minFreeMb) return
  throw new AndonError(
    'ANDON_DISK_FULL',
    `ANDON_HOME: expected at least ${minFreeMb} MiB free on the disk of ${home}, found ${freeMb} MiB. Make room, choose another ANDON_HOME, or lower ANDON_MIN_FREE_DISK_MB.`,
  )
}

/** Throws when a program the mesh runs is missing. */
export const checkParts = (): void => {
  requireJava()
  const needed: PartName[] = existsSync(join(kafkaCache().folder, 'lib'))
    ? ['redis', 'nats', 'ffmpeg']
    : ['redis', 'nats', 'ffmpeg', 'maven']
  const missing = needed.filter((part) => findPart(part) === undefined)
  if (missing.length === 0) return
  throw new AndonError(
    'ANDON_PLATFORM_PART_MISSING',
    `Not found: ${missing.map((part) => PARTS[part].title).join(', ')}. Install with: ${installCommand(missing)}`,
  )
}
