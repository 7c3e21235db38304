// Requests that nobody would send, more than ten thousand: random bytes, valid messages with bytes changed, hostile shapes and counts,
// tensors that are not as long as they say. Each is answered or refused with a reason, memory stays bounded, and scores stay right.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { GRPCInferenceServiceService as service } from '@andon/schemas/inference'
import { Client, credentials, status } from '@grpc/grpc-js'
import type { ServiceError } from '@grpc/grpc-js'
import { decodeInferResponse, decodeStreamResponse, encodeInferRequest } from '../src/tensors/wire.ts'
import type { InferMessage } from '../src/tensors/wire.ts'
import type { Datatype } from '../src/tensors/tensors.ts'
import { datatypes, writeRepository } from './clients/repository.ts'
import { serveFolder } from './folder-server.ts'

const REQUESTS = 12_000
const AT_ONCE = 64
const SEED = 20_261_123
/** What the service and this test's client may hold more than before. */
const MOST_GROWTH_BYTES = 400 * 1024 * 1024
const INFER = '/inference.GRPCInferenceService/ModelInfer'

let state = SEED
const random = (below: number): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}
const pick = <Value>(values: readonly Value[]): Value => values[random(values.length)]!
const randomBytes = (length: number): Buffer => Buffer.from(Uint8Array.from({ length }, () => random(256)))

const valid = (): InferMessage => {
  const shape = [1 + random(8), 16]
  const bytes = randomBytes(shape[0]! * 64)
  const [name, inputs] = pick<[string, [string, Datatype][]]>([
    [
      'simple',
      [
        ['INPUT0', 'INT32'],
        ['INPUT1', 'INT32'],
      ],
    ],
    ['identity_fp32', [['INPUT0', 'FP32']]],
    ['labelled', [['INPUT0', 'FP32']]],
  ])
  return {
    model: name,
    version: '',
    id: String(random(1000)),
    parameters: {},
    inputs: inputs.map(([name, datatype]) => ({ name, datatype, shape, bytes })),
    outputs: [],
  }
}

const changed = (): Buffer => {
  const bytes = encodeInferRequest(valid())
  for (let i = random(4); i >= 0; i--) bytes[random(Math.min(bytes.length, 100))] = random(256)
  const cut = random(4)
  return cut === 0 ? bytes.subarray(0, random(bytes.length)) : cut === 1 ? Buffer.concat([bytes, randomBytes(random(20))]) : bytes
}

const sizes = [0, 1, 2, 16, -1, -16, 2 ** 31, 2 ** 32, 2 ** 53 - 2, 2 ** 62, -(2 ** 62), 3]
const hostile = (): Buffer => {
  const message = valid()
  const inputs = message.inputs.map((input) => ({
    ...input,
    shape: Array.from({ length: random(random(20) === 0 ? 5000 : 5) }, () => pick(sizes)),
    datatype: random(3) === 0 ? pick(datatypes) : input.datatype,
    bytes: random(2) === 0 ? input.bytes : randomBytes(random(200)),
  }))
  return encodeInferRequest({ ...message, inputs })
}

const odd = (): Buffer => {
  const message = valid()
  const parameters = {
    priority: pick([0n, 3n, 2n ** 64n - 1n, 'high', -1n, 0.5]),
    timeout: pick([0n, -1n, 2n ** 63n - 1n, 'soon', true]),
    [pick(['sequence_id', 'andon_explain', 'x', 'constructor', 'toString'])]: pick([0n, '', true, NaN]),
  }
  const outputs = pick([
    [],
    [{ name: 'OUTPUT0', classes: pick([0, 1, 100_000]) }],
    [{ name: 'none', classes: 1 }],
    Array.from({ length: 50 }, () => ({ name: 'OUTPUT0', classes: 0 })),
  ])
  const inputs = pick([message.inputs, [], [...message.inputs, ...message.inputs], message.inputs.toReversed()])
  return encodeInferRequest({
    ...message,
    model: pick([message.model, 'nothing', '', '../simple', 'simple\0']),
    version: pick(['', '1', '9', '-1', '1e3', 'x']),
    parameters,
    inputs,
    outputs,
  })
}

/** Values that are no numbers, and elements whose lengths lie. */
const values = (): Buffer => {
  const bytes = Buffer.alloc(64)
  for (let i = 0; i < 64; i += 4) bytes.writeFloatLE(pick([NaN, Infinity, -Infinity, 1e38, 1e-45, 0]), i)
  const isText = random(2) === 0
  const text = Buffer.concat(
    Array.from({ length: 1 + random(4) }, () =>
      Buffer.concat([Buffer.from([random(8), 0, 0, pick([0, 0, 0, 127, 255])]), randomBytes(random(8))]),
    ),
  )
  return encodeInferRequest({
    model: isText ? 'identity_bytes' : 'identity_fp32',
    version: '',
    id: '',
    parameters: {},
    inputs: [
      { name: 'INPUT0', datatype: isText ? 'BYTES' : 'FP32', shape: isText ? [1, 1 + random(4)] : [1, 16], bytes: isText ? text : bytes },
    ],
    outputs: [],
  })
}

