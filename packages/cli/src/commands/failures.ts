// andon failures: what broke and what was serviced, by hand or from the maintenance system, through the actions door.

import { readFileSync } from 'node:fs'
import { messageOf } from '@andon/kit/errors'
import { type Context, CommandError, tokenOf } from '../context.ts'
import { type FailureRow, readFailureRows } from '../data/failure-rows.ts'
import { parseTimeMs } from '../data/when.ts'
import { callDoor } from '../door.ts'
import { EXIT } from '../exit.ts'
import { print, table } from '../output.ts'
import type { AsOptions } from './actions.ts'

export interface RecordOptions extends AsOptions {
  readonly asset: string
  readonly at: string
  readonly mode?: string
  readonly mechanism?: string
  readonly cause?: string
  readonly detection?: string
  readonly component?: string
  readonly workOrder?: string
  readonly note?: string
  readonly restored?: string
  readonly id?: string
  readonly intervention?: boolean
}

export interface ImportOptions extends AsOptions {
  readonly source?: string
  readonly dryRun?: boolean
}

interface FailureView {
  readonly failureId: string
  readonly assetId: string
  readonly kind: string
  readonly atUs: number
  readonly mode: string | null
  readonly mechanism: string | null
  readonly workOrder: string | null
  readonly note: string
  readonly withdrawn: boolean
}

interface Checked {
  readonly failureId: string
  readonly outcome: 'recorded' | 'changed' | 'unchanged' | 'refused'
  readonly code?: string
  readonly detail?: string
}

const ROWS_PER_CHECK = 500
const AT_ONCE = 8
const WITHDRAWN = 'ANDON_ACTIONS_FAILURE_WITHDRAWN'

const isoOf = (option: string, text: string): string => new Date(parseTimeMs(option, text, Date.now())).toISOString()

export const recordFailure = async (context: Context, options: RecordOptions): Promise<void> => {
  const { asset, mode, mechanism, cause, detection, component, workOrder, note, id } = options
  const body = {
    asset,
    at: isoOf('--at', options.at),
    kind: options.intervention === true ? 'intervention' : 'failure',
    ...(options.restored === undefined ? {} : { restored: isoOf('--restored', options.restored) }),
    ...(id === undefined ? {} : { failureId: id }),
    mode,
    mechanism,
    cause,
    detection,
    component,
    workOrder,
    note,
  }
  const answer = await callDoor<{ failureId?: string }>('POST', `${context.doors.actions}/v1/failures`, {
    token: tokenOf(context, options.as),
    body,
  })
  const isDecided = answer.status !== 202
  print(options.json === true, { ...answer.body, isDecided }, () =>
    isDecided
      ? `Recorded: ${body.kind} of ${asset} at ${body.at} (${answer.body.failureId ?? ''})`
      : `Asked to record it; nobody has decided yet, see ${answer.location ?? 'andon failures ls'}`,
  )
}

interface Row {
  readonly line: number
  readonly body: FailureRow
}

/** Takes a file in: every row is checked by the rule that decides it, valid ones go in, the others are told one by one. */
export const importFailures = async (context: Context, file: string, options: ImportOptions): Promise<void> => {
  const read = rowsOf(file)
  const source = options.source === undefined ? {} : { source: options.source }
  const rows = read.flatMap((row): Row[] => ('body' in row ? [{ line: row.line, body: { ...source, ...row.body } }] : []))
  const refused = read.flatMap((row) => ('problem' in row ? [{ line: row.line, problem: row.problem }] : []))
  const counts = { recorded: 0, changed: 0, unchanged: 0, withdrawn: 0 }
  const inFile = new Map<string, Row>()
  const waiting: Row[] = []

  for (let at = 0; at < rows.length; at += ROWS_PER_CHECK) {
    const some = rows.slice(at, at + ROWS_PER_CHECK)
    const checked = await check(context, options, some)
    some.forEach((row, i) => {
      const { failureId, outcome, code, detail } = checked[i] as Checked
      const earlier = inFile.get(failureId)
      if (outcome === 'refused' && code === WITHDRAWN) counts.withdrawn++
      else if (outcome === 'refused') refused.push({ line: row.line, problem: `${code}: ${detail}` })
      else if (earlier !== undefined && !isSameRow(earlier.body, row.body))
        refused.push({ line: row.line, problem: `says something else of the failure in line ${earlier.line}` })
      else if (earlier !== undefined || outcome === 'unchanged') counts.unchanged++
      else {
        counts[outcome]++
        waiting.push(row)
      }
      if (outcome !== 'refused' && earlier === undefined) inFile.set(failureId, row)
    })
  }
  if (options.dryRun !== true) {
    const next = waiting.values()
    const send = async (): Promise<void> => {
      for (const row of next) {
        await post(context, options, row).catch((error: unknown) => {
          if (!(error instanceof CommandError) || error.exitCode !== EXIT.refused) throw error
          refused.push({ line: row.line, problem: error.message })
        })
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, send))
  }
  refused.sort((a, b) => a.line - b.line)
  report(file, options, counts, refused)
}

