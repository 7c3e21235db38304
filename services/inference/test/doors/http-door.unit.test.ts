// What the HTTP door reads and writes, over a fake behind it: JSON and binary tensors, compression, errors, and every route that the
// OpenAPI document names.

import assert from 'node:assert/strict'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib'
import { createLogger } from '@andon/kit'
import { request as send } from 'node:http'
import { once } from 'node:events'
import { readRequest, writeAnswer } from '../../src/doors/http-infer.ts'
import { openApi, routes } from '../../src/doors/http-openapi.ts'
import { restDoor } from '../../src/doors/http-rest.ts'
import { doorSettings } from '../../src/doors/settings.ts'
import { queueFull } from '../../src/errors.ts'
import { packBytes } from '../../src/tensors/bytes.ts'
import { pack } from '../../src/tensors/tensors.ts'
import type { Datatype, TensorSpec } from '../../src/tensors/tensors.ts'
import { fakeServing, listening } from './fake-serving.ts'

const open = async (t: TestContext, inputs: readonly TensorSpec[] = [], maxBodyBytes = 1024 * 1024, isReady = () => true) => {
  const serving = fakeServing(inputs)
  const logger = createLogger({ service: 'inference', level: 'fatal' })
  const ended: boolean[] = []
  const url = await listening(
    t,
    restDoor({
      serving: () => serving,
      isReady,
      settings: doorSettings(logger),
      maxBodyBytes,
      onRequest: ({ isSuccess }) => void ended.push(isSuccess),
      logger,
    }),
  )
  const infer = (body: string | Uint8Array, headers: Record<string, string> = {}, path = '/v2/models/identity/infer'): Promise<Response> =>
    fetch(`${url}${path}`, { method: 'POST', body: body as Uint8Array<ArrayBuffer>, headers })
  const refused = async (status: number, message: RegExp, ...args: Parameters<typeof infer>): Promise<void> => {
    const response = await infer(...args)
    const problem = (await response.json()) as Record<string, unknown>
    assert.equal(response.status, status, JSON.stringify(problem))
    assert.equal(response.headers.get('content-type'), 'application/json')
    assert.match(String(problem['error']), message)
    assert.equal(problem['error'], problem['detail'])
  }
  return { serving, url, infer, refused, ended }
}

const input = (datatype: string, shape: readonly number[], rest: object): object => ({ name: 'x', datatype, shape, ...rest })
const json = (value: object): string => JSON.stringify(value)

/** JSON header and binary tensors as one body, and the header that says where one ends. */
const binaryBody = (header: object, ...tensors: Uint8Array[]): [Uint8Array, Record<string, string>] => {
  const text = Buffer.from(json(header))
  return [Buffer.concat([text, ...tensors]), { 'inference-header-content-length': String(text.length) }]
}

const values: readonly [Datatype, Uint8Array, string][] = [
  ['BOOL', pack('BOOL', [true, false]), 'true,false'],
  ['UINT8', pack('UINT8', [0, 255]), '0,255'],
  ['UINT16', pack('UINT16', [0, 65535]), '0,65535'],
  ['UINT32', pack('UINT32', [0, 4294967295]), '0,4294967295'],
  ['UINT64', pack('UINT64', [9007199254740993n, 18446744073709551615n]), '9007199254740993,18446744073709551615'],
  ['INT8', pack('INT8', [-128, 127]), '-128,127'],
  ['INT16', pack('INT16', [-32768, 32767]), '-32768,32767'],
  ['INT32', pack('INT32', [-2147483648, 2147483647]), '-2147483648,2147483647'],
  ['INT64', pack('INT64', [-9223372036854775808n, 9007199254740993n]), '-9223372036854775808,9007199254740993'],
  ['FP32', pack('FP32', [0.1, -0]), '0.10000000149011612,-0.0'],
  ['FP64', pack('FP64', [0.1, 1e300]), '0.1,1e+300'],
  ['BYTES', packBytes([Buffer.from('ä"\n'), Buffer.from('')]), '"ä\\"\\n",""'],
]