/** Hundreds of thousands of empty entries, in a message of megabytes. */
const many = (): Buffer =>
  Buffer.alloc(
    1_000_000,
    pick(
      [
        [0x2a, 0],
        [0x3a, 0],
        [0x22, 0],
        [0x32, 0],
        [0x18, 1],
      ].map((each) => Buffer.from(each)),
    ),
  )

const made = (i: number): { path: string; bytes: Buffer } => {
  if (i % 500 === 499) return { path: INFER, bytes: many() }
  switch (i % 6) {
    case 0:
      return { path: INFER, bytes: randomBytes(random(400)) }
    case 1:
      return { path: INFER, bytes: changed() }
    case 2:
      return { path: INFER, bytes: hostile() }
    case 3:
      return { path: INFER, bytes: odd() }
    case 4:
      return { path: INFER, bytes: values() }
    default: {
      const paths = Object.values(service).filter(({ requestStream }) => !requestStream)
      return { path: pick(paths).path, bytes: randomBytes(random(120)) }
    }
  }
}

const expectedCodes: ReadonlySet<number> = new Set([
  status.INVALID_ARGUMENT,
  status.NOT_FOUND,
  status.UNIMPLEMENTED,
  status.UNAVAILABLE,
  status.RESOURCE_EXHAUSTED,
  status.FAILED_PRECONDITION,
  status.DEADLINE_EXCEEDED,
])

const same = (bytes: Buffer): Buffer => bytes

test('twelve thousand requests that nobody would send: none is answered wrongly, none ends the service, memory is bounded', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'andon-fuzz-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  writeRepository(folder)
  const { grpcTarget } = await serveFolder(t, folder)
  const client = new Client(grpcTarget, credentials.createInsecure(), { 'grpc.max_send_message_length': -1 })
  t.after(() => client.close())
  const call = (path: string, bytes: Buffer): Promise<Buffer | ServiceError> =>
    new Promise((resolve) => client.makeUnaryRequest(path, same, same, bytes, (error, answer) => resolve(error ?? answer!)))

  const left = Int32Array.from({ length: 16 }, (_, i) => i * 3)
  const right = Int32Array.from({ length: 16 }, (_, i) => 100 - i)
  const input = (name: string, values: Int32Array) => ({
    name,
    datatype: 'INT32' as const,
    shape: [1, 16],
    bytes: new Uint8Array(values.buffer),
  })
  const scoresRight = async (): Promise<void> => {
    const message = {
      model: 'simple',
      version: '',
      id: 'r',
      parameters: {},
      inputs: [input('INPUT0', left), input('INPUT1', right)],
      outputs: [],
    }
    const answer = await call(INFER, encodeInferRequest(message))
    assert.ok(Buffer.isBuffer(answer), String(answer))
    const { outputs } = decodeInferResponse(answer).answer
    const sums = new Int32Array(new Uint8Array(outputs[0]!.bytes).buffer)
    assert.deepEqual(
      sums,
      left.map((value, i) => value + right[i]!),
    )
  }

  await scoresRight()
  const before = process.memoryUsage().rss
  const codes = new Map<number, number>()
  let next = 0
  const caller = async (): Promise<void> => {
    while (next < REQUESTS) {
      const number = next++
      const { path, bytes } = made(number)
      const outcome = await call(path, bytes)
      const code = Buffer.isBuffer(outcome) ? status.OK : outcome.code
      codes.set(code, (codes.get(code) ?? 0) + 1)
      assert.ok(
        code === status.OK || expectedCodes.has(code),
        `request ${number}, ${path}: ${String(outcome)}\n${bytes.subarray(0, 300).toString('hex')}`,
      )
      if (number % 1000 === 0) await scoresRight()
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, caller))

  // The same on one stream, which none of them ends.
  const stream = client.makeBidiStreamRequest('/inference.GRPCInferenceService/ModelStreamInfer', same, same)
  const STREAMED = 1_000
  let answers = 0
  const answered = new Promise<void>((resolve, reject) => {
    stream.on('error', reject)
    stream.on('data', (bytes: Buffer) => {
      const { error, response } = decodeStreamResponse(bytes)
      if (error === '' && response === undefined) reject(new Error('an answer that says nothing'))
      if (++answers === STREAMED) resolve()
    })
  })
  for (let i = 0; i < STREAMED; i++) stream.write(made(i % 5).bytes)
  stream.end()
  await answered

  await scoresRight()
  const growth = process.memoryUsage().rss - before
  assert.ok(growth < MOST_GROWTH_BYTES, `${growth} bytes more than before`)
  assert.ok((codes.get(status.OK) ?? 0) > 500 && (codes.get(status.INVALID_ARGUMENT) ?? 0) > 2000, JSON.stringify([...codes]))
})
