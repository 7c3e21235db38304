// andon topics export and import: a range of a topic as Parquet, Avro or Arrow files, and back onto a topic of its own.

import { baseTopic } from '@andon/kit/replay/names'
import { type TopicName, topology } from '@andon/schemas'
import { type Context, CommandError } from '../context.ts'
import { filterOf } from '../data/filter.ts'
import { registryClient } from '../data/registry.ts'
import { rangesOf } from '../data/ranges.ts'
import { FORMATS, type Format } from '../data/table-file.ts'
import { SCHEMAS, exportTopic, importFiles, importRows, importTarget, requireSameSchemas, surveyFiles } from '../data/transfer.ts'
import { parseTimeMs } from '../data/when.ts'
import { EXIT } from '../exit.ts'
import { withLog } from '../kafka.ts'
import { print, wholeNumber } from '../output.ts'
import { readingCodec } from './topics.ts'

export interface ExportOptions {
  readonly json?: boolean
  readonly format: Format
  readonly out: string
  readonly from?: string
  readonly to?: string
  readonly filter?: string
  readonly partition?: string
}

/** Records of a topic between two times (record time; `to` is exclusive) as files. */
export const runExport = (context: Context, topic: string, options: ExportOptions): Promise<void> => {
  const nowMs = Date.now()
  const start = options.from === undefined ? 'start' : { timeMs: parseTimeMs('--from', options.from, nowMs) }
  const untilMs = options.to === undefined ? undefined : parseTimeMs('--to', options.to, nowMs)
  const only = options.partition === undefined ? undefined : wholeNumber('--partition', options.partition)
  const filter = options.filter === undefined ? undefined : filterOf(options.filter)
  return withLog(context, async (log) => {
    const ranges = await rangesOf(log, topic, start, only, untilMs)
    const versions = await registryClient(context.registryUrl).versions(`${context.namespace}${baseTopic(topic)}-value`)
    const metadata = { [SCHEMAS]: JSON.stringify(versions.map(({ id, schema }) => [id, schema])) }
    const files = await exportTopic(log, await readingCodec(context), {
      topic,
      ranges,
      format: options.format,
      out: options.out,
      filter,
      metadata,
    })
    const records = files.reduce((sum, each) => sum + each.records, 0)
    const undecodable = files.reduce((sum, each) => sum + each.undecodable, 0)
    print(options.json === true, { topic, records, undecodable, files }, () =>
      [
        ...files.map((each) => `${each.file}  ${each.records} records`),
        `Exported ${records} records of ${topic}.${undecodable === 0 ? '' : ` ${undecodable} could not be decoded; their bytes are in value_bytes.`}`,
      ].join('\n'),
    )
    if (filter !== undefined && filter.failed.count > 0)
      console.error(`The filter failed on ${filter.failed.count} records, first with: ${filter.failed.reason}. They are left out.`)
  })
}

export const exportFormats: readonly string[] = FORMATS

export interface ImportOptions {
  readonly json?: boolean
  readonly to: string
  readonly asRun?: string
  readonly append?: boolean
}

/** Appends exported records to a topic, which is created when it is missing and must be empty unless `append`. */
export const runImport = (context: Context, path: string, options: ImportOptions): Promise<void> => {
  const topic = importTarget(options.to, options.asRun)
  const files = importFiles(path)
  return withLog(context, async (log) => {
    const existing = (await log.admin.topics()).find(({ name }) => name === topic)
    const survey = await surveyFiles(files)
    await requireSameSchemas(survey, (id) => registryClient(context.registryUrl).byId(id))
    const needed = survey.lastPartition + 1
    if (existing === undefined) {
      // Imported records keep their old timestamps: retention by time would delete them at once.
      const partitions = Math.max(needed, topology.topics[baseTopic(topic) as TopicName]?.partitions ?? 1)
      await log.admin.ensureTopics([{ name: topic, partitions, configs: { 'retention.ms': '-1', 'message.timestamp.type': 'CreateTime' } }])
    } else {
      if (existing.partitions < needed)
        throw new CommandError(EXIT.failed, `${topic} has ${existing.partitions} partitions, the files need ${needed}. Name another topic.`)
      const held = (await log.admin.watermarks(topic)).reduce((sum, { low, high }) => sum + high - low, 0)
      if (held > 0 && !options.append)
        throw new CommandError(EXIT.failed, `${topic} already holds ${held} records. Name another topic, or add --append.`)
    }
    const records = await importRows(log, files, topic, options.asRun)
    print(options.json === true, { topic, records, files }, () => `Imported ${records} records into ${topic}.`)
  })
}
