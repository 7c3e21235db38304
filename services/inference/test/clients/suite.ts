// Client suites in Python as tests: the program runs its checks and says on its last line which of them failed.

import { spawn } from 'node:child_process'
import { join } from 'node:path'

interface Outcome {
  readonly passed: number
  /** Check → why. */
  readonly failed: Readonly<Record<string, string>>
  /** Of all checks. */
  readonly names: readonly string[]
}

/** Runs a program of this folder. Rejects when it ends without an outcome. */
export const runChecks = async (interpreter: string, program: string, ...args: readonly string[]): Promise<Outcome> => {
  const child = spawn(interpreter, [join(import.meta.dirname, program), ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const [out, err] = await Promise.all([child.stdout.toArray(), child.stderr.toArray()])
  const text = Buffer.concat(out as Buffer[]).toString()
  const last = text.trimEnd().split('\n').at(-1) ?? ''
  if (last.startsWith('{"passed"')) return JSON.parse(last) as Outcome
  throw new Error(`${program} ended without an outcome: ${(text + Buffer.concat(err as Buffer[]).toString()).slice(-2000)}`)
}

/** The failures, for a message; empty when there are none. */
export const failuresOf = ({ failed }: Outcome): string =>
  Object.entries(failed)
    .map(([check, why]) => `✖ ${check}\n${why}`)
    .join('\n')
