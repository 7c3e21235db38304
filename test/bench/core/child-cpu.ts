// CPU time of a whole command and everything it starts, for programs that cannot be asked for samples.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

export interface CommandOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
}

/** Runs the command to its end and returns its CPU time, user and system, with that of its children. Rejects with what it wrote to stderr. */
export const cpuSecondsOf = async (program: string, args: readonly string[], options: CommandOptions = {}): Promise<number> => {
  // `times` of the shell: its second line is what the shell's children took.
  const script = '"$@" >/dev/null || exit 1; times'
  const { stdout } = await promisify(execFile)('sh', ['-c', script, 'sh', program, ...args], { ...options, maxBuffer: 64 * 1024 * 1024 })
  const parts = [...(stdout.trim().split('\n')[1] ?? '').matchAll(/(\d+)m([\d.]+)s/g)]
  return parts.reduce((total, [, minutes, seconds]) => total + Number(minutes) * 60 + Number(seconds), 0)
}
