// The fitter: fits the fault modes of the asset classes that this instance owns, by the assignment of clustering.changelog. It remembers
// nothing that is not on the log: whoever takes a class over reads its summaries, the model in force and what was told from there.

import { changelogSpec, messageOf, publish, sha256Hex, uuid8 } from '@andon/kit'
import type { Blobs, Codec, Log, Logger, Metrics, Run } from '@andon/kit'
import type { Models } from '@andon/schemas'
import { modelName, readArtefact } from '../class-model.ts'
import type { ClassModel } from '../class-model.ts'
import type { ClassModels } from '../class-models.ts'
import { type ClassSummary, readSummary } from '../class-summaries.ts'
import { canonicalJson } from '@andon/kit/ids'
import type { RefusalReason } from '../modes/refit-gate.ts'
import type { Taught } from './fit-class.ts'
import { type PackedRequest, type PackedResult, fitInWorker } from './fit-in-worker.ts'
import { modeEvents } from './mode-events.ts'
import { CHANGELOG, readFitterRecord, toldRecord } from './summary-records.ts'
import { type LastFit, type SummaryHead, dueHour } from './when.ts'

export const FITTER_GROUP = 'clustering.fitter'

export interface FitterDeps {
  readonly log: Log
  readonly codec: Codec
  readonly blobs: Blobs
  readonly models: ClassModels
  /** Resolves when every fact that is on `models` by now has been read. */
  readonly settled: () => Promise<void>
  readonly taughtOf: (classId: string, episodeIds: readonly string[]) => Promise<Taught>
  readonly nameOf: (modeId: string) => string | null
  readonly refitEveryUs: number
  readonly logger: Logger
  readonly metrics: Metrics
  readonly nowUs: () => number
  /** Default: a worker thread. */
  readonly fit?: (request: PackedRequest, signal: AbortSignal) => Promise<PackedResult>
}

interface Known {
  readonly space: ClassSummary['space']
  readonly episodeIds: readonly string[]
}

interface OwnedClass {
  /** By partition of predictions: the newest summary as it lies on the log. */
  readonly summaries: Map<number, { readonly head: SummaryHead; readonly text: string; readonly summary: Known }>
  told: string | undefined
}

/** What `models` says about the fits of a class. */
interface Asked {
  /** Request without an answer. */
  open: string | undefined
  last: LastFit | undefined
  /** Why the last fit was refused; null when it was not. */
  refusal: string | null
}

export interface Fitter {
  /** Takes the facts of `models` in log order, from the beginning. */
  apply(fact: Models): void
  start(): Promise<void>
  stop(): Promise<void>
  readonly ended: Promise<void>
  /** Why the last fit of a class was refused; null when it was not. */
  refusalOf(classId: string): string | null
}

