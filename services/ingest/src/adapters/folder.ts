// Folder door: files that appear in a watched folder are imported. A file counts when its size has stood still for a while or it was renamed
// in; it is then claimed by a rename, so that instances may share a folder. Done, it lies in done/ or failed/ with its manifest beside it.

import { createReadStream, watch } from 'node:fs'
import type { FSWatcher } from 'node:fs'
import { lstat, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { AndonError, codeOf, env } from '@andon/kit'
import type { Logger } from '@andon/kit'
import { defineDoor } from '../doors.ts'
import { importerOf } from '../files/importer.ts'
import type { Importer } from '../files/importer.ts'
import { isUnfinishedName, safeName } from '../files/manifest.ts'
import type { Manifest } from '../files/manifest.ts'
import type { ImportJob } from '../files/import-store.ts'
import { writeFileDurably } from '../files/durable-file.ts'
import type { Source } from './source.ts'

export const folderDoorKind = defineDoor({
  name: 'folder',
  about: 'CSV and Parquet files that appear in a watched folder',
  settings: {
    folder: env.path('INGEST_FOLDER', 'Watched folder; done/, failed/ and taken/ are made in it', '.andon/inbox'),
    settleMs: env.integer('INGEST_FOLDER_SETTLE_MS', 'How long a file must keep its size before it counts as whole', 2000),
  },
  open: ({ folder, settleMs }, context) => {
    const { config, logger } = context
    return folderDoor({ folder, settleMs, instance: config.instance, importer: importerOf(context), logger })
  },
})

export interface FolderDoorOptions {
  readonly folder: string
  readonly settleMs: number
  /** Whose files are claimed: other instances have theirs beside them. */
  readonly instance: string
  readonly importer: Importer
  readonly logger: Logger
}

interface Seen {
  readonly size: number
  readonly mtimeMs: number
  readonly sinceMs: number
}

export const folderDoor = ({ folder, settleMs, instance, importer, logger }: FolderDoorOptions): Source => {
  const taken = join(folder, 'taken', instance)
  const seen = new Map<string, Seen>()
  const warned = new Set<string>()
  let watcher: FSWatcher | undefined
  let timer: NodeJS.Timeout | undefined
  let looking: Promise<void> | undefined
  let failure: string | undefined
  let isStopped = true

  const look = async (): Promise<void> => {
    const names = new Set(await readdir(folder))
    for (const name of seen.keys()) if (!names.has(name)) seen.delete(name)
    for (const name of [...names].toSorted()) {
      if (isUnfinishedName(name) || ['taken', 'done', 'failed'].includes(name)) continue
      const found = await lstat(join(folder, name)).catch(gone)
      if (found === undefined || found.isDirectory()) continue
      if (!found.isFile()) {
        if (!warned.has(name)) logger.warn({ name }, 'a link, pipe or device in the watched folder is left alone')
        warned.add(name)
        continue
      }
      const before = seen.get(name)
      const nowMs = performance.now()
      if (before?.size !== found.size || before.mtimeMs !== found.mtimeMs) {
        seen.set(name, { size: found.size, mtimeMs: found.mtimeMs, sinceMs: nowMs })
      } else if (nowMs - before.sinceMs >= settleMs) {
        seen.delete(name)
        await take(name)
      }
    }
  }

  const take = async (name: string): Promise<void> => {
    const id = randomUUID()
    const path = join(taken, `${id}.${safeName(name)}`)
    try {
      await rename(join(folder, name), path)
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return // another instance was first
      throw error
    }
    await importer.submit({ door: 'folder', by: null, name }, path, id)
  }

  // A file that was claimed by an earlier process of this instance, which ended before it queued it.
  const takeUp = async (): Promise<void> => {
    const known = new Set(importer.waiting('folder').map(({ id }) => id))
    for (const file of await readdir(taken)) {
      const [, id, name] = /^([0-9a-f-]{36})\.(.+)$/s.exec(file) ?? []
      if (id === undefined || name === undefined || known.has(id) || (await importer.manifest(id)) !== undefined) continue
      await importer.submit({ door: 'folder', by: null, name }, join(taken, file), id)
    }
  }

  const onDone = async (job: ImportJob, manifest: Manifest): Promise<void> => {
    const target = join(folder, manifest.outcome === 'applied' ? 'done' : 'failed')
    const file = join(target, `${job.id}.${job.name}`)
    await mkdir(target, { recursive: true }) // somebody may have tidied up
    await rename(job.path, file).catch(gone) // gone: moved before a kill
    const rejected = await importer.rejectedRows(manifest)
    if (rejected !== undefined) await writeFileDurably(`${file}.rejected.csv`, createReadStream(rejected))
    await writeFileDurably(`${file}.manifest.json`, `${JSON.stringify(manifest, undefined, 2)}\n`)
    await rm(job.path, { force: true })
  }

  const later = (afterMs: number): void => {
    clearTimeout(timer)
    if (!isStopped) timer = setTimeout(run, afterMs)
  }

  const run = (): void => {
    looking ??= look()
      .then(
        () => (failure = undefined),
        (error: unknown) => {
          failure = `the watched folder ${folder} cannot be read: ${codeOf(error) ?? String(error)}`
          logger.warn({ err: error, folder }, 'the watched folder cannot be read')
        },
      )
      .then(() => {
        looking = undefined
        later(pollMs(settleMs))
      })
  }

  return {
    name: 'folder',
    ready: () => failure ?? (isStopped ? 'not watching' : true),
    start: async (intake, refusing) => {
      try {
        for (const part of [taken, join(folder, 'done'), join(folder, 'failed')]) await mkdir(part, { recursive: true })
      } catch (error) {
        throw new AndonError(
          'ANDON_INGEST_FOLDER',
          `INGEST_FOLDER: ${folder} cannot be used (${codeOf(error) ?? String(error)}); expected a folder that this user may write to`,
          { cause: error },
        )
      }
      await importer.open('folder', onDone)
      await takeUp()
      importer.begin(intake, refusing)
      isStopped = false
      // Polling finds everything; being told only makes it quicker, and is not to be had on every file system.
      try {
        watcher = watch(folder, () => later(0))
        watcher.on('error', () => watcher?.close())
      } catch (error) {
        logger.info({ err: error, folder }, 'the watched folder is polled')
      }
      run()
    },
    stop: async () => {
      if (isStopped) return
      isStopped = true
      clearTimeout(timer)
      watcher?.close()
      await looking
      await importer.end()
    },
  }
}

const pollMs = (settleMs: number): number => Math.max(50, Math.min(1000, settleMs / 2))

const gone = (error: unknown): undefined => {
  if (codeOf(error) === 'ENOENT') return undefined
  throw error
}
