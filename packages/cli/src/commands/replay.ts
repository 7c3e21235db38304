// andon replay: a range of a topic through a service again, into topics of the run's own.

import { type Log, openCodec } from '@andon/kit'
import { AndonError } from '@andon/kit/errors'
import { runOf } from '@andon/kit/replay/names'
import { isRunning, repositoryRoot } from '@andon/platform'
import { serviceNames } from '@andon/schemas'
import { rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Context, CommandError } from '../context.ts'
import { parseTimeMs } from '../data/when.ts'
import { EXIT } from '../exit.ts'
import { withLog } from '../kafka.ts'
import { print, table } from '../output.ts'
import { namedSettings } from '../replay/child.ts'
import { findCode, installCode, parseService, type ReplayCode } from '../replay/code.ts'
import { readContract } from '../replay/contract.ts'
import {
  type ReplayHop,
  type ReplayManifest,
  listManifests,
  manifestFile,
  readManifest,
  requireManifest,
  runFolder,
  writeManifest,
} from '../replay/manifest.ts'
import { type PlannedHop, planHop } from '../replay/plan-hop.ts'
import { readProgress, sharesOf } from '../replay/shares.ts'
import { statusOf, superviseHop, updateHop } from '../replay/supervise.ts'
import { codeWords, describePlan, percent, progressLine, summaryOf } from '../replay/words.ts'

export interface ReplayOptions {
  readonly topic?: string
  readonly from?: string
  readonly to?: string
  readonly as: string
  readonly service?: string
  readonly config?: readonly string[]
  readonly model?: readonly string[]
  readonly speed?: 'max' | '1x'
  readonly jobs?: string
  readonly json?: boolean
}

/** What would be read and written, and from which state; writes nothing. */
export const planReplay = async (context: Context, options: ReplayOptions): Promise<void> => {
  const times = timesOf(options)
  const { service, code } = await chosen(context, options)
  const planned = await withLog(context, (log) => planFor(context, log, options, times, service, code))
  print(options.json === true, summaryOf(context, planned, code), () => describePlan(context, planned, code))
}

/** Runs or resumes a hop, with progress, until its end or Ctrl-C. */
export const runReplay = async (context: Context, options: ReplayOptions): Promise<void> => {
  const { hop, code } = await openHop(context, options)
  if (hop.status === 'finished') {
    print(
      options.json === true,
      { run: options.as, service: hop.service, status: 'finished' },
      () => `${options.as} ${hop.service} is finished.`,
    )
    return
  }
  const abort = new AbortController()
  const onSignal = (): void => abort.abort()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, onSignal)
  const show = progressLine(options.as, hop.service, options.json === true)
  try {
    const { status, problem } = await superviseHop(context, options.as, hop, code, abort.signal, show.progress)
    show.end()
    if (status === 'failed')
      throw new CommandError(EXIT.failed, `Run ${options.as} of ${hop.service} failed: ${problem ?? 'no reason given'}`)
    const text =
      status === 'finished'
        ? finishedText(options.as, hop)
        : `Stopped. The same command goes on from here: andon replay run --as ${options.as}`
    print(options.json === true, { run: options.as, service: hop.service, status, outputs: hop.outputs }, () => text)
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.removeListener(signal, onSignal)
  }
}

/** Every run of this state folder, or one with its hops. */
export const replayStatus = (context: Context, options: { as?: string; json?: boolean }): void => {
  const manifests = options.as === undefined ? listManifests(context.home) : [requireManifest(context.home, options.as)]
  const runs = manifests.map((manifest) => ({
    id: manifest.id,
    createdMs: manifest.createdMs,
    hops: manifest.hops.map((hop) => hopStatus(context, manifest, hop)),
  }))
  print(options.json === true, { runs }, () =>
    runs.length === 0
      ? 'No runs here.'
      : table([
          ['RUN', 'SERVICE', 'CODE', 'READS', 'WRITES', 'STATUS', 'RECORDS', 'DONE'],
          ...runs.flatMap(({ id, hops }) =>
            hops.map((hop) => [
              id,
              hop.service,
              codeWords(hop.code),
              hop.input,
              hop.outputs.map(({ runTopic }) => runTopic).join(', '),
              hop.status,
              `${hop.records} of ${hop.total}`,
              percent(hop.records, hop.total),
            ]),
          ),
        ]),
  )
}

const hopStatus = (context: Context, { id }: ReplayManifest, hop: ReplayHop) => {
  const progress = readProgress(sharesOf(context.home, id, hop))
  const total = hop.plan.partitions.reduce((sum, { start, to }) => sum + to - start, 0)
  const { service, code, input, outputs, fromMs, toMs, startedMs, endedMs, problem } = hop
  return {
    service,
    code,
    input,
    outputs,
    fromMs,
    toMs,
    status: statusOf(hop),
    records: progress?.records ?? 0,
    total,
    startedMs,
    endedMs,
    problem,
  }
}