const rowsOf = (file: string) => {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    throw new CommandError(EXIT.usage, `${file}: no readable file. Name a CSV file with a header, or one with a JSON object per line.`)
  }
  try {
    return readFailureRows(file, text)
  } catch (error) {
    throw new CommandError(EXIT.usage, messageOf(error))
  }
}

/** A row that the door cannot even read would refuse its whole batch: then each is asked for alone. */
const check = async (context: Context, options: ImportOptions, rows: readonly Row[]): Promise<readonly Checked[]> => {
  const url = `${context.doors.actions}/v1/failures/check`
  const token = tokenOf(context, options.as)
  const ask = (some: readonly Row[]) =>
    callDoor<{ failures: readonly Checked[] }>('POST', url, { token, body: { failures: some.map(({ body }) => body) }, timeoutMs: 60_000 })
  try {
    return (await ask(rows)).body.failures
  } catch (error) {
    if (!isUnreadable(error)) throw error
  }
  const checked: Checked[] = []
  for (const row of rows) {
    const one = await ask([row]).catch((error: unknown): { body: { failures: Checked[] } } => {
      if (!isUnreadable(error)) throw error
      const [code, detail] = (error as CommandError).message.split(/: (?:failures\.0\.)?/, 2)
      return { body: { failures: [{ failureId: `line ${row.line}`, outcome: 'refused', code: code ?? '', detail: detail ?? '' }] } }
    })
    checked.push(...one.body.failures)
  }
  return checked
}

const isUnreadable = (error: unknown): boolean =>
  error instanceof CommandError && error.exitCode === EXIT.refused && error.message.startsWith('ANDON_ACTIONS_BAD_REQUEST')

const post = (context: Context, options: ImportOptions, { body }: Row) =>
  callDoor('POST', `${context.doors.actions}/v1/failures`, { token: tokenOf(context, options.as), body, timeoutMs: 60_000 })

const isSameRow = (left: FailureRow, right: FailureRow): boolean => {
  const names = new Set([...Object.keys(left), ...Object.keys(right)])
  return [...names].every((name) => left[name] === right[name])
}

const report = (
  file: string,
  options: ImportOptions,
  counts: Readonly<Record<'recorded' | 'changed' | 'unchanged' | 'withdrawn', number>>,
  refused: readonly { readonly line: number; readonly problem: string }[],
): void => {
  for (const { line, problem } of refused) console.error(`${file}:${line}: ${problem}`)
  const isDry = options.dryRun === true
  print(options.json === true, { file, dryRun: isDry, ...counts, refused }, () => {
    const words = [`${counts.recorded} recorded`, `${counts.changed} changed`, `${counts.unchanged} known already`]
    if (counts.withdrawn > 0) words.push(`${counts.withdrawn} left out, withdrawn before`)
    words.push(`${refused.length} refused`)
    return `${isDry ? 'Would be: ' : ''}${words.join(', ')}.${isDry ? ' Leave --dry-run out to do it.' : ''}`
  })
  if (refused.length > 0) throw new CommandError(EXIT.refused, '')
}

export const listFailures = async (
  context: Context,
  options: AsOptions & { readonly asset?: string; readonly class?: string; readonly all?: boolean },
): Promise<void> => {
  const query = new URLSearchParams({ limit: '1000' })
  if (options.asset !== undefined) query.set('asset', options.asset)
  if (options.class !== undefined) query.set('class', options.class)
  if (options.all === true) query.set('withdrawn', 'true')
  const failures: FailureView[] = []
  for (let before: number | undefined; ;) {
    if (before !== undefined) query.set('before', String(before))
    const { body } = await callDoor<{ failures: readonly FailureView[]; next?: number }>(
      'GET',
      `${context.doors.actions}/v1/failures?${query.toString()}`,
      { token: tokenOf(context, options.as) },
    )
    failures.push(...body.failures)
    before = body.next
    if (before === undefined) break
  }
  print(options.json === true, { failures }, () =>
    failures.length === 0
      ? 'No failures are recorded.'
      : table([
          ['FAILURE', 'AT', 'ASSET', 'KIND', 'MODE', 'MECHANISM', 'WORK ORDER', 'NOTE'],
          ...failures.map((one) => [
            one.failureId,
            new Date(one.atUs / 1000).toISOString(),
            one.assetId,
            one.withdrawn ? `${one.kind} (withdrawn)` : one.kind,
            one.mode ?? '-',
            one.mechanism ?? '-',
            one.workOrder ?? '-',
            one.note === '' ? '-' : one.note,
          ]),
        ]),
  )
}

export const withdrawFailure = async (context: Context, id: string, options: AsOptions & { readonly reason: string }): Promise<void> => {
  const { body } = await callDoor<Record<string, unknown>>(
    'POST',
    `${context.doors.actions}/v1/failures/${encodeURIComponent(id)}/withdraw`,
    { token: tokenOf(context, options.as), body: { reason: options.reason } },
  )
  print(options.json === true, body, () => `Withdrawn: ${id}`)
}
