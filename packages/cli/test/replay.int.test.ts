// Replay as a data engineer runs it: the command, a real broker and registry, and the real services as processes of their own.

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { canonicalJson, openCodec, openKafkaLog, publish, sha256Hex } from '@andon/kit'
import type { Append, Codec, Log, LogRecord } from '@andon/kit'
import { repositoryRoot, startKafka, startRegistry } from '@andon/platform'
import type { Kafka } from '@andon/platform'
import { avroSchemas, topology } from '@andon/schemas'
import { andon } from './command.ts'
import { documents, findingAt, telemetryOf } from './replay-plant.ts'

const folder = mkdtempSync(join(tmpdir(), 'andon-replay-'))
const PARTITIONS = 3
const ASSETS = ['oven-1', 'oven-2', 'oven-3', 'oven-4']
const SECONDS = 240
const START_MS = Date.now() - 3_600_000

let kafka: Kafka
let registry: Awaited<ReturnType<typeof startRegistry>>
let log: Log
let codec: Codec
let environment: NodeJS.ProcessEnv
const children: ChildProcess[] = []

before(async () => {
  kafka = await startKafka()
  registry = await startRegistry({ brokers: kafka.brokers })
  log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'test' })
  codec = await openCodec({ registryUrl: registry.url })
  await log.admin.ensureTopics(
    Object.entries(topology.topics).map(([name, { partitions, configs }]) => ({
      name,
      partitions: partitions === 1 ? 1 : PARTITIONS,
      configs,
    })),
  )
  environment = {
    ANDON_KAFKA_BROKERS: kafka.brokers.join(','),
    ANDON_REGISTRY_URL: registry.url,
    ANDON_HOME: join(folder, 'home'),
    ANDON_BLOB_DIR: join(folder, 'blobs'),
  }
  await publish(log, codec, documents(ASSETS), 'test')
  await runLiveFeatures()
})
after(async () => {
  for (const child of children) child.kill('SIGKILL')
  await log?.close()
  await registry?.stop()
  await kafka?.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** The live service until it has handled everything; it retains snapshots every 30 s of record time. */
const runLiveFeatures = async (): Promise<void> => {
  const main = join(repositoryRoot, 'services/features/src/main.ts')
  const env = {
    ...process.env,
    ...environment,
    FEATURES_ADMIN_PORT: '0',
    ANDON_LOG_LEVEL: 'warn',
    ANDON_REDIS_URL: 'redis://127.0.0.1:1',
    ANDON_HISTORY_EVERY_MS: '30000',
    FEATURES_SNAPSHOT_EVERY: '20',
  }
  const child = spawn(process.execPath, [main], { env, stdio: ['ignore', 'ignore', 'inherit'] })
  children.push(child)
  const telemetry = telemetryOf(codec, ASSETS, PARTITIONS, START_MS, SECONDS)
  for (let fromS = 0; fromS < SECONDS; fromS += 20) {
    const isOfThis = ({ timestampMs = 0 }: Append) => timestampMs >= START_MS + fromS * 1000 && timestampMs < START_MS + (fromS + 20) * 1000
    await log.append(telemetry.filter(isOfThis))
    const expected = ASSETS.length * (fromS + 20 - 5)
    for (let waitedMs = 0; (await recordsOf('features')).length < expected; waitedMs += 100) {
      assert.ok(waitedMs < 120_000, `${expected} vectors after ${fromS + 20} s of telemetry`)
      await sleep(100)
    }
  }
  await sleep(500)
  child.kill('SIGTERM')
  await once(child, 'exit')
}

const recordsOf = async (topic: string): Promise<LogRecord[]> => {
  const found: LogRecord[] = []
  for (const { partition } of await log.admin.watermarks(topic))
    for await (const batch of log.read({ topic, partition, from: 'earliest', to: 'latest' })) found.push(...batch.records)
  return found
}

/** All that a reader sees of a record, but for the run's own header. */
const faceOf = (record: LogRecord) => {
  const { 'andon-run': _, ...headers } = record.headers()
  return { partition: record.partition, key: record.key, value: record.value?.toString('hex'), headers }
}
const faces = async (topic: string) => (await recordsOf(topic)).map(faceOf)

const at = (seconds: number): string => new Date(START_MS + seconds * 1000).toISOString()
const causedIn = (record: LogRecord, fromS: number, toS: number): boolean =>
  record.timestampMs >= START_MS + fromS * 1000 && record.timestampMs < START_MS + toS * 1000

const succeeded = async (args: readonly string[], extra: NodeJS.ProcessEnv = {}): Promise<string> => {
  const { code, out, err } = await andon(args, { ...environment, ...extra })
  assert.equal(code, 0, `${args.join(' ')}\n${out}\n${err}`)
  return out
}

const range = ['--topic', 'telemetry', '--from', at(90), '--to', at(200)]

test('plan says what would be read from which state, and writes nothing', { timeout: 120_000 }, async () => {
  const topics = (await log.admin.topics()).length
  const plan = JSON.parse(await succeeded(['replay', 'plan', ...range, '--as', 'run-1', '--json'])) as {
    service: string
    records: number
    before: number
    partitions: { partition: number; start: number; from: number; to: number; state: { kind: string } }[]
    outputs: unknown
  }
  assert.equal(plan.service, 'features')
  assert.deepEqual(plan.outputs, [{ topic: 'features', runTopic: 'features.run.run-1' }])
  const expected = (await recordsOf('telemetry')).filter((record) => causedIn(record, 90, 200)).length
  assert.equal(plan.records, expected)
  assert.ok(
    plan.partitions.every(({ state }) => state.kind === 'snapshot'),
    JSON.stringify(plan.partitions),
  )
  assert.ok(plan.partitions.every(({ start, from }) => start > 0 && start <= from))
  assert.equal((await log.admin.topics()).length, topics)
  assert.match(await succeeded(['replay', 'plan', ...range, '--as', 'run-1']), /snapshot of 20.*\n/)
})

test('a run gives the range`s records again: equal keys, bytes, ids and headers, beside the live topic', { timeout: 180_000 }, async () => {
  const live = await faces('features')
  await succeeded(['replay', 'run', ...range, '--as', 'run-1'])
  const expected = (await recordsOf('features')).filter((record) => causedIn(record, 90, 200)).map(faceOf)
  assert.ok(expected.length >= 4 * 100)
  assert.deepEqual(await faces('features.run.run-1'), expected)
  assert.deepEqual(await faces('features'), live, 'the live topic is as it was')
  for (const record of await recordsOf('features.run.run-1')) assert.equal(record.header('andon-run'), 'run-1')
  const { runs } = JSON.parse(await succeeded(['replay', 'status', '--as', 'run-1', '--json'])) as {
    runs: { hops: { status: string; records: number; total: number }[] }[]
  }
  assert.deepEqual(
    runs[0]?.hops.map(({ status, records, total }) => [status, records === total]),
    [['finished', true]],
  )
  assert.match(await succeeded(['replay', 'run', '--as', 'run-1', '--topic', 'telemetry']), /is finished/)
})

test('a run goes on through the next services: each reads what the one before has written', { timeout: 180_000 }, async () => {
  const early = await andon(['replay', 'run', '--topic', 'predictions.run.run-1', '--as', 'run-1'], environment)
  assert.match(early.err, /ANDON_REPLAY_INPUT: there is no topic predictions.run.run-1/)
  await succeeded(['replay', 'run', '--topic', 'features.run.run-1', '--as', 'run-1'])
  const [vectors, predictions] = [await recordsOf('features.run.run-1'), await recordsOf('predictions.run.run-1')]
  assert.equal(predictions.length, vectors.length)
  const causes = predictions.map((record) => record.header('andon-cause')!.split('/').slice(0, 2).join('/'))
  assert.ok(
    causes.every((cause, i) => cause === `features.run.run-1/${predictions[i]!.partition}`),
    'lineage names the run`s own records',
  )
  assert.deepEqual(
    predictions.map((record) => record.header('andon-order')),
    vectors.map((record) => record.header('andon-order')),
    'the order of a vector travels on as it is live',
  )
  await succeeded(['replay', 'run', '--topic', 'predictions.run.run-1', '--as', 'run-1'])
  const { runs } = JSON.parse(await succeeded(['replay', 'status', '--as', 'run-1', '--json'])) as {
    runs: { hops: { service: string; status: string }[] }[]
  }
  assert.deepEqual(
    runs[0]?.hops.map(({ service, status }) => `${service} ${status}`),
    ['features finished', 'inference finished', 'clustering finished'],
  )
  assert.equal((await recordsOf('predictions')).length + (await recordsOf('anomalies')).length + (await recordsOf('models')).length, 0)
})

test('killed in the middle and resumed: the same set, nothing twice', { timeout: 240_000 }, async () => {
  const args = ['replay', 'run', '--topic', 'telemetry', '--from', at(60), '--to', at(75), '--as', 'run-2', '--speed', '1x']
  const main = join(repositoryRoot, 'packages/cli/src/main.ts')
  const runs = spawn(process.execPath, [main, ...args], { env: { ...process.env, ...environment }, stdio: ['ignore', 'ignore', 'inherit'] })
  children.push(runs)
  await written('features.run.run-2', 8)
  const hopPid = serviceOf(runs.pid!)
  process.kill(hopPid, 'SIGKILL')
  const [code] = (await once(runs, 'exit')) as [number]
  assert.equal(code, 1, 'the command says that its process died')
  const before = (await recordsOf('features.run.run-2')).length
  await succeeded(['replay', 'run', '--as', 'run-2', '--topic', 'telemetry'])
  const expected = (await recordsOf('features')).filter((record) => causedIn(record, 60, 75)).map(faceOf)
  assert.ok(before > 0 && before < expected.length, `killed in the middle: ${before} of ${expected.length}`)
  assert.deepEqual(await faces('features.run.run-2'), expected)
})

/** Pid of the service that a command has started. */
const serviceOf = (parent: number): number => {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent) return Number(name)
    } catch {
      // gone meanwhile
    }
  }
  throw new Error(`process ${parent} has no child`)
}

