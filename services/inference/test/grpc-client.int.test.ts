// The client of other servers over real connections: who gets which answer, what a lost, wrong or late one costs, and that a dead or
// frozen server blocks nobody. The servers are fakes where an honest one would not do what the test needs.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { AndonError } from '@andon/kit'
import type { ModelInferRequest } from '@andon/schemas/inference'
import { status } from '@grpc/grpc-js'
import { answerStream } from '../src/backends/answer-stream.ts'
import type { DuplexListener } from '../src/backends/answer-stream.ts'
import { openInferenceClient } from '../src/backends/grpc-client.ts'
import type { ClientState, InferenceClient, InferenceClientOptions } from '../src/backends/grpc-client.ts'
import type { InferAnswer, InferRequest } from '../src/serving/serving.ts'
import { decodeInferRequest, encodeStreamResponse } from '../src/tensors/wire.ts'
import { answering, echoOf, fakeServer, streaming } from './fake-server.ts'

const requestOf = (value: number, changes: Partial<InferRequest> = {}): InferRequest => ({
  model: 'm',
  version: '',
  id: 'mine',
  parameters: {},
  inputs: [{ name: 'x', datatype: 'FP64', shape: [1, 1], bytes: new Uint8Array(Float64Array.of(value).buffer) }],
  outputs: [],
  ...changes,
})
const valueOf = (answer: InferAnswer): number => new Float64Array(new Uint8Array(answer.outputs[0]!.bytes).buffer)[0]!
const numberIn = (request: ModelInferRequest): number => new Float64Array(new Uint8Array(request.rawInputContents[0]!).buffer)[0]!

const open = (t: TestContext, options: InferenceClientOptions): InferenceClient => {
  const client = openInferenceClient(options)
  t.after(() => client.close())
  return client
}

const rejects = async (answer: Promise<unknown>, code: string, isRetriable: boolean): Promise<void> => {
  await assert.rejects(answer, (error: unknown) => {
    assert.ok(error instanceof AndonError, String(error))
    assert.deepEqual([error.code, error.retriable], [code, isRetriable], error.message)
    return true
  })
}

/** Resolves once the stream may be tried again. */
const clientWithStates = (t: TestContext, options: InferenceClientOptions) => {
  const seen: ClientState[] = []
  let listeners: (() => void)[] = []
  const client = open(t, {
    ...options,
    onStateChange: (state) => {
      seen.push(state)
      for (const listener of listeners.splice(0)) listener()
    },
  })
  const until = async (state: ClientState): Promise<void> => {
    while (client.state !== state) await new Promise<void>((resolve) => listeners.push(resolve))
  }
  return { client, seen, until }
}

test('answers on the stream come in any order, each to its own caller', async (t) => {
  const held: (() => void)[] = []
  const { target } = await fakeServer(
    t,
    streaming((request, stream) => {
      held.push(() => stream.write({ errorMessage: '', inferResponse: echoOf(request) }))
      if (held.length === 50) for (const answer of held.reverse()) answer()
      return undefined
    }),
  )
  const client = open(t, { target })
  const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => client.inferOverStream(requestOf(n))))
  assert.deepEqual(
    answers.map((answer) => valueOf(answer)),
    Array.from({ length: 50 }, (_, n) => n),
  )
  assert.equal(client.pending, 0)
})

test('no more requests are on their way than allowed, and the rest wait their turn', async (t) => {
  let open_ = 0
  let most = 0
  const { target } = await fakeServer(
    t,
    streaming((request, stream) => {
      most = Math.max(most, ++open_)
      setImmediate(() => {
        open_--
        stream.write({ errorMessage: '', inferResponse: echoOf(request) })
      })
      return undefined
    }),
  )
  const client = open(t, { target, maxInFlight: 4, maxWaiting: 40 })
  const answers = Array.from({ length: 44 }, (_, n) => client.inferOverStream(requestOf(n)))
  await rejects(client.inferOverStream(requestOf(44)), 'ANDON_INFERENCE_SERVER_BUSY', true)
  assert.equal((await Promise.all(answers)).length, 44)
  assert.ok(most <= 4, `${most}`)
})

