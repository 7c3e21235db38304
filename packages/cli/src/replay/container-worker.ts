// The process that stands for a container: node container-worker.ts <engine> <container> <arguments of the engine…>. It ends as
// the container does, takes it along on SIGTERM, and ends it in order when its own parent is gone: an engine's container
// would outlive both, and write beside the one of the next start.

import { execFileSync, spawn } from 'node:child_process'

/** Longer than a service takes to stop (10 s), shorter than a supervisor waits for this process (15 s). */
const STOP_WITHIN_MS = 12_000

const [engine, container, ...args] = process.argv.slice(2) as [string, string, ...string[]]
const client = spawn(engine, args, { stdio: ['ignore', 'inherit', 'inherit'] })
let isStopping = false

const remove = (): void => {
  try {
    execFileSync(engine, ['rm', '--force', container], { stdio: 'ignore' })
  } catch {
    // there is none
  }
}

/** The engine's client hands the signal on to the container's first process. */
const stop = (): void => {
  if (isStopping) return
  isStopping = true
  client.kill('SIGTERM')
  setTimeout(remove, STOP_WITHIN_MS).unref()
}

process.on('SIGTERM', stop)
process.on('SIGINT', stop)
process.stdin.on('end', stop) // the parent holds the other end
process.stdin.on('error', stop)
process.stdin.resume()

client.on('error', (error) => {
  process.stderr.write(`${engine}: ${error.message}\n`)
  process.exit(1)
})
client.on('exit', (code) => {
  if (code !== 0) remove() // a client that was killed has left its container behind
  process.exit(code ?? 1)
})