test('every datatype comes back digit by digit as JSON, and byte by byte as binary', async (t) => {
  const { infer, serving } = await open(t)
  for (const [datatype, bytes, text] of values) {
    const request = `{"inputs":[{"name":"x","datatype":"${datatype}","shape":[2],"data":[${text}]}]}`
    const asJson = await (await infer(request)).text()
    assert.equal(
      asJson,
      `{"model_name":"identity","model_version":"2","outputs":[{"name":"x","datatype":"${datatype}","shape":[2],"data":[${text}]}]}`,
    )
    assert.deepEqual(Buffer.from(serving.asked.at(-1)!.inputs[0]!.bytes), Buffer.from(bytes), datatype)
    const [body, headers] = binaryBody(
      { inputs: [input(datatype, [2], { parameters: { binary_data_size: bytes.length } })], parameters: { binary_data_output: true } },
      bytes,
    )
    const response = await infer(body, headers)
    assert.equal(response.headers.get('content-type'), 'application/octet-stream')
    const end = Number(response.headers.get('inference-header-content-length'))
    const answer = Buffer.from(await response.arrayBuffer())
    const { outputs } = JSON.parse(answer.toString('utf8', 0, end)) as { outputs: { parameters: object; data?: unknown }[] }
    assert.deepEqual(outputs, [{ name: 'x', datatype, shape: [2], parameters: { binary_data_size: bytes.length } }])
    assert.deepEqual(answer.subarray(end), Buffer.from(bytes))
  }
})

test('FP16 and BF16 are binary only, with the reason', async (t) => {
  const { infer, refused } = await open(t)
  for (const datatype of ['FP16', 'BF16'] as const) {
    const bytes = Buffer.from([1, 2, 3, 4])
    const header = { inputs: [input(datatype, [2], { parameters: { binary_data_size: 4 } })] }
    const isBinary = { ...header, outputs: [{ name: 'x', parameters: { binary_data: true } }] }
    const answer = Buffer.from(await (await infer(...binaryBody(isBinary, bytes))).arrayBuffer())
    assert.deepEqual(answer.subarray(-4), bytes)
    await refused(400, new RegExp(`sending ${datatype} data via JSON is not supported.*output x`), ...binaryBody(header, bytes))
    await refused(
      400,
      new RegExp(`receiving ${datatype} data via JSON is not supported.*input x`),
      json({ inputs: [input(datatype, [1], { data: [1] })] }),
    )
  }
})

test('JSON and binary tensors mix, and each output says for itself what it is', async (t) => {
  const { infer } = await open(t)
  const b = pack('INT64', [7n, 9007199254740993n])
  const [body, headers] = binaryBody(
    {
      id: 'q-1',
      inputs: [
        { name: 'a', datatype: 'FP32', shape: [2], data: [[1], [2.5]] },
        { name: 'b', datatype: 'INT64', shape: [2], parameters: { binary_data_size: 16 } },
        { name: 'c', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: 7 } },
      ],
      outputs: [{ name: 'a', parameters: { binary_data: true } }, { name: 'b', parameters: { binary_data: false } }, { name: 'c' }],
      parameters: { binary_data_output: false },
    },
    b,
    packBytes([Buffer.from('abc')]),
  )
  const response = await infer(body, headers)
  const end = Number(response.headers.get('inference-header-content-length'))
  const answer = Buffer.from(await response.arrayBuffer())
  assert.equal(
    answer.toString('utf8', 0, end),
    '{"id":"q-1","model_name":"identity","model_version":"2","outputs":[' +
      '{"name":"a","datatype":"FP32","shape":[2],"parameters":{"binary_data_size":8}},' +
      '{"name":"b","datatype":"INT64","shape":[2],"data":[7,9007199254740993]},' +
      '{"name":"c","datatype":"BYTES","shape":[1],"data":["abc"]}]}',
  )
  assert.deepEqual(answer.subarray(end), Buffer.from(pack('FP32', [1, 2.5])))
})

