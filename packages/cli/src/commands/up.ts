// andon up: checks, platform, topics and schemas, services, plant documents, demo plant; then stays until it is told to end.

import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AndonError, messageOf } from '@andon/kit/errors'
import {
  type Pki,
  type Platform,
  type SupervisorEvent,
  clearLeftovers,
  ensurePki,
  isRunning,
  platformPorts,
  readState,
  startPlatform,
} from '@andon/platform'
import { type Plant, type ServiceName, readPlantFolder, serviceNames } from '@andon/schemas'
import { type Context, CommandError, tokenOf } from '../context.ts'
import { callDoor } from '../door.ts'
import { EXIT } from '../exit.ts'
import { checkDisk, checkParts, checkPorts, portsInUse } from '../up/checks.ts'
import { publishPlant } from '../up/documents.ts'
import { createTopics, registerSchemas } from '../up/log-setup.ts'
import { demoBaselines, demoPlantFolder, demoProgram, servicePrograms, unready } from '../up/services.ts'
import { type StatusLine, startStatusLine } from '../up/status-line.ts'
import { writeTokens } from '../up/tokens.ts'

export interface UpOptions {
  readonly demo?: boolean
  readonly detach?: boolean
  /** One broker, or a local cluster of three. Default 1. */
  readonly brokers?: 1 | 3
  /** Plant folder to publish; the demo plant's with --demo. */
  readonly plant?: string
  /** Services to leave out: somebody runs them in a debugger. */
  readonly without?: readonly string[]
  /** Own authority, TLS at ingest's doors, devices by certificate. */
  readonly secure?: boolean
  /** Site of the authority; the plant's with --plant. */
  readonly site?: string
  /** Address ingest's doors listen on in secure mode. */
  readonly listen?: string
  /** Further names and addresses of this machine, for the doors' certificate. */
  readonly name?: readonly string[]
}

/** Ingest's doors get a new certificate so often; they take it up by themselves. */
const DAY_MS = 86_400_000

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

/** The doors as this start opens them, whatever ran in the folder before. */
const withIngest = (context: Context, isSecure: boolean): Context => {
  const { port } = new URL(context.doors.ingest)
  return { ...context, doors: { ...context.doors, ingest: isSecure ? `https://localhost:${port}` : `http://127.0.0.1:${port}` } }
}

/** Runs a step and prints what it took. */
const step = async <T>(title: string, work: () => Promise<T> | T): Promise<T> => {
  const startedMs = Date.now()
  const result = await work()
  console.log(`  ${title}: ${seconds(Date.now() - startedMs)}`)
  return result
}

const eventText = (event: SupervisorEvent): string => {
  switch (event.kind) {
    case 'ready':
      return `  ${event.name}: ${seconds(event.tookMs)}`
    case 'ended':
      return `${event.name} ended (${event.exit.signal ?? `exit code ${event.exit.code}`}); starts again in ${seconds(event.restartInMs)} (log: ${event.logFile}.1)`
    case 'restarted':
      return `${event.name} runs again`
    case 'restart-failed':
      return `${event.name} did not start again: ${event.message} Next try in ${seconds(event.restartInMs)}`
  }
}

/** What is open to whom; the first thing to read after a start. */
const modeBanner = (pki: Pki | undefined, listen: string): string =>
  pki === undefined
    ? 'PLAIN MODE: no door asks a device who it is, so everything listens on this machine only. `andon up --secure` opens ingest to the network.'
    : `SECURE MODE, site ${pki.site}: ingest takes TLS on ${listen}; devices need a certificate (andon devices enroll), tools trust ${pki.caFile}.\n` +
      'Kafka, registry, Redis, NATS and the other services stay plain, and on this machine only.' +
      (pki.isNew ? `\nA new authority was made. Take root.key off this machine: ${dirname(pki.caFile)}` : '')

const addresses = (context: Context, withDemo: boolean): string => {
  const { doors, home, brokers, registryUrl, natsUrl } = context
  const lines = [
    ['console', `${doors.console}/#token=${tokenOf(context, 'shift-lead')} (signs in as the shift lead)`],
    ['actions', `${doors.actions}/v1`],
    ['video', `${doors.video}/v1`],
    ['ingest', `${doors.ingest}/v1/telemetry`],
    ['Kafka', brokers.join(',')],
    ['schema registry', registryUrl],
    ['NATS', natsUrl],
    ...(withDemo ? [['demo plant', `${doors.plant}/state (simulated press, line and cameras; recordings are real)`]] : []),
    ['tokens', home.tokens],
    ['logs', home.logs],
  ] as const
  return lines.map(([name, where]) => `  ${name.padEnd(16)} ${where}`).join('\n')
}