test('the bytes on their way are bounded as well', async () => {
  const written: Uint8Array[] = []
  let listener: DuplexListener | undefined
  const stream = answerStream({
    target: 'there',
    timeoutMs: 30_000,
    maxInFlight: 100,
    maxInFlightBytes: 100_000,
    maxWaiting: 100,
    maxMessageBytes: 1_000_000,
    open: (given) => {
      listener = given
      return { write: (message) => written.push(message) > 0, destroy: () => {} }
    },
  })
  const input = { name: 'x', datatype: 'UINT8', shape: [30_000], bytes: new Uint8Array(30_000) } as const
  const answers = Array.from({ length: 10 }, () => stream.infer(requestOf(0, { inputs: [input] })))
  const large = stream.infer(requestOf(0, { inputs: [{ ...input, shape: [200_000], bytes: new Uint8Array(200_000) }] }))
  const answer = (message: Uint8Array): void =>
    listener!.onMessage(encodeStreamResponse(decodeInferRequest(message).id, { model: 'm', version: '1', parameters: {}, outputs: [] }))
  assert.equal(written.length, 3)
  answer(written[0]!)
  assert.equal(written.length, 4)
  for (let at = 1; at < 10; at++) answer(written[at]!)
  await Promise.all(answers)
  answer(written[10]!) // one that is larger than all that may be on its way goes alone
  await large
  stream.close()
})

test('a lost answer rejects at its deadline as retriable, the others get theirs', async (t) => {
  const { target } = await fakeServer(
    t,
    streaming((request) => (numberIn(request) === 7 ? undefined : { inferResponse: echoOf(request) })),
  )
  const client = open(t, { target, timeoutMs: 30_000 })
  const lost = client.inferOverStream(requestOf(7, { deadlineMs: performance.now() + 300 }))
  const others = [1, 2, 3].map((value) => client.inferOverStream(requestOf(value)))
  assert.deepEqual(
    (await Promise.all(others)).map((answer) => valueOf(answer)),
    [1, 2, 3],
  )
  await rejects(lost, 'ANDON_INFERENCE_SERVER_TIMEOUT', true)
  assert.equal(valueOf(await client.inferOverStream(requestOf(8))), 8)
})

test('answers that never come do not hold the room of others for ever', async (t) => {
  const { target } = await fakeServer(
    t,
    streaming((request) => (numberIn(request) === 7 ? undefined : { inferResponse: echoOf(request) })),
  )
  const { client, until } = clientWithStates(t, { target, timeoutMs: 30_000, maxInFlight: 4 })
  const soon = (value: number): InferRequest => requestOf(value, { deadlineMs: performance.now() + 200 })
  assert.equal(valueOf(await client.inferOverStream(requestOf(1))), 1)
  for (const lost of [7, 7, 7, 7].map((value) => client.inferOverStream(soon(value))))
    await rejects(lost, 'ANDON_INFERENCE_SERVER_TIMEOUT', true)
  const [patient, hasty] = [client.inferOverStream(requestOf(2)), client.inferOverStream(soon(2))]
  const isRetriable = (error: unknown): boolean => error instanceof AndonError && error.retriable
  await Promise.all([rejects(patient, 'ANDON_INFERENCE_SERVER_UNREACHABLE', true), assert.rejects(hasty, isRetriable)])
  await until('idle')
  assert.equal(valueOf(await client.inferOverStream(requestOf(3))), 3)
})