test('a body without a JSON header is the one input of the model', async (t) => {
  const { infer, serving } = await open(t, [{ name: 'x', datatype: 'FP32', shape: [-1, 3] }])
  const bytes = pack('FP32', [1, 2, 3, 4, 5, 6])
  const response = await infer(bytes, { 'inference-header-content-length': '0' })
  assert.equal(response.status, 200)
  assert.deepEqual(serving.asked[0]!.inputs[0]!.shape, [2, 3])
  const answer = Buffer.from(await response.arrayBuffer())
  assert.deepEqual(answer.subarray(Number(response.headers.get('inference-header-content-length'))), Buffer.from(bytes))
  const refusal = await infer(bytes.subarray(4), { 'inference-header-content-length': '0' })
  assert.match(await refusal.text(), /input x: expected a multiple of 12 bytes, got 20 bytes/)
})

test('parameters, id and version reach the model as they were sent', async (t) => {
  const { infer, serving } = await open(t)
  const parameters = '{"priority":18446744073709551615,"timeout":5000,"sequence_id":"s-1","sequence_start":true,"own":1.5,"headers":null}'
  const data = { inputs: [input('FP32', [1], { data: [1] })] }
  await infer(`{"parameters":${parameters},"id":"7",${json(data).slice(1)}`, {}, '/v2/models/identity/versions/1/infer')
  const { signal, inputs, ...asked } = serving.asked[0]!
  assert.ok(signal instanceof AbortSignal && inputs.length === 1)
  assert.deepEqual(asked, {
    model: 'identity',
    version: '1',
    id: '7',
    parameters: { priority: 18446744073709551615n, timeout: 5000n, sequence_id: 's-1', sequence_start: true, own: 1.5 },
    outputs: [],
  })
  const classes = { ...data, outputs: [{ name: 'x', parameters: { classification: 2 } }] }
  await infer(json(classes))
  assert.deepEqual(serving.asked[1]!.outputs, [{ name: 'x', classes: 2 }])
})

test('bodies are taken compressed, and answered so where one coding is asked for', async (t) => {
  const { infer } = await open(t)
  const body = json({ inputs: [input('INT32', [200], { data: Array.from({ length: 200 }, (_, i) => i) })] })
  const plain = await (await infer(body)).text()
  assert.equal(await (await infer(gzipSync(body), { 'content-encoding': 'gzip' })).text(), plain)
  assert.equal(await (await infer(deflateSync(body), { 'content-encoding': 'deflate' })).text(), plain)
  for (const [coding, inflate] of [
    ['gzip', gunzipSync],
    ['deflate', inflateSync],
  ] as const) {
    const raw = await rawInfer(t, body, { 'accept-encoding': coding })
    assert.equal(raw.headers['content-encoding'], coding)
    assert.ok(raw.body.length < plain.length)
    assert.equal(inflate(raw.body).toString(), plain)
  }
  assert.equal((await rawInfer(t, body, { 'accept-encoding': 'gzip, deflate, br' })).headers['content-encoding'], undefined)
})

/** Without a client that decompresses by itself. */
const rawInfer = async (t: TestContext, body: string, headers: Record<string, string>) => {
  const { url } = await open(t)
  const request = send(`${url}/v2/models/identity/infer`, { method: 'POST', headers })
  request.end(body)
  const [response] = (await once(request, 'response')) as [import('node:http').IncomingMessage]
  return { headers: response.headers, body: Buffer.concat(await response.toArray()) }
}

