// How far a source has been read, kept over restarts: one small file per source, replaced whole. It is written after what it stands for
// was made safe, so after a crash it is behind, never ahead: a little is read again, and known as a repeat.

import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

export interface PositionFile<T> {
  /** As last written; undefined the first time, and when the file is damaged. */
  read(): Promise<T | undefined>
  /** Writes the newest position. Calls while one is being written are joined; resolves when this or a newer one is on disk. */
  write(position: T): Promise<void>
  remove(): Promise<void>
}

export const positionFile = <T>(path: string): PositionFile<T> => {
  let waiting: { position: T } | undefined
  let writing: Promise<void> | undefined

  const writeAll = async (): Promise<void> => {
    try {
      while (waiting !== undefined) {
        const { position } = waiting
        waiting = undefined
        await mkdir(dirname(path), { recursive: true })
        await writeFile(`${path}.new`, JSON.stringify(position))
        await rename(`${path}.new`, path)
      }
    } finally {
      writing = undefined
    }
  }

  return {
    read: async () => {
      try {
        return JSON.parse(await readFile(path, 'utf8')) as T
      } catch {
        return undefined
      }
    },
    write: (position) => {
      waiting = { position }
      writing ??= writeAll()
      return writing
    },
    remove: async () => {
      await writing?.catch(() => undefined) // it reported its own failure
      await rm(path, { force: true })
    },
  }
}
