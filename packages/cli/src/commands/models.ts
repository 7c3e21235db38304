// andon models: what is registered and in force, and a range of vectors through one version. Reads the log; writes nothing on it.

import { createWriteStream } from 'node:fs'
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { once } from 'node:events'
import { type Codec, type Log, partitionOf } from '@andon/kit'
import { AndonError } from '@andon/kit/errors'
import { runTopic } from '@andon/kit/replay/names'
import type { Models, Predictions } from '@andon/schemas'
import { readDoubles } from '@andon/schemas/packed'
import { type Context, CommandError } from '../context.ts'
import type { Column, ColumnType, Row } from '../data/columns.ts'
import { rangesOf } from '../data/ranges.ts'
import { type RowWriter, writerOf } from '../data/table-file.ts'
import { parseTimeMs } from '../data/when.ts'
import { EXIT } from '../exit.ts'
import { TableWriter } from '../features/export.ts'
import { withLog } from '../kafka.ts'
import { scoreWith } from '../models/scored.ts'
import { vectorsOf } from '../models/vector-files.ts'
import { print, table } from '../output.ts'
import { readingCodec } from './topics.ts'

interface Version {
  readonly registered: Models
  /** Activations and what ended them, in log order. */
  readonly facts: Models[]
}

/** Registered versions by model, both in the order in which they came. */
const readModels = async (log: Log, codec: Codec): Promise<Map<string, Map<number, Version>>> => {
  const models = new Map<string, Map<number, Version>>()
  for (const { partition } of await log.admin.watermarks('models'))
    for await (const batch of log.read({ topic: 'models', partition, from: 'earliest', to: 'latest' }))
      for (const { value } of batch.records) {
        if (value === null) continue
        const fact = await codec.decodeAsync<Models>('models', value)
        const versions = models.get(fact.model) ?? new Map<number, Version>()
        models.set(fact.model, versions)
        const known = versions.get(fact.version)
        if (fact.type === 'ModelRegistered') {
          if (known === undefined) versions.set(fact.version, { registered: fact, facts: [] })
        } else if (known?.registered.digest === fact.digest) known.facts.push(fact)
      }
  return models
}

/** Registered, or what its last fact says: in force in a role, rolled back, retired. */
const stateOf = ({ facts }: Version): string => {
  const last = facts.at(-1)
  if (last === undefined) return 'registered'
  return last.type === 'ModelActivated' ? `activated as ${last.role}` : last.type === 'ModelRolledBack' ? 'rolled back' : 'retired'
}

const iso = (us: number): string => new Date(us / 1000).toISOString()

/** Every version: what it is for and what was last said of it. */
export const listModels = (context: Context, { json = false, asset }: { json?: boolean; asset?: string }): Promise<void> =>
  withLog(context, async (log) => {
    const models = await readModels(log, await readingCodec(context))
    const versions = [...models.values()]
      .flatMap((each) => [...each.values()])
      .filter(({ registered }) => asset === undefined || registered.assetId === asset)
      .map((version) => {
        const { model, version: number, kind, assetId, featureSet, digest, atUs } = version.registered
        const fromUs = version.facts.at(-1)?.effectiveFromUs ?? null
        return { model, version: number, kind, assetId, featureSet, digest, state: stateOf(version), effectiveFromUs: fromUs, atUs }
      })
    print(json, versions, () =>
      table([
        ['MODEL', 'VERSION', 'KIND', 'ASSET', 'STATE', 'FROM', 'DIGEST'],
        ...versions.map(({ model, version, kind, assetId, state, effectiveFromUs, digest }) => [
          model,
          String(version),
          kind,
          assetId,
          state,
          effectiveFromUs === null ? '-' : iso(effectiveFromUs),
          digest.slice(0, 12),
        ]),
      ]),
    )
  })

