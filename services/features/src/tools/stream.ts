// The reading half of `andon backtest`: a recording of any length as vectors of the production engine. Writes on stdout, as frames: what
// the first reading found, then rows as they are read, and a vector for each. Memory holds a few thousand rows.
// Starts by itself too: node services/features/src/tools/stream.ts --plan '{"file":"run.csv"}'

import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { canonicalJson, localCodec, sha256Hex } from '@andon/kit'
import { AndonError, messageOf } from '@andon/kit/errors'
import { FRAME, frameOf } from '@andon/kit/pipe-frames'
import { packRows } from '@andon/kit/row-frames'
import type { FeatureSet, Telemetry } from '@andon/schemas'
import { compileFeatureSet } from '../feature-set.ts'
import type { AssetPlan } from '../plan.ts'
import { blockRecord, emittedFrom } from './engine.ts'
import { type Labels, readLabels } from './labels.ts'
import { openLookout } from './lookout-folder.ts'
import { previewPlan } from './preview-plan.ts'
import { blockOf } from './recording.ts'
import { type Scan, type ScanOptions, isAbnormal, scanTable, timeAt } from './scan.ts'
import { openTable, textOf, valueOf } from './table.ts'

export interface StreamPlan extends ScanOptions {
  readonly file: string
  readonly labels?: string | undefined
  /** A feature set; without one a vector is the row itself. */
  readonly set?: string | undefined
}

const ROWS_PER_BLOCK = 100

/** A row as it is, at the moment of the row: the last value of every channel. */
export const plainRows: FeatureSet = {
  version: 1,
  name: 'backtest/rows',
  closes: 'every-row',
  windowRows: 1,
  latenessMs: 0,
  graceMs: 0,
  features: [{ channel: '*', statistics: ['last'] }],
} as FeatureSet

/** Whatever the set says of when windows end, here they end at every row; rows come in order, so none is waited for. */
const planOf = (scan: Scan, set: string | undefined): AssetPlan => {
  const columns = scan.channels.map(({ name, unit }) => ({ name, unit, values: new Float64Array(0) }))
  if (set !== undefined) {
    const recording = { rows: 0, timesUs: new Float64Array(0), timeColumn: null, columns, skipped: [] }
    const { plan } = previewPlan(set, recording, {})
    return { ...plan, hop: 'row', latenessUs: 0, graceUs: 0 }
  }
  const channels = columns.map(({ name: id, unit }) => ({ id, unit, kind: 'scalar' as const }))
  const asset = {
    id: 'recording',
    name: 'recording',
    line: 'backtest',
    class: 'backtest',
    origin: 'recording' as const,
    sources: ['file'],
    gears: [],
    channels,
  }
  return compileFeatureSet(plainRows, sha256Hex(canonicalJson(plainRows)), asset, '')
}

/** Frames for `write`, which resolves when more may come. */
export const streamRecording = async (plan: StreamPlan, write: (kind: number, body: Uint8Array) => Promise<void>): Promise<void> => {
  const about = (value: object): Promise<void> => write(FRAME.about, Buffer.from(JSON.stringify(value)))
  const table = await (openLookout(plan.file, plan.zone) ?? openTable(plan.file))
  let toldAt = 0
  const progress = (phase: string) => (done: number) => {
    if (done - toldAt < table.size / 200 && done >= toldAt) return
    toldAt = done
    void about({ progress: { phase, share: Math.min(1, done / table.size) } })
  }
  const scan = await scanTable(table, plan, progress('reading'))
  const compiled = planOf(scan, plan.set)
  const labels = plan.labels === undefined ? undefined : await readLabels(plan.labels, scan, plan.zone)
  const { time, channels, assets, rows, notes, learnt, labelColumn, assetColumn } = scan
  await about({
    scan: {
      rows,
      timeColumn: time?.name ?? null,
      timeKind: time?.form.kind ?? 'row',
      hasAssets: assetColumn !== null,
      hasLabels: labels !== undefined || labelColumn !== null,
      channels: channels.map(({ name, unit }) => ({ name, unit })),
      assets,
      learnt,
      notes,
      featureSet: compiled.featureSet,
      names: compiled.names,
    },
  })
  toldAt = 0
  const codec = localCodec()
  for await (const emitted of emittedFrom(compiled, recordsOf(scan, labels, write, progress('judging'))))
    if ('vector' in emitted)
      await write(FRAME.record, codec.encode('features', { type: 'vector', assetId: emitted.assetId, vector: emitted.vector }))
}

