// Consumers that were built against a released version of the schemas keep running: what lies in the histories, written again
// by today's code, means to them what it meant; and today's code reads every byte of the histories as anybody's Avro does.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { compileResolver } from '@andon/kit/avro/decoder'
import { compileEncoder } from '@andon/kit/avro/encoder'
import { frameBytes } from '@andon/kit/avro/frame'
import { type AvroRecord, avroSchemas } from '@andon/schemas'
import { consumerOf, readReleased, releasedVersions } from '../../schemas/test/consumer.ts'
import { type History, type HistoryTopic, type Recorded, historyNames, historyTopics, readHistory, written } from './history.ts'
import { redecided } from './redecided.ts'
import { rejudge } from './rejudge.ts'

const bytesOf = ({ record }: Recorded<unknown>): Buffer => (record.value as Buffer).subarray(frameBytes)

/** Asserts that a consumer sees in every record, read and written again with a schema, what it saw in the record as it was. */
const assertMeansTheSame = (consumer: AvroRecord, through: AvroRecord, records: readonly Recorded<unknown>[]): void => {
  const slab = Buffer.alloc(1024 * 1024)
  const encode = compileEncoder(through)
  const again = consumerOf(consumer, through)
  for (const [writer, ofWriter] of Map.groupBy(records, (recorded) => recorded.writer)) {
    const decode = compileResolver(writer, through)
    const first = consumerOf(consumer, writer)
    for (const recorded of ofWriter) {
      const bytes = bytesOf(recorded)
      const end = encode(decode(bytes, 0, bytes.length), slab, 0)
      assert.deepEqual(again(slab.subarray(0, end)), first(bytes), `${recorded.record.topic} ${recorded.record.offset}`)
    }
  }
}

const releasedSchema = (version: string, topic: HistoryTopic): AvroRecord => readReleased(`${version}/avro/${topic}.avsc`) as AvroRecord

for (const name of historyNames())
  describe(`history ${name}`, () => {
    let history: History
    before(async () => {
      history = await readHistory(name)
    })

    for (const topic of historyTopics)
      test(`${topic}: today's reading is anybody's`, () => {
        for (const [writer, records] of Map.groupBy<AvroRecord, Recorded<unknown>>(history[topic], (each) => each.writer)) {
          const read = consumerOf(avroSchemas[topic], writer)
          for (const recorded of records) assert.deepEqual(structuredClone(recorded.value), read(bytesOf(recorded)))
        }
      })

    for (const version of releasedVersions()) {
      for (const topic of historyTopics)
        test(`${topic}: a consumer of ${version} sees the same when today's code has written it`, () =>
          assertMeansTheSame(releasedSchema(version, topic), avroSchemas[topic], history[topic]))

      test(`what is decided and found today is read by consumers of ${version}`, async () => {
        const told = { actions: redecided(history).facts, anomalies: (await rejudge(history)).findings }
        for (const topic of ['actions', 'anomalies'] as const) {
          const read = consumerOf(releasedSchema(version, topic), avroSchemas[topic])
          assert.ok(told[topic].length > 0)
          for (const value of told[topic]) assert.equal((read(written(topic, value)) as { type: string }).type, value.type)
        }
      })
    }

    test('a schema that lost a field, or gave it another type, is noticed', () => {
      const schema = avroSchemas.actions
      const without = { ...schema, fields: schema.fields.filter((field) => field.name !== 'stepId') }
      assert.throws(() => assertMeansTheSame(schema, without, history.actions), assert.AssertionError)
      const number = {
        ...schema,
        fields: schema.fields.map((field) => (field.name === 'by' ? { ...field, type: 'long' as const } : field)),
      }
      assert.throws(() => assertMeansTheSame(schema, number, history.actions))
    })
  })