const openIncidents = async (context: Context): Promise<number> => {
  const url = `${context.doors.actions}/v1/incidents?open=true`
  const { body } = await callDoor<{ incidents: readonly unknown[] }>('GET', url, { token: tokenOf(context, 'operator') })
  return body.incidents.length
}

/** Waits until every service says it is ready; says which are not when patience ends, and goes on. */
const waitReady = async (offset: number, services: readonly ServiceName[], patienceMs: number): Promise<void> => {
  const deadline = Date.now() + patienceMs
  for (;;) {
    const waiting = await unready(offset, services)
    if (waiting.size === 0) return
    if (Date.now() > deadline) {
      for (const [name, why] of waiting) console.log(`  ${name} is not ready: ${why}`)
      return
    }
    await sleep(200)
  }
}

export const up = async (given: Context, options: UpOptions): Promise<void> => {
  if (options.detach) return upDetached(given, options)
  const context = withIngest(given, options.secure === true)
  const startedMs = Date.now()
  const { home, portOffset, namespace } = context
  const ports = platformPorts(portOffset)
  const withDemo = options.demo === true

  checkDisk(home.root, context.minFreeDiskMb)
  checkParts()
  const plantFolder = options.plant ?? (withDemo ? demoPlantFolder : undefined)
  const plantDocuments = plantFolder === undefined ? [] : readPlantFolder(plantFolder, { portOffset }) // a fault in it is said now, not after everything has started
  if (options.secure && withDemo)
    throw new AndonError(
      'ANDON_DEMO_IS_PLAIN',
      'The demo plant’s simulated devices hold tokens, not certificates: start it without --secure.',
      { status: 400 },
    )
  const leftovers = await clearLeftovers(home.stateFile)
  if (leftovers > 0) console.log(`  ended ${leftovers} processes a killed run had left`)
  const { brokers = 1 } = options
  await checkPorts(portsInUse(ports, portOffset, withDemo, process.env, brokers))
  const { webhookSecret } = writeTokens(home.tokens)
  const plantSite = plantDocuments.find(({ name }) => name === 'plant')?.value as Plant | undefined
  const certify = () => ensurePki(home, { site: plantSite?.site.id ?? options.site, names: options.name ?? [] })
  const pki = options.secure ? await certify() : undefined
  const listen = options.listen ?? '0.0.0.0'
  const services = serviceNames.filter((name) => !(options.without ?? []).includes(name))

  let line: StatusLine | undefined
  let platform: Platform | undefined
  const say = (text: string) => (line === undefined ? console.log(text) : line.say(text))
  const renewing =
    pki && setInterval(() => void certify().catch((error: unknown) => say(`No new certificate for the doors: ${messageOf(error)}`)), DAY_MS)
  const ending = endOnSignal(async () => {
    clearInterval(renewing)
    line?.stop()
    await platform?.stop()
  }, say)

  console.log(`Starting Andon in ${home.root}`)
  try {
    platform = await startPlatform({
      home: home.root,
      portOffset,
      brokers,
      about: { demo: withDemo, secure: pki !== undefined },
      onEvent: (event) => say(eventText(event)),
    })
    const { supervisor } = platform
    const extra = {
      ACTIONS_WEBHOOK_SECRET: webhookSecret,
      ACTIONS_WEBHOOK_ALLOW: process.env['ACTIONS_WEBHOOK_ALLOW'] ?? '127.0.0.1',
      ...(namespace === '' ? {} : { ANDON_NAMESPACE: namespace }),
      ...(withDemo ? demoBaselines() : {}),
    }
    await step('topics and schemas', async () => {
      await registerSchemas(context.registryUrl, namespace)
      await createTopics(context.brokers, namespace)
    })
    const ingest = pki === undefined ? {} : { ...pki.environment, ANDON_HOST: listen, INGEST_ADMIN_HOST: '127.0.0.1' }
    await supervisor.startWave('services', servicePrograms(platform, services, portOffset, extra, { ingest }))
    if (plantFolder !== undefined && !services.includes('actions')) {
      console.log(`  plant documents: not sent, since actions is left out; send them with \`andon plant apply ${plantFolder}\``)
    } else if (plantFolder !== undefined) {
      const token = tokenOf(context, 'shift-lead')
      await step('plant documents', () =>
        publishPlant({ folder: plantFolder, actionsUrl: context.doors.actions, token, portOffset, patienceMs: 30_000 }),
      )
    }
    // Without plant documents a service may wait for the first ones: no reason to hold up the start.
    await step('services ready', () => waitReady(portOffset, services, plantFolder === undefined ? 5000 : 60_000))
    if (withDemo) await supervisor.startWave('demo', [demoProgram(platform, portOffset, extra)])
    console.log(`\nAndon is up after ${seconds(Date.now() - startedMs)}\n${addresses(context, withDemo)}\n\n${modeBanner(pki, listen)}\n`)
    supervisor.markReady() // after the addresses: `up --detach` shows what was said until here
    line = startStatusLine(supervisor, () => openIncidents(context))
  } catch (error) {
    if (ending.hasBegun()) return ending.done
    clearInterval(renewing)
    await platform?.stop()
    throw error
  }
  return ending.done
}

