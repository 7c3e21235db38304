// `andon features explain`: a vector computed again from the log, number by number, with where each came from. Ends with 0 when
// everything is equal. Starts by itself too: node services/features/src/tools/explain.ts <vectorId>

import { Command, CommanderError } from 'commander'
import { type Codec, type Log, openLog, partitionOf, readConfig, sharedSettings } from '@andon/kit'
import { AndonError, messageOf } from '@andon/kit/errors'
import { runTopic } from '@andon/kit/replay/names'
import type { FeatureSet, Plant } from '@andon/schemas'
import { compileFeatureSet } from '../feature-set.ts'
import { noHealthRules, plainMachine } from '../plan.ts'
import type { AssetPlan } from '../plan.ts'
import {
  type FoundBlock,
  type FoundCitation,
  type FoundDocument,
  type FoundRevision,
  type FoundVector,
  type Place,
  findBlocks,
  findCitations,
  findRevisions,
  findVector,
  readDocuments,
} from './explain-log.ts'
import { explainText, painted } from './explain-text.ts'
import { type ComparedField, type ComparedNumber, type Range, type SampleCount, type Vector, countSamples, recompute } from './recompute.ts'

/** Samples of one source that lie next to each other on the log. */
export interface SampleOrigin extends Range {
  readonly rows: number
  readonly topic: string
  readonly partition: number
  readonly offsetFrom: number
  readonly offsetTo: number
  readonly doors: readonly string[]
  readonly devices: readonly string[]
  readonly firstUs: number | null
  readonly lastUs: number | null
  readonly isCorrection: boolean
}

export interface Explanation {
  readonly assetId: string
  readonly vector: Vector
  readonly place: Place
  /** Everything was there, and everything came out again. */
  readonly isEqual: boolean
  /** Why it could not be confirmed, beside numbers that differ. */
  readonly problems: readonly string[]
  readonly plan: AssetPlan | null
  /** What became of the documents of its digests, in words. */
  readonly documents: { readonly set: string; readonly plant: string }
  readonly numbers: readonly ComparedNumber[]
  readonly fields: readonly ComparedField[]
  /** By channel and scale of the plan: `0 1`. */
  readonly counts: Readonly<Record<string, SampleCount>>
  readonly samples: readonly SampleOrigin[]
  readonly missing: readonly Range[]
  readonly revisions: readonly FoundRevision[]
  readonly citations: readonly FoundCitation[]
}

export interface ExplainOptions {
  readonly asset?: string
  readonly around?: string
  readonly run?: string
}

/** Looks the vector up and computes it again. Throws ANDON_FEATURES_VECTOR_UNKNOWN when no record has the id. */
export const explain = async (log: Log, codec: Codec, id: string, options: ExplainOptions = {}): Promise<Explanation> => {
  const topic = options.run === undefined ? 'features' : runTopic('features', options.run)
  const aroundMs = options.around === undefined ? undefined : Date.parse(options.around)
  if (Number.isNaN(aroundMs))
    throw new AndonError('ANDON_FEATURES_EXPLAIN', `--around: expected a time (2026-11-23T08:00:00Z), found "${options.around}".`, {
      status: 400,
    })
  const partition = options.asset === undefined ? undefined : partitionOf(options.asset, await log.admin.partitions(topic))
  const found = await findVector(log, codec, topic, id, { partition, aroundMs })
  if (found === undefined)
    throw new AndonError(
      'ANDON_FEATURES_VECTOR_UNKNOWN',
      `No record of ${topic} has the id ${id}. Ids of vectors stand in \`andon features export\` and \`andon topics tail ${topic}\`; those of a run need --run.`,
    )
  const { assetId, vector, place } = found
  const revisions = await findRevisions(log, codec, found)
  const citations = options.run === undefined ? await findCitations(log, codec, found) : []
  const shared = { assetId, vector, place, revisions, citations }
  const known = await readDocuments(log, codec)
  const { plan, problems, documents } = planOf(found, known)
  if (vector.names.length === 0 && vector.ranges.length === 0)
    return {
      ...shared,
      isEqual: problems.length === 0,
      problems,
      plan,
      documents,
      numbers: [],
      fields: [],
      counts: {},
      samples: [],
      missing: [],
    }
  const blocks = await findBlocks(log, codec, found)
  const samples = originsOf(vector, blocks)
  if (plan === null) {
    const { numbers, fields, missing } = await recompute(assetId, vector, nothing(vector), [])
    return {
      ...shared,
      isEqual: false,
      problems,
      plan,
      documents,
      numbers,
      fields,
      counts: {},
      samples,
      missing: samples.length === 0 ? missing : [],
    }
  }
  const bodies = blocks.map(({ block }) => block)
  const { numbers, fields, missing } = await recompute(assetId, vector, plan, bodies)
  const lost = missing.reduce((sum, { seqFrom, seqTo }) => sum + seqTo - seqFrom + 1, 0)
  const all = lost === 0 ? problems : [...problems, `${lost} of its samples are no longer on the log.`]
  const isEqual = all.length === 0 && numbers.every((each) => each.isEqual) && fields.every((each) => each.isEqual)
  const counts = Object.fromEntries(
    plan.channels.flatMap((_, channel) =>
      plan.scales.map((__, scale) => [`${channel} ${scale}`, countSamples(vector, plan, bodies, channel, scale)]),
    ),
  )
  return { ...shared, isEqual, problems: all, plan, documents, numbers, fields, counts, samples, missing }
}