/** Ends a run; with `delete` its topics and files go as well. */
export const abortReplay = async (context: Context, options: { as: string; delete?: boolean; json?: boolean }): Promise<void> => {
  const manifest = requireManifest(context.home, options.as)
  for (const hop of manifest.hops) {
    if (statusOf(hop) !== 'running' || hop.supervisor === null) continue
    updateHop(context.home, options.as, hop.service, { status: 'aborted', supervisor: null, endedMs: Date.now() })
    process.kill(hop.supervisor.pid, 'SIGTERM')
    while (isRunning(hop.supervisor)) await sleep(50)
  }
  for (const hop of requireManifest(context.home, options.as).hops)
    if (statusOf(hop) === 'stopped' || hop.status === 'planned')
      updateHop(context.home, options.as, hop.service, { status: 'aborted', supervisor: null })
  const deleted = options.delete === true ? await withLog(context, (log) => deleteRun(context, log, options.as)) : []
  print(options.json === true, { run: options.as, status: 'aborted', deleted }, () =>
    deleted.length === 0 ? `Run ${options.as} is aborted.` : `Run ${options.as} is gone: ${deleted.join(', ')}.`,
  )
}

/** Removes what a run has made: its topics, then its files. */
export const deleteRun = async (context: Context, log: Log, id: string): Promise<string[]> => {
  const topics = (await log.admin.topics()).map(({ name }) => name).filter((name) => runOf(name)?.id === id)
  await log.admin.deleteTopics(topics)
  rmSync(runFolder(context.home, id), { recursive: true, force: true })
  rmSync(manifestFile(context.home, id), { force: true })
  return topics
}

/** The hop to run: the one that the run has already for this service, or a new one in its manifest. */
const openHop = async (context: Context, options: ReplayOptions): Promise<{ hop: ReplayHop; code: ReplayCode }> => {
  const manifest = readManifest(context.home, options.as)
  const asked = options.service === undefined ? undefined : parseService(options.service)
  const known = manifest?.hops.find(({ service, input }) => (asked ? service === asked.service : (options.topic ?? input) === input))
  if (manifest && known) return resumedHop(context, options, known)
  const times = timesOf(options)
  const { service, code } = await chosen(context, options)
  const jobs = jobsOf(options, code)
  const planned = await withLog(context, (log) => planFor(context, log, options, times, service, code))
  for (const warning of planned.warnings) console.error(warning)
  const settings = namedSettings(code.contract.settings, process.env)
  await installCode(code) // takes half a minute: everything that can be refused has been
  const hop: ReplayHop = {
    service,
    code: code.name,
    input: planned.plan.input.from,
    ...times,
    outputs: planned.outputs,
    plan: planned.plan,
    settings,
    status: 'planned',
    supervisor: null,
    jobs,
    children: [],
    startedMs: null,
    endedMs: null,
    problem: null,
  }
  const before: ReplayManifest = manifest ?? { version: 1, id: options.as, createdMs: Date.now(), hops: [] }
  writeManifest(context.home, { ...before, hops: [...before.hops, hop] })
  return { hop, code }
}

/** A run that goes on keeps its plan: offsets, snapshots, documents and code are those of its first start. */
const resumedHop = async (context: Context, options: ReplayOptions, hop: ReplayHop): Promise<{ hop: ReplayHop; code: ReplayCode }> => {
  const taken = (what: string): CommandError =>
    new CommandError(
      EXIT.usage,
      `Run ${options.as} of ${hop.service} has another ${what}. Take another --as, or leave the option out to go on with the run.`,
    )
  if (statusOf(hop) === 'running')
    throw new CommandError(EXIT.failed, `Run ${options.as} of ${hop.service} is running (pid ${hop.supervisor?.pid}).`)
  if (hop.status === 'aborted')
    throw new CommandError(
      EXIT.failed,
      `Run ${options.as} of ${hop.service} was aborted. Take another --as, or \`andon replay abort --as ${options.as} --delete\` first.`,
    )
  if (options.topic !== undefined && options.topic !== hop.input) throw taken('--topic')
  if (options.jobs !== undefined && Number(options.jobs) !== hop.jobs) throw taken('--jobs')
  const asked = options.service === undefined ? undefined : parseService(options.service)
  if (asked && asked.code !== null) {
    const { name } = await findCode(context, asked.service, asked.code)
    if (name !== hop.code) throw taken('--service')
  }
  const code = await findCode(context, hop.service, hop.code)
  await installCode(code)
  return { hop, code }
}

/** More processes than this keep the brokers busy with one another. */
const MOST_JOBS = 8