test('what waits is told the time that is left, unless it says one itself', async (t) => {
  const timeouts: unknown[] = []
  const { target } = await fakeServer(
    t,
    streaming((request) => {
      timeouts.push(request.parameters['timeout']?.parameterChoice?.value)
      return { inferResponse: echoOf(request) }
    }),
  )
  const client = open(t, { target })
  await client.inferOverStream(requestOf(1, { deadlineMs: performance.now() + 5_000 }))
  await client.inferOverStream(requestOf(1, { parameters: { timeout: 5n } }))
  assert.ok((timeouts[0] as bigint) > 0n && (timeouts[0] as bigint) <= 5_000_000n, String(timeouts[0]))
  assert.equal(timeouts[1], 5n)
})

test('an error that names its request rejects that one alone, with the words of the server', async (t) => {
  const { target } = await fakeServer(
    t,
    streaming((request) => {
      const [value, { id }] = [numberIn(request), request]
      if (value === 1)
        return { errorMessage: 'no such model', inferResponse: { ...echoOf(request), id, outputs: [], rawOutputContents: [] } }
      if (value === 2) return { errorMessage: 'Exceeds maximum queue size', inferResponse: { ...echoOf(request), outputs: [] } }
      return { inferResponse: echoOf(request) }
    }),
  )
  const client = open(t, { target })
  const answers = [0, 1, 2].map((value) => client.inferOverStream(requestOf(value)))
  await rejects(answers[1]!, 'ANDON_INFERENCE_SERVER_REFUSED', false)
  await assert.rejects(answers[1]!, /no such model/)
  await rejects(answers[2]!, 'ANDON_INFERENCE_SERVER_BUSY', true)
  assert.equal(valueOf(await answers[0]!), 0)
})

test('an error or an answer that names no request goes to nobody: all are told to try again or that it is wrong', async (t) => {
  const { target } = await fakeServer(
    t,
    streaming((request) => {
      const value = numberIn(request)
      if (value === 1) return { errorMessage: 'something broke' }
      if (value === 2) return { inferResponse: { ...echoOf(request), id: 'of another' } }
      return value === 3 ? { inferResponse: echoOf(request) } : undefined
    }),
  )
  const { client, until } = clientWithStates(t, { target })
  const first = [0, 1].map((value) => client.inferOverStream(requestOf(value)))
  for (const answer of first) await rejects(answer, 'ANDON_INFERENCE_SERVER_UNREACHABLE', true)
  await until('idle')
  const second = [0, 2].map((value) => client.inferOverStream(requestOf(value)))
  for (const answer of second) await rejects(answer, 'ANDON_INFERENCE_SERVER_ANSWER_WRONG', false)
  await until('idle')
  assert.equal(valueOf(await client.inferOverStream(requestOf(3))), 3)
})

test('every error of ours that another try can help is retriable on the stream as well', async (t) => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const codes = [...readme.matchAll(/^\| `(ANDON_\w+)` \| UNAVAILABLE \/ 503/gm)].map(([, code]) => code!)
  assert.ok(codes.length > 5)
  const { target } = await fakeServer(
    t,
    streaming((request) => ({
      errorMessage: `${codes[numberIn(request)]}: try again`,
      inferResponse: { ...echoOf(request), outputs: [] },
    })),
  )
  const client = open(t, { target })
  for (const i of codes.keys()) await rejects(client.inferOverStream(requestOf(i)), 'ANDON_INFERENCE_SERVER_BUSY', true)
})

test('a server without the stream says so to each request', async (t) => {
  const { target } = await fakeServer(t, answering(echoOf))
  const client = open(t, { target })
  await rejects(client.inferOverStream(requestOf(1)), 'ANDON_INFERENCE_SERVER_REFUSED', false)
  assert.equal(valueOf(await client.infer(requestOf(2))), 2)
})

