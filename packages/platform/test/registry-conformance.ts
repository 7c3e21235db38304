// What Andon relies on in a Confluent-compatible schema registry, asked over HTTP. It runs against any base URL: ours in every test run,
// others to show that nothing here depends on ours. Every test has its own subjects; what is global is put back.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { openCodec } from '@andon/kit'
import { topicNames } from '@andon/schemas'
import type { Telemetry } from '@andon/schemas'
import { SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry'

export interface RegistryUnderTest {
  readonly url: string
  close(): Promise<void>
}

/** What another registry may do otherwise without harm to Andon: each is a rule of its own here, skipped by name where it differs. */
export type Detail = 'modes' | 'verbose' | 'spacing' | 'level-none' | 'own-level' | 'version-words' | 'delete-codes'

export interface ConformanceOptions {
  /** Details in which this registry differs, with how. */
  readonly differs?: Partial<Record<Detail, string>>
}

interface Answer {
  readonly status: number
  // The suite asserts on whatever the registry answers.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any
}

const record = (...fields: object[]) => JSON.stringify({ type: 'record', name: 'Reading', namespace: 'test', fields })
const a = { name: 'a', type: 'int' }
const optionalB = { name: 'b', type: ['null', 'string'], default: null }
const requiredC = { name: 'c', type: 'string' }
const V1 = record(a)
const V2 = record(a, optionalB)
const BREAKING = record(a, requiredC)

export const registryConformance = (name: string, open: () => Promise<RegistryUnderTest>, options: ConformanceOptions = {}): void => {
  const lacks = (what: Detail): string | false => options.differs?.[what] ?? false

  describe(`schema registry conformance: ${name}`, () => {
    let registry: RegistryUnderTest
    before(async () => {
      registry = await open()
      await call('PUT', '/config', { compatibility: 'FULL_TRANSITIVE' })
    })
    after(() => registry.close())

    const call = async (method: string, path: string, body?: unknown): Promise<Answer> => {
      const response = await fetch(`${registry.url}${path}`, {
        method,
        headers: { 'content-type': 'application/vnd.schemaregistry.v1+json', accept: 'application/vnd.schemaregistry.v1+json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return { status: response.status, body: await response.json() }
    }
    const newSubject = () => `s-${randomUUID()}-value`
    const register = (subject: string, schema: string) => call('POST', `/subjects/${subject}/versions`, { schema })
    const refuses = (answer: Answer, status: number, code: number) => {
      assert.equal(answer.status, status, JSON.stringify(answer.body))
      assert.equal(answer.body.error_code, code)
      assert.equal(typeof answer.body.message, 'string')
    }

    test('a registered schema is found by id, by version and as latest', async () => {
      const subject = newSubject()
      const { status, body } = await register(subject, V1)
      assert.equal(status, 200)
      assert.ok(Number.isInteger(body.id) && body.id > 0)
      const byId = await call('GET', `/schemas/ids/${body.id}`)
      assert.deepEqual(JSON.parse(byId.body.schema), JSON.parse(V1))
      for (const version of ['1', 'latest']) {
        const found = await call('GET', `/subjects/${subject}/versions/${version}`)
        assert.partialDeepStrictEqual(
          { ...found.body, schema: JSON.parse(found.body.schema) },
          { subject, version: 1, id: body.id, schema: JSON.parse(V1) },
        )
      }
      assert.deepEqual((await call('GET', `/subjects/${subject}/versions`)).body, [1])
      assert.ok((await call('GET', '/subjects')).body.includes(subject))
    })

    const keepsItsId = async (again: string): Promise<void> => {
      const subject = newSubject()
      const first = await register(subject, V1)
      assert.equal((await register(subject, again)).body.id, first.body.id)
      assert.deepEqual((await call('GET', `/subjects/${subject}/versions`)).body, [1])
    }

    test('the same schema keeps its id and version', () => keepsItsId(V1))

    test('the same schema keeps its id and version, however it is spaced', { skip: lacks('spacing') }, () =>
      keepsItsId(JSON.stringify(JSON.parse(V1), null, 2)),
    )

    test('the same schema has the same id in another subject', async () => {
      const schema = record({ name: `only${randomUUID().replaceAll('-', '')}`, type: 'int', default: 0 })
      const first = await register(newSubject(), schema)
      const second = await register(newSubject(), schema)
      assert.equal(second.body.id, first.body.id)
    })

    test('a compatible schema becomes the next version with a higher id', async () => {
      const subject = newSubject()
      const unique = { name: `u${randomUUID().replaceAll('-', '')}`, type: 'int', default: 0 }
      const first = await register(subject, record(a, unique))
      const second = await register(subject, record(a, unique, optionalB))
      assert.ok(second.body.id > first.body.id)
      assert.deepEqual((await call('GET', `/subjects/${subject}/versions`)).body, [1, 2])
      assert.equal((await call('GET', `/subjects/${subject}/versions/latest`)).body.version, 2)
    })

    test('an incompatible schema is refused and leaves no trace', async () => {
      const subject = newSubject()
      await register(subject, V1)
      const refused = await register(subject, BREAKING)
      refuses(refused, 409, 409)
      assert.deepEqual((await call('GET', `/subjects/${subject}/versions`)).body, [1])
    })

    test('transitive levels look at every version, plain ones at the last', async () => {
      const subject = newSubject()
      // v1 has x as int; v2 drops it; v3 brings x back as a string: fine with v2 alone, not with v1.
      await call('PUT', `/config/${subject}`, { compatibility: 'BACKWARD' })
      await register(subject, record(a, { name: 'x', type: 'int', default: 0 }))
      await register(subject, record(a))
      const back = { schema: record(a, { name: 'x', type: 'string', default: '' }) }
      const isCompatible = async (level: string) => {
        await call('PUT', `/config/${subject}`, { compatibility: level })
        return (await call('POST', `/compatibility/subjects/${subject}/versions/latest`, back)).body.is_compatible
      }
      assert.equal(await isCompatible('BACKWARD'), true)
      assert.equal((await call('POST', `/compatibility/subjects/${subject}/versions/1`, back)).body.is_compatible, false)
      await call('PUT', `/config/${subject}`, { compatibility: 'BACKWARD_TRANSITIVE' })
      refuses(await call('POST', `/subjects/${subject}/versions`, back), 409, 409)
      await call('PUT', `/config/${subject}`, { compatibility: 'BACKWARD' })
      assert.equal((await call('POST', `/subjects/${subject}/versions`, back)).status, 200)
    })

    for (const [level, isNewFieldFine, isDroppedFieldFine] of [
      ['NONE', true, true],
      ['BACKWARD', false, true],
      ['FORWARD', true, false],
      ['FULL', false, false],
    ] as const) {
      const rule = `level ${level}: a new required field is ${isNewFieldFine ? 'taken' : 'refused'}, a dropped one ${isDroppedFieldFine ? 'taken' : 'refused'}`
      test(rule, { skip: level === 'NONE' && lacks('level-none') }, async () => {
        const subject = newSubject()
        await call('PUT', `/config/${subject}`, { compatibility: level })
        await register(subject, V1)
        assert.equal((await register(subject, BREAKING)).status, isNewFieldFine ? 200 : 409)
        const other = newSubject()
        await call('PUT', `/config/${other}`, { compatibility: level })
        await register(other, BREAKING)
        assert.equal((await register(other, V1)).status, isDroppedFieldFine ? 200 : 409)
      })
    }

    test('looking up tells the version that holds a schema', async () => {
      const subject = newSubject()
      const { body } = await register(subject, V1)
      await register(subject, V2)
      const found = await call('POST', `/subjects/${subject}`, { schema: V1 })
      assert.equal(found.body.version, 1)
      assert.equal(found.body.id, body.id)
      refuses(await call('POST', `/subjects/${subject}`, { schema: record({ name: 'other', type: 'long' }) }), 404, 40403)
      refuses(await call('POST', `/subjects/${newSubject()}`, { schema: V1 }), 404, 40401)
    })

    test('what is unknown has its own code', async () => {
      const subject = newSubject()
      refuses(await call('GET', `/subjects/${subject}/versions`), 404, 40401)
      refuses(await call('GET', `/subjects/${subject}/versions/1`), 404, 40401)
      await register(subject, V1)
      refuses(await call('GET', `/subjects/${subject}/versions/7`), 404, 40402)
      refuses(await call('GET', '/schemas/ids/2000000000'), 404, 40403)
    })

    test('a version that is no number is a bad request', { skip: lacks('version-words') }, async () => {
      const subject = newSubject()
      await register(subject, V1)
      refuses(await call('GET', `/subjects/${subject}/versions/zero`), 422, 42202)
    })

    for (const [what, schema] of [
      ['no JSON', '{'],
      ['an unknown type', '{"type":"record","name":"X","fields":[{"name":"a","type":"nowhere"}]}'],
      ['a record without fields', '{"type":"record","name":"X"}'],
    ] as const) {
      test(`${what} is not a schema`, async () => refuses(await register(newSubject(), schema), 422, 42201))
    }

    test('compatibility can be asked without registering', async () => {
      const subject = newSubject()
      await register(subject, V1)
      assert.equal((await call('POST', `/compatibility/subjects/${subject}/versions/latest`, { schema: V2 })).body.is_compatible, true)
      assert.equal(
        (await call('POST', `/compatibility/subjects/${subject}/versions/latest`, { schema: BREAKING })).body.is_compatible,
        false,
      )
      assert.equal((await call('POST', `/compatibility/subjects/${subject}/versions`, { schema: BREAKING })).body.is_compatible, false)
      refuses(await call('POST', `/compatibility/subjects/${subject}/versions/9`, { schema: V1 }), 404, 40402)
      assert.deepEqual((await call('GET', `/subjects/${subject}/versions`)).body, [1])
    })

    test('a verbose answer names the field that breaks', { skip: lacks('verbose') }, async () => {
      const subject = newSubject()
      await register(subject, V1)
      const { body } = await call('POST', `/compatibility/subjects/${subject}/versions/latest?verbose=true`, { schema: BREAKING })
      assert.match(body.messages.join('\n'), /READER_FIELD_MISSING_DEFAULT_VALUE[\s\S]*\/fields\/1/)
      assert.deepEqual(
        (await call('POST', `/compatibility/subjects/${subject}/versions/latest?verbose=true`, { schema: V2 })).body.messages,
        [],
      )
    })

    test('the global level can be read back', async () =>
      assert.equal((await call('GET', '/config')).body.compatibilityLevel, 'FULL_TRANSITIVE'))

    test('a subject has the global level until it has its own', { skip: lacks('own-level') }, async () => {
      const subject = newSubject()
      await register(subject, V1)
      refuses(await call('GET', `/config/${subject}`), 404, 40408)
      assert.equal((await call('GET', `/config/${subject}?defaultToGlobal=true`)).body.compatibilityLevel, 'FULL_TRANSITIVE')
      assert.equal((await call('PUT', `/config/${subject}`, { compatibility: 'NONE' })).body.compatibility, 'NONE')
      assert.equal((await call('GET', `/config/${subject}`)).body.compatibilityLevel, 'NONE')
      assert.equal((await register(subject, BREAKING)).status, 200)
      await call('DELETE', `/config/${subject}`)
      refuses(await call('GET', `/config/${subject}`), 404, 40408)
      refuses(await call('PUT', `/config/${subject}`, { compatibility: 'SOMETIMES' }), 422, 42203)
    })

    test('a soft-deleted version is gone until asked for, and its number is not given again', async () => {
      const subject = newSubject()
      const { body } = await register(subject, V1)
      await register(subject, V2)
      assert.equal((await call('DELETE', `/subjects/${subject}/versions/2`)).body, 2)
      assert.deepEqual((await call('GET', `/subjects/${subject}/versions`)).body, [1])
      assert.deepEqual((await call('GET', `/subjects/${subject}/versions?deleted=true`)).body, [1, 2])
      assert.equal((await call('GET', `/schemas/ids/${body.id}`)).status, 200)
      const again = await register(subject, V2)
      assert.equal(again.status, 200)
      assert.deepEqual((await call('GET', `/subjects/${subject}/versions`)).body, [1, 3])
    })

    test('a subject is deleted softly first and then for good', async () => {
      const subject = newSubject()
      const { body } = await register(subject, V1)
      assert.equal((await call('DELETE', `/subjects/${subject}?permanent=true`)).body.error_code, 40405)
      assert.deepEqual((await call('DELETE', `/subjects/${subject}`)).body, [1])
      assert.ok(!(await call('GET', '/subjects')).body.includes(subject))
      assert.ok((await call('GET', '/subjects?deleted=true')).body.includes(subject))
      assert.equal((await call('GET', `/schemas/ids/${body.id}`)).status, 200, 'records with this id can still be read')
      assert.deepEqual((await call('DELETE', `/subjects/${subject}?permanent=true`)).body, [1])
      assert.ok(!(await call('GET', '/subjects?deleted=true')).body.includes(subject))
      refuses(await call('DELETE', `/subjects/${subject}`), 404, 40401)
    })

    test('deleting out of turn has codes of its own', { skip: lacks('delete-codes') }, async () => {
      const subject = newSubject()
      await register(subject, V1)
      refuses(await call('DELETE', `/subjects/${subject}?permanent=true`), 404, 40405)
      await call('DELETE', `/subjects/${subject}`)
      refuses(await call('DELETE', `/subjects/${subject}`), 404, 40404)
    })

    test('an id that was deleted for good is never given to another schema', async () => {
      const subject = newSubject()
      const schema = (field: string) => record({ name: field + randomUUID().replaceAll('-', ''), type: 'int', default: 0 })
      const { body } = await register(subject, schema('gone'))
      await call('DELETE', `/subjects/${subject}`)
      await call('DELETE', `/subjects/${subject}?permanent=true`)
      const next = await register(newSubject(), schema('next'))
      assert.ok(next.body.id > body.id)
    })

    test('a read-only subject takes no schema', { skip: lacks('modes') }, async () => {
      const subject = newSubject()
      assert.equal((await call('GET', '/mode')).body.mode, 'READWRITE')
      refuses(await call('GET', `/mode/${subject}`), 404, 40409)
      assert.equal((await call('PUT', `/mode/${subject}`, { mode: 'READONLY' })).body.mode, 'READONLY')
      refuses(await register(subject, V1), 422, 42205)
      refuses(await call('PUT', `/mode/${subject}`, { mode: 'SLEEPING' }), 422, 42204)
      await call('PUT', `/mode/${subject}`, { mode: 'READWRITE' })
      assert.equal((await register(subject, V1)).status, 200)
    })

    test('an import keeps ids and versions', { skip: lacks('modes') }, async () => {
      const subject = newSubject()
      const schema = record({ name: `i${randomUUID().replaceAll('-', '')}`, type: 'int', default: 0 })
      refuses(await call('POST', `/subjects/${subject}/versions`, { schema, id: 900_000, version: 4 }), 422, 42205)
      await call('PUT', `/mode/${subject}`, { mode: 'IMPORT' })
      const highest = 900_000 + Math.floor(Math.random() * 1_000_000)
      assert.equal((await call('POST', `/subjects/${subject}/versions`, { schema, id: highest, version: 4 })).body.id, highest)
      assert.equal((await call('GET', `/subjects/${subject}/versions/4`)).body.id, highest)
      await call('PUT', `/mode/${subject}`, { mode: 'READWRITE' })
    })

    test('registrations at the same time get ids that differ', async () => {
      const subjects = Array.from({ length: 12 }, newSubject)
      const schemas = subjects.map(() => record({ name: `p${randomUUID().replaceAll('-', '')}`, type: 'int', default: 0 }))
      const answers = await Promise.all(subjects.map((subject, index) => register(subject, schemas[index] as string)))
      const ids = answers.map((answer) => answer.body.id as number)
      assert.equal(new Set(ids).size, ids.length)
      const stored = await Promise.all(ids.map((id) => call('GET', `/schemas/ids/${id}`)))
      assert.deepEqual(
        stored.map((answer) => JSON.parse(answer.body.schema)),
        schemas.map((schema) => JSON.parse(schema)),
      )
    })

    test('the registry client of kafkajs registers, encodes and decodes', async () => {
      const subject = newSubject()
      const client = new SchemaRegistry({ host: registry.url })
      await call('PUT', `/config/${subject}`, { compatibility: 'BACKWARD' })
      const { id } = await client.register({ type: SchemaType.AVRO, schema: V2 }, { subject, compatibility: 'BACKWARD' as never })
      const framed = await client.encode(id, { a: 7, b: 'x' })
      assert.equal(framed[0], 0)
      assert.equal(framed.readInt32BE(1), id)
      assert.deepEqual({ ...(await new SchemaRegistry({ host: registry.url }).decode(framed)) }, { a: 7, b: 'x' })
      assert.equal(await client.getLatestSchemaId(subject), id)
      assert.equal(await client.getRegistryId(subject, 1), id)
    })

    test('services that register at once agree on the ids of every topic, and read what each other wrote', async () => {
      const namespace = `n${randomUUID().slice(0, 8)}.`
      const codecs = await Promise.all([1, 2, 3].map(() => openCodec({ registryUrl: registry.url, namespace })))
      codecs.push(await openCodec({ registryUrl: registry.url, namespace, autoRegister: false }))
      for (const topic of topicNames) assert.equal(new Set(codecs.map((codec) => codec.schemaId(topic))).size, 1, topic)
      const bytes = codecs[0]!.encode('telemetry', { type: 'tick', tick: { instance: 'ingest-0', upToUs: 7 } })
      for (const codec of codecs) assert.equal(codec.decode<Telemetry>('telemetry', bytes).tick?.upToUs, 7)
    })
  })
}