/** All facts of a model, its features and its card. */
export const showModel = (context: Context, name: string, { json = false }: { json?: boolean }): Promise<void> =>
  withLog(context, async (log) => {
    const versions = [...((await readModels(log, await readingCodec(context))).get(name)?.values() ?? [])]
    if (versions.length === 0) throw new CommandError(EXIT.failed, `There is no model ${name}. See \`andon models ls\`.`)
    const cardOf = (text: string): unknown => {
      try {
        return JSON.parse(text)
      } catch {
        return text
      }
    }
    const shown = versions.map((version) => ({
      ...version.registered,
      state: stateOf(version),
      card: cardOf(version.registered.card),
      facts: version.facts.map(({ type, role, effectiveFromUs, by, atUs }) => ({ type, role, effectiveFromUs, by, atUs })),
    }))
    print(json, shown, () =>
      shown
        .map(({ model, version, state, kind, assetId, featureSet, digest, uri, features, by, atUs, facts, card }) =>
          [
            `${model}, version ${version}: ${state}`,
            `  ${kind} for ${assetId}, reads ${featureSet} (${features.length} features)`,
            `  digest ${digest}, ${uri}`,
            `  registered by ${by} at ${iso(atUs)}`,
            ...facts.map(
              (fact) => `  ${fact.type} as ${fact.role} from ${iso(fact.effectiveFromUs)} on, by ${fact.by} at ${iso(fact.atUs)}`,
            ),
            ...(typeof card === 'object' && card !== null && 'training' in card ? [`  trained on ${JSON.stringify(card.training)}`] : []),
          ].join('\n'),
        )
        .join('\n\n'),
    )
  })

export interface ScoreOptions {
  readonly json?: boolean
  readonly model: string
  readonly from?: string
  readonly to?: string
  readonly asset?: string
  readonly run?: string
  readonly vectors?: readonly string[]
  readonly out?: string
}

const column = (name: string, type: ColumnType, nullable = false): Column => ({ name, type, nullable })

const columns: readonly Column[] = [
  column('assetId', 'string'),
  column('windowStartUs', 'timestamp-us'),
  column('windowEndUs', 'timestamp-us'),
  column('type', 'string'),
  column('score', 'double', true),
  column('ratio', 'double', true),
  column('inDomain', 'boolean', true),
  column('error', 'string', true),
  column('complete', 'boolean'),
  column('missing', 'string'),
  column('contributions', 'string'),
  column('embedding', { list: column('element', 'double') }, true),
  column('model', 'string', true),
  column('version', 'int', true),
  column('digest', 'string', true),
  column('role', 'string', true),
  column('provider', 'string', true),
  column('quality', 'string'),
  column('regime', 'string', true),
  column('historical', 'boolean'),
  column('vectorId', 'string'),
  column('revision', 'int'),
  column('predictionId', 'string'),
  column('featureSet', 'string'),
  column('featureSetDigest', 'string'),
]

const rowOf = (prediction: Predictions): Row => {
  const { verdicts, embeddings, missing } = prediction
  const [verdict] = verdicts
  const [embedding] = embeddings
  const said = verdict?.error === null ? verdict : undefined
  const shares = said === undefined ? [] : [...readDoubles(said.contributions)]
  const from = verdict ?? embedding
  return {
    ...prediction,
    score: said?.score ?? null,
    ratio: said?.ratio ?? null,
    inDomain: verdict?.inDomain ?? null,
    error: verdict?.error ?? null,
    missing: missing.join(';'),
    contributions: JSON.stringify(Object.fromEntries((said?.contributionNames ?? []).map((name, i) => [name, shares[i]]))),
    embedding: embedding === undefined ? null : numbersOf(embedding),
    model: from?.model ?? null,
    version: from?.version ?? null,
    digest: from?.digest ?? null,
    role: verdict?.role ?? null,
    provider: from?.provider ?? null,
  }
}

const numbersOf = ({ dtype, values }: Predictions['embeddings'][number]): number[] =>
  dtype === 'f64' ? [...readDoubles(values)] : [...new Float32Array(new Uint8Array(values).buffer)]

const formatOf = (out: string): 'parquet' | 'avro' | 'arrow' | 'csv' | 'ndjson' => {
  const format = (['parquet', 'avro', 'arrow', 'csv', 'ndjson'] as const).find((each) => out.endsWith(`.${each}`))
  if (format !== undefined) return format
  throw new AndonError('ANDON_CLI_FILE', `${out}: expected a name that ends in .parquet, .avro, .arrow, .csv or .ndjson.`, { status: 400 })
}

