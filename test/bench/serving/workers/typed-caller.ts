// `typed-caller.ts raw|typed <rows>`: the generated client, whose tensors are raw or lists of numbers, against the door alone: what is
// behind it answers without a model, so that the wire is measured. A round is one request; so many are on their way at a time.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { GRPCInferenceServiceClient, ModelInferRequest } from '@andon/schemas/inference'
import type { ModelInferResponse } from '@andon/schemas/inference'
import { credentials } from '@grpc/grpc-js'
import { serveContender } from '../../../harness/bench-process.ts'
import { REFERENCE, numbers } from '../../../../services/inference/test/onnx-models.ts'

const [COLUMNS] = REFERENCE

const [form, given] = process.argv.slice(2)
const rows = Number(given)
const IN_FLIGHT = 4

const server = spawn(process.execPath, [`${import.meta.dirname}/door-alone.ts`], { stdio: ['pipe', 'pipe', 'inherit'] })
const [line] = (await once(server.stdout, 'data')) as [Buffer]
const { target } = JSON.parse(line.toString().slice('ready'.length)) as { target: string }
const client = new GRPCInferenceServiceClient(target, credentials.createInsecure(), {
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
})
const infer = promisify<ModelInferRequest, ModelInferResponse>(client.modelInfer.bind(client))
const values = numbers(rows * COLUMNS, 3)
const list = [...values]
const shape = [BigInt(rows), BigInt(COLUMNS)]
const request = (): ModelInferRequest =>
  ModelInferRequest.fromPartial(
    form === 'raw'
      ? { modelName: 'none', inputs: [{ name: 'x', datatype: 'FP32', shape }], rawInputContents: [new Uint8Array(values.buffer)] }
      : { modelName: 'none', inputs: [{ name: 'x', datatype: 'FP32', shape, contents: { fp32Contents: list } }] },
  )
/** Sum over the bytes that arrived, which the door's other side gives back. */
const sumOf = async (): Promise<number> => Buffer.from((await infer(request())).rawOutputContents[0]!).readDoubleLE()
let expected = 0
for (const value of values) expected += value
if ((await sumOf()) !== expected) throw new Error('what arrived is not what was sent')

const made = request()
const ask = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await infer(made)
}

await serveContender(
  { form, rows, inFlight: IN_FLIGHT },
  async (rounds) => {
    await Promise.all(Array.from({ length: IN_FLIGHT }, (_, i) => ask(Math.floor((rounds + i) / IN_FLIGHT))))
    return rounds
  },
  async () => {
    client.close()
    server.stdin.end()
    await once(server, 'exit')
  },
)
