// What ModelInfer and ModelStreamInfer promise whatever is behind them: nothing is run too late, and nothing piles up for a caller that
// does not read.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2 from 'node:http2'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createLogger } from '@andon/kit'
import { Client, credentials, status } from '@grpc/grpc-js'
import { grpcDoor } from '../../src/doors/grpc-door.ts'
import { doorSettings } from '../../src/doors/settings.ts'
import { decodeStreamResponse, encodeInferRequest } from '../../src/tensors/wire.ts'
import { fakeServing } from './fake-serving.ts'
import type { FakeServing } from './fake-serving.ts'

const STREAM = '/inference.GRPCInferenceService/ModelStreamInfer'
const same = (bytes: Buffer): Buffer => bytes

const open = async (t: TestContext, serving: FakeServing): Promise<{ port: number; client: Client }> => {
  const logger = createLogger({ service: 'inference', level: 'silent' })
  const door = grpcDoor({
    host: '127.0.0.1',
    port: 0,
    setting: 'INFERENCE_GRPC_PORT',
    serving: () => serving,
    isReady: () => true,
    settings: doorSettings(logger),
    maxMessageBytes: 64 * 1024 * 1024,
    onRequest: () => {},
    logger,
  })
  await door.start()
  const client = new Client(`127.0.0.1:${door.port()}`, credentials.createInsecure())
  t.after(async () => {
    client.close()
    await door.stop()
  })
  return { port: door.port(), client }
}

const request = (id: string, bytes: number): Buffer =>
  encodeInferRequest({
    model: 'identity',
    version: '',
    id,
    parameters: {},
    inputs: [{ name: 'x', datatype: 'UINT8', shape: [bytes], bytes: new Uint8Array(bytes) }],
    outputs: [],
  })

const framed = (message: Buffer): Buffer => {
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

test('for a caller that reads no answers of its stream only so much is scored', async (t) => {
  const serving = fakeServing()
  const { port } = await open(t, serving)
  const session = http2.connect(`http://127.0.0.1:${port}`, { maxSessionMemory: 1000 })
  t.after(() => session.close())
  const stream = session.request({ ':method': 'POST', ':path': STREAM, 'content-type': 'application/grpc', te: 'trailers' })
  const message = framed(request('1', 200_000))
  for (let i = 0; i < 400; i++) stream.write(message)
  stream.end()
  // It is at rest when nothing was asked between two looks.
  for (let last = -1; serving.asked.length !== last || last === 0; await sleep(50)) last = serving.asked.length
  assert.ok(serving.asked.length < 200, `${serving.asked.length} of 400 requests were scored for nobody`)
  let received = 0
  stream.on('data', (chunk: Buffer) => (received += chunk.length))
  await once(stream, 'end')
  assert.equal(serving.asked.length, 400)
  assert.ok(received > 400 * 200_000)
})

test('at most 256 requests of one stream are being scored, and each is answered once they are', async (t) => {
  const serving = fakeServing()
  let release: () => void = () => {}
  const gate = new Promise<void>((resolve) => (release = resolve))
  serving.before = () => gate
  const { client } = await open(t, serving)
  const stream = client.makeBidiStreamRequest(STREAM, same, same)
  const ids = new Set<string>()
  stream.on('data', (bytes: Buffer) => ids.add(decodeStreamResponse(bytes).response!.id))
  for (let i = 0; i < 600; i++) stream.write(request(String(i), 8))
  stream.end()
  for (let last = -1; serving.asked.length !== last || last === 0; await sleep(50)) last = serving.asked.length
  assert.equal(serving.asked.length, 256)
  release()
  await once(stream, 'end')
  assert.equal(ids.size, 600)
})

test('a caller that gives up its stream aborts what is being scored for it', async (t) => {
  const serving = fakeServing()
  const asked = new Promise<AbortSignal>((resolve) => {
    serving.before = ({ signal }) => {
      resolve(signal!)
      return new Promise(() => {})
    }
  })
  const { client } = await open(t, serving)
  const stream = client.makeBidiStreamRequest(STREAM, same, same)
  stream.on('error', () => {})
  stream.write(request('1', 8))
  const signal = await asked
  const aborted = once(signal, 'abort')
  stream.cancel()
  await aborted
})

test('the deadline goes with the request, and a request without time left is not scored', async (t) => {
  const serving = fakeServing()
  const { client } = await open(t, serving)
  const ask = (deadline: number): Promise<number> =>
    new Promise((resolve) => {
      const path = '/inference.GRPCInferenceService/ModelInfer'
      client.makeUnaryRequest(path, same, same, request('1', 8), { deadline }, (error) => resolve(error?.code ?? status.OK))
    })
  assert.equal(await ask(Date.now() + 60_000), status.OK)
  assert.ok(serving.asked[0]!.deadlineMs! > performance.now())
  const late = http2.connect(`http://${client.getChannel().getTarget().replace('dns:', '')}`)
  t.after(() => late.close())
  const stream = late.request({
    ':method': 'POST',
    ':path': '/inference.GRPCInferenceService/ModelInfer',
    'content-type': 'application/grpc',
    'grpc-timeout': '1n',
  })
  stream.resume()
  stream.end(framed(request('2', 8)))
  const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
  assert.equal(headers['grpc-status'], String(status.DEADLINE_EXCEEDED))
  assert.equal(serving.asked.length, 1)
})