test(
  'its command killed and started again at once: the process that was left behind ends before another one writes',
  { timeout: 240_000 },
  async () => {
    const main = join(repositoryRoot, 'packages/cli/src/main.ts')
    const args = ['replay', 'run', '--topic', 'telemetry', '--from', at(60), '--to', at(70), '--as', 'run-8', '--speed', '1x']
    const first = spawn(process.execPath, [main, ...args], { env: { ...process.env, ...environment }, stdio: 'ignore' })
    children.push(first)
    await written('features.run.run-8', 4)
    first.kill('SIGKILL')
    await once(first, 'exit')
    await succeeded(['replay', 'run', '--as', 'run-8', '--topic', 'telemetry'])
    const expected = (await recordsOf('features')).filter((record) => causedIn(record, 60, 70)).map(faceOf)
    assert.deepEqual(await faces('features.run.run-8'), expected)
  },
)

test('processes that share the partitions give the same set, also when one of them was killed', { timeout: 240_000 }, async () => {
  const main = join(repositoryRoot, 'packages/cli/src/main.ts')
  const args = ['replay', 'run', ...range, '--as', 'run-9', '--jobs', '2']
  const runs = spawn(process.execPath, [main, ...args], { env: { ...process.env, ...environment }, stdio: 'ignore' })
  children.push(runs)
  const manifest = join(folder, 'home/replay/run-9.json')
  const shared = (): { pid: number }[] =>
    existsSync(manifest)
      ? (JSON.parse(readFileSync(manifest, 'utf8')) as { hops: { children: { pid: number }[] }[] }).hops[0]!.children
      : []
  while (shared().length < 2) await sleep(20)
  process.kill(shared()[0]!.pid, 'SIGKILL')
  const [code] = (await once(runs, 'exit')) as [number]
  assert.equal(code, 1, 'the command says that one of its processes died')
  assert.deepEqual(shared(), [], 'the other one has ended as well')
  await succeeded(['replay', 'run', '--as', 'run-9'])
  assert.deepEqual(await faces('features.run.run-9'), await faces('features.run.run-1'))
})

