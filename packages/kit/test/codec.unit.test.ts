import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { avroSchemas } from '@andon/schemas'
import type { Telemetry } from '@andon/schemas'
import { localCodec, openCodec } from '../src/index.ts'
import { avroType } from '../src/avro-types.ts'

const code =
  (expected: string, retriable = false) =>
  (error: unknown) => {
    const { code: found, retriable: isRetriable } = error as { code?: string; retriable?: boolean }
    assert.equal(found, expected, String(error))
    assert.equal(isRetriable, retriable)
    return true
  }

const block = (samples: Uint8Array, recordedUs: Uint8Array | null = null) => ({
  type: 'block',
  assetId: 'press-1',
  block: {
    sourceId: 'press-1-vib',
    epoch: 1,
    seqFrom: 1,
    seqTo: 1,
    rows: 1,
    channels: ['vibrationG'],
    units: ['g'],
    dtype: 'f32',
    width: samples.length / 4,
    samples,
    timesUs: new Uint8Array(8),
    recordedUs,
    receivedUs: 1_795_420_800_000_000,
  },
})

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

test('what is encoded is decoded, defaults filled in, bytes from any Uint8Array', () => {
  const codec = localCodec()
  const bytes = codec.encode('telemetry', block(new Uint8Array([1, 2, 3, 4]), new Uint8Array([9])))
  const { block: read } = codec.decode<Telemetry>('telemetry', bytes)
  assert.deepEqual([...(read?.samples ?? [])], [1, 2, 3, 4])
  assert.deepEqual([...(read?.recordedUs ?? [])], [9])
  assert.equal(read?.historical, false)
  assert.deepEqual(read?.withheld, [])
})

test('what is lent is what is decoded, its bytes are those of the source, from foreign writers too', async () => {
  const foreign = structuredClone(avroSchemas.telemetry) as { doc?: string }
  foreign.doc = 'Of another release.'
  const codec = localCodec({ 77: foreign })
  const bytes = codec.encode('telemetry', block(new Uint8Array([1, 2, 3, 4]), new Uint8Array([9])))
  for (const id of [bytes.readInt32BE(1), 77]) {
    const source = Buffer.concat([Buffer.alloc(3, 0xee), bytes, Buffer.alloc(2, 0xee)])
    source.writeInt32BE(id, 4)
    const decoded = await codec.decodeAsync<Telemetry>('telemetry', source.subarray(3, 3 + bytes.length))
    const lent = codec.decodeLent!<Telemetry>('telemetry', source, 3, 3 + bytes.length)
    assert.deepEqual(lent, decoded)
    source.fill(0)
    assert.deepEqual([...(lent.block?.samples ?? [])], [0, 0, 0, 0])
    assert.deepEqual([...(decoded.block?.samples ?? [])], [1, 2, 3, 4])
  }
  bytes.writeInt32BE(78, 1)
  assert.throws(() => codec.decodeLent!('telemetry', bytes, 0, bytes.length), code('ANDON_CODEC_UNKNOWN_SCHEMA'))
})

test('any ticks survive the way there and back, one after the other in shared memory', () => {
  const codec = localCodec()
  const values = fc.record({
    type: fc.string(),
    // avsc takes no long beyond ±(2^53 - 2)
    tick: fc.record({
      instance: fc.string({ unit: 'grapheme' }),
      upToUs: fc.integer({ min: -(2 ** 52), max: Number.MAX_SAFE_INTEGER - 1 }),
    }),
  })
  fc.assert(
    fc.property(fc.array(values, { maxLength: 50 }), (list) => {
      const encoded = list.map((value) => codec.encode('telemetry', value))
      encoded.forEach((bytes, i) =>
        assert.deepEqual(plain(codec.decode('telemetry', bytes)), {
          type: list[i]?.type,
          assetId: '',
          block: null,
          tick: plain(list[i]?.tick),
          manifest: null,
        }),
      )
    }),
  )
})

test('records of every size up to the limit keep their bytes', () => {
  const codec = localCodec()
  const sizes = [1000, 60_000, 65_536, 65_600, 200_000, 1_000_000]
  const encoded = sizes.map((size) => codec.encode('telemetry', block(Buffer.alloc(size - (size % 4), size % 251))))
  sizes.forEach((size, i) => {
    const { block: read } = codec.decode<Telemetry>('telemetry', encoded[i] as Buffer)
    assert.ok(read?.samples.equals(Buffer.alloc(size - (size % 4), size % 251)))
  })
  assert.throws(() => codec.encode('telemetry', block(Buffer.alloc(1024 * 1024))), code('ANDON_CODEC_TOO_LARGE'))
})

test("a value is framed into the caller's slab; one that does not fit says how much is missing, one over the limit is refused", () => {
  const codec = localCodec()
  const value = { type: 'tick', tick: { instance: 'a', upToUs: 5 } }
  const whole = Buffer.from(codec.encode('telemetry', value))
  const slab = Buffer.alloc(100, 7)
  assert.equal(codec.encodeInto('telemetry', value, slab, 10), 10 + whole.length)
  assert.ok(slab.subarray(10, 10 + whole.length).equals(whole))
  assert.ok(slab.subarray(0, 10).every((byte) => byte === 7))
  for (let room = 0; room < whole.length; room += 1)
    assert.equal(codec.encodeInto('telemetry', value, slab, slab.length - room), room - whole.length)
  assert.throws(() => codec.encodeInto('telemetry', block(Buffer.alloc(1024 * 1024)), slab, 0), code('ANDON_CODEC_TOO_LARGE'))
})