/** Stands in where the documents are gone: nothing can be computed with it. */
const nothing = (vector: Vector): AssetPlan => ({
  featureSet: vector.featureSet,
  digest: vector.featureSetDigest,
  plantDigest: vector.plantDigest,
  scales: [{ name: 'window', length: { us: Math.max(1, vector.windowEndUs - vector.windowStartUs) } }],
  hop: { us: Math.max(1, vector.windowEndUs - vector.windowStartUs) },
  latenessUs: 0,
  graceUs: 0,
  sources: [],
  channels: [],
  names: [],
  calls: [],
  machine: plainMachine,
  regimes: [],
  health: noHealthRules,
})

interface FoundPlan {
  readonly plan: AssetPlan | null
  readonly problems: readonly string[]
  readonly documents: Explanation['documents']
}

/** The plan of the vector's digests, from the documents on `config`. */
const planOf = ({ assetId, vector }: FoundVector, known: readonly FoundDocument[]): FoundPlan => {
  const set = known.find(({ digest }) => digest === vector.featureSetDigest)
  // A vector of an earlier build does not name its plant: that which held at its window.
  const plants = known.filter(({ name }) => name === 'plant')
  const plant =
    vector.plantDigest === ''
      ? (plants.findLast(({ effectiveFromUs }) => effectiveFromUs < vector.windowEndUs) ?? plants[0])
      : plants.find(({ digest }) => digest === vector.plantDigest)
  const said = (found: FoundDocument | undefined): string =>
    found === undefined
      ? 'not on config'
      : `${found.name}, in force from ${found.effectiveFromUs === 0 ? 'the beginning' : new Date(found.effectiveFromUs / 1000).toISOString()}`
  const documents = { set: said(set), plant: said(plant) }
  const problems = [
    ...(set === undefined ? [`config has no document with the digest of the feature set, ${vector.featureSetDigest}.`] : []),
    ...(plant === undefined ? [`config has no document with the digest of the plant file, ${vector.plantDigest}.`] : []),
  ]
  if (set === undefined || plant === undefined) return { plan: null, problems, documents }
  const asset = (plant.value as Plant).assets.find(({ id }) => id === assetId)
  if (asset === undefined) return { plan: null, problems: [`The plant file does not describe ${assetId}.`], documents }
  try {
    return { plan: compileFeatureSet(set.value as FeatureSet, set.digest, asset, plant.digest), problems, documents }
  } catch (error) {
    return { plan: null, problems: [`The feature set cannot be used with the plant file: ${messageOf(error)}.`], documents }
  }
}

