// Python programs that are not ours, for tests and benchmarks that need an outside counterpart (asyncua, pymodbus, librdkafka …).
// Each set of pinned packages has a virtual environment of its own under `.andon/python`, made on first use and kept. What cannot be
// had here is said, never replaced: the test is skipped with that reason, the benchmark's figures count as missing.

import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { sha256Hex } from '@andon/kit'
import { repositoryRoot } from '@andon/platform'

export interface Python {
  /** Path of the interpreter; empty when it is missing. */
  readonly interpreter: string
  /** False when the interpreter is there, else why not: `test(name, { skip: python.missing }, …)`. */
  readonly missing: string | false
}

const root = join(repositoryRoot, '.andon', 'python')
/** A slow index, and no wheels. */
const installMs = 300_000
const execute = promisify(execFile)

/**
 * An interpreter that has these packages, each pinned as `name==version`. Processes that ask at the same time share one
 * installation: one makes it, the others wait. Never rejects.
 */
export const pythonWith = async (packages: readonly string[]): Promise<Python> => {
  const unpinned = packages.find((wanted) => !/^\w[\w.[\],-]*==[\w.]+$/.test(wanted))
  if (unpinned !== undefined) return missing(`${unpinned} is not pinned: expected name==version`)
  const pinned = packages.toSorted()
  const folder = join(root, sha256Hex(pinned.join('\n')).slice(0, 16))
  const interpreter = join(folder, 'bin', 'python')
  const mark = join(folder, 'installed.txt')
  if (existsSync(mark)) return { interpreter, missing: false }
  try {
    mkdirSync(root, { recursive: true })
    await locked(`${folder}.lock`, async () => {
      if (existsSync(mark)) return
      rmSync(folder, { recursive: true, force: true }) // an installation that was broken off
      await execute('python3', ['-m', 'venv', folder], { timeout: installMs })
      if (pinned.length > 0) {
        const quietly = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-input']
        await execute(interpreter, [...quietly, ...pinned], { timeout: installMs, maxBuffer: 64 * 1024 * 1024 })
      }
      writeFileSync(mark, `${pinned.join('\n')}\n`)
    })
    return { interpreter, missing: false }
  } catch (error) {
    return missing(`Python with ${pinned.join(', ')} cannot be had here: ${reasonOf(error)}`)
  }
}

const missing = (why: string): Python => ({ interpreter: '', missing: why })

/** Runs `work` in one process at a time. The lock of a process that is gone is taken over. */
const locked = async (path: string, work: () => Promise<void>): Promise<void> => {
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx' })
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const owner = ownerOf(path)
    if (owner !== undefined && !isAlive(owner)) rmSync(path, { force: true })
    else await sleep(200)
  }
  try {
    await work()
  } finally {
    rmSync(path, { force: true })
  }
}

/** Undefined while the lock is being written, or has just gone. */
const ownerOf = (path: string): number | undefined => {
  try {
    return Number(readFileSync(path, 'utf8')) || undefined
  } catch {
    return undefined
  }
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** The last line of what the program said, which is where pip and venv put the reason. */
const reasonOf = (error: unknown): string => {
  const { stderr, message } = error as { stderr?: string; message?: string }
  const lines = (stderr ?? '').split('\n').filter((line) => line.trim() !== '')
  return lines.at(-1)?.trim() ?? message ?? String(error)
}
