// The folder a spool lives in: append, flush, cut, read back. The file system's only importer in this service.

import { mkdir, open, readdir, readFile, rm, truncate } from 'node:fs/promises'
import { constants } from 'node:fs'
import { join } from 'node:path'
import { syncFolder } from '@andon/kit'

/** A folder of append-only files. Every call rejects with the system's own error (ENOSPC, EIO…). */
export interface Disk {
  /** File names, ascending. */
  list(): Promise<string[]>
  read(name: string): Promise<Buffer>
  readAt(name: string, offset: number, length: number): Promise<Buffer>
  /** A new, empty file whose name survives a power loss. */
  create(name: string): Promise<DiskFile>
  truncate(name: string, length: number): Promise<void>
  remove(name: string): Promise<void>
}

export interface DiskFile {
  /** Appends all bytes or rejects, having written any part of them; what was written may be synced already. */
  write(bytes: Buffer): Promise<void>
  /** When it resolves, everything written survives a power loss. */
  sync(): Promise<void>
  truncate(length: number): Promise<void>
  close(): Promise<void>
}

// Linux writes and syncs in one call where a file asks for it: half the trips to the disk's threads. Elsewhere only a call of its own is sure.
const synced = process.platform === 'linux' ? constants.O_DSYNC : 0
const written = Promise.resolve()

export const openDisk = async (folder: string): Promise<Disk> => {
  await mkdir(folder, { recursive: true })
  const path = (name: string) => join(folder, name)
  return {
    list: async () => (await readdir(folder)).toSorted(),
    read: (name) => readFile(path(name)),
    readAt: async (name, offset, length) => {
      const handle = await open(path(name), constants.O_RDONLY)
      try {
        const bytes = Buffer.allocUnsafe(length)
        const { bytesRead } = await handle.read(bytes, 0, length, offset)
        return bytes.subarray(0, bytesRead)
      } finally {
        await handle.close()
      }
    },
    create: async (name) => {
      const handle = await open(path(name), constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_APPEND | synced)
      try {
        await syncFolder(folder)
      } catch (error) {
        await handle.close()
        throw error
      }
      return {
        write: async (bytes) => {
          for (let at = 0; at < bytes.length;) at += (await handle.write(bytes, at, bytes.length - at)).bytesWritten
        },
        sync: () => (synced === 0 ? handle.datasync() : written),
        truncate: (length) => handle.truncate(length),
        close: () => handle.close(),
      }
    },
    truncate: (name, length) => truncate(path(name), length),
    remove: (name) => rm(path(name), { force: true }),
  }
}
