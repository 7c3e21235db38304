// The importer's memory on disk, in the folder of the instance: files that wait, how far the one in hand is, and the manifests of those that
// are done. Every write is whole and flushed, so that a kill at any moment leaves the state before or after it.

import { mkdir, open, readFile, readdir, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '@andon/kit'
import type { FileHandle } from 'node:fs/promises'
import { writeFileDurably } from './durable-file.ts'
import type { Position } from './row-source.ts'
import { rejectedHeader } from './manifest.ts'
import type { FileOrigin, Manifest, Tally } from './manifest.ts'

/** A file that was handed over: its bytes are on disk, and it will be imported. */
export interface ImportJob extends FileOrigin {
  readonly id: string
  readonly path: string
  readonly receivedUs: number
}

/** How far an import is: everything before the position is safe. */
export interface Checkpoint {
  readonly sha256: string
  readonly bytes: number
  readonly position: Position
  /** Number of the next row of each asset, in the order in which the file brings them. */
  readonly assets: readonly (readonly [id: string, next: number])[]
  readonly tally: Tally
  /** Bytes of the list of rejected rows. */
  readonly rejectedBytes: number
}

export interface RejectedList {
  append(lines: string): Promise<void>
  /** Flushes; gives its size. */
  sync(): Promise<number>
  readonly path: string
  close(): Promise<void>
}

/** Manifests kept; older ones are on the log. */
const manifestsKept = 10_000

export class ImportStore {
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  static async open(folder: string): Promise<ImportStore> {
    for (const part of ['jobs', 'progress', 'manifests', 'applied', 'incoming']) await mkdir(join(folder, part), { recursive: true })
    const store = new ImportStore(folder)
    await store.#prune()
    return store
  }

  /** Folder for bytes that doors are receiving; on the disk of the store. */
  get incoming(): string {
    return join(this.folder, 'incoming')
  }

  /** Jobs that are not done, oldest first. */
  async jobs(): Promise<ImportJob[]> {
    const jobs = await Promise.all((await this.#names('jobs')).map((name) => this.#read<ImportJob>('jobs', name)))
    return jobs.filter((job) => job !== undefined).toSorted((a, b) => a.receivedUs - b.receivedUs || (a.id < b.id ? -1 : 1))
  }

  saveJob = (job: ImportJob): Promise<void> => this.#write('jobs', job.id, job)
  checkpoint = (id: string): Promise<Checkpoint | undefined> => this.#read('progress', id)
  saveCheckpoint = (id: string, checkpoint: Checkpoint): Promise<void> => this.#write('progress', id, checkpoint)
  manifest = (id: string): Promise<Manifest | undefined> => this.#read('manifests', id)
  saveManifest = (manifest: Manifest): Promise<void> => this.#write('manifests', manifest.id, manifest)

  /** Id of the import that applied these bytes. */
  async appliedAs(sha256: string): Promise<string | undefined> {
    return (await this.#read<{ id: string }>('applied', sha256))?.id
  }

  saveApplied = (sha256: string, id: string): Promise<void> => this.#write('applied', sha256, { id })

  /** The job is done: its manifest stays. The job itself goes last, so that a kill in between leaves nothing that nobody comes back to. */
  async removeJob(id: string): Promise<void> {
    await rm(join(this.folder, 'progress', `${id}.json`), { force: true })
    await rm(join(this.folder, 'progress', `${id}.rejected.csv`), { force: true })
    await rm(join(this.folder, 'jobs', `${id}.json`), { force: true })
  }

  /** The list of rejected rows as the checkpoint knows it; what was written behind that is cut off. */
  async rejectedList(id: string, keptBytes: number): Promise<RejectedList> {
    const path = join(this.folder, 'progress', `${id}.rejected.csv`)
    const handle: FileHandle = await open(path, 'a')
    await truncate(path, keptBytes)
    let bytes = keptBytes
    const append = async (lines: string) => {
      const { bytesWritten } = await handle.write(lines)
      bytes += bytesWritten
    }
    if (keptBytes === 0) await append(rejectedHeader)
    return {
      path,
      append,
      sync: async () => {
        const size = bytes
        await handle.datasync()
        return size
      },
      close: () => handle.close(),
    }
  }

  async #names(part: string): Promise<string[]> {
    return (await readdir(join(this.folder, part))).filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length))
  }

  async #read<T>(part: string, name: string): Promise<T | undefined> {
    try {
      return JSON.parse(await readFile(join(this.folder, part, `${name}.json`), 'utf8')) as T
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined
      throw error
    }
  }

  #write(part: string, name: string, value: unknown): Promise<void> {
    return writeFileDurably(join(this.folder, part, `${name}.json`), JSON.stringify(value))
  }

  async #prune(): Promise<void> {
    for (const part of ['manifests', 'applied']) {
      const names = await this.#names(part)
      if (names.length <= manifestsKept) continue
      const files = names.map((name) => join(this.folder, part, `${name}.json`))
      const aged = await Promise.all(files.map(async (file) => ({ file, ms: (await stat(file)).mtimeMs })))
      aged.sort((a, b) => b.ms - a.ms)
      for (const { file } of aged.slice(manifestsKept)) await rm(file, { force: true })
    }
  }
}
