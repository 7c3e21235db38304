// Stands before the messages of a worker thread: while the gate is shut, a run (or what else is said) stays in
// the thread as a hanging session would.

import { parentPort, workerData } from 'node:worker_threads'

const { gate, begun, held } = workerData as { readonly gate: Int32Array; readonly begun: Int32Array; readonly held?: string }

parentPort!.on('message', ({ op }: { readonly op: string }) => {
  if (op !== (held ?? 'run')) return
  Atomics.add(begun, 0, 1)
  Atomics.notify(begun, 0)
  Atomics.wait(gate, 0, 1)
})
