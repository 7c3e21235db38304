// The folder of one ingest instance: who uses it now, and the epoch of the numbers its door gives.

import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { AndonError, codeOf } from '@andon/kit'

export interface InstanceFolder {
  readonly spoolFolder: string
  readonly seenFolder: string
  /** Higher than that of any earlier process here, and different from every other instance's. */
  readonly doorEpoch: number
  release(): Promise<void>
}

/** Rejects with ANDON_INGEST_SPOOL_IN_USE when another living process has the folder. */
export const openInstanceFolder = async (dataDir: string, instance: string): Promise<InstanceFolder> => {
  const folder = join(dataDir, 'ingest', instance)
  await mkdir(folder, { recursive: true })
  const lock = join(folder, 'lock')
  await takeLock(lock)
  const doorEpoch = await nextEpoch(join(folder, 'door-epoch'), instance)
  return { spoolFolder: join(folder, 'spool'), seenFolder: join(folder, 'seen'), doorEpoch, release: () => rm(lock, { force: true }) }
}

const takeLock = async (path: string): Promise<void> => {
  const owner = Number(await textOf(path))
  if (owner > 0 && owner !== process.pid && isAlive(owner)) {
    throw new AndonError(
      'ANDON_INGEST_SPOOL_IN_USE',
      `${path}: found process ${owner}, which is running; expected nobody. Stop it, or give this instance another INGEST_INSTANCE.`,
    )
  }
  await writeDurably(path, String(process.pid))
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return codeOf(error) === 'EPERM'
  }
}

// Milliseconds in front, three digits of the instance behind: two instances never give the same number of the same epoch.
const nextEpoch = async (path: string, instance: string): Promise<number> => {
  const earlierMs = Math.floor(Number(await textOf(path)) / 1000)
  const ownDigits = createHash('sha256').update(instance).digest().readUInt32BE(0) % 1000
  const epoch = Math.max(Date.now(), Number.isFinite(earlierMs) ? earlierMs + 1 : 0) * 1000 + ownDigits
  await writeDurably(path, String(epoch))
  return epoch
}

const textOf = async (path: string): Promise<string> => {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return ''
    throw error
  }
}

const writeDurably = async (path: string, text: string): Promise<void> => {
  const handle = await open(`${path}.new`, 'w')
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(`${path}.new`, path)
}
