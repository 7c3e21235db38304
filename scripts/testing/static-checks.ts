// Checks that read the sources only: two at a time, each one test of the sum. Output is shown only of a check that fails.

import { spawn } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { type Count, noTests, sum } from './count.ts'

export interface StaticCheck {
  readonly name: string
  readonly command: readonly string[]
  /** The command a person runs to see or mend it. */
  readonly fix: string
}

const root = join(import.meta.dirname, '../..')
const env = { ...process.env, PATH: `${join(root, 'node_modules/.bin')}${delimiter}${process.env['PATH'] ?? ''}`, NO_COLOR: '1' }

const runCheck = (check: StaticCheck): Promise<Count> =>
  new Promise((resolve) => {
    const startedMs = Date.now()
    const [command, ...args] = check.command
    const child = spawn(command as string, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    const end = (isPassed: boolean) => {
      const took = `${((Date.now() - startedMs) / 1000).toFixed(1)} s`
      console.log(isPassed ? `✔ ${check.name} (${took})` : `✖ ${check.name} (${took}): ${check.fix}\n${output.trimEnd()}\n`)
      resolve(isPassed ? { ...noTests, passed: 1 } : { ...noTests, failed: 1, failures: [`${check.name}: ${check.fix}`] })
    }
    child.once('error', (error) => {
      output += error.message
      end(false)
    })
    child.once('close', (code) => end(code === 0))
  })

/** Runs all checks and gives their sum. */
export const runStaticChecks = async (checks: readonly StaticCheck[]): Promise<Count> => {
  const queue = [...checks]
  const counts: Count[] = []
  const worker = async (): Promise<void> => {
    for (let check = queue.shift(); check !== undefined; check = queue.shift()) counts.push(await runCheck(check))
  }
  await Promise.all([worker(), worker()])
  return sum(counts)
}
