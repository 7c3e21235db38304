// What one SFTP user sees: a flat folder of unfinished files. A path is one name in it or nothing, so there is no way out of it; a rename to a
// finished name commits the file: it is flushed, leaves the folder and is queued for import before the rename is answered.

import { constants } from 'node:fs'
import { lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { join, posix } from 'node:path'
import { codeOf, syncFolder } from '@andon/kit'
import type { Importer } from '../files/importer.ts'
import { isUnfinishedName, safeName } from '../files/manifest.ts'

export interface SftpLimits {
  readonly maxBytes: number
  readonly quotaBytes: number
  readonly expireS: number
}

/** Why an operation was not done: the name of an SFTP status, and words. */
export class SftpRefusal extends Error {
  readonly status: 'NO_SUCH_FILE' | 'PERMISSION_DENIED' | 'FAILURE' | 'OP_UNSUPPORTED'
  constructor(status: SftpRefusal['status'], message: string) {
    super(message)
    this.status = status
  }
}

/** A file that is being written; `release` after it was closed. */
export interface OpenedUpload {
  readonly file: FileHandle
  readonly release: () => void
}

export interface SftpEntry {
  readonly name: string
  readonly size: number
  readonly mtimeMs: number
}

/** Committed names that a client may ask for once more. */
const committedKept = 1000
const mostFiles = 256

export class SftpRoot {
  readonly #user: string
  readonly #folder: string
  readonly #limits: SftpLimits
  readonly #importer: Importer
  readonly #incoming: string
  /** How many handles are open on a file. */
  readonly #writers = new Map<string, number>()
  readonly #committed = new Map<string, SftpEntry>()

  constructor(user: string, folder: string, incoming: string, limits: SftpLimits, importer: Importer) {
    this.#user = user
    this.#folder = folder
    this.#incoming = incoming
    this.#limits = limits
    this.#importer = importer
  }

  async prepare(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
  }

  /** The path as the user sees it: / or /name. */
  canonical(path: string): string {
    return posix.normalize(posix.join('/', path === '' ? '.' : path)).replace(/(.)\/$/, '$1')
  }

  #nameOf(path: string): string {
    const name = this.canonical(path).slice(1)
    if (name === '' || name.includes('/')) throw new SftpRefusal('NO_SUCH_FILE', 'There is one folder, /, and only files in it')
    if (name.startsWith('.') || safeName(name) !== name) {
      throw new SftpRefusal(
        'PERMISSION_DENIED',
        'ANDON_INGEST_UPLOAD: a file name has letters, digits and . _ - and starts with none of these dots',
      )
    }
    return name
  }

  #pathOf(name: string): string {
    return join(this.#folder, name)
  }

  /** Opens an unfinished file for writing. */
  async open(path: string, { isNew, isTruncated }: { isNew: boolean; isTruncated: boolean }): Promise<OpenedUpload> {
    const name = this.#nameOf(path)
    if (!isUnfinishedName(name)) {
      throw new SftpRefusal(
        'PERMISSION_DENIED',
        `ANDON_INGEST_UPLOAD: write to ${name}.part and rename it to ${name}; the rename says that it is whole`,
      )
    }
    const entries = await this.list()
    if (entries.length >= mostFiles) throw new SftpRefusal('FAILURE', `ANDON_INGEST_UPLOAD_QUOTA: ${entries.length} unfinished files`)
    const flags =
      constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW | (isNew ? constants.O_EXCL : 0) | (isTruncated ? constants.O_TRUNC : 0)
    const file = await open(this.#pathOf(name), flags, 0o600).catch(asRefusal)
    this.#writers.set(name, (this.#writers.get(name) ?? 0) + 1)
    return { file, release: () => void this.#writers.set(name, (this.#writers.get(name) ?? 1) - 1) }
  }

  /** Throws when a file would end behind its longest. */
  checkLength(endByte: number): void {
    const { maxBytes } = this.#limits
    if (endByte > maxBytes) throw new SftpRefusal('FAILURE', `ANDON_INGEST_UPLOAD_TOO_LONG: a file has at most ${maxBytes} bytes`)
  }

  /** Throws when the user's files take all the room there is for them. */
  async checkQuota(): Promise<void> {
    const { quotaBytes } = this.#limits
    const used = (await this.list()).reduce((sum, { size }) => sum + size, 0)
    if (used <= quotaBytes) return
    throw new SftpRefusal('FAILURE', `ANDON_INGEST_UPLOAD_QUOTA: files of ${this.#user} take ${used} of ${quotaBytes} bytes`)
  }

  async list(): Promise<SftpEntry[]> {
    const entries: SftpEntry[] = []
    for (const name of await readdir(this.#folder)) {
      const found = await lstat(this.#pathOf(name)).catch(() => undefined)
      if (found?.isFile() === true) entries.push({ name, size: found.size, mtimeMs: found.mtimeMs })
    }
    return entries
  }

  /** An unfinished file, or one that was committed lately; undefined for the folder itself. */
  async stat(path: string): Promise<SftpEntry | undefined> {
    if (this.canonical(path) === '/') return undefined
    const name = this.#nameOf(path)
    const found = await lstat(this.#pathOf(name)).catch(() => undefined)
    if (found?.isFile() === true) return { name, size: found.size, mtimeMs: found.mtimeMs }
    const committed = this.#committed.get(name)
    if (committed === undefined) throw new SftpRefusal('NO_SUCH_FILE', `There is no ${name}`)
    return committed
  }

  async remove(path: string): Promise<void> {
    await rm(this.#pathOf(this.#nameOf(path))).catch(asRefusal)
  }

  /** To an unfinished name: a rename. To a finished one: the commit. Nothing is ever written over. */
  async rename(from: string, to: string): Promise<void> {
    const sourceName = this.#nameOf(from)
    const source = this.#pathOf(sourceName)
    const name = this.#nameOf(to)
    if ((this.#writers.get(sourceName) ?? 0) > 0) throw new SftpRefusal('FAILURE', `${sourceName} is still being written; close it first`)
    const found = await lstat(source).catch(asRefusal)
    if (!found.isFile()) throw new SftpRefusal('PERMISSION_DENIED', 'It is no regular file')
    if (isUnfinishedName(name)) {
      if ((await lstat(this.#pathOf(name)).catch(() => undefined)) !== undefined)
        throw new SftpRefusal('FAILURE', `${name} is there already`)
      await rename(source, this.#pathOf(name)).catch(asRefusal)
      return
    }
    const file = await open(source, constants.O_RDWR | constants.O_NOFOLLOW).catch(asRefusal)
    try {
      await file.sync()
    } finally {
      await file.close()
    }
    const id = randomUUID()
    const path = join(this.#incoming, committedName(id, this.#user, name))
    await rename(source, path).catch(asRefusal)
    await syncFolder(this.#incoming)
    await this.#importer.submit({ door: 'sftp', by: `sftp ${this.#user}`, name }, path, id)
    this.#committed.set(name, { name, size: found.size, mtimeMs: found.mtimeMs })
    if (this.#committed.size > committedKept) this.#committed.delete(this.#committed.keys().next().value!)
  }

  /** Removes files that nobody has written to for too long. */
  async expire(): Promise<number> {
    const oldestMs = Date.now() - this.#limits.expireS * 1000
    const expired = (await this.list()).filter(({ name, mtimeMs }) => mtimeMs < oldestMs && (this.#writers.get(name) ?? 0) === 0)
    for (const { name } of expired) await rm(this.#pathOf(name), { force: true })
    return expired.length
  }
}

const committedName = (id: string, user: string, name: string): string => `${id}.${user}.${name}`

/** Of a file that was committed and perhaps not queued. User names have no dots. */
export const parseCommittedName = (file: string): { id: string; user: string; name: string } | undefined => {
  const [, id, user, name] = /^([0-9a-f]{8}-[0-9a-f-]{27})\.([^.]+)\.(.+)$/s.exec(file) ?? []
  return id === undefined || user === undefined || name === undefined ? undefined : { id, user, name }
}

const asRefusal = (error: unknown): never => {
  const code = codeOf(error)
  if (code === 'ENOENT') throw new SftpRefusal('NO_SUCH_FILE', 'There is no such file')
  if (code === 'EEXIST') throw new SftpRefusal('FAILURE', 'It is there already')
  if (code === 'ELOOP' || code === 'EACCES' || code === 'EISDIR') throw new SftpRefusal('PERMISSION_DENIED', 'It is no regular file')
  throw error
}
