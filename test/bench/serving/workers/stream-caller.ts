// `stream-caller.ts <folder> <rows>`: our client, which asks our server (a process of its own, on the same cores) over one stream. A
// round is one message of so many rows; so many are on their way at a time.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { openInferenceClient } from '../../../../services/inference/src/backends/grpc-client.ts'
import { serveContender } from '../../../harness/bench-process.ts'
import { expectedOf } from './expected.ts'
import { REFERENCE, numbers } from '../../../../services/inference/test/onnx-models.ts'

const [COLUMNS] = REFERENCE

const [folder, given] = process.argv.slice(2) as [string, string]
const rows = Number(given)
/** Enough for two batches in the thread and one that is being put together. */
const IN_FLIGHT = rows < 256 ? 24 : 8

const server = spawn(process.execPath, [`${import.meta.dirname}/served-model.ts`, folder], { stdio: ['pipe', 'pipe', 'inherit'] })
const [line] = (await once(server.stdout, 'data')) as [Buffer]
const { target } = JSON.parse(line.toString().slice('ready'.length)) as { target: string }
const client = openInferenceClient({ target })
const values = numbers(rows * COLUMNS, 3)
const request = {
  model: 'reference',
  version: '',
  id: '',
  parameters: {},
  inputs: [{ name: 'x', datatype: 'FP32', shape: [rows, COLUMNS], bytes: new Uint8Array(values.buffer) }],
  outputs: [],
} as const

const { outputs } = await client.inferOverStream(request)
if (Buffer.compare(outputs[0]!.bytes, await expectedOf(folder, values, rows)) !== 0)
  throw new Error('the answer is not what the model gives')

const ask = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await client.inferOverStream(request)
}

await serveContender(
  { rows, inFlight: IN_FLIGHT },
  async (rounds) => {
    await Promise.all(Array.from({ length: IN_FLIGHT }, (_, i) => ask(Math.floor((rounds + i) / IN_FLIGHT))))
    return rounds * rows
  },
  async () => {
    await client.close()
    server.stdin.end()
    await once(server, 'exit')
  },
)