test('a value that is no record names the field', () => {
  const codec = localCodec()
  assert.throws(
    () => codec.encode('telemetry', { type: 'tick', tick: { instance: 'a' } } as never),
    (error: Error) => {
      assert.match(error.message, /tick\.upToUs: expected .*long.*, found nothing/)
      return code('ANDON_CODEC_INVALID_VALUE')(error)
    },
  )
  assert.equal(codec.encode('telemetry', { type: 'tick' }).length > 5, true, 'and the next one is not harmed')
  const knot: { block?: unknown } = {}
  knot.block = knot
  for (const odd of [
    knot,
    { type: 5n },
    { type: Symbol('x') },
    { type: 'block', block: { ...block(new Uint8Array(4)).block, rows: 1n } },
    null,
    'x',
  ])
    assert.throws(() => codec.encode('telemetry', odd as never), code('ANDON_CODEC_INVALID_VALUE'))
})

test('derived topics carry the schema of their topic; a foreign topic has none', () => {
  const codec = localCodec()
  assert.equal(codec.schemaId('telemetry.run.7'), codec.schemaId('telemetry'))
  assert.equal(codec.schemaId('features.changelog'), codec.schemaId('clustering.changelog'))
  assert.throws(() => codec.encode('weather', {}), code('ANDON_CODEC_TOPIC'))
})

test('bytes that are no framed record of the topic are told apart and not retriable', () => {
  const codec = localCodec()
  const good = Buffer.from(codec.encode('telemetry', { type: 'tick', tick: { instance: 'a', upToUs: 5 } }))
  assert.throws(() => codec.decode('telemetry', good.subarray(0, 4)), code('ANDON_CODEC_TRUNCATED'))
  assert.throws(() => codec.decode('telemetry', good.subarray(0, good.length - 1)), code('ANDON_CODEC_TRUNCATED'))
  assert.throws(() => codec.decode('telemetry', Buffer.concat([good, good])), code('ANDON_CODEC_UNDECODABLE'))
  assert.throws(() => codec.decode('telemetry', Buffer.concat([Buffer.from([1]), good.subarray(1)])), code('ANDON_CODEC_MAGIC'))
  assert.throws(() => codec.decode('telemetry', Buffer.from('{"json":true}')), code('ANDON_CODEC_MAGIC'))
})

test('damaged bytes end in an error or another value, never in a hang', () => {
  const codec = localCodec()
  const good = Buffer.from(codec.encode('telemetry', block(new Uint8Array(40))))
  fc.assert(
    fc.property(fc.nat(good.length - 6), fc.uint8Array({ minLength: 1, maxLength: 12 }), (at, noise) => {
      const damaged = Buffer.from(good)
      damaged.set(noise.subarray(0, damaged.length - 5 - at), 5 + at)
      const from = performance.now()
      try {
        codec.decode('telemetry', damaged)
      } catch (error) {
        assert.match((error as { code: string }).code, /^ANDON_CODEC_(UNDECODABLE|TRUNCATED)$/)
      }
      assert.ok(performance.now() - from < 10_000)
    }),
    { numRuns: 2000 },
  )
})

const older = { ...avroSchemas.telemetry, fields: avroSchemas.telemetry.fields.filter((field) => field.name !== 'tick') }
const oldRecord = (id: number): Buffer => {
  const frame = Buffer.from([0, 0, 0, 0, id])
  return Buffer.concat([frame, avroType(older).toBuffer({ type: 'block', assetId: 'a', block: null })])
}

test('a resolver is built once per writer, however many records come', async () => {
  const codec = localCodec({ 77: older })
  assert.throws(() => codec.decode('telemetry', oldRecord(77)), code('ANDON_CODEC_UNKNOWN_SCHEMA'))
  for (let i = 0; i < 1000; i += 1) {
    assert.equal((await codec.decodeAsync<Telemetry>('telemetry', oldRecord(77))).tick, null)
    codec.decode('telemetry', oldRecord(77))
  }
  assert.equal(codec.stats.resolversBuilt, 1)
})

test('a writer whose schema cannot be read here is not retriable', async () => {
  const codec = localCodec({ 99: avroSchemas.config })
  await assert.rejects(codec.decodeAsync('telemetry', oldRecord(99)), code('ANDON_CODEC_INCOMPATIBLE'))
})

