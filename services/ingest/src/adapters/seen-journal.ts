// What the door remembers of readings without a number, once the spool no longer holds them: one file per ten minutes, read on start.
// Identities are written before their spool entry is deleted, so a restart forgets none that is younger than ten minutes.

import { mkdir, open, readdir, readFile, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { isTrace, rememberMs } from '../door-memory.ts'

export interface SeenJournal {
  /** What earlier processes remembered. */
  readonly remembered: readonly string[]
  /** Resolves when a restart will find them. */
  note(identities: readonly string[]): Promise<void>
  close(): Promise<void>
}

/** @param nowMs wall clock: files are aged over restarts. */
export const openSeenJournal = async (folder: string, nowMs: () => number): Promise<SeenJournal> => {
  await mkdir(folder, { recursive: true })
  const remembered = await readYoung(folder, nowMs())
  let file: { handle: FileHandle; startedMs: number } | undefined
  let last = Promise.resolve()

  const write = async (identities: readonly string[]) => {
    const now = nowMs()
    if (file !== undefined && now - file.startedMs >= rememberMs) {
      await file.handle.close()
      file = undefined
      await readYoung(folder, now)
    }
    file ??= { handle: await open(join(folder, `${now}.seen`), 'a'), startedMs: now }
    await file.handle.write(`${identities.join('\n')}\n`)
    await file.handle.datasync()
  }

  return {
    remembered,
    note: (identities) => {
      const written = last.then(() => write(identities))
      last = written.catch(() => undefined) // told to this caller; the next one tries again
      return written
    },
    close: async () => {
      await last
      await file?.handle.close()
    },
  }
}

// Deletes files whose newest line is over the age, and reads the others. A torn line is left out.
const readYoung = async (folder: string, nowMs: number): Promise<string[]> => {
  const identities: string[] = []
  for (const name of (await readdir(folder)).filter((file) => file.endsWith('.seen'))) {
    const path = join(folder, name)
    if (nowMs - Number.parseInt(name, 10) > 2 * rememberMs) await rm(path, { force: true })
    else for (const line of (await readFile(path, 'utf8')).split('\n')) if (isTrace(line)) identities.push(line)
  }
  return identities
}
