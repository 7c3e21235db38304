// What a plan and the progress of a run look like: for people, and as JSON.

import type { Context } from '../context.ts'
import { duration, table } from '../output.ts'
import type { ReplayCode } from './code.ts'
import { listManifests } from './manifest.ts'
import type { PlannedHop, StartState } from './plan-hop.ts'
import type { HopProgress } from './supervise.ts'

/** Records per second of the newest finished hop of the service; undefined when there is none. */
const knownRate = (context: Context, service: string): number | undefined => {
  const hops = listManifests(context.home).flatMap(({ hops: each }) => each)
  const last = hops.findLast((hop) => hop.service === service && hop.status === 'finished' && hop.plan.speed === 'max')
  if (last?.startedMs == null || last.endedMs === null) return undefined
  const records = last.plan.partitions.reduce((sum, { start, to }) => sum + to - start, 0)
  return (records * 1000) / Math.max(1, last.endedMs - last.startedMs)
}

const etaMsOf = (context: Context, { plan, records, before }: PlannedHop, toMs: number): number | null => {
  const rate = knownRate(context, plan.service)
  if (plan.speed === '1x') return toMs - plan.fromMs
  return rate === undefined ? null : ((records + before) * 1000) / rate
}

/** The code of a hop, short. */
export const codeWords = (code: string | null): string => {
  if (code === null) return 'checkout'
  const [, kind = '', name = ''] = /^(image:)?(.*)$/s.exec(code) ?? []
  return `${kind}${name.slice(0, 12)}`
}

/** A plan as one JSON object. */
export const summaryOf = (context: Context, planned: PlannedHop, code: ReplayCode) => {
  const { plan, partitions, records, before, bytes, outputs, warnings } = planned
  const { id, service, input, speed, pins, models } = plan
  return {
    run: id,
    service,
    code: code.name,
    input: input.from,
    records,
    before,
    bytes,
    etaMs: etaMsOf(context, planned, Date.now()),
    speed,
    outputs,
    pins,
    models,
    partitions,
    warnings,
  }
}

const stateWords = (state: StartState): string => {
  if (state.kind === 'none') return 'none kept'
  if (state.kind === 'beginning') return 'from the first record on'
  return state.kind === 'snapshot' ? `snapshot of ${new Date(state.atMs).toISOString()}` : `${state.minutes} min warm-up`
}

/** A plan for people: what is read from which state, and what is written. */
export const describePlan = (context: Context, planned: PlannedHop, code: ReplayCode): string => {
  const { plan, partitions, records, before, bytes, outputs, warnings } = planned
  const etaMs = etaMsOf(context, planned, Date.now())
  const rows = partitions.map(({ partition, start, from, to, state }) => [
    String(partition),
    String(start),
    String(from),
    String(to),
    String(to - from),
    stateWords(state),
  ])
  return [
    `Run ${plan.id}: ${plan.service} (${code.name ?? 'this checkout'}) over ${plan.input.from}`,
    '',
    table([['PARTITION', 'START', 'FROM', 'TO', 'RECORDS', 'STATE'], ...rows]),
    '',
    `${records} records (about ${Math.ceil(bytes / 1024)} KiB), ${before} before them to build state; ${etaMs === null ? 'no run of this service has been measured yet' : `about ${duration(etaMs)}`}.`,
    `Writes ${outputs.map(({ topic, runTopic }) => `what goes to ${topic} to ${runTopic}`).join(', ')}, and nothing else.`,
    ...plan.models.map(({ model, version, offset }) =>
      offset < 0 ? `${model} takes no part.` : `${model} is version ${version} throughout.`,
    ),
    ...plan.pins.map(({ name, offset }) => `${name} is that of config/0@${offset} throughout.`),
    ...warnings.map((warning) => `Note: ${warning}.`),
  ].join('\n')
}

export const percent = (part: number, whole: number): string => (whole === 0 ? '100 %' : `${Math.floor((part * 100) / whole)} %`)

/** Progress as one line that is written over, as lines where nobody watches, or as JSON objects. */
export const progressLine = (id: string, service: string, isJson: boolean) => {
  const isTerminal = process.stdout.isTTY === true && !isJson
  const everyMs = isTerminal || isJson ? 1000 : 5000
  let shownMs = 0
  return {
    progress: (progress: HopProgress): void => {
      if (Date.now() - shownMs < everyMs) return
      shownMs = Date.now()
      if (isJson) {
        console.log(JSON.stringify({ run: id, service, ...progress }))
        return
      }
      const { records, total, recordsPerSecond, leftMs } = progress
      const rate = recordsPerSecond === null ? '' : `, ${Math.round(recordsPerSecond)} records/s`
      const left = leftMs === null ? '' : `, ${duration(leftMs)} left`
      const text = `${id} ${service}: ${percent(records, total)}, ${records} of ${total} records${rate}${left}`
      if (isTerminal) process.stdout.write(`\r\u001B[K${text}`)
      else console.log(text)
    },
    end: (): void => {
      if (isTerminal) process.stdout.write('\r\u001B[K')
    },
  }
}