test('a body may come in pieces without its length, the JSON cut anywhere', async (t) => {
  const { url, serving } = await open(t)
  const [body, headers] = binaryBody(
    { inputs: [input('FP32', [2], { parameters: { binary_data_size: 8 } })], parameters: { binary_data_output: true } },
    pack('FP32', [1, 2]),
  )
  const request = send(`${url}/v2/models/identity/infer`, { method: 'POST', headers: { ...headers, 'transfer-encoding': 'chunked' } })
  for (let at = 0; at < body.length; at += 17) await new Promise((resolve) => request.write(body.subarray(at, at + 17), resolve))
  request.end()
  const [response] = (await once(request, 'response')) as [import('node:http').IncomingMessage]
  assert.deepEqual(Buffer.concat(await response.toArray()).subarray(-8), Buffer.from(pack('FP32', [1, 2])))
  assert.deepEqual(Buffer.from(serving.asked[0]!.inputs[0]!.bytes), Buffer.from(pack('FP32', [1, 2])))
})

test('the server is ready when service and models are', async (t) => {
  let isReady = false
  const { url, serving } = await open(t, [], 1024, () => isReady)
  const status = async (): Promise<number> => (await fetch(`${url}/v2/health/ready`)).status
  assert.equal(await status(), 503)
  isReady = true
  assert.equal(await status(), 200)
  serving.isReady = () => false
  assert.equal(await status(), 503)
  assert.equal((await fetch(`${url}/v2/health/live`)).status, 200)
})

test('what does not fit is refused with what is expected and found', async (t) => {
  const { refused, serving, ended } = await open(t, [], 2000)
  const one = (rest: object): string => json({ inputs: [input('FP32', [1], rest)] })
  await refused(400, /input x: expected data or the parameter binary_data_size, got neither/, one({}))
  await refused(
    400,
    /input x: expected either data or .* got both/,
    ...binaryBody({ inputs: [input('FP32', [1], { data: [1], parameters: { binary_data_size: 4 } })] }, Buffer.alloc(4)),
  )
  await refused(400, /expected the header Inference-Header-Content-Length/, one({ parameters: { binary_data_size: 4 } }))
  await refused(
    400,
    /input x: expected 8 bytes after the JSON header, binary_data_size, got 4 bytes/,
    ...binaryBody({ inputs: [input('FP32', [2], { parameters: { binary_data_size: 8 } })] }, Buffer.alloc(4)),
  )
  await refused(
    400,
    /expected 4 bytes after the JSON header, the sum of binary_data_size, got 9/,
    ...binaryBody({ inputs: [input('FP32', [1], { parameters: { binary_data_size: 4 } })] }, Buffer.alloc(9)),
  )
  await refused(400, /Inference-Header-Content-Length: expected at most the body's \d+ bytes, got 999/, one({ data: [1] }), {
    'inference-header-content-length': '999',
  })
  await refused(400, /Inference-Header-Content-Length: expected a number of bytes, got -1/, one({ data: [1] }), {
    'inference-header-content-length': '-1',
  })
  await refused(400, /malformed JSON, expected a JSON object with inputs at byte 0, got the end/, '')
  await refused(400, /parameter priority: expected a number from 0, got high/, json({ parameters: { priority: 'high' }, inputs: [] }))
  await refused(
    400,
    /parameter binary_data_output: expected true or false, got 1/,
    json({ parameters: { binary_data_output: 1 }, inputs: [] }),
  )
  await refused(
    400,
    /output x: expected classification, a number of classes, got many/,
    json({ inputs: [], outputs: [{ name: 'x', parameters: { classification: 'many' } }] }),
  )
  await refused(501, /there is no shared memory here/, one({ parameters: { shared_memory_region: 'r' } }))
  await refused(404, /There is no model other/, one({ data: [1] }), {}, '/v2/models/other/infer')
  await refused(413, /expected at most 2000 bytes \(INFERENCE_MAX_MESSAGE_BYTES\).*got \d+ bytes/, ' '.repeat(2001))
  await refused(413, /got more once decompressed/, gzipSync(' '.repeat(100_000)), { 'content-encoding': 'gzip' })
  await refused(400, /expected one complete gzip stream/, 'not gzip', { 'content-encoding': 'gzip' })
  await refused(415, /expected gzip, deflate or none, got br/, 'x', { 'content-encoding': 'br' })
  serving.before = async () => {
    throw queueFull(8)
  }
  await refused(503, /Exceeds maximum queue size of 8 rows/, one({ data: [1] }))
  assert.ok(ended.length > 10 && !ended.includes(true))
})

