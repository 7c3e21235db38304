// The one importer of an instance, shared by the doors that take files: a durable queue, one file in hand at a time. A file is done when its
// manifest is on the log; a kill at any moment before that is made good by the next process, without losing or repeating a row. A file that
// fails for a reason of this machine is tried again later, and lets the others pass meanwhile.

import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { AndonError, openBlobs, partitionOf, publish } from '@andon/kit'
import type { Blobs } from '@andon/kit'
import type { Plant } from '@andon/schemas'
import type { DoorName, Intake, Refusing } from '../adapters/source.ts'
import type { DoorContext } from '../doors.ts'
import { sourceOf, telemetryTopic } from '../records.ts'
import { FileAssets } from './file-assets.ts'
import { fileMetrics } from './file-metrics.ts'
import { importFile } from './import-file.ts'
import { ImportStore } from './import-store.ts'
import type { Checkpoint, ImportJob } from './import-store.ts'
import { emptyTally, manifestRecord, manifestType, safeName } from './manifest.ts'
import type { FileOrigin, Manifest, Tally } from './manifest.ts'
import { openFile } from './open-file.ts'
import type { OpenedFile } from './open-file.ts'
import { QuarantinePace } from './quarantine-pace.ts'

export type FileState = 'queued' | 'checking' | 'importing' | 'publishing' | 'done'

/** What a door can say of a file. */
export interface FileStatus extends FileOrigin, Tally {
  readonly id: string
  readonly state: FileState
  readonly bytes: number
  /** Share of the file that is safe, 0 to 1. */
  readonly progress: number
}

/** Called when the manifest is on the log, before the job is forgotten; again after a kill in between. Rejections are tried again. */
export type OnDone = (job: ImportJob, manifest: Manifest) => Promise<void>

const progressLogMs = 5000
const retryMs = 1000
const longestRetryMs = 10_000

/** How often a file has failed in this process, and until when the others pass it. */
interface Failing {
  readonly times: number
  readonly untilMs: number
}

export class Importer {
  readonly #context: DoorContext
  readonly #folder: string
  readonly #metrics: ReturnType<typeof fileMetrics>
  readonly #onDone = new Map<DoorName, OnDone>()
  readonly #queue: ImportJob[] = []
  readonly #failing = new Map<string, Failing>()
  readonly #pace = new QuarantinePace(() => performance.now())
  #store: ImportStore | undefined
  #blobs: Blobs | undefined
  #opening: Promise<void> | undefined
  #doors = 0
  #users = 0
  #stopping = new AbortController()
  #working: Promise<void> | undefined
  #wake: () => void = () => undefined
  #inHand: FileStatus | undefined

  constructor(context: DoorContext) {
    this.#context = context
    this.#folder = join(context.config.dataDir, 'ingest', context.config.instance, 'files')
    this.#metrics = fileMetrics(context.metrics)
  }

  /** One more door will open and begin it. */
  expect(): this {
    this.#doors++
    return this
  }