/** Ends in order on the first signal, at once on the second. */
const endOnSignal = (stop: () => Promise<void>, say: (text: string) => void): { done: Promise<void>; hasBegun: () => boolean } => {
  let begun = false
  const done = new Promise<void>((resolve, reject) => {
    const onSignal = (signal: NodeJS.Signals) => {
      if (begun) process.exit(EXIT.failed) // children end with us: the kernel or their watch of our pid sees to it
      begun = true
      const startedMs = Date.now()
      say(`\n${signal}: ending everything …`)
      stop().then(() => {
        console.log(`Ended in ${seconds(Date.now() - startedMs)}`)
        resolve()
      }, reject)
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal)
  })
  return { done, hasBegun: () => begun }
}

/** Starts `andon up` as a process of its own, shows its start, and returns when it is up. */
const upDetached = async (context: Context, options: UpOptions): Promise<void> => {
  const running = readState(context.home.stateFile)
  if (running !== undefined && isRunning(running.supervisor)) await clearLeftovers(context.home.stateFile) // says that it runs
  mkdirSync(context.home.logs, { recursive: true })
  const logFile = join(context.home.logs, 'up.log')
  rmSync(logFile, { force: true })
  const log = openSync(logFile, 'w', 0o600) // the sign-in link is in it
  const main = join(import.meta.dirname, '..', 'main.ts')
  const args = [
    main,
    'up',
    ...(options.demo ? ['--demo'] : []),
    ...(options.brokers === 3 ? ['--brokers', '3'] : []),
    ...(options.plant === undefined ? [] : ['--plant', options.plant]),
    ...(options.secure ? ['--secure'] : []),
    ...(options.site === undefined ? [] : ['--site', options.site]),
    ...(options.listen === undefined ? [] : ['--listen', options.listen]),
    ...(options.name === undefined ? [] : ['--name', ...options.name]),
    ...(options.without === undefined ? [] : ['--without', ...options.without]),
  ]
  const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', log, log] })
  closeSync(log)
  child.unref()
  let exitCode: number | undefined
  child.once('exit', (code) => (exitCode = code ?? EXIT.failed))

  let shown = 0
  const show = () => {
    const text = existsSync(logFile) ? readFileSync(logFile, 'utf8') : ''
    process.stdout.write(text.slice(shown))
    shown = text.length
  }
  for (;;) {
    await sleep(150)
    show()
    if (exitCode !== undefined) throw new CommandError(exitCode, `The start failed; see ${logFile}`)
    const state = readState(context.home.stateFile)
    if (state !== undefined && state.supervisor.pid === child.pid && state.status === 'ready') break
  }
  show() // what it said between the last look and being ready
  console.log(`\nRunning in the background (pid ${child.pid}). \`andon status\` looks, \`andon down\` ends it.`)
}

/** What a failed start says. */
export const upFailure = (error: unknown): string => `Andon did not start. ${messageOf(error)}`
