// The blob store port on a local folder: content-addressed, so a name says what is inside and a second put changes nothing.

import { createReadStream } from 'node:fs'
import { access, mkdir, open, readFile, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { createHash, randomUUID } from 'node:crypto'
import { dirname, join } from 'node:path'
import type { FileHandle } from 'node:fs/promises'
import { AndonError, codeOf } from './errors.ts'

export interface StoredBlob {
  /** Hex digest of the content. */
  readonly sha256: string
  /** `sha256:<hex>`. */
  readonly uri: string
  /** Size. */
  readonly bytes: number
}

export interface Blobs {
  /** Stores bytes, or the file at a path (left where it is). On disk (fsync) and under its name when it resolves. */
  put(content: Uint8Array | string): Promise<StoredBlob>
  /** The content; rejects when it is not there (ANDON_BLOB_MISSING) or no longer has its digest (ANDON_BLOB_CORRUPT). */
  get(uri: string): Promise<Buffer>
  /** Where the content lies on disk, whether it exists or not. */
  path(uri: string): string
  has(uri: string): Promise<boolean>
  /** Makes stored content young again for `sweep`; false when it is not there. */
  keep(uri: string): Promise<boolean>
  /** Keeps contents from `sweep` until the hold of that name is released; a repeat replaces its list. */
  hold(name: string, uris: readonly string[]): Promise<void>
  /** What a hold keeps, in the order given; undefined when there is no hold of that name. */
  held(name: string): Promise<readonly string[] | undefined>
  /** Ends a hold; what it kept ages from now on. */
  release(name: string): Promise<void>
  /** Removes what was neither stored nor kept or held for that long; gives the number of blobs. For stores that one owner fills, like retained snapshots. */
  sweep(olderThanMs: number): Promise<number>
}

export const openBlobs = async (folder: string): Promise<Blobs> => {
  const incoming = join(folder, 'incoming')
  const holds = join(folder, 'holds')
  await mkdir(incoming, { recursive: true })

  const path = (uri: string): string => {
    const digest = /^sha256:([0-9a-f]{64})$/.exec(uri)?.[1]
    if (digest === undefined) throw new AndonError('ANDON_BLOB_URI', `Expected sha256:<64 hex digits>, found ${uri}`)
    return join(folder, digest.slice(0, 2), digest)
  }

  const holdFile = (name: string): string => {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name)) throw new AndonError('ANDON_BLOB_URI', `${name} is no name of a hold`)
    return join(holds, `${name}.json`)
  }

  const held = async (name: string): Promise<readonly string[] | undefined> => {
    try {
      return JSON.parse(await readFile(holdFile(name), 'utf8')) as string[]
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined
      throw error
    }
  }

  const keep = async (uri: string): Promise<boolean> => {
    const now = new Date()
    try {
      await utimes(path(uri), now, now)
      return true
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return false
      throw error
    }
  }

  /** What lies there was on disk before it had its name: it is made young again instead of written again. */
  const storedAlready = async (content: Uint8Array): Promise<StoredBlob | undefined> => {
    const sha256 = createHash('sha256').update(content).digest('hex')
    const uri = `sha256:${sha256}`
    const found = await stat(path(uri)).catch(() => undefined)
    return found?.size === content.byteLength && (await keep(uri)) ? { sha256, uri, bytes: content.byteLength } : undefined
  }

  /** Made young instead of remembered: the lists of all holds together may be longer than memory. */
  const keepHeld = async (): Promise<void> => {
    for (const file of await readdir(holds).catch(() => []))
      if (file.endsWith('.json')) for (const uri of (await held(file.slice(0, -'.json'.length))) ?? []) await keep(uri)
  }

  return {
    path,
    held,
    async hold(name, uris) {
      const target = holdFile(name)
      await mkdir(holds, { recursive: true })
      const temporary = join(incoming, randomUUID())
      await write(temporary, Buffer.from(JSON.stringify(uris)))
      await rename(temporary, target)
      await syncFolder(holds)
    },
    async release(name) {
      await rm(holdFile(name), { force: true })
    },
    async put(content) {
      const stored = typeof content === 'string' ? undefined : await storedAlready(content)
      if (stored) return stored
      const temporary = join(incoming, randomUUID())
      try {
        const written = await write(temporary, content)
        const target = path(written.uri)
        await mkdir(dirname(target), { recursive: true })
        await rename(temporary, target)
        await syncFolder(dirname(target))
        return written
      } catch (error) {
        await rm(temporary, { force: true })
        throw error
      }
    },
    async get(uri) {
      const content = await readFile(path(uri)).catch((error: unknown) => {
        if (codeOf(error) !== 'ENOENT') throw error
        throw new AndonError('ANDON_BLOB_MISSING', `The blob store has no ${uri}`, { cause: error, fields: { uri }, status: 404 })
      })
      const found = createHash('sha256').update(content).digest('hex')
      if (uri !== `sha256:${found}`) {
        throw new AndonError('ANDON_BLOB_CORRUPT', `Content stored as ${uri} has digest ${found}`, { fields: { uri, found } })
      }
      return content
    },
    has: (uri) =>
      access(path(uri)).then(
        () => true,
        () => false,
      ),
    keep,
    async sweep(olderThanMs) {
      await keepHeld()
      const before = Date.now() - olderThanMs
      let removed = 0
      for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || entry.parentPath === holds) continue
        const file = join(entry.parentPath, entry.name)
        const { mtimeMs } = await stat(file)
        if (mtimeMs >= before) continue
        await rm(file, { force: true })
        removed++
      }
      return removed
    },
  }
}

const write = async (file: string, content: Uint8Array | string): Promise<StoredBlob> => {
  const digest = createHash('sha256')
  const handle = await open(file, 'wx')
  let bytes = 0
  try {
    for await (const chunk of typeof content === 'string' ? createReadStream(content) : [content]) {
      const part = chunk as Uint8Array
      digest.update(part)
      bytes += part.byteLength
      await writeAll(handle, part)
    }
    await handle.sync()
  } finally {
    await handle.close()
  }
  const sha256 = digest.digest('hex')
  return { sha256, uri: `sha256:${sha256}`, bytes }
}

const writeAll = async (handle: FileHandle, part: Uint8Array): Promise<void> => {
  for (let at = 0; at < part.byteLength;) at += (await handle.write(part, at)).bytesWritten
}

/** A rename is durable once its folder is. */
export const syncFolder = async (folder: string): Promise<void> => {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
