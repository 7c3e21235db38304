// Records a history: `node test/histories/record.ts --out test/histories/v2` raises the demo mesh, lives through the story,
// and writes what lies on the topics that decisions read and write, byte for byte, with the writers' schemas.

import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type Log, openKafkaLog } from '@andon/kit'
import { lineageColumns, rowOf } from '../../packages/cli/src/data/columns.ts'
import { mergedByTime, rangesOf } from '../../packages/cli/src/data/ranges.ts'
import { registryClient } from '../../packages/cli/src/data/registry.ts'
import { writerOf } from '../../packages/cli/src/data/table-file.ts'
import { SCHEMAS } from '../../packages/cli/src/data/transfer.ts'
import { Mesh, until } from '../harness/mesh.ts'
import { historyTopics } from './history.ts'
import { live } from './story.ts'

/** Where each record lay, and the record itself; the fields are in its bytes. */
const kept = new Set(['topic', 'partition', 'offset', 'leader_epoch', 'timestamp', 'key', 'headers', 'value_bytes'])
const columns = lineageColumns.filter(({ name }) => kept.has(name))

const say = (what: string): void => void process.stdout.write(`${new Date().toISOString().slice(11, 19)} ${what}\n`)

/** Every prediction that is on the log by now has been judged, and so its findings are on the log. */
const judged = async (log: Log): Promise<void> => {
  const ends = await log.admin.watermarks('predictions')
  await until('clustering has judged every prediction', 120_000, async () => {
    const positions = await log.admin.committed('clustering', 'predictions')
    return ends.every(({ partition, high }) => (positions.get(partition) ?? 0) >= high)
  })
}

const writeTopic = async (log: Log, registryUrl: string, topic: string, file: string): Promise<number> => {
  const versions = await registryClient(registryUrl).versions(`${topic}-value`)
  const schemas = versions.map(({ id, schema }) => [id, schema])
  const writer = await writerOf('avro', file, columns, { 'andon.topic': topic, [SCHEMAS]: JSON.stringify(schemas) })
  const rows = []
  for await (const record of mergedByTime(log, topic, await rangesOf(log, topic, 'start'))) rows.push(rowOf(record, undefined))
  await writer.write(rows)
  await writer.close()
  return rows.length
}

const record = async (out: string): Promise<void> => {
  say('starting the demo mesh')
  const mesh = await Mesh.start()
  try {
    await live(mesh, say)
    const log = await openKafkaLog({ brokers: [`127.0.0.1:${mesh.port(9092)}`], clientId: 'history' })
    try {
      mkdirSync(out, { recursive: true })
      for (const topic of historyTopics) {
        if (topic === 'anomalies') await judged(log)
        const file = join(out, `${topic}.avro`)
        const records = await writeTopic(log, `http://127.0.0.1:${mesh.port(8081)}`, topic, file)
        say(`${records} records of ${topic}, ${Math.ceil(statSync(file).size / 1024)} KiB`)
      }
      writeFileSync(join(out, 'intended.json'), '[]\n')
    } finally {
      await log.close()
    }
  } finally {
    await mesh.stop()
  }
}

const { values } = parseArgs({ options: { out: { type: 'string' } } })
if (values.out === undefined) {
  process.stderr.write('usage: node test/histories/record.ts --out test/histories/v<number>\n')
  process.exit(2)
}
const out = resolve(values.out)
if (existsSync(out)) {
  process.stderr.write(`${values.out} exists, and a recorded history never changes. Take the next number.\n`)
  process.exit(1)
}
await record(out)