/** Every chunk goes out as rows first, then as the blocks that ingest would have made of it. */
async function* recordsOf(
  { table, time, assetColumn, labelColumn, channels, assets }: Scan,
  labels: Labels | undefined,
  write: (kind: number, body: Uint8Array) => Promise<void>,
  onRead: (done: number) => void,
): AsyncGenerator<Telemetry> {
  const { hasDecimalComma } = table
  const width = channels.length
  const placeOfAsset = new Map(assets.map(({ id }, at) => [id, at]))
  const newestUs = new Float64Array(assets.length).fill(Number.NEGATIVE_INFINITY)
  const seq = new Float64Array(assets.length)
  let rowNumber = 0
  for await (const chunk of table.chunks(onRead)) {
    const rows = chunk.rows.length
    const values = new Float64Array(rows * width)
    const timesUs = new Float64Array(rows)
    const asset = new Int32Array(rows)
    const marks = new Uint8Array(rows)
    const times: string[] = []
    const rowsOfAsset = new Map<number, number[]>()
    for (let i = 0; i < rows; i++, rowNumber++) {
      const row = chunk.rows[i] as readonly unknown[]
      for (let j = 0; j < width; j++) {
        const value = valueOf(row[(channels[j] as Scan['channels'][number]).column], hasDecimalComma)
        values[i * width + j] = typeof value === 'number' ? value : Number.NaN
      }
      const ownUs = time === null ? rowNumber * 1e6 : timeAt(table, time, row, () => chunk.lineOf(i))
      const at = assetColumn === null ? 0 : (placeOfAsset.get(textOf(row[assetColumn]).trim()) as number)
      const timeUs = Math.max(ownUs, (newestUs[at] as number) + 1)
      newestUs[at] = timeUs
      timesUs[i] = timeUs
      asset[i] = at
      const id = (assets[at] as Scan['assets'][number]).id
      const isLabelled =
        labels === undefined ? labelColumn !== null && isAbnormal(row[labelColumn], hasDecimalComma) : labels(id, ownUs, rowNumber)
      marks[i] = isLabelled ? 1 : 0
      times.push(time === null ? String(rowNumber + 1) : textOf(row[time.column]))
      const own = rowsOfAsset.get(at)
      if (own === undefined) rowsOfAsset.set(at, [i])
      else own.push(i)
    }
    await write(FRAME.rows, packRows({ rows, width, asset, timesUs, labels: marks, values, times }))
    for (const [at, list] of rowsOfAsset) {
      for (let from = 0; from < list.length; from += ROWS_PER_BLOCK) {
        const part = list.slice(from, from + ROWS_PER_BLOCK)
        const first = seq[at] as number
        seq[at] = first + part.length
        const columns = channels.map(({ name, unit }, j) => ({
          name,
          unit,
          values: Float64Array.from(part, (i) => values[i * width + j] as number),
        }))
        const recording = { timesUs: Float64Array.from(part, (i) => timesUs[i] as number) }
        const block = blockOf(recording, { channels: columns, width: 1, sampleRateHz: null, sourceId: 'file' }, 0, part.length)
        yield blockRecord((assets[at] as Scan['assets'][number]).id, { ...block, seqFrom: first, seqTo: first + part.length - 1 })
      }
    }
  }
}

const main = async (args: readonly string[]): Promise<number> => {
  const { values } = parseArgs({ args: [...args], options: { plan: { type: 'string' } } })
  const { stdout } = process
  stdout.on('error', () => process.exit(1)) // whoever read has ended, and says why
  try {
    await streamRecording(JSON.parse(values.plan ?? '{}') as StreamPlan, async (kind, body) => {
      if (!stdout.write(frameOf(kind, body))) await once(stdout, 'drain')
    })
    return 0
  } catch (error) {
    console.error(error instanceof AndonError ? `${messageOf(error)} [${error.code}]` : messageOf(error))
    return error instanceof AndonError && error.status !== 400 ? 1 : 2
  }
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2))
