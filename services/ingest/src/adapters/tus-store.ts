// Where uploads lie while they come in: @tus/file-store with what it lacks - a chunk is flushed before it is acknowledged, a chunk that
// does not have the digest its sender gave is taken back, finished uploads are joined into one, and what is abandoned expires.

import { AsyncLocalStorage } from 'node:async_hooks'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readdir, rm, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { syncFolder } from '@andon/kit'
import { FileStore } from '@tus/file-store'
import type { Upload } from '@tus/server'

/** What a request says beside its bytes. */
export interface UploadRequest {
  readonly checksum: Checksum | undefined
  /** One part of several that will be joined: kept when it is whole, and not imported. */
  readonly isPartial: boolean
  /** Who sends it. */
  readonly by: string
}

export interface Checksum {
  readonly algorithm: string
  readonly digest: Buffer
}

/** The request in hand; the library does not pass it on to its store. */
export const uploadRequest = new AsyncLocalStorage<UploadRequest>()

export const checksumAlgorithms = ['sha1', 'sha256', 'sha512', 'md5'] as const

/** `Upload-Checksum: sha1 <base64>`; undefined when it is not one. */
export const parseChecksum = (header: string): Checksum | undefined => {
  const [, algorithm = '', text = ''] = /^(\w+) ([A-Za-z0-9+/]+=*)$/.exec(header.trim()) ?? []
  if (!checksumAlgorithms.some((known) => known === algorithm)) return undefined
  const digest = Buffer.from(text, 'base64')
  return digest.length === createHash(algorithm).digest().length ? { algorithm, digest } : undefined
}

const mismatch = {
  status_code: 460,
  body: 'ANDON_INGEST_CHECKSUM: the bytes do not have the digest of Upload-Checksum; nothing of them was kept\n',
}

export class TusStore extends FileStore {
  constructor(directory: string, expirationMs: number) {
    super({ directory, expirationPeriodInMilliseconds: expirationMs })
    // A length is asked for at the start, so that a quota holds.
    this.extensions = ['creation', 'creation-with-upload', 'expiration', 'termination', 'checksum', 'concatenation']
  }

  // The library asks for this one by a misspelt name.
  override hasExtension(extension: string): boolean {
    return super.hasExtension(extension === 'concatentation' ? 'concatenation' : extension)
  }

  pathOf(id: string): string {
    return join(this.directory, id)
  }

  /** The name of the upload survives a power loss before its address is given out. */
  override async create(upload: Upload): Promise<Upload> {
    const created = await super.create(upload)
    await syncFolder(this.directory)
    return created
  }

  /** Appends at the offset and flushes. With a checksum the bytes are only added once they have proved to be right. */
  override async write(readable: Readable, id: string, offset: number): Promise<number> {
    const { checksum } = uploadRequest.getStore() ?? {}
    if (checksum === undefined) return this.#append(readable, id, offset)
    const chunk = `${this.pathOf(id)}.chunk`
    try {
      const hash = createHash(checksum.algorithm)
      const file = await open(chunk, 'w')
      try {
        for await (const bytes of readable as AsyncIterable<Buffer>) {
          hash.update(bytes)
          await writeAll(file, bytes, null)
        }
      } finally {
        await file.close()
      }
      // eslint-disable-next-line typescript/only-throw-error -- the form in which the library takes its errors
      if (!checksum.digest.equals(hash.digest())) throw mismatch
      return await this.#append(createReadStream(chunk), id, offset)
    } finally {
      await rm(chunk, { force: true })
    }
  }

  async #append(readable: Readable, id: string, offset: number): Promise<number> {
    const file = await open(this.pathOf(id), 'r+')
    let at = offset
    try {
      for await (const bytes of readable as AsyncIterable<Buffer>) {
        await writeAll(file, bytes, at)
        at += bytes.length
      }
      return at
    } finally {
      await file.datasync()
      await file.close()
    }
  }

  /**
   * Removes what there is of an upload; that it is not there, or only a part of it since a kill, is no failure. What says that there is an
   * upload goes first: bytes without it expire, and nobody would come back for it without bytes.
   */
  override async remove(id: string): Promise<void> {
    await rm(`${this.pathOf(id)}.json`, { force: true })
    await rm(this.pathOf(id), { force: true })
  }

  /** Whole: every byte that was announced is on disk. */
  async isWhole(id: string): Promise<boolean> {
    const info = await this.configstore.get(id)
    return info?.size !== undefined && (await stat(this.pathOf(id)).catch(() => undefined))?.size === info.size
  }

  /** Removes uploads whose time is over: unfinished ones, and parts that nobody joined. One that is whole is the importer's. */
  override async deleteExpired(): Promise<number> {
    let removed = 0
    for (const id of await this.ids()) {
      const info = await this.configstore.get(id)
      const createdMs = info?.creation_date === undefined ? await this.#writtenMs(id) : new Date(info.creation_date).getTime()
      const ageMs = Date.now() - createdMs
      if (ageMs < this.getExpiration() || (info?.metadata?.['partial'] !== '1' && (await this.isWhole(id)))) continue
      await this.remove(id)
      removed++
    }
    return removed
  }

  /** Of bytes about which nothing is known: an upload that is being created, or half removed. */
  async #writtenMs(id: string): Promise<number> {
    return (await stat(this.pathOf(id)).catch(() => undefined))?.mtimeMs ?? 0
  }

  /** What uploads of one sender take on disk, with what is still to come of them. */
  async usedBy(by: string): Promise<{ bytes: number; uploads: number }> {
    let bytes = 0
    let uploads = 0
    for (const id of await this.ids()) {
      const info = await this.configstore.get(id)
      if (info?.metadata?.['by'] !== by) continue
      bytes += info.size ?? 0
      uploads++
    }
    return { bytes, uploads }
  }

  async ids(): Promise<string[]> {
    return (await readdir(this.directory)).filter((name) => /^[0-9a-f]{32}$/.test(name))
  }

  /** Joins finished parts, in this order, into the new upload. */
  async join(target: Upload, parts: readonly string[]): Promise<void> {
    await this.create(target)
    const file = await open(this.pathOf(target.id), 'r+')
    try {
      let at = 0
      for (const part of parts) {
        for await (const bytes of this.read(part) as AsyncIterable<Buffer>) {
          await writeAll(file, bytes, at)
          at += bytes.length
        }
      }
      await file.sync()
    } finally {
      await file.close()
    }
  }
}

/** @param at place in the file; null: behind what was written before. */
const writeAll = async (file: FileHandle, bytes: Buffer, at: number | null): Promise<void> => {
  for (let from = 0; from < bytes.length;) {
    from += (await file.write(bytes, from, bytes.length - from, at === null ? null : at + from)).bytesWritten
  }
}
