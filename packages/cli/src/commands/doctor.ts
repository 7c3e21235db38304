// andon doctor: what this machine has and lacks for the mesh, and whether a running one is well. Every finding says what to do.

import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, statfsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  type PartName,
  PARTS,
  describeBroker,
  findJava,
  findPart,
  installCommand,
  isPortFree,
  isRunning,
  kafkaCache,
  platformPorts,
  portHolder,
  readState,
} from '@andon/platform'
import { type Context, CommandError } from '../context.ts'
import { EXIT } from '../exit.ts'
import { print } from '../output.ts'
import { portsInUse } from '../up/checks.ts'
import { unready } from '../up/services.ts'

interface Finding {
  readonly what: string
  readonly ok: boolean
  readonly found: string
  readonly fix?: string
}

const node = (): Finding => {
  const ok = Number(process.versions.node.split('.')[0]) >= 24
  return {
    what: 'Node',
    ok,
    found: process.version,
    ...(ok ? {} : { fix: 'Run through npm (npx andon …), which uses the pinned Node 24.' }),
  }
}

const java = (): Finding => {
  const { path, version, problem } = findJava()
  if (path !== undefined) return { what: 'Java', ok: true, found: `${version} (${path})` }
  return { what: 'Java', ok: false, found: problem ?? 'none', fix: installCommand(['java']) }
}

const part = (name: PartName): Finding => {
  const path = findPart(name)
  if (path !== undefined) return { what: PARTS[name].title, ok: true, found: path }
  return { what: PARTS[name].title, ok: false, found: 'not installed', fix: installCommand([name]) }
}

const jars = (): Finding => {
  const { folder } = kafkaCache()
  const ok = existsSync(join(folder, 'lib'))
  return {
    what: "Kafka's jars",
    ok,
    found: ok ? folder : `nothing in ${folder}`,
    ...(ok ? {} : { fix: 'node scripts/bootstrap.mjs --for start' }),
  }
}

const disk = (context: Context): Finding => {
  const folder = existsSync(context.home.root) ? context.home.root : dirname(context.home.root)
  const { bavail, bsize } = statfsSync(folder)
  const freeMb = Math.floor((bavail * bsize) / 1024 / 1024)
  const ok = freeMb >= context.minFreeDiskMb
  return { what: 'Free disk', ok, found: `${freeMb} MiB at ${folder}`, ...(ok ? {} : { fix: 'Make room, or choose another ANDON_HOME.' }) }
}

/** Fewer days than this are told: somebody has to restart, or to make a new authority. */
const CERTIFICATE_DAYS = 14

const certificates = (context: Context): Finding[] =>
  ['site', 'door'].flatMap((name) => {
    const file = join(context.home.pki, `${name}.pem`)
    if (!existsSync(file)) return []
    const days = Math.floor((new X509Certificate(readFileSync(file)).validToDate.getTime() - Date.now()) / 86_400_000)
    const ok = days >= CERTIFICATE_DAYS
    const what = name === 'site' ? 'Authority of the site' : 'Certificate of the doors'
    return [
      {
        what,
        ok,
        found: `${days} days left (${file})`,
        ...(ok ? {} : { fix: 'Restart with `andon up --secure`; an authority is renewed in INGEST_TLS_CA first.' }),
      },
    ]
  })

const ports = async (context: Context): Promise<Finding> => {
  const uses = portsInUse(platformPorts(context.portOffset), context.portOffset, true, process.env)
  const busy = (await Promise.all(uses.map(async (use) => ((await isPortFree(use.port)) ? [] : [use])))).flat()
  const found = busy.map(({ port, what }) => `${port} (${what}) in use${portHolder(port) === undefined ? '' : ` by ${portHolder(port)}`}`)
  return {
    what: 'Ports',
    ok: busy.length === 0,
    found: busy.length === 0 ? `${uses.length} free` : found.join('; '),
    ...(busy.length === 0 ? {} : { fix: 'End what uses them, or set ANDON_PORT_OFFSET.' }),
  }
}

const mesh = async (context: Context): Promise<Finding[]> => {
  const broker = await describeBroker(platformPorts(context.portOffset).kafka).catch(() => undefined)
  const waiting = await unready(context.portOffset)
  return [
    {
      what: 'Kafka answers',
      ok: broker !== undefined,
      found: broker === undefined ? 'no answer' : `cluster ${broker.clusterId ?? ''}`,
      ...(broker === undefined ? { fix: 'andon logs kafka' } : {}),
    },
    {
      what: 'Services ready',
      ok: waiting.size === 0,
      found: waiting.size === 0 ? 'all' : [...waiting].map(([name, why]) => `${name} (${why})`).join('; '),
      ...(waiting.size === 0 ? {} : { fix: `andon logs ${[...waiting.keys()][0]}` }),
    },
  ]
}

export const doctor = async (context: Context, options: { json?: boolean }): Promise<void> => {
  const state = readState(context.home.stateFile)
  const runs = state !== undefined && isRunning(state.supervisor)
  const needed: PartName[] = ['redis', 'nats', 'ffmpeg', ...(existsSync(join(kafkaCache().folder, 'lib')) ? [] : (['maven'] as const))]
  const findings = [
    node(),
    java(),
    ...needed.map(part),
    jars(),
    disk(context),
    ...certificates(context),
    ...(runs ? await mesh(context) : [await ports(context)]),
  ]
  const failed = findings.filter((finding) => !finding.ok)
  print(options.json === true, { running: runs, ok: failed.length === 0, findings }, () =>
    findings.map(({ what, ok, found, fix }) => `${ok ? '✔' : '✖'} ${what}: ${found}${fix === undefined ? '' : `\n    ${fix}`}`).join('\n'),
  )
  if (failed.length > 0) throw new CommandError(EXIT.failed, options.json ? '' : `${failed.length} of ${findings.length} checks failed.`)
}