/** Resolves when a topic is there and holds that many records. */
const written = async (topic: string, count: number): Promise<void> => {
  for (let waitedMs = 0; ; waitedMs += 100) {
    const isThere = (await log.admin.topics()).some(({ name }) => name === topic)
    if (isThere && (await recordsOf(topic)).length >= count) return
    assert.ok(waitedMs < 90_000, `${count} records on ${topic}`)
    await sleep(100)
  }
}

test('a git ref runs in a tree of its own; one from before the contract is refused by name', { timeout: 240_000 }, async () => {
  const git = (...args: string[]) => spawnSync('git', ['-C', repositoryRoot, ...args], { encoding: 'utf8' }).stdout.trim()
  const head = git('rev-parse', 'HEAD')
  await succeeded(['replay', 'run', ...range, '--as', 'run-3', '--service', 'features@HEAD'])
  assert.deepEqual(await faces('features.run.run-3'), await faces('features.run.run-1'))
  const worktree = join(folder, 'home/replay/worktrees', head)
  assert.ok(readdirSync(worktree).includes('services'))
  const first = git('rev-list', '--max-parents=0', 'HEAD').split('\n')[0]!
  const refused = await andon(['replay', 'run', ...range, '--as', 'run-4', '--service', `features@${first}`], environment)
  assert.equal(refused.code, 1)
  assert.match(refused.err, /ANDON_REPLAY_CONTRACT: features of [0-9a-f]{40} cannot be replayed/)
  const unknown = await andon(['replay', 'run', ...range, '--as', 'run-4', '--service', 'features@no-such-branch'], environment)
  assert.match(unknown.err, /ANDON_REPLAY_CODE: no-such-branch is no commit/)
  assert.equal(
    (await log.admin.topics()).some(({ name }) => name.includes('run-4')),
    false,
  )
})

