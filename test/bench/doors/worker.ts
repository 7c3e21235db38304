// Child processes of these benchmarks, started as `andon up` starts services, and what they say.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

export const startWorker = (file: string, ...args: readonly number[]): ChildProcess =>
  fork(new URL(`workers/${file}`, import.meta.url), args.map(String), { execArgv: ['--expose-gc', '--max-semi-space-size=4'] })

/** Next message of the child; rejects when it ends instead. */
export const nextMessage = async <T>(child: ChildProcess): Promise<T> => {
  const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`a worker ended with ${String(code)}`)))
  const [message] = (await Promise.race([once(child, 'message'), ended])) as [T]
  return message
}