/** Blocks as stretches: neighbours of one source and partition become one. */
const originsOf = (vector: Vector, blocks: readonly FoundBlock[]): SampleOrigin[] => {
  const origins: SampleOrigin[] = []
  for (const { block, place } of blocks) {
    const { sourceId, epoch, door, deviceId, correction } = block
    const inside = vector.ranges.filter((range) => range.sourceId === sourceId && range.epoch === epoch)
    const [seqFrom, seqTo] = [
      Math.max(block.seqFrom, Math.min(...inside.map((range) => range.seqFrom), block.seqTo)),
      Math.min(block.seqTo, Math.max(...inside.map((range) => range.seqTo), block.seqFrom)),
    ]
    const times = Array.from({ length: block.rows }, (_, row) =>
      Number(new DataView(block.timesUs.buffer, block.timesUs.byteOffset).getBigInt64(row * 8, true)),
    )
    const inWindow = times.filter((us) => us < vector.windowEndUs && us >= vector.windowStartUs)
    const next: SampleOrigin = {
      sourceId,
      epoch,
      seqFrom,
      seqTo,
      rows: inWindow.length,
      topic: place.topic,
      partition: place.partition,
      offsetFrom: place.offset,
      offsetTo: place.offset,
      doors: door === '' ? [] : [door],
      devices: deviceId === null ? [] : [deviceId],
      firstUs: inWindow.length === 0 ? null : Math.min(...inWindow),
      lastUs: inWindow.length === 0 ? null : Math.max(...inWindow),
      isCorrection: correction !== null,
    }
    const before = origins.findIndex(
      (each) =>
        each.sourceId === sourceId &&
        each.epoch === epoch &&
        each.partition === place.partition &&
        each.seqTo + 1 === seqFrom &&
        !each.isCorrection,
    )
    const last = origins[before]
    if (last === undefined) origins.push(next)
    else
      origins[before] = {
        ...last,
        seqTo,
        rows: last.rows + next.rows,
        offsetTo: place.offset,
        doors: [...new Set([...last.doors, ...next.doors])],
        devices: [...new Set([...last.devices, ...next.devices])],
        firstUs: last.firstUs ?? next.firstUs,
        lastUs: next.lastUs ?? last.lastUs,
      }
  }
  return origins
}

/** For programs: everything, without the packed numbers. */
const jsonOf = ({ plan, vector, ...rest }: Explanation): string => {
  const { values: _values, ...plain } = vector
  return JSON.stringify({ ...rest, vector: plain, featureSet: plan?.featureSet ?? vector.featureSet })
}

const command = (): Command =>
  new Command('andon features explain')
    .description('Computes a vector again from the log, and shows what every number is and where it comes from.')
    .argument('<vectorId>')
    .option('--asset <id>', 'its asset: only one partition is searched')
    .option('--around <time>', 'about when it was written (record time): looked for there first')
    .option('--run <id>', 'a vector of a replay run')
    .option('--json', 'one JSON object')
    .addHelpText('after', '\nEnds with 0 when everything is equal, with 1 when it is not, or cannot be confirmed.')
    .exitOverride()

const main = async (args: readonly string[]): Promise<number> => {
  try {
    const parsed = command().parse([...args], { from: 'user' })
    const options = parsed.opts<ExplainOptions & { json?: boolean }>()
    const { kafkaBrokers, registryUrl, namespace } = readConfig(process.env, {
      kafkaBrokers: sharedSettings.kafkaBrokers,
      registryUrl: sharedSettings.registryUrl,
      namespace: sharedSettings.namespace,
    })
    const { log, codec } = await openLog({ kafkaBrokers, registryUrl, namespace, registerSchemas: false }, 'andon-explain')
    try {
      const explanation = await explain(log, codec, parsed.args[0] as string, options)
      const hasColour = process.stdout.isTTY && !process.env['NO_COLOR']
      console.log(options.json ? jsonOf(explanation) : explainText(explanation, painted(hasColour)))
      return explanation.isEqual ? 0 : 1
    } finally {
      await log.close()
    }
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2 // commander has said why
    console.error(error instanceof AndonError ? `${messageOf(error)} [${error.code}]` : messageOf(error))
    return error instanceof AndonError && (error.status === 400 || error.code === 'ANDON_SETTING_INVALID') ? 2 : 1
  }
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2))