/** Processes that share the partitions: by default one per core, and one where the service or the pace has to be one. */
const jobsOf = ({ jobs, speed }: ReplayOptions, { name, contract }: ReplayCode): number => {
  const isAlone = !contract.parallel || speed === '1x'
  if (jobs === undefined) return isAlone ? 1 : Math.min(availableParallelism(), MOST_JOBS)
  if (!/^[1-9]\d?$/.test(jobs)) throw new CommandError(EXIT.usage, `--jobs: expected a number from 1 to 99, found "${jobs}".`)
  if (isAlone && jobs !== '1')
    throw new CommandError(
      EXIT.usage,
      speed === '1x'
        ? '--jobs: a run at 1x has one process, which keeps the partitions as far apart as they were.'
        : `--jobs: the replay contract of ${name ?? 'this checkout'} does not say "parallel": true; leave the option out.`,
    )
  return Number(jobs)
}

/** Service and code that the options name; without --service the one of this checkout that reads the topic. */
const chosen = async (context: Context, options: ReplayOptions): Promise<{ service: string; code: ReplayCode }> => {
  const { service, code } =
    options.service === undefined ? { service: readerOf(topicOf(options)), code: null } : parseService(options.service)
  if (!(serviceNames as readonly string[]).includes(service) && !code?.startsWith('folder:'))
    throw new CommandError(
      EXIT.usage,
      `--service: expected one of ${serviceNames.join(', ')}, optionally with @<git ref> or @image:<ref>, or a folder (./averages); found "${service}".`,
    )
  return { service, code: await findCode(context, service, code) }
}

const readerOf = (topic: string): string => {
  const input = runOf(topic)?.topic ?? topic
  for (const service of serviceNames)
    try {
      if (readContract(repositoryRoot, service, 'this checkout').input === input) return service
    } catch {
      // has no contract: not a candidate
    }
  throw new CommandError(EXIT.usage, `No service of this checkout replays ${topic}. Name one with --service.`)
}

const topicOf = ({ topic }: ReplayOptions): string => {
  if (topic !== undefined) return topic
  throw new CommandError(EXIT.usage, 'Expected --topic <topic>: the topic to replay, or that of another run.')
}

interface Times {
  readonly fromMs: number
  readonly toMs: number
}

/** A run's own topic is read whole unless the options say otherwise. */
const timesOf = (options: ReplayOptions): Times => {
  const nowMs = Date.now()
  if (options.from === undefined && runOf(topicOf(options)) === undefined)
    throw new CommandError(EXIT.usage, 'Expected --from <time>: record time, e.g. 2026-11-23T08:00:00Z or 24h (ago).')
  const fromMs = options.from === undefined ? 0 : parseTimeMs('--from', options.from, nowMs)
  const toMs = options.to === undefined ? nowMs : parseTimeMs('--to', options.to, nowMs)
  if (fromMs >= toMs) throw new AndonError('ANDON_REPLAY_INPUT', 'ANDON_REPLAY_INPUT: --from is not before --to.')
  return { fromMs, toMs }
}

const planFor = async (
  context: Context,
  log: Log,
  options: ReplayOptions,
  times: Times,
  service: string,
  code: ReplayCode,
): Promise<PlannedHop> => {
  const topic = topicOf(options)
  checkUpstream(context, topic)
  const codec = await openCodec({ registryUrl: context.registryUrl, autoRegister: false, namespace: context.namespace })
  const planned = await planHop(log, codec, {
    id: options.as,
    service,
    contract: code.contract,
    topic,
    ...times,
    speed: options.speed ?? 'max',
    configs: options.config ?? [],
    models: options.model ?? [],
    blobDir: context.blobDir,
    nowMs: Date.now(),
  })
  // what one hop of a run pins holds for its next hops as well
  const before = readManifest(context.home, options.as)?.hops.at(-1)?.plan
  const { pins, models } = {
    pins: options.config ? planned.plan.pins : before?.pins,
    models: options.model ? planned.plan.models : before?.models,
  }
  return { ...planned, plan: { ...planned.plan, pins: pins ?? [], models: models ?? [] } }
}

/** A run's topic is an input once the hop that writes it is finished. */
const checkUpstream = (context: Context, topic: string): void => {
  const run = runOf(topic)
  const hop = run && readManifest(context.home, run.id)?.hops.find(({ outputs }) => outputs.some(({ runTopic }) => runTopic === topic))
  if (hop && hop.status !== 'finished')
    throw new AndonError(
      'ANDON_REPLAY_INPUT',
      `ANDON_REPLAY_INPUT: ${topic} is not whole: ${hop.service} of run ${run.id} is ${statusOf(hop)}.`,
    )
}

const finishedText = (id: string, hop: ReplayHop): string =>
  `Run ${id} of ${hop.service} is finished. Its records are on ${hop.outputs.map(({ runTopic }) => runTopic).join(', ')}.`