/** JSON lines: numbers and text as they are, contributions by name. */
const ndjsonWriter = (path: string): RowWriter => {
  const file = createWriteStream(path)
  return {
    write: async (rows) => {
      const lines = rows.map((row) => {
        const shown = Object.fromEntries(columns.map(({ name }) => [name, row[name] ?? null]))
        return `${JSON.stringify({ ...shown, contributions: JSON.parse(row['contributions'] as string) as unknown })}\n`
      })
      if (!file.write(lines.join(''))) await once(file, 'drain')
    },
    close: async () => {
      file.end()
      await once(file, 'finish')
    },
  }
}

/** Vectors between two times (record time; `to` is exclusive), or those of files, through one version; a row for each. */
export const scoreVectors = async (context: Context, options: ScoreOptions): Promise<void> => {
  const { json = false, model, from, to, run, vectors, out = 'scores.parquet' } = options
  if (vectors !== undefined && (from !== undefined || to !== undefined || run !== undefined))
    throw new CommandError(EXIT.usage, 'Either --vectors, or a range of the log (--from, --to, --run).')
  const format = formatOf(out)
  const assets = options.asset?.split(',').map((asset) => asset.trim())
  const topic = run === undefined ? 'features' : runTopic('features', run)
  const ranges = vectors === undefined ? await rangesFor(context, topic, from, to, assets) : undefined
  mkdirSync(dirname(out), { recursive: true })
  const metadata = { 'andon.model': model, 'andon.topic': vectors === undefined ? topic : vectors.join(' ') }
  const rows = new TableWriter(async () => (format === 'ndjson' ? ndjsonWriter(out) : writerOf(format, out, columns, metadata)))
  const isShown = process.stderr.isTTY
  const summary = await scoreWith(
    context,
    { model, topic, ...(ranges === undefined ? {} : { ranges }), ...(assets === undefined ? {} : { assets }) },
    {
      onPrediction: (prediction) => rows.add(rowOf(prediction)),
      onProgress: (read, total) => {
        if (isShown) process.stderr.write(`\r${read}${total === undefined ? '' : ` of ${total}`} records`)
      },
      ...(vectors === undefined ? {} : { vectors: vectorsOf(vectors, assets?.[0]) }),
    },
  )
  if (isShown) process.stderr.write('\r')
  await rows.close()
  const perSecond = summary.wallMs === 0 ? 0 : Math.round((1000 * summary.vectors) / summary.wallMs)
  print(json, { file: out, rows: rows.rows, perSecond, ...summary }, () =>
    [
      `${out}  ${rows.rows} rows`,
      `${summary.model}, version ${summary.version} (${summary.role}, ${summary.digest.slice(0, 12)}) scored ${summary.scored} of ${summary.vectors} vectors, ${perSecond}/s.`,
      ...told(summary.idle, 'were not to be scored: machine off, young or without telemetry.'),
      ...told(summary.failed, 'could not be scored; the column error says why.'),
      ...told(summary.otherSets, 'are of another version of the feature set than the model reads, and were left out.'),
      ...told(summary.repeated, 'copies of a vector were left out.'),
      ...told(summary.undecodable, 'records could not be decoded.'),
    ].join('\n'),
  )
}

const told = (count: number, what: string): string[] => (count === 0 ? [] : [`${count} ${what}`])

/** Of the assets' partitions only, where assets are named. */
const rangesFor = (
  context: Context,
  topic: string,
  from: string | undefined,
  to: string | undefined,
  assets: readonly string[] | undefined,
) =>
  withLog(context, async (log) => {
    const nowMs = Date.now()
    const start = from === undefined ? 'start' : { timeMs: parseTimeMs('--from', from, nowMs) }
    const ranges = await rangesOf(log, topic, start, undefined, to === undefined ? undefined : parseTimeMs('--to', to, nowMs))
    const wanted = assets && new Set(assets.map((asset) => partitionOf(asset, ranges.length)))
    return ranges.filter(({ partition }) => wanted === undefined || wanted.has(partition))
  })