/** Settings under which git knows a commit like HEAD but for one file; its objects lie beside the repository's own. */
const commitWith = (file: string, text: string): { commit: string; environment: NodeJS.ProcessEnv } => {
  const objects = join(folder, 'objects')
  mkdirSync(objects, { recursive: true })
  const common = spawnSync('git', ['-C', repositoryRoot, 'rev-parse', '--path-format=absolute', '--git-path', 'objects'], {
    encoding: 'utf8',
  })
  const own = {
    GIT_OBJECT_DIRECTORY: objects,
    GIT_ALTERNATE_OBJECT_DIRECTORIES: common.stdout.trim(),
    GIT_INDEX_FILE: join(folder, 'index'),
    GIT_AUTHOR_NAME: 'test',
    GIT_AUTHOR_EMAIL: 'test@works.example',
    GIT_COMMITTER_NAME: 'test',
    GIT_COMMITTER_EMAIL: 'test@works.example',
  }
  const git = (args: string[], input = ''): string => {
    const { status, stdout, stderr } = spawnSync('git', ['-C', repositoryRoot, ...args], {
      encoding: 'utf8',
      input,
      env: { ...process.env, ...own },
    })
    assert.equal(status, 0, `git ${args.join(' ')}: ${stderr}`)
    return stdout.trim()
  }
  git(['read-tree', 'HEAD'])
  git(['update-index', '--cacheinfo', `100644,${git(['hash-object', '-w', '--stdin'], text)},${file}`])
  return { commit: git(['commit-tree', git(['write-tree']), '-m', 'other schemas']), environment: own }
}