test('bodies on their way together are bounded, and what ends makes room', { timeout: 20_000 }, async (t) => {
  const { url, infer, serving } = await open(t, [], 1000)
  const half = Buffer.alloc(900, ' ')
  const waiting = Array.from({ length: 4 }, () => {
    const request = send(`${url}/v2/models/identity/infer`, { method: 'POST', headers: { 'content-length': '1000' } })
    request.on('error', () => {}) // it is never finished
    request.write(half)
    return request
  })
  const small = (): Promise<Response> => infer(`{"inputs":[]${' '.repeat(500)}}`)
  // The four have arrived when there is no room for another half of one.
  let busy = await small()
  while (busy.status === 200) {
    await busy.arrayBuffer()
    busy = await small()
  }
  assert.equal(busy.status, 503)
  assert.equal(busy.headers.get('retry-after'), '1')
  assert.match(((await busy.json()) as { error: string }).error, /more than 4000 bytes together/)
  for (const request of waiting) request.destroy()
  let status = 503
  while (status === 503) {
    const answer = await small()
    await answer.arrayBuffer()
    status = answer.status
  }
  assert.equal(status, 200)
  assert.ok(serving.asked.length > 0)
})

test('ten thousand damaged bodies are each answered or refused, and nothing is left behind', () => {
  const whole = [
    binaryBody(
      {
        id: 'q',
        parameters: { binary_data_output: true, priority: 1 },
        inputs: [
          {
            name: 'a',
            datatype: 'FP32',
            shape: [2, 2],
            data: [
              [1.5, -2e-7],
              [3, 0.1],
            ],
          },
          { name: 'b', datatype: 'INT64', shape: [2], parameters: { binary_data_size: 16 } },
          { name: 'c', datatype: 'BYTES', shape: [2], data: ['ä', 'b\\n'] },
        ],
        outputs: [{ name: 'a', parameters: { classification: 1 } }],
      },
      Buffer.alloc(16, 7),
    ),
  ].map(([body, headers]) => ({ body: Buffer.from(body), headerLength: Number(headers['inference-header-content-length']) }))[0]!
  let seed = 7
  const next = (below: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
    return Math.floor((seed / 2 ** 32) * below)
  }
  const tokens = [
    '[',
    ']',
    '{',
    '}',
    '"',
    ',',
    ':',
    '-',
    '1e9',
    '99999999999999999999',
    'null',
    '\\u0000',
    '\x00',
    '\xff',
    'NaN',
    '"data":',
    ' ',
  ]
  let answered = 0
  for (let n = 0; n < 10_000; n++) {
    let { body, headerLength } = whole
    for (let damage = next(3); damage >= 0; damage--) {
      const at = next(body.length)
      const kind = next(4)
      if (kind === 0) body = Buffer.concat([body.subarray(0, at), Buffer.from(tokens[next(tokens.length)]!, 'latin1'), body.subarray(at)])
      else if (kind === 1) body = Buffer.concat([body.subarray(0, at), body.subarray(at + next(20))])
      else if (kind === 2) headerLength = next(body.length + 1)
      else {
        body = Buffer.from(body)
        body[at] = next(256)
      }
    }
    try {
      const { request, form } = readRequest(body, Math.min(headerLength, body.length))
      const parts = writeAnswer({ model: 'm', version: '1', parameters: {}, outputs: request.inputs }, form)
      assert.ok(parts.parts.length > 0)
      answered++
    } catch (error) {
      assert.match(String((error as { code?: unknown }).code), /^ANDON_INFERENCE_/, String(error))
    }
  }
  assert.ok(answered > 100 && answered < 9_900, String(answered))
})

