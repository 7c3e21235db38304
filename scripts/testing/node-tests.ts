// Runs one ring of test files under node:test and gives its sum. A file that cannot start counts as a failed test, so does a run that
// ends without telling its sum.

import { spawn } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Count, noTests } from './count.ts'

export interface NodeTests {
  readonly name: string
  readonly globs: readonly string[]
  /** `none`: all files in one process. */
  readonly isolation: 'none' | 'process'
  readonly concurrency?: number
  /** Longest time of one test. */
  readonly timeoutMs: number
  /** Longest time of the whole ring: what still runs then is killed and counts as a failure. */
  readonly limitMs: number
}

const root = join(import.meta.dirname, '../..')
const isIgnored = (name: string): boolean => ['node_modules', '.git', '.cache', '.andon', 'dist'].includes(name)

/** The ring's files, sorted; only those whose path contains one of the words, if there are any. */
const filesOf = (tests: NodeTests, words: readonly string[]): string[] =>
  globSync([...tests.globs], { cwd: root, exclude: (name) => isIgnored(name.split('/').at(-1) ?? name) })
    .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
    .sort()

export const runNodeTests = async (tests: NodeTests, words: readonly string[]): Promise<Count> => {
  const files = filesOf(tests, words)
  if (files.length === 0) return noTests
  const folder = mkdtempSync(join(tmpdir(), 'andon-tests-'))
  const sumFile = join(folder, 'sum.json')
  const args = [
    '--test',
    `--test-isolation=${tests.isolation}`,
    `--test-concurrency=${tests.concurrency ?? 1}`,
    `--test-timeout=${tests.timeoutMs}`,
    `--test-reporter=${join(root, 'scripts/testing/reporter.ts')}`,
    '--test-reporter-destination=stdout',
    // A test that timed out keeps what it had opened: its process would never end by itself.
    ...(tests.isolation === 'process' ? ['--test-force-exit'] : []),
    ...files,
  ]
  const env = { ...process.env, ANDON_TEST_SUM: sumFile }
  const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit', env, detached: true })
  const killAll = (): void => void process.kill(-child.pid!, 'SIGKILL')
  process.once('SIGINT', killAll).once('SIGTERM', killAll)
  const limit = setTimeout(() => {
    console.log(`✖ the ${tests.name} tests did not end in ${tests.limitMs / 60_000} minutes and were killed`)
    killAll()
  }, tests.limitMs)
  const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? 1)))
  clearTimeout(limit)
  process.off('SIGINT', killAll).off('SIGTERM', killAll)
  try {
    const count = JSON.parse(readFileSync(sumFile, 'utf8')) as Count
    if (code === 0 || count.failed > 0) return count
    return { ...count, failed: 1, failures: [`the ${tests.name} tests ended with exit code ${code}`] }
  } catch {
    const what = `the ${tests.name} tests ended without a sum (exit code ${code})`
    console.log(`✖ ${what}`)
    return { ...noTests, failed: 1, failures: [what] }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
