// andon telemetry correct: writes samples that supersede those of a range. Windows they touch get a further revision, what was final already
// is reported late; nothing on the log is rewritten, and the same correction sent again changes nothing.

import { readFileSync } from 'node:fs'
import { type Context, CommandError, tokenOf } from '../context.ts'
import { parseTimeMs } from '../data/when.ts'
import { callDoor } from '../door.ts'
import { EXIT } from '../exit.ts'
import { print } from '../output.ts'

export interface CorrectOptions {
  readonly asset: string
  readonly channel: readonly string[]
  readonly from: string
  readonly to: string
  readonly file?: string
  readonly reason: string
  readonly as: string
  readonly yes?: boolean
  readonly json?: boolean
}

interface Sample {
  readonly timeUs: number
  readonly values: Readonly<Record<string, number | null>>
}

export const correctTelemetry = async (context: Context, options: CorrectOptions): Promise<void> => {
  const nowMs = Date.now()
  const request = {
    asset: options.asset,
    channels: options.channel,
    fromUs: parseTimeMs('--from', options.from, nowMs) * 1000,
    toUs: parseTimeMs('--to', options.to, nowMs) * 1000,
    reason: options.reason,
    readings: options.file === undefined ? [] : readSamples(options.file, nowMs),
  }
  const { yes = false } = options
  const { body } = await callDoor<{ accepted: number; correctionId: string }>('POST', `${context.doors.ingest}/v1/corrections`, {
    token: tokenOf(context, options.as),
    body: { ...request, dryRun: !yes },
    timeoutMs: 60_000,
  })
  print(options.json === true, { ...request, ...body, sent: yes }, () =>
    yes
      ? `Superseded ${what(request)}: correction ${body.correctionId}.`
      : `Would supersede ${what(request)}: correction ${body.correctionId}. Add --yes to do it.`,
  )
}

const what = ({
  asset,
  channels,
  fromUs,
  toUs,
  readings,
}: {
  asset: string
  channels: readonly string[]
  fromUs: number
  toUs: number
  readings: readonly Sample[]
}): string => {
  const time = (us: number) => new Date(us / 1000).toISOString()
  return `${channels.join(', ')} of ${asset} from ${time(fromUs)} up to ${time(toUs)} with ${readings.length === 0 ? 'nothing' : `${readings.length} samples`}`
}

/** CSV (`time` in ISO 8601 or `timeUs`, then a column per channel; an empty field is a missing sample) or one JSON sample per line. */
export const readSamples = (file: string, nowMs: number): Sample[] => {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    throw new CommandError(EXIT.usage, `--file ${file}: no readable file. Name a CSV file or one with a JSON sample per line.`)
  }
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/)
  return file.endsWith('.csv')
    ? csvSamples(file, lines, nowMs)
    : lines.flatMap((line, index) => (line.trim() === '' ? [] : [jsonSample(file, line, index + 1)]))
}

const csvSamples = (file: string, lines: readonly string[], nowMs: number): Sample[] => {
  const [head = '', ...rows] = lines
  const [timeName, ...channels] = head.split(',').map((name) => name.trim())
  if (timeName !== 'time' && timeName !== 'timeUs') throw fault(file, 1, `a first column time or timeUs, found ${timeName || 'nothing'}`)
  return rows.flatMap((row, index) => {
    if (row.trim() === '') return []
    const [time = '', ...fields] = row.split(',').map((field) => field.trim())
    if (fields.length !== channels.length) throw fault(file, index + 2, `${channels.length + 1} fields, found ${fields.length + 1}`)
    const timeUs = timeName === 'timeUs' ? Number(time) : parseTimeMs(`${file}:${index + 2}`, time, nowMs) * 1000
    const values = Object.fromEntries(
      channels.map((channel, at) => {
        const field = fields[at] as string
        const value = field === '' ? null : Number(field)
        if (value !== null && !Number.isFinite(value)) throw fault(file, index + 2, `a number for ${channel}, found ${field}`)
        return [channel, value]
      }),
    )
    return [{ timeUs, values }]
  })
}

const jsonSample = (file: string, line: string, number: number): Sample => {
  try {
    return JSON.parse(line) as Sample // checked by the door, field by field
  } catch {
    throw fault(file, number, 'a JSON object')
  }
}

const fault = (file: string, line: number, expected: string) =>
  new CommandError(EXIT.usage, `${file}:${line}: expected ${expected}. Correct the file and send it again.`)