  /** Opens the store; a door calls it before it takes its first byte, and after that its `begin`. */
  async open(door: DoorName, onDone: OnDone): Promise<ImportStore> {
    this.#onDone.set(door, onDone)
    this.#opening ??= (async () => {
      this.#store = await ImportStore.open(this.#folder)
      this.#blobs = await openBlobs(this.#context.config.blobDir)
      this.#queue.push(...(await this.#store.jobs()))
      this.#metrics.waiting(this.#queue.length)
    })()
    await this.#opening
    return this.#opened
  }

  /** Every door that opened the importer begins it; it works from the last one on, as every door then knows what it has handed over. */
  begin(intake: Intake, refusing: Refusing): void {
    this.#users++
    if (this.#working !== undefined || this.#users < this.#doors) return
    this.#stopping = new AbortController()
    this.#working = this.#work(intake, refusing)
  }

  /** The last door to stop it waits for what is in flight; the rest of the file is the next process's. */
  async end(): Promise<void> {
    this.#users--
    if (this.#users > 0) return
    this.#stopping.abort(new AndonError('ANDON_INGEST_STOPPING', 'Ingest is stopping', { retriable: true }))
    this.#wake()
    await this.#working
    this.#working = undefined
  }

  get #opened(): ImportStore {
    if (this.#store === undefined) throw new Error('the importer is not open')
    return this.#store
  }

  /** A file that lies whole and flushed at `path`. It will be imported once this resolves, whatever happens; gives its id. */
  async submit(origin: FileOrigin, path: string, id: string = randomUUID()): Promise<string> {
    const job: ImportJob = { ...origin, name: safeName(origin.name), id, path, receivedUs: Date.now() * 1000 }
    await this.#opened.saveJob(job)
    this.#queue.push(job)
    this.#metrics.waiting(this.#queue.length)
    this.#wake()
    return id
  }

  /** Files that a door has handed over and that are not done. */
  waiting(door: DoorName): readonly ImportJob[] {
    return this.#queue.filter((job) => job.door === door)
  }

  async status(id: string): Promise<FileStatus | undefined> {
    if (this.#inHand?.id === id) return this.#inHand
    const job = this.#queue.find((each) => each.id === id)
    if (job !== undefined) return statusOf(job, 'queued')
    const manifest = await this.#opened.manifest(id)
    return manifest === undefined ? undefined : { ...statusOf(manifest, 'done'), ...tallyOf(manifest), bytes: manifest.bytes, progress: 1 }
  }

  manifest(id: string): Promise<Manifest | undefined> {
    return this.#opened.manifest(id)
  }

  /** Path of the list of all rejected rows of a manifest, as CSV; it may be as long as the file. Undefined where there is none. */
  async rejectedRows({ rejectedList }: Manifest): Promise<string | undefined> {
    const blobs = this.#blobs
    return rejectedList !== null && (await blobs?.has(rejectedList)) === true ? blobs?.path(rejectedList) : undefined
  }

  async #work(intake: Intake, refusing: Refusing): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      const job = refusing() === undefined ? this.#next() : undefined
      if (job === undefined) {
        await this.#sleep(this.#queue.length === 0 ? undefined : retryMs)
        continue
      }
      try {
        await this.#finish(job, (await this.#opened.manifest(job.id)) ?? (await this.#import(job, intake)))
        this.#queue.splice(this.#queue.indexOf(job), 1)
        this.#failing.delete(job.id)
        this.#metrics.waiting(this.#queue.length)
      } catch (error) {
        if (signal.aborted) break
        this.#letPass(job, error)
      } finally {
        this.#inHand = undefined
        this.#metrics.failing(this.#failing.size)
      }
    }
  }

  /** The oldest file that does not wait for its next try. */
  #next(): ImportJob | undefined {
    const nowMs = performance.now()
    return this.#queue.find(({ id }) => (this.#failing.get(id)?.untilMs ?? 0) <= nowMs)
  }

  #letPass({ id, door, name }: ImportJob, error: unknown): void {
    const times = (this.#failing.get(id)?.times ?? 0) + 1
    const waitMs = Math.min(longestRetryMs, retryMs * 2 ** (times - 1))
    this.#failing.set(id, { times, untilMs: performance.now() + waitMs })
    const { length: waiting } = this.#queue
    this.#context.logger.warn({ err: error, file: id, door, name, times, waiting }, 'the import of a file is tried again')
  }

  /** Gives the manifest, which is on disk. Rejects when stopped, or when the machine fails. */
  async #import(job: ImportJob, intake: Intake): Promise<Manifest> {
    const { sources, documents, logger } = this.#context
    let file: OpenedFile | undefined
    let tally = emptyTally
    let stage: { sha256: string; bytes: number; mapping: string | null } = { sha256: '', bytes: 0, mapping: null }
    this.#inHand = statusOf(job, 'checking')
    try {
      const plant = documents().get<Plant>('plant')?.value
      file = await openFile(job.path, job.name, sources.of('file'), plant, () => this.#stopping.signal.throwIfAborted())
      stage = { sha256: file.sha256, bytes: file.bytes, mapping: file.mapping?.id ?? null }
      const first = await this.#appliedBefore(job, file)
      if (first !== undefined) return first
      tally = await this.#rows(job, file, intake, (reached) => {
        tally = reached
      })
      await file.checkUnchanged()
      return await this.#done(job, stage, tally, null)
    } catch (error) {
      if (!(error instanceof AndonError) || error.retriable) throw error
      logger.warn({ file: job.id, name: job.name, code: error.code, reason: error.message }, 'a file was refused')
      return await this.#done(job, stage, tally, error)
    } finally {
      await file?.close()
    }
  }

  async #appliedBefore(job: ImportJob, { sha256 }: OpenedFile): Promise<Manifest | undefined> {
    const id = await this.#opened.appliedAs(sha256)
    const first = id === undefined || id === job.id ? undefined : await this.#opened.manifest(id)
    if (first === undefined) return undefined
    const { door, by, name } = job
    const manifest: Manifest = { ...first, id: job.id, door, by, name, receivedUs: job.receivedUs, alreadyApplied: first.id }
    await this.#opened.saveManifest(manifest)
    return manifest
  }

  async #rows(job: ImportJob, file: OpenedFile, intake: Intake, onTally: (tally: Tally) => void): Promise<Tally> {
    const store = this.#opened
    const earlier = await this.#checkpointOf(job, file)
    const assets = new FileAssets(earlier?.assets)
    const source = await file.rows(assets)
    const rejected = await store.rejectedList(job.id, earlier?.rejectedBytes ?? 0)
    const start = { position: earlier?.position ?? source.start, tally: earlier?.tally ?? emptyTally }
    if (earlier !== undefined) this.#context.logger.info({ file: job.id, name: job.name, rows: earlier.tally.rows }, 'an import goes on')
    let counted = start.tally
    let loggedMs = performance.now()
    onTally(start.tally)
    try {
      return await importFile(
        {
          door: job.door,
          sha256: file.sha256,
          bytes: file.bytes,
          source,
          assets,
          rejected,
          pace: this.#pace,
          intake,
          signal: this.#stopping.signal,
          save: (checkpoint) => store.saveCheckpoint(job.id, checkpoint),
          onProgress: ({ at }, tally) => {
            const progress = source.end === 0 ? 1 : Math.min(1, at / source.end)
            this.#inHand = { ...statusOf(job, 'importing'), ...tallyOf(tally), bytes: file.bytes, progress }
            this.#metrics.rows(job.door, counted, tally)
            this.#metrics.progress(progress)
            counted = tally
            onTally(tally)
            if (performance.now() - loggedMs < progressLogMs) return
            loggedMs = performance.now()
            this.#context.logger.info({ file: job.id, rows: tally.rows, percent: Math.floor(progress * 100) }, 'a file is being imported')
          },
        },
        start,
      )
    } finally {
      await rejected.close()
      await source.close()
    }
  }

  /** Undefined where nothing of the file is safe yet, or the file at the path is another one now. */
  async #checkpointOf(job: ImportJob, { sha256 }: OpenedFile): Promise<Checkpoint | undefined> {
    const checkpoint = await this.#opened.checkpoint(job.id)
    return checkpoint?.sha256 === sha256 ? checkpoint : undefined
  }

  async #done(
    job: ImportJob,
    stage: { sha256: string; bytes: number; mapping: string | null },
    tally: Tally,
    error: AndonError | null,
  ): Promise<Manifest> {
    const { id, door, by, name, receivedUs } = job
    const list = join(this.#folder, 'progress', `${id}.rejected.csv`)
    const rejectedList = tally.rejected === 0 ? null : (await this.#blobs!.put(list)).uri
    const manifest: Manifest = {
      id,
      door,
      by,
      name,
      ...stage,
      outcome: error === null ? 'applied' : tally.rows === 0 ? 'refused' : 'failed',
      code: error?.code ?? null,
      message: error?.message ?? null,
      ...tally,
      rejectedList,
      receivedUs,
      finishedUs: Date.now() * 1000,
    }
    await this.#opened.saveManifest(manifest)
    return manifest
  }

  /** Puts the manifest on the log, lets the door clean up, and forgets the job. Every step may be repeated. */
  async #finish(job: ImportJob, manifest: Manifest): Promise<void> {
    const store = this.#opened
    const { config, logger } = this.#context
    this.#inHand = { ...statusOf(job, 'publishing'), ...tallyOf(manifest), bytes: manifest.bytes, progress: 1 }
    if (manifest.alreadyApplied === undefined) {
      await this.#publish(manifest)
      if (manifest.outcome === 'applied') await store.saveApplied(manifest.sha256, manifest.id)
    }
    await this.#onDone.get(job.door)?.(job, manifest)
    await store.removeJob(job.id)
    this.#metrics.file(job.door, manifest.alreadyApplied === undefined ? manifest.outcome : 'already-applied')
    const { outcome, rows, accepted, rejected } = manifest
    logger.info({ file: job.id, name: job.name, outcome, rows, accepted, rejected, instance: config.instance }, 'a file is done')
  }

  async #publish(manifest: Manifest): Promise<void> {
    const log = this.#context.log()
    const { value, id } = manifestRecord(manifest)
    const partition = partitionOf(manifest.sha256 || manifest.id, await log.admin.partitions(telemetryTopic))
    const output = { topic: telemetryTopic, key: null, partition, value, id, type: manifestType, timeUs: manifest.finishedUs }
    await publish(log, this.#context.codec(), [output], sourceOf(this.#context.config.instance))
  }

  #sleep(ms: number | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    if (this.#stopping.signal.aborted) resolve()
    if (ms === undefined) return promise
    const timer = new AbortController()
    void promise.then(() => timer.abort())
    return Promise.race([promise, pause(ms, undefined, { signal: timer.signal }).catch(() => undefined)])
  }
}

const tallyOf = ({ rows, accepted, duplicates, rejected, reasons, firstRejected }: Tally): Tally => ({
  rows,
  accepted,
  duplicates,
  rejected,
  reasons,
  firstRejected,
})

const statusOf = ({ id, door, by, name }: FileOrigin & { readonly id: string }, state: FileState): FileStatus => ({
  id,
  door,
  by,
  name,
  state,
  bytes: 0,
  progress: 0,
  ...emptyTally,
})

const importers = new WeakMap<DoorContext, Importer>()

/** The importer of this ingest process. Each door that uses it asks once, before any of them starts. */
export const importerOf = (context: DoorContext): Importer => {
  let importer = importers.get(context)
  if (importer === undefined) importers.set(context, (importer = new Importer(context)))
  return importer.expect()
}