test('an answer with other bytes than its shape says is an error, over calls and stream alike', async (t) => {
  const wrong = (request: ModelInferRequest) => {
    const answer = echoOf(request)
    const value = numberIn(request)
    if (value === 1) answer.rawOutputContents = [new Uint8Array(7)]
    if (value === 2) answer.outputs[0]!.shape = [-1n, 1n]
    if (value === 3) answer.outputs[0]!.datatype = 'FLOAT'
    if (value === 4) answer.rawOutputContents.push(new Uint8Array(8))
    if (value === 5) answer.rawOutputContents = []
    if (value === 6) answer.outputs[0]!.shape = [2n ** 62n, 4n]
    return answer
  }
  const { target } = await fakeServer(t, { ...streaming((request) => ({ inferResponse: wrong(request) })), ...answering(wrong) })
  const client = open(t, { target })
  for (const value of [1, 2, 3, 4, 5, 6]) {
    await rejects(client.infer(requestOf(value)), 'ANDON_INFERENCE_SERVER_ANSWER_WRONG', false)
    await rejects(client.inferOverStream(requestOf(value)), 'ANDON_INFERENCE_SERVER_ANSWER_WRONG', false)
  }
  assert.equal(valueOf(await client.infer(requestOf(9))), 9)
  assert.equal(valueOf(await client.inferOverStream(requestOf(9))), 9)
})

test('statuses of a call become errors that say whether another try can help', async (t) => {
  const { target } = await fakeServer(
    t,
    answering((request) => Object.assign(new Error('because'), { code: numberIn(request), details: 'because' })),
  )
  const client = open(t, { target })
  const expected: [status, string, boolean][] = [
    [status.INVALID_ARGUMENT, 'ANDON_INFERENCE_SERVER_REFUSED', false],
    [status.NOT_FOUND, 'ANDON_INFERENCE_SERVER_REFUSED', false],
    [status.INTERNAL, 'ANDON_INFERENCE_SERVER_REFUSED', false],
    [status.UNIMPLEMENTED, 'ANDON_INFERENCE_SERVER_REFUSED', false],
    [status.UNAVAILABLE, 'ANDON_INFERENCE_SERVER_UNREACHABLE', true],
    [status.RESOURCE_EXHAUSTED, 'ANDON_INFERENCE_SERVER_BUSY', true],
    [status.DEADLINE_EXCEEDED, 'ANDON_INFERENCE_SERVER_TIMEOUT', true],
  ]
  for (const [code, name, isRetriable] of expected) await rejects(client.infer(requestOf(code)), name, isRetriable)
})

test('typed contents of an answer are taken where a server does not answer raw', async (t) => {
  const { target } = await fakeServer(
    t,
    answering((request) => {
      const answer = echoOf(request)
      answer.rawOutputContents = []
      answer.outputs[0]!.contents = {
        boolContents: [],
        intContents: [],
        int64Contents: [],
        uintContents: [],
        uint64Contents: [],
        fp32Contents: [],
        fp64Contents: [4.5],
        bytesContents: [],
      }
      return answer
    }),
  )
  assert.equal(valueOf(await open(t, { target }).infer(requestOf(1))), 4.5)
})

test('a caller that gives up is told so at once, and a request that is too large hurts nobody else', async (t) => {
  const { target } = await fakeServer(
    t,
    streaming((request) => (numberIn(request) === 1 ? undefined : { inferResponse: echoOf(request) })),
  )
  const client = open(t, { target, maxMessageBytes: 10_000 })
  const abort = new AbortController()
  const given = client.inferOverStream(requestOf(1, { signal: abort.signal }))
  const large = { name: 'x', datatype: 'UINT8', shape: [20_000], bytes: new Uint8Array(20_000) } as const
  const tooLarge = client.inferOverStream(requestOf(2, { inputs: [large] }))
  const other = client.inferOverStream(requestOf(3))
  abort.abort()
  await rejects(given, 'ANDON_INFERENCE_CANCELLED', false)
  await rejects(tooLarge, 'ANDON_INFERENCE_INVALID_REQUEST', false)
  assert.equal(valueOf(await other), 3)
  await rejects(client.inferOverStream(requestOf(3, { signal: abort.signal })), 'ANDON_INFERENCE_CANCELLED', false)
})