/** A registry in memory, as much of Confluent's API as a codec uses. */
const registry = async () => {
  const schemas: string[] = []
  const calls: string[] = []
  const compatibility = new Map<string, string>()
  let isDown = false
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const url = request.url ?? ''
      calls.push(`${request.method} ${url}`)
      const give = (status: number, body: unknown): void => {
        response.writeHead(status, { 'content-type': 'application/vnd.schemaregistry.v1+json' }).end(JSON.stringify(body))
      }
      const body = chunks.length === 0 ? {} : (JSON.parse(Buffer.concat(chunks).toString()) as { schema?: string; compatibility?: string })
      if (isDown) return give(503, { error_code: 50301, message: 'starting' })
      const [, kind, name = '', id = ''] = url.split('/')
      if (kind === 'config' && request.method === 'PUT') {
        compatibility.set(name, body.compatibility ?? '')
        return give(200, body)
      }
      if (kind === 'config')
        return compatibility.has(name)
          ? give(200, { compatibilityLevel: compatibility.get(name) })
          : give(404, { error_code: 40408, message: 'none' })
      if (kind === 'schemas') {
        const schema = schemas[Number(id) - 1]
        return schema === undefined ? give(404, { error_code: 40403, message: 'Schema not found' }) : give(200, { schema })
      }
      const known = schemas.indexOf(body.schema ?? '')
      if (!url.endsWith('/versions'))
        return known < 0 ? give(404, { error_code: 40403, message: 'Schema not found' }) : give(200, { id: known + 1, schema: body.schema })
      if (known < 0) schemas.push(body.schema ?? '')
      return give(200, { id: schemas.indexOf(body.schema ?? '') + 1 })
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  after(() => server.close())
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    schemas,
    calls,
    compatibility,
    setDown: (down: boolean) => {
      isDown = down
    },
  }
}

test('with a registry: schemas are registered under <topic>-value as FULL_TRANSITIVE, then never asked for again', async () => {
  const { url, calls, compatibility } = await registry()
  const codec = await openCodec({ registryUrl: url, namespace: 't1.' })
  assert.ok(calls.includes('POST /subjects/t1.telemetry-value/versions'))
  assert.deepEqual(new Set(compatibility.values()), new Set(['FULL_TRANSITIVE']))
  const before = calls.length
  codec.decode('telemetry', codec.encode('telemetry', { type: 'tick' }))
  await codec.decodeAsync('telemetry', codec.encode('telemetry', { type: 'tick' }))
  assert.equal(calls.length, before)
  const second = await openCodec({ registryUrl: url, namespace: 't1.', autoRegister: false })
  assert.equal(second.schemaId('actions'), codec.schemaId('actions'))
})

test('without the right to register, a missing schema names its subject', async () => {
  const { url } = await registry()
  await assert.rejects(openCodec({ registryUrl: url, autoRegister: false }), (error: Error) => {
    assert.match(error.message, /-value .*ANDON_REGISTER_SCHEMAS/)
    return code('ANDON_CODEC_SCHEMA_REFUSED')(error)
  })
})

test("another writer's schema is fetched once; an unknown id is asked for once and not retriable; a silent registry is", async () => {
  const { url, schemas, calls, setDown } = await registry()
  const codec = await openCodec({ registryUrl: url })
  schemas.push(JSON.stringify(older))
  const id = schemas.length
  for (let i = 0; i < 5; i += 1) await codec.decodeAsync('telemetry', oldRecord(id))
  assert.equal(calls.filter((call) => call.startsWith(`GET /schemas/ids/${id}`)).length, 1)
  await assert.rejects(codec.decodeAsync('telemetry', oldRecord(200)), code('ANDON_CODEC_UNKNOWN_SCHEMA'))
  await assert.rejects(codec.decodeAsync('telemetry', oldRecord(200)), code('ANDON_CODEC_UNKNOWN_SCHEMA'))
  assert.equal(calls.filter((call) => call.startsWith('GET /schemas/ids/200')).length, 1)
  setDown(true)
  await assert.rejects(codec.decodeAsync('telemetry', oldRecord(201)), code('ANDON_CODEC_REGISTRY_UNAVAILABLE', true))
  setDown(false)
  await assert.rejects(codec.decodeAsync('telemetry', oldRecord(201)), code('ANDON_CODEC_UNKNOWN_SCHEMA'))
})

test('no registry at the address ends the start within seconds and names the setting', async () => {
  await assert.rejects(openCodec({ registryUrl: 'http://127.0.0.1:1' }), (error: Error) => {
    assert.match(error.message, /^ANDON_REGISTRY_URL: .*ECONNREFUSED/)
    return code('ANDON_UNREACHABLE')(error)
  })
})

test('topics of your own have your own schemas, and so do the topics derived from them', () => {
  const reading = {
    type: 'record',
    name: 'Reading',
    fields: [
      { name: 'sensor', type: 'string' },
      { name: 'value', type: 'double' },
    ],
  }
  const codec = localCodec({}, { readings: reading })
  const value = { sensor: 'pt-7', value: 1.5 }
  for (const topic of ['readings', 'readings.run.7', 'readings.averages.dlq'])
    assert.deepEqual(codec.decode(topic, codec.encode(topic, value)), value)
  assert.throws(() => codec.encode('readings', { sensor: 7 }), { code: 'ANDON_CODEC_INVALID_VALUE' })
  assert.throws(() => codec.encode('others', value), { code: 'ANDON_CODEC_TOPIC' })
})
