// Stands in the runtime of a worker thread: while the gate is shut, a run (or what else is said) stays in the thread as a hanging session
// would.

import '../../src/runtime/no-telemetry.ts'
import { workerData } from 'node:worker_threads'
import { InferenceSession } from 'onnxruntime-node'

const { gate, begun, held } = workerData as { readonly gate: Int32Array; readonly begun: Int32Array; readonly held?: string }

const pass = (op: string): void => {
  if (op !== (held ?? 'run')) return
  Atomics.add(begun, 0, 1)
  Atomics.notify(begun, 0)
  Atomics.wait(gate, 0, 1)
}

type Run = (...given: unknown[]) => ReturnType<InferenceSession['run']>
const create = InferenceSession.create.bind(InferenceSession) as (...given: unknown[]) => Promise<InferenceSession>
InferenceSession.create = async (...given: unknown[]): Promise<InferenceSession> => {
  pass('load')
  const session = await create(...given)
  const run = session.run.bind(session) as Run
  session.run = (...all: unknown[]) => {
    pass('run')
    return run(...all)
  }
  return session
}