test('a server that goes is a retriable error at once; when it is back it is used again', async (t) => {
  const handlers = {
    ...streaming((request) => (numberIn(request) === 1 ? undefined : { inferResponse: echoOf(request) })),
    ...answering(echoOf),
  }
  const first = await fakeServer(t, handlers)
  const { client, until, seen } = clientWithStates(t, { target: first.target })
  const waiting = client.inferOverStream(requestOf(1))
  assert.equal(valueOf(await client.inferOverStream(requestOf(2))), 2)
  first.kill()
  await rejects(waiting, 'ANDON_INFERENCE_SERVER_UNREACHABLE', true)
  await rejects(client.inferOverStream(requestOf(2)), 'ANDON_INFERENCE_SERVER_UNREACHABLE', true)
  await rejects(client.infer(requestOf(2)), 'ANDON_INFERENCE_SERVER_UNREACHABLE', true)
  assert.equal(await client.isServerReady(), false)
  await fakeServer(t, handlers, first.port)
  for (;;) {
    await until('idle')
    const answer = await client.inferOverStream(requestOf(5)).catch((error: unknown) => assert.ok((error as AndonError).retriable))
    if (answer !== undefined) {
      assert.equal(valueOf(answer), 5)
      break
    }
  }
  assert.deepEqual(seen.slice(0, 3), ['open', 'backing-off', 'idle'])
})

test('a frozen server shows as deadline errors, holds bounded memory, and is used again once it runs', async (t) => {
  const child = spawn(process.execPath, [new URL('echo-server.ts', import.meta.url).pathname], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const { client, until } = clientWithStates(t, {
    target: `127.0.0.1:${Number(line.toString())}`,
    timeoutMs: 400,
    maxInFlightBytes: 1_000_000,
  })
  assert.equal(valueOf(await client.inferOverStream(requestOf(1, { deadlineMs: performance.now() + 30_000 }))), 1)
  assert.equal(valueOf(await client.infer(requestOf(1))), 1)
  child.kill('SIGSTOP')
  const input = { name: 'x', datatype: 'UINT8', shape: [100_000], bytes: new Uint8Array(100_000) } as const
  const answers = Array.from({ length: 100 }, () => client.inferOverStream(requestOf(0, { inputs: [input] })))
  const codes = new Set(
    (await Promise.allSettled(answers)).map((one) => (one.status === 'rejected' ? (one.reason as AndonError).code : 'answered')),
  )
  assert.deepEqual([...codes], ['ANDON_INFERENCE_SERVER_TIMEOUT'])
  await until('backing-off')
  await rejects(client.inferOverStream(requestOf(2)), 'ANDON_INFERENCE_SERVER_UNREACHABLE', true)
  await rejects(client.infer(requestOf(2)), 'ANDON_INFERENCE_SERVER_TIMEOUT', true)
  assert.equal(client.pending, 0)
  child.kill('SIGCONT')
  for (;;) {
    await until('idle')
    const answer = await client.inferOverStream(requestOf(5)).catch((error: unknown) => assert.ok((error as AndonError).retriable))
    if (answer === undefined) continue
    assert.equal(valueOf(answer), 5)
    break
  }
})

test('closing rejects what waits, and nothing more is taken', async (t) => {
  const { target } = await fakeServer(t, { ...streaming(() => undefined), ...answering(() => undefined) })
  const client = open(t, { target })
  const answers = [client.inferOverStream(requestOf(1)), client.infer(requestOf(1))]
  await client.close()
  for (const answer of answers) await rejects(answer, 'ANDON_INFERENCE_STOPPING', true)
  await rejects(client.inferOverStream(requestOf(1)), 'ANDON_INFERENCE_STOPPING', true)
  await rejects(client.infer(requestOf(1)), 'ANDON_INFERENCE_STOPPING', true)
})