export const openFitter = (deps: FitterDeps): Fitter => {
  const { log, codec, models, logger } = deps
  const meters = metersOf(deps.metrics)
  const asked = new Map<string, Asked>()
  /** By partition of the changelog, those that are read to their end. */
  const owned = new Map<number, { readonly classes: Map<string, OwnedClass>; isRead: boolean }>()
  const stopping = new AbortController()
  let partitions = 0
  let run: Run | undefined
  /** One fit after another: each takes a core. */
  let turn: Promise<void> = Promise.resolve()
  const waiting = new Set<string>()

  const askedOf = (classId: string): Asked => {
    const known = asked.get(classId) ?? { open: undefined, last: undefined, refusal: null }
    asked.set(classId, known)
    return known
  }
  const ownedClass = (classId: string): OwnedClass | undefined => {
    for (const { classes, isRead } of owned.values()) if (isRead && classes.has(classId)) return classes.get(classId)
    return undefined
  }

  const consider = (classId: string): void => {
    if (waiting.has(classId) || stopping.signal.aborted) return
    waiting.add(classId)
    turn = turn.then(async () => {
      waiting.delete(classId)
      if (stopping.signal.aborted) return
      try {
        await tell(classId)
        await fit(classId)
      } catch (error) {
        if (stopping.signal.aborted) return
        meters.outcome('failed')
        logger.error({ err: error, classId, reason: messageOf(error) }, 'fault modes of a class cannot be fitted; the model in force stays')
      }
    })
  }

  const fit = async (classId: string): Promise<void> => {
    await deps.settled()
    const found = ownedClass(classId)
    const { open, last } = askedOf(classId)
    if (found === undefined || open !== undefined) return
    const heads = [...found.summaries.values()].map(({ head }) => head)
    const hourUs = dueHour(heads, last, deps.refitEveryUs)
    if (hourUs === undefined) return
    const newest = await models.newest(classId)
    const digest = models.digestInForce(classId)
    if (digest !== null && newest === undefined) throw new Error(`the model in force ${digest} cannot be read`)
    const inForce = digest === null ? null : { digest, artefact: new Uint8Array(await deps.blobs.get(`sha256:${digest}`)) }
    const summaries = [...found.summaries].toSorted(([a], [b]) => a - b).map(([, { text }]) => text)
    const taught = await deps.taughtOf(
      classId,
      [...found.summaries.values()].flatMap(({ summary }) => summary.episodeIds),
    )
    const endOf = meters.time()
    const result = await (deps.fit ?? fitInWorker)({ summaries, hourUs, inForce, taught }, stopping.signal)
    endOf()
    if (stopping.signal.aborted || ownedClass(classId) !== found) return // somebody else's by now: it fits what we did
    const windows = heads.reduce((sum, head) => sum + head.windows, 0)
    const newestPartition = heads.reduce((a, b) => (b.hourUs > a.hourUs ? b : a), heads[0] as SummaryHead).partition
    const { featureSet, featureSetDigest, names } = (found.summaries.get(newestPartition) as { summary: Known }).summary.space
    const base: Models = {
      type: '',
      model: modelName(classId),
      version: 0,
      kind: 'clusters',
      assetId: '',
      featureSet,
      featureSetDigest,
      digest: '',
      uri: '',
      role: 'advisory',
      features: [...names],
      card: '',
      effectiveFromUs: hourUs,
      by: 'clustering',
      atUs: deps.nowUs(),
      assetClass: classId,
      requestId: null,
      reason: '',
    }
    // Known at once: the next record of the changelog may be there before these facts are read.
    askedOf(classId).last = { hourUs, windows }
    if (result.decision === 'refuse') {
      const reason = result.reasons.map(({ text }) => text).join('; ')
      for (const { measure } of result.reasons) meters.refused(measure)
      meters.outcome('refused')
      logger.info({ classId, hourUs, reason }, 'a refit is not activated')
      const card = JSON.stringify({ basedOn: digest, windows, measures: finite(result.measures) })
      await send({ ...base, type: 'RegistrationRefused', card, reason })
      return
    }
    const bytes = Buffer.from(result.artefact)
    const stored = await deps.blobs.put(bytes)
    const model = readArtefact(bytes)
    const card = JSON.stringify({
      basedOn: model.basedOn,
      windows,
      modes: model.modes.length,
      measures: finite(model.measures),
      agreement: model.agreement,
    })
    const requestId = uuid8('registration', base.model, stored.sha256)
    askedOf(classId).open = requestId
    await send({
      ...base,
      type: 'RegistrationRequested',
      digest: stored.sha256,
      uri: stored.uri,
      card,
      requestId,
      reason: 'fault modes of an asset class',
    })
  }

  const send = async (fact: Models): Promise<void> => {
    const id = fact.requestId ?? uuid8('refit-refused', fact.model, fact.effectiveFromUs, sha256Hex(canonicalJson(fact.card)))
    await publish(
      log,
      codec,
      [{ topic: 'models', key: fact.model, value: fact, id, type: fact.type, subject: fact.assetClass, timeUs: fact.effectiveFromUs }],
      'clustering',
    )
  }

  /** People are told what the model in force changed, once; told twice after a fall between two appends, with the same ids. */
  const tell = async (classId: string): Promise<void> => {
    const found = ownedClass(classId)
    const digest = models.digestInForce(classId)
    if (found === undefined || digest === null || found.told === digest) return
    const loaded = await models.newest(classId)
    if (loaded === undefined || loaded.digest !== digest) return
    const { model } = loaded
    const outputs = modeEvents(model, digest, await modelBefore(model), deps.nameOf)
    if (outputs.length > 0) await publish(log, codec, outputs, 'clustering')
    await log.append([toldRecord(codec, classId, partitions, digest)])
    found.told = digest
    meters.model(model)
    logger.info({ classId, hourUs: model.hourUs, modes: model.modes.length, told: outputs.length }, 'fault modes of a class are in force')
  }

  const modelBefore = async ({ basedOn }: ClassModel): Promise<ClassModel | undefined> =>
    basedOn === null ? undefined : readArtefact(await deps.blobs.get(`sha256:${basedOn}`))

  const take = async (partition: number, key: string | null, value: Buffer | null): Promise<void> => {
    const record = await readFitterRecord(codec, key, value)
    const classes = owned.get(partition)?.classes
    if (record === undefined || classes === undefined) return
    const of: OwnedClass = classes.get(record.classId) ?? { summaries: new Map(), told: undefined }
    classes.set(record.classId, of)
    if (record.kind === 'told') {
      of.told = record.text
      return
    }
    const summary = readSummary(record.text)
    const { hourUs, windows } = summary
    // A partition that was restored says again what it said before.
    if (hourUs < (of.summaries.get(record.partition)?.head.hourUs ?? Number.NEGATIVE_INFINITY)) return
    const anomalous = summary.anomalousWindows
    const head = { partition: record.partition, hourUs, windows, anomalous }
    of.summaries.set(record.partition, {
      head,
      text: record.text,
      summary: { space: summary.space, episodeIds: summary.episodes.map(({ episodeId }) => episodeId) },
    })
  }

  return {
    apply(fact) {
      if (fact.kind !== 'clusters') return
      const of = askedOf(fact.assetClass)
      const windows = windowsOf(fact.card)
      if (fact.type === 'RegistrationRequested') {
        of.open = fact.requestId ?? undefined
        of.last = { hourUs: fact.effectiveFromUs, windows }
      } else if (fact.requestId !== null && fact.requestId === of.open && fact.type !== 'ModelRegistered') {
        of.open = undefined
        const isActivated = fact.type === 'ModelActivated'
        if (isActivated) of.refusal = null
        if (ownedClass(fact.assetClass) !== undefined) meters.outcome(isActivated ? 'activated' : 'superseded')
        consider(fact.assetClass)
      } else if (fact.type === 'RegistrationRefused' && fact.requestId === null) {
        of.last = { hourUs: fact.effectiveFromUs, windows }
        of.refusal = fact.reason
      }
    },
    async start() {
      partitions = await log.admin.partitions('predictions')
      await log.admin.ensureTopics([changelogSpec('clustering', partitions)])
      run = await log.run({
        group: FITTER_GROUP,
        topics: [CHANGELOG],
        onAssigned: (_topic, partition) => {
          owned.set(partition, { classes: new Map(), isRead: false })
          return 'earliest'
        },
        onRevoked: (_topic, partition) => void owned.delete(partition),
        onBatch: async (batch) => {
          for (let i = 0; i < batch.count; i++) await take(batch.partition, batch.keyAt(i), batch.valueAt(i))
          const part = owned.get(batch.partition)
          if (part === undefined || batch.nextOffset < batch.highWatermark) return
          part.isRead = true
          for (const classId of part.classes.keys()) consider(classId)
        },
      })
    },
    async stop() {
      stopping.abort()
      await run?.stop()
      await turn
    },
    get ended() {
      return run?.ended ?? Promise.resolve()
    },
    refusalOf: (classId) => asked.get(classId)?.refusal ?? null,
  }
}