test('a text that is no UTF-8 is not written as JSON', async (t) => {
  const { refused } = await open(t)
  const bytes = packBytes([Buffer.from([0xff, 0xfe])])
  await refused(
    400,
    /output x: expected texts in UTF-8/,
    ...binaryBody({ inputs: [input('BYTES', [1], { parameters: { binary_data_size: 6 } })] }, bytes),
  )
})

test('a caller that leaves ends its request', async (t) => {
  const { serving, url } = await open(t)
  const started = Promise.withResolvers<AbortSignal>()
  serving.before = async ({ signal }) => {
    started.resolve(signal!)
    await once(signal!, 'abort')
  }
  const leaving = new AbortController()
  const answer = fetch(`${url}/v2/models/identity/infer`, { method: 'POST', body: json({ inputs: [] }), signal: leaving.signal })
  const signal = await started.promise
  assert.equal(signal.aborted, false)
  leaving.abort()
  await assert.rejects(answer)
  if (!signal.aborted) await once(signal, 'abort')
})

test('health, metadata, index, settings and shared memory answer as Triton does', async (t) => {
  const { url, serving } = await open(t, [{ name: 'x', datatype: 'FP32', shape: [-1, 3], graphDatatype: 'FP32' }])
  const get = async (path: string): Promise<unknown> => (await fetch(`${url}${path}`)).json()
  const post = async (path: string, body?: object): Promise<[number, unknown]> => {
    const response = await fetch(`${url}${path}`, { method: 'POST', ...(body === undefined ? {} : { body: json(body) }) })
    return [response.status, await response.json()]
  }
  assert.deepEqual(await get('/v2/health/live'), { live: true })
  assert.deepEqual(await get('/v2/health/ready'), { ready: true })
  assert.deepEqual(await get('/v2/models/identity/ready'), { name: 'identity', ready: true })
  assert.equal((await fetch(`${url}/v2/models/identity/versions/9/ready`)).status, 400)
  assert.equal((await fetch(`${url}/v2/models/other/ready`)).status, 404)
  const tensors = [{ name: 'x', datatype: 'FP32', shape: [-1, 3] }]
  const metadata = { name: 'identity', versions: ['1', '2'], platform: 'onnxruntime_onnx', inputs: tensors, outputs: tensors }
  assert.deepEqual(await get('/v2/models/identity'), metadata)
  assert.deepEqual(await get('/v2/models/identity/versions/2'), metadata)
  assert.equal(((await get('/v2/models/identity/config')) as { max_batch_size: number }).max_batch_size, 8)
  assert.deepEqual(await get('/v2/models/stats'), { model_stats: [] })

  const index = [
    { name: 'identity', version: '2', state: 'READY', reason: '' },
    { name: 'broken', state: 'UNAVAILABLE', reason: 'no such file' },
  ]
  assert.deepEqual(await post('/v2/repository/index'), [200, index])
  assert.deepEqual(await post('/v2/repository/plant/index', { ready: true }), [200, index.slice(0, 1)])
  const files = { 'file:1/model.onnx': Buffer.from('bytes').toString('base64'), config: '{}' }
  assert.deepEqual(await post('/v2/repository/models/identity/load', { parameters: files }), [200, {}])
  assert.deepEqual(serving.loaded, [
    { name: 'identity', options: { config: '{}', files: new Map([['1/model.onnx', Buffer.from('bytes')]]) } },
  ])
  assert.equal((await post('/v2/repository/models/identity/load', { parameters: { 'file:1/x': '!' } }))[0], 400)
  assert.deepEqual(await post('/v2/repository/plant/models/a%20b/unload', { parameters: { unload_dependents: true } }), [200, {}])
  assert.deepEqual(serving.unloaded, [{ name: 'a b', withDependents: true }])

  const off = { trace_level: ['OFF'], trace_rate: '1000', trace_count: '-1', log_frequency: '0', trace_file: '', trace_mode: 'triton' }
  assert.deepEqual(await get('/v2/trace/setting'), off)
  const changed = { ...off, trace_level: ['TIMESTAMPS'], trace_rate: '2' }
  assert.deepEqual(await post('/v2/models/identity/trace/setting', { trace_level: ['TIMESTAMPS'], trace_rate: '2' }), [200, changed])
  assert.deepEqual(await get('/v2/models/identity/trace/setting'), changed)
  assert.deepEqual(await get('/v2/trace/setting'), off)
  assert.deepEqual(await post('/v2/models/identity/trace/setting', { trace_level: null, trace_rate: null }), [200, off])
  assert.equal((await post('/v2/trace/setting', { trace_rate: 'often' }))[0], 400)
  assert.equal((await post('/v2/trace/setting', { trace_file: '/tmp/x' }))[0], 501)
  assert.equal((await post('/v2/models/other/trace/setting', {}))[0], 400)
  const log = (await get('/v2/logging')) as Record<string, unknown>
  assert.equal(log['log_verbose_level'], 0)
  assert.deepEqual(await post('/v2/logging', { log_verbose_level: 1 }), [200, { ...log, log_verbose_level: 1 }])
  assert.equal((await post('/v2/logging', { log_file: '/tmp/x' }))[0], 501)

  for (const kind of ['systemsharedmemory', 'cudasharedmemory']) {
    assert.deepEqual(await get(`/v2/${kind}/status`), [])
    assert.deepEqual(await post(`/v2/${kind}/unregister`), [200, {}])
    assert.equal((await post(`/v2/${kind}/region/r/register`, { key: 'k', byte_size: 8 }))[0], 501)
    assert.equal((await post(`/v2/${kind}/region/r/unregister`))[0], 501)
  }
})

