// Tries one execution provider in a process of its own, since a broken driver may take the process with it: opens a session of one
// matrix product, runs it with the runtime's profile on and writes which providers ran it. `node provider-worker.ts <provider>`.

import './no-telemetry.ts'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { writeOnnx } from '../learning/onnx-writer.ts'

const provider = process.argv[2]!

/** float32, which every provider has kernels for. */
const model = writeOnnx({
  name: 'probe',
  nodes: [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }],
  initializers: [{ name: 'w', dims: [2, 2], data: Float32Array.of(1, 2, 3, 4) }],
  inputs: [{ name: 'x', type: 'float', dims: ['N', 2] }],
  outputs: [{ name: 'y', type: 'float', dims: ['N', 2] }],
})

const answer = (said: { readonly ran: readonly string[] } | { readonly reason: string }): void => console.log(`\n${JSON.stringify(said)}`)

const ranOn = (folder: string): string[] => {
  const profile = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'))
  const events = profile.flatMap((text) => JSON.parse(text) as { readonly cat?: string; readonly args?: { readonly provider?: string } }[])
  return [...new Set(events.flatMap(({ cat, args }) => (cat === 'Node' && args?.provider !== undefined ? [args.provider] : [])))]
}

const folder = mkdtempSync(join(tmpdir(), 'andon-probe-'))
try {
  const session = await InferenceSession.create(model, {
    executionProviders: [provider],
    enableProfiling: true,
    profileFilePrefix: join(folder, 'profile'),
  })
  const { y } = await session.run({ x: new Tensor('float32', Float32Array.of(1, 1), [1, 2]) })
  session.endProfiling()
  const numbers = Array.from(y!.data as Float32Array)
  if (numbers[0] !== 4 || numbers[1] !== 6) answer({ reason: `[1 1]·[[1 2] [3 4]] is [${numbers.join(' ')}] there` })
  else answer({ ran: ranOn(folder) })
  await session.release()
} catch (error) {
  answer({ reason: error instanceof Error ? error.message : String(error) })
} finally {
  rmSync(folder, { recursive: true, force: true })
}