/** Today's schema of features with its vector's fields changed. */
const featuresSchemaWith = (change: (fields: AvroField[]) => AvroField[]): string => {
  const schema = structuredClone(avroSchemas.features) as unknown as {
    fields: { name: string; type: { fields: AvroField[] }[] }[]
  }
  const vector = schema.fields.find(({ name }) => name === 'vector')!.type[1]!
  vector.fields = change(vector.fields)
  return JSON.stringify(schema)
}
interface AvroField {
  name: string
}

const subjects = async (): Promise<string[]> => (await (await fetch(`${registry.url}/subjects`)).json()) as string[]
const versionsOf = async (subject: string): Promise<unknown> => (await fetch(`${registry.url}/subjects/${subject}/versions`)).json()

test(
  'a ref with schemas that the registry never saw runs to its end and leaves the live subjects as they are',
  { timeout: 240_000 },
  async () => {
    const schema = featuresSchemaWith((fields) => fields.filter(({ name }) => name !== 'young'))
    const older = commitWith('schemas/avro/features.avsc', schema)
    const versions = await versionsOf('features-value')
    const before = await subjects()
    await succeeded(['replay', 'run', ...range, '--as', 'run-10', '--service', `features@${older.commit}`], older.environment)
    const [found, expected] = [await recordsOf('features.run.run-10'), await recordsOf('features.run.run-1')]
    const read = (records: LogRecord[]) => Promise.all(records.map(({ value }) => codec.decodeAsync('features', value!)))
    assert.ok(found.length > 0)
    assert.deepEqual(await read(found), await read(expected))
    assert.notEqual(found[0]!.value!.readInt32BE(1), expected[0]!.value!.readInt32BE(1)) // schema ids
    assert.deepEqual(await versionsOf('features-value'), versions)
    assert.deepEqual(
      (await subjects()).filter((subject) => !before.includes(subject)),
      ['features.run.run-10-value'],
    )
  },
)

test('a ref whose records today`s readers could not read is refused with the reason', { timeout: 240_000 }, async () => {
  const schema = featuresSchemaWith((fields) => [...fields, { name: 'colour', type: 'string' } as AvroField])
  const other = commitWith('schemas/avro/features.avsc', schema)
  const { code, err } = await andon(['replay', 'run', ...range, '--as', 'run-11', '--service', `features@${other.commit}`], {
    ...environment,
    ...other.environment,
  })
  assert.equal(code, 1)
  assert.match(err, /readers of features-value cannot read: .*Vector/)
  assert.equal((await subjects()).includes('features.run.run-11-value'), false)
})

test('what is asked for wrongly is said before a ref is installed', { timeout: 60_000 }, async () => {
  const schema = featuresSchemaWith((fields) => fields.filter(({ name }) => name !== 'health'))
  const { commit, environment: own } = commitWith('schemas/avro/features.avsc', schema)
  const refused = async (...args: string[]): Promise<string> => {
    const { code, err } = await andon(['replay', 'run', '--as', 'run-12', '--service', `features@${commit}`, ...args], {
      ...environment,
      ...own,
    })
    assert.notEqual(code, 0)
    return err
  }
  assert.match(await refused('--topic', 'telemetry', '--from', at(90), '--to', 'noon'), /--to: expected a time/)
  assert.match(await refused('--topic', 'telemetry', '--from', 'now', '--to', at(90)), /--from is not before --to/)
  assert.match(await refused('--topic', 'predictions', '--from', at(90)), /features reads telemetry, not predictions/)
  assert.match(await refused(...range, '--jobs', 'all'), /--jobs: expected a number/)
  assert.match(await refused(...range, '--config', 'ffffffffffff'), /ANDON_REPLAY_CONFIG/)
  assert.equal(existsSync(join(folder, 'home/replay/worktrees', commit)), false)
})