test('every route of the OpenAPI document answers, refuses other methods, and resolves its references', async (t) => {
  const { url } = await open(t)
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as ReturnType<typeof openApi> & {
    paths: Record<string, Record<string, { operationId: string; responses: Record<string, unknown> }>>
    components: { schemas: Record<string, unknown> }
  }
  assert.deepEqual(document, JSON.parse(JSON.stringify(openApi())))
  const names = Object.values(document.paths).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId))
  assert.deepEqual(names.toSorted(), routes.map(({ name }) => name).toSorted())
  for (const [, name] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g))
    assert.ok(document.components.schemas[name!], name)
  for (const [path, methods] of Object.entries(document.paths)) {
    const address = `${url}${path
      .replace('{model}', 'identity')
      .replace('{version}', '2')
      .replaceAll(/\{\w+\}/g, 'r')}`
    for (const [method, { responses }] of Object.entries(methods)) {
      const isInfer = path.endsWith('/infer')
      const response = await fetch(address, {
        method: method.toUpperCase(),
        ...(method === 'post' ? { body: isInfer ? '{"inputs":[]}' : '{}' } : {}),
      })
      assert.ok(String(response.status) in responses, `${method} ${path}: ${response.status}`)
      await response.arrayBuffer()
    }
    const refused = await fetch(address, { method: 'PUT' })
    assert.equal(refused.status, 405, path)
    assert.equal(
      refused.headers.get('allow'),
      Object.keys(methods)
        .map((method) => method.toUpperCase())
        .join(', '),
    )
  }
  const unknown = await fetch(`${url}/v3`)
  assert.equal(unknown.status, 404)
  assert.match(((await unknown.json()) as { error: string }).error, /There is no GET \/v3 here/)
})

test('whoever asks for problem details gets them by their name; the body is the same', async (t) => {
  const { infer } = await open(t)
  const answers = [await infer('{', { accept: 'application/problem+json, application/json' }), await infer('{')]
  assert.deepEqual(
    answers.map((answer) => answer.headers.get('content-type')),
    ['application/problem+json', 'application/json'],
  )
  assert.deepEqual(await answers[0]!.json(), await answers[1]!.json())
})
