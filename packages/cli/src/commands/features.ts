// andon features: vectors as a table for analysis and training, how a vector came about, and what a feature set makes of a file.

import { type Log, partitionOf } from '@andon/kit'
import { runTopic } from '@andon/kit/replay/names'
import { type Context, CommandError } from '../context.ts'
import { type PartitionRange, rangesOf } from '../data/ranges.ts'
import { parseTimeMs } from '../data/when.ts'
import { EXIT } from '../exit.ts'
import { type AsOfCounts, exportAsOf, readMoments } from '../features/as-of.ts'
import { type ExportCounts, type TableFormat, exportFeatures } from '../features/export.ts'
import { runTool } from '../features/tool.ts'
import { withLog } from '../kafka.ts'
import { print } from '../output.ts'
import { readingCodec } from './topics.ts'

export interface FeaturesExportOptions {
  readonly json?: boolean
  readonly from?: string
  readonly to?: string
  readonly asset?: string
  readonly set?: string
  readonly as: TableFormat
  readonly out?: string
  readonly pointInTime?: boolean
  readonly at?: string
  readonly late?: string
  readonly run?: string
}

/** The whole range of the topic, of these assets' partitions only where assets are named. */
const rangesFor = async (
  log: Log,
  topic: string,
  from: string | undefined,
  to: string | undefined,
  assets: ReadonlySet<string> | undefined,
): Promise<PartitionRange[]> => {
  const nowMs = Date.now()
  const start = from === undefined ? 'start' : { timeMs: parseTimeMs('--from', from, nowMs) }
  const untilMs = to === undefined ? undefined : parseTimeMs('--to', to, nowMs)
  const ranges = await rangesOf(log, topic, start, undefined, untilMs)
  if (assets === undefined) return ranges
  const wanted = new Set([...assets].map((asset) => partitionOf(asset, ranges.length)))
  return ranges.filter(({ partition }) => wanted.has(partition))
}

/** Vectors between two times (record time; `to` is exclusive) as a table. */
export const exportVectors = (context: Context, options: FeaturesExportOptions): Promise<void> => {
  const { json = false, as: format, run, set, at, late, pointInTime = false } = options
  if (at !== undefined && pointInTime) throw new CommandError(EXIT.usage, 'Either --point-in-time or --at.')
  if (at !== undefined && late !== undefined) throw new CommandError(EXIT.usage, '--late goes with whole ranges, not with --at.')
  const topic = run === undefined ? 'features' : runTopic('features', run)
  const out = options.out ?? `features.${format}`
  const named = options.asset === undefined ? undefined : new Set(options.asset.split(',').map((asset) => asset.trim()))
  return withLog(context, async (log) => {
    const codec = await readingCodec(context)
    if (at !== undefined) {
      const moments = await readMoments(at)
      const assets = new Set(moments.list.map(({ assetId }) => assetId))
      const ranges = await rangesFor(log, topic, options.from, options.to, assets)
      const { counts, ...of } = await exportAsOf(log, codec, { topic, ranges, selection: { set }, format, out, moments })
      print(json, { topic, file: out, ...of, ...counts }, () => asOfSummary(out, counts))
      return
    }
    const ranges = await rangesFor(log, topic, options.from, options.to, named)
    const selection = { assets: named, set }
    const { files, counts } = await exportFeatures(log, codec, { topic, ranges, selection, format, out, isPointInTime: pointInTime, late })
    print(json, { topic, files, ...counts }, () =>
      [
        ...files.map((each) => `${each.file}  ${each.rows} rows  ${each.featureSet} ${each.featureSetDigest.slice(0, 12)}`),
        ...summary(topic, counts, pointInTime, late),
      ].join('\n'),
    )
  })
}

const summary = (topic: string, counts: ExportCounts, isPointInTime: boolean, late: string | undefined): string[] => {
  const what = isPointInTime ? 'revisions, each with the time in which it was the newest known' : 'windows, each in its newest revision'
  return [
    `Exported ${counts.rows} ${what}, from ${topic}.`,
    ...told(
      counts.superseded,
      isPointInTime ? 'of them were superseded later.' : 'superseded revisions are left out; --point-in-time has them.',
    ),
    ...told(counts.unmonitored, 'rows have quality unmonitored and no values: nothing came from the asset.'),
    ...rest(counts),
    ...told(
      counts.lateReports,
      `reports of ${counts.lateSamples} samples that came too late for their windows ${late === undefined ? '(--late <file> writes them)' : `are in ${late}`}.`,
    ),
  ]
}

const asOfSummary = (out: string, counts: AsOfCounts): string =>
  [
    `${out}  ${counts.rows} rows`,
    `For ${counts.rows - counts.unknown} of ${counts.rows} moments a vector was known.`,
    ...told(counts.unknown, 'moments lie before the first vector of their asset in the range: their row is empty.'),
    ...told(counts.unmonitored, 'moments fall into a time in which nothing came from the asset.'),
    ...rest(counts),
  ].join('\n')

const rest = (counts: ExportCounts): string[] => [
  ...told(counts.repeats, 'copies of a vector were left out.'),
  ...told(counts.outranked, 'older revisions that came after a newer one were left out.'),
  ...told(counts.ofOtherSets, 'vectors of other feature sets were left out.'),
  ...told(counts.undecodable, 'records could not be decoded.'),
]

const told = (count: number, what: string): string[] => (count === 0 ? [] : [`${count} ${what}`])

/** How a vector came about: run by the service's own code, which shows it. Ends with exit code 1 when it cannot be confirmed. */
export const explainVector = (context: Context, args: readonly string[]): Promise<void> => runTool(context, 'explain', args)

/** What a feature set makes of a file, by the service's own code. */
export const previewSet = (context: Context, args: readonly string[]): Promise<void> => runTool(context, 'preview', args)