test('a pinned document holds for the whole run', { timeout: 120_000 }, async () => {
  const [, features] = documents(ASSETS)
  const other = { ...(JSON.parse((features!.value as { body: string }).body) as object), features: [{ channel: '*', statistics: ['min'] }] }
  const body = canonicalJson(other)
  const digest = sha256Hex(body)
  const value = { ...(features!.value as object), body, digest, effectiveFromUs: Date.now() * 1000 + 3.6e9 }
  await publish(log, codec, [{ ...features!, value, id: digest }], 'test')
  await succeeded(['replay', 'run', ...range, '--as', 'run-5', '--config', digest.slice(0, 12)])
  const found = await recordsOf('features.run.run-5')
  assert.ok(found.length > 0)
  const last = codec.decode<{ vector: { names: string[] } | null }>('features', found.at(-1)!.value!)
  assert.deepEqual(last.vector?.names, ['temperatureC.min'])
  const none = await andon(['replay', 'plan', ...range, '--as', 'run-6', '--config', 'ffffffffffff'], environment)
  assert.match(none.err, /ANDON_REPLAY_CONFIG: no document on config has the digest ffffffffffff/)
})

test('the state of an asset at a moment is told, and nothing is left behind', { timeout: 120_000 }, async () => {
  const topics = (await log.admin.topics()).length
  const told = JSON.parse(await succeeded(['state', 'at', at(100.5), '--asset', 'oven-1', '--json'])) as {
    state: { windows: { endUs: number }[]; lanes: { rows: number; lastUs: number }[] }
  }
  const { windows, lanes } = told.state
  const secondUs = (START_MS - (START_MS % 1000)) * 1000 + 100 * 1e6
  assert.ok(lanes[0]!.lastUs >= secondUs && lanes[0]!.lastUs < secondUs + 1e6, JSON.stringify(lanes))
  assert.ok(lanes[0]!.rows > 0)
  assert.ok(
    windows.every(({ endUs }) => endUs <= secondUs),
    JSON.stringify(windows),
  )
  assert.equal((await log.admin.topics()).length, topics)
})

test(
  'actions in a run propose and decide, and reach nothing, with every secret in the environment and no approval asked for',
  { timeout: 240_000 },
  async () => {
    let calls = 0
    const trap = createServer((socket) => {
      calls++
      socket.destroy()
    }).listen(0, '127.0.0.1')
    await once(trap, 'listening')
    try {
      const { port } = trap.address() as { port: number }
      await publish(log, codec, documents(ASSETS, port), 'test')
      const atUs = Date.now() * 1000
      const finding = findingAt(atUs)
      await publish(
        log,
        codec,
        [
          {
            topic: 'anomalies',
            key: 'oven-1',
            id: 'f-1',
            type: 'opened',
            timeUs: atUs,
            value: { type: 'EpisodeOpened', assetId: 'oven-1', finding, detail: null },
          },
        ],
        'test',
      )
      const url = `http://127.0.0.1:${port}`
      await succeeded(['replay', 'run', '--topic', 'anomalies', '--from', '1h', '--as', 'run-7'], {
        ANDON_TOKEN: 'secret',
        ACTIONS_WEBHOOK_SECRET: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
        ANDON_NATS_URL: `nats://127.0.0.1:${port}`,
        ANDON_REDIS_URL: `redis://127.0.0.1:${port}`,
        ANDON_ACTIONS_URL: url,
      })
      const types = (await recordsOf('actions.run.run-7')).map((record) => record.header('ce_type'))
      assert.ok(types.includes('FindingCopied') && types.includes('IncidentOpened') && types.includes('StepProposed'), types.join(', '))
      assert.equal(types.includes('Executing'), false)
      assert.equal((await recordsOf('actions')).length, 0)
      assert.equal(calls, 0)
    } finally {
      trap.close()
    }
  },
)

test('abort --delete removes what a run has made', { timeout: 60_000 }, async () => {
  await succeeded(['replay', 'abort', '--as', 'run-3', '--delete'])
  assert.deepEqual(
    (await log.admin.topics()).filter(({ name }) => name.includes('run-3')),
    [],
  )
  const { runs } = JSON.parse(await succeeded(['replay', 'status', '--json'])) as { runs: { id: string }[] }
  assert.equal(
    runs.some(({ id }) => id === 'run-3'),
    false,
  )
})
