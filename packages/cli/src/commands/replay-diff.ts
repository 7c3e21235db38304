// andon replay diff and promote: what a run says differently, and making that the kept revision of its windows.

import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { runOf } from '@andon/kit/replay/names'
import { topicNames } from '@andon/schemas'
import { type Context, CommandError } from '../context.ts'
import { EXIT } from '../exit.ts'
import { withLog } from '../kafka.ts'
import { print, table } from '../output.ts'
import { parseTolerances } from '../replay/compare.ts'
import { type DiffReport, type TopicDiff, diffRun } from '../replay/diff.ts'
import { diffHtml } from '../replay/diff-html.ts'
import { type ReplayManifest, requireManifest } from '../replay/manifest.ts'
import { PROMOTABLE, applyPromotion, planPromotion, planUndo } from '../replay/promote.ts'
import { readingCodec } from './topics.ts'

export interface DiffOptions {
  readonly json?: boolean
  readonly against: string
  readonly topic?: readonly string[]
  readonly tolerance?: readonly string[]
  readonly html?: string
}

const isShared = (topic: string): boolean => (topicNames as readonly string[]).includes(topic)

/** Range and topics of a run, in the order of the pipeline; topics of services of your own come last. */
const rangeOf = (manifest: ReplayManifest): { fromMs: number; toMs: number; topics: string[] } => {
  const written = new Set(manifest.hops.flatMap(({ outputs }) => outputs.map(({ topic }) => topic)))
  // What derives from a record carries its time, so the range of the first hop is that of all.
  const first = manifest.hops.filter(({ input }) => runOf(input) === undefined)
  const hops = first.length > 0 ? first : manifest.hops
  return {
    fromMs: Math.min(...hops.map(({ fromMs }) => fromMs)),
    toMs: Math.max(...hops.map(({ toMs }) => toMs)),
    topics: [...topicNames.filter((topic) => written.has(topic)), ...[...written].filter((topic) => !isShared(topic)).toSorted()],
  }
}

const warnUnfinished = ({ id, hops }: ReplayManifest): void => {
  const open = hops.filter(({ status }) => status !== 'finished')
  if (open.length > 0)
    console.error(
      `Run ${id} is not finished (${open.map(({ service, status }) => `${service}: ${status}`).join(', ')}): what it has not written yet is missing here.`,
    )
}

export const diffReplay = (context: Context, run: string, options: DiffOptions): Promise<void> => {
  const tolerances = parseTolerances(options.tolerance ?? [])
  const manifest = requireManifest(context.home, run)
  if (options.against !== 'live') requireManifest(context.home, options.against)
  const { fromMs, toMs, topics } = rangeOf(manifest)
  const wanted = topics.filter((topic) => options.topic === undefined || options.topic.includes(topic))
  if (wanted.length === 0)
    throw new CommandError(EXIT.failed, `Run ${run} wrote ${topics.join(', ') || 'nothing'}; there is nothing else to compare.`)
  warnUnfinished(manifest)
  return withLog(context, async (log) => {
    const report = await diffRun(log, await readingCodec(context), {
      run,
      against: options.against,
      fromMs,
      toMs,
      topics: wanted,
      tolerances,
    })
    if (options.html !== undefined) writeFileSync(options.html, diffHtml(report))
    print(options.json === true, report, () => diffText(report, options.html))
  })
}

const diffText = (report: DiffReport, html: string | undefined): string =>
  [
    table([
      ['TOPIC', 'SAME', 'CHANGED', 'MISSING', 'NEW'],
      ...report.topics.map((each) => [each.topic, ...[each.same, each.changed, each.missing, each.new].map(String)]),
    ]),
    ...report.topics.flatMap(topicText),
    html === undefined ? '--html <file> writes the whole report with examples.' : `Report: ${html}`,
  ].join('\n')

const topicText = (topic: TopicDiff): string[] => {
  const differing = topic.groups.filter((group) => group.changed + group.missing + group.new > 0)
  if (differing.length === 0) return []
  return [
    '',
    table([
      [`${topic.topic.toUpperCase()} BY ASSET`, 'FAULT MODE', 'SAME', 'CHANGED', 'MISSING', 'NEW'],
      ...differing
        .slice(0, 20)
        .map((each) => [each.assetId, each.faultMode, ...[each.same, each.changed, each.missing, each.new].map(String)]),
    ]),
    ...(topic.fields.length === 0
      ? []
      : [
          '',
          table([
            ['FIELD', 'RECORDS', 'LARGEST DIFFERENCE'],
            ...topic.fields
              .slice(0, 20)
              .map((each) => [each.path, String(each.records), each.largestDelta === null ? '-' : each.largestDelta.toPrecision(3)]),
          ]),
        ]),
  ]
}

export interface PromoteOptions {
  readonly json?: boolean
  readonly topic?: string
  readonly undo?: boolean
  readonly tolerance?: readonly string[]
  readonly yes?: boolean
}

/** Appends what a run says differently as revisions of its windows, or takes that back; says what it would do until told --yes. */
export const promoteReplay = (context: Context, run: string, options: PromoteOptions): Promise<void> => {
  const tolerances = parseTolerances(options.tolerance ?? [])
  const manifest = requireManifest(context.home, run)
  const { fromMs, toMs, topics } = rangeOf(manifest)
  // What follows from a promoted record is worked out anew by the services, so the first topic of the pipeline is enough.
  const topic = options.topic ?? PROMOTABLE.find((each) => topics.includes(each))
  if (topic === undefined)
    throw new CommandError(
      EXIT.failed,
      `Run ${run} wrote ${topics.join(', ') || 'nothing'}; only ${PROMOTABLE.join(' and ')} are promoted.`,
    )
  warnUnfinished(manifest)
  return withLog(context, async (log) => {
    const codec = await readingCodec(context)
    const request = { run, topic, fromMs, toMs, tolerances }
    const plan = options.undo ? await planUndo(log, codec, request) : await planPromotion(log, codec, request)
    const windows = plan.promotions.length
    const onProgress = (words: string): void => console.error(words)
    const appended = options.yes && windows > 0 ? await applyPromotion(log, plan, { wait: (ms) => sleep(ms), onProgress }) : 0
    const { lane, notFinal, missing, kept } = plan
    print(options.json === true, { run, topic, lane, windows, appended, notFinal, missing, kept, undo: options.undo === true }, () =>
      [
        options.yes
          ? `${options.undo ? 'Took back' : 'Promoted'} ${appended} windows of ${topic} in lane ${lane}; they were read back and are settled.`
          : `Would ${options.undo ? 'take back' : 'promote'} ${windows} windows of ${topic} in lane ${lane}.`,
        ...(notFinal > 0 ? [`${notFinal} windows may still be revised by live data: promote again later.`] : []),
        ...(missing > 0 ? [`${missing} windows are missing from the run and stay as they are.`] : []),
        ...(kept > 0 ? [`${kept} windows had nothing before the promotion and stay.`] : []),
        ...(options.yes || windows === 0
          ? []
          : ['Add --yes to do it; it takes half a minute, most of it waiting until the log is settled.']),
      ].join('\n'),
    )
  })
}