const windowsOf = (card: string): number => {
  try {
    const { windows } = JSON.parse(card) as { windows?: unknown }
    return typeof windows === 'number' ? windows : 0
  } catch {
    return 0
  }
}

const finite = (measures: object): Record<string, number | null> =>
  Object.fromEntries(Object.entries(measures).map(([name, value]) => [name, Number.isFinite(value) ? (value as number) : null]))

const metersOf = (metrics: Metrics) => {
  const outcomes = metrics.counter('andon_clustering_refits_total', 'Fits of an asset class by what became of them', ['outcome'])
  const refusals = metrics.counter('andon_clustering_refits_refused_total', 'Measures that missed their bound, by refused fit', ['reason'])
  const seconds = metrics.histogram('andon_clustering_refit_duration_seconds', 'Time of a fit in its thread')
  const modes = metrics.gauge('andon_clustering_modes', 'Modes of the model in force', ['class', 'kind'])
  const quality = metrics.gauge('andon_clustering_mode_quality', 'Label-free measures of the model in force', ['class', 'measure'])
  return {
    outcome: (outcome: 'activated' | 'refused' | 'superseded' | 'failed') => outcomes.inc({ outcome }),
    refused: (reason: RefusalReason['measure']) => refusals.inc({ reason }),
    time: () => seconds.startTimer(),
    model: ({ classId, modes: all, measures, agreement }: ClassModel) => {
      modes.set({ class: classId, kind: 'fault' }, all.filter(({ isFault }) => isFault).length)
      modes.set({ class: classId, kind: 'normal' }, all.filter(({ isFault }) => !isFault).length)
      const { purity, vMeasure } = agreement ?? {}
      for (const [measure, value] of Object.entries({ ...measures, purity, vMeasure }))
        if (value !== undefined && Number.isFinite(value)) quality.set({ class: classId, measure }, value)
    },
  }
}
