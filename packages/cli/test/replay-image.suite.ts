// Replay from a container image, on every container engine that runs here: a real image of features, a real broker and registry.
// Where no engine can run an image, the tests are skipped and say why.

import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openCodec, openKafkaLog, publish } from '@andon/kit'
import type { Codec, Log, LogRecord } from '@andon/kit'
import { repositoryRoot, startKafka, startRegistry } from '@andon/platform'
import type { Kafka } from '@andon/platform'
import { topology } from '@andon/schemas'
import { andon } from './command.ts'
import { type Engine, tryEngine, writeImageFolder } from './replay-image.ts'
import { documents, telemetryOf } from './replay-plant.ts'

const folder = mkdtempSync(join(tmpdir(), 'andon-image-'))
const TAG = `localhost/andon-test/features-${process.pid}:1`
const SECONDS = 120
const START_MS = Date.now() - 3_600_000
const ASSETS = ['oven-1', 'oven-2', 'oven-3']
const PARTITIONS = 2

writeImageFolder(join(folder, 'image'))
const asked: (Engine | string)[] = []
for (const program of ['docker', 'podman']) asked.push(await tryEngine(program, join(folder, 'image'), TAG))
const engines = asked.filter((each) => typeof each !== 'string')
const reasons = asked.filter((each) => typeof each === 'string')
for (const reason of reasons) console.error(`No image is run by ${reason}`)
const skip = engines.length > 0 ? false : `no container engine runs an image here: ${reasons.join('; ')}`

let kafka: Kafka | undefined
let registry: Awaited<ReturnType<typeof startRegistry>> | undefined
let log: Log
let codec: Codec
let environment: NodeJS.ProcessEnv
const children: ChildProcess[] = []

before(async () => {
  if (skip !== false) return
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
  for (const engine of engines)
    ask(engine, ['rmi', '--force', ...[seen(TAG), bare(TAG), other(TAG), TAG].filter((tag) => isThere(engine, tag))])
  rmSync(folder, { recursive: true, force: true })
})

const other = (tag: string): string => `${tag}-other`
const seen = (tag: string): string => `${tag}-seen`
const bare = (tag: string): string => `${tag}-bare`
const ask = ({ program, environment: own }: Engine, args: readonly string[]): string =>
  execFileSync(program, args, { env: { ...process.env, ...own }, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
const isThere = (engine: Engine, tag: string): boolean => ask(engine, ['images', '--quiet', tag]) !== ''

/** The live service until it has handled everything. */
const runLiveFeatures = async (): Promise<void> => {
  const env = {
    ...process.env,
    ...environment,
    FEATURES_ADMIN_PORT: '0',
    ANDON_LOG_LEVEL: 'warn',
    ANDON_REDIS_URL: 'redis://127.0.0.1:1',
    ANDON_HISTORY_EVERY_MS: '30000',
    FEATURES_SNAPSHOT_EVERY: '20',
  }
  await log.append(telemetryOf(codec, ASSETS, PARTITIONS, START_MS, SECONDS))
  const main = join(repositoryRoot, 'services/features/src/main.ts')
  const child = spawn(process.execPath, [main], { env, stdio: ['ignore', 'ignore', 'inherit'] })
  children.push(child)
  await written('features', ASSETS.length * (SECONDS - 5), child)
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

/** What features wrote live for causes of these seconds. */
const liveOf = async (fromS: number, toS: number) =>
  (await recordsOf('features'))
    .filter(({ timestampMs }) => timestampMs >= START_MS + fromS * 1000 && timestampMs < START_MS + toS * 1000)
    .map(faceOf)

/** Resolves when a topic is there and holds that many records, which a process writes. */
const written = async (topic: string, count: number, writer: ChildProcess): Promise<void> => {
  for (let waitedMs = 0; ; waitedMs += 100) {
    const isMade = (await log.admin.topics()).some(({ name }) => name === topic)
    if (isMade && (await recordsOf(topic)).length >= count) return
    assert.equal(writer.exitCode, null, `${topic} is written`)
    assert.ok(waitedMs < 90_000, `${count} records on ${topic}`)
    await sleep(100)
  }
}

const at = (seconds: number): string => new Date(START_MS + seconds * 1000).toISOString()
const rangeOf = (fromS: number, toS: number) => ['--topic', 'telemetry', '--from', at(fromS), '--to', at(toS)]
const image = (tag: string) => ['--service', `features@image:${tag}`]
const settingsOf = ({ program, environment: own }: Engine): NodeJS.ProcessEnv => ({
  ...environment,
  ...own,
  ANDON_CONTAINER_ENGINE: program,
})

const succeeded = async (engine: Engine, args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<string> => {
  const { code, out, err } = await andon(args, { ...settingsOf(engine), ...more })
  assert.equal(code, 0, `${args.join(' ')}\n${out}\n${err}`)
  return out
}

/** Starts the command without waiting for its end. */
const started = (engine: Engine, args: readonly string[]): ChildProcess => {
  const main = join(repositoryRoot, 'packages/cli/src/main.ts')
  const child = spawn(process.execPath, [main, ...args], { env: { ...process.env, ...settingsOf(engine) }, stdio: 'ignore' })
  children.push(child)
  return child
}

const containersOf = (engine: Engine): string[] =>
  ask(engine, ['ps', '--all', '--filter', 'name=andon-replay-', '--format', '{{.Names}}'])
    .split('\n')
    .filter((name) => name !== '')

if (skip !== false) test('a replay from an image', { skip }, () => {})

for (const engine of engines) {
  const name = engine.program
  const run = (what: string): string => `${name}-${what}`

  test(`${engine.version}: an image gives the range's records again and leaves nothing behind`, { timeout: 180_000 }, async () => {
    const proxy = { http_proxy: 'http://user:pass@127.0.0.1:1', HTTPS_PROXY: 'http://user:pass@127.0.0.1:1' }
    await succeeded(engine, ['replay', 'run', ...rangeOf(60, 110), '--as', run('all'), ...image(TAG)], proxy)
    const expected = await liveOf(60, 110)
    assert.ok(expected.length >= ASSETS.length * 45)
    assert.deepEqual((await recordsOf(`features.run.${run('all')}`)).map(faceOf), expected)
    assert.match(await succeeded(engine, ['replay', 'diff', run('all'), '--against', 'live']), /features +\d+ +0 +0 +0/)
    assert.equal(readFileSync(join(folder, 'home/replay', run('all'), 'features.log'), 'utf8'), '')
    assert.deepEqual(containersOf(engine), [])
  })

  test(`${name}: a container sees its folder, the blobs and the log, and nothing else of the caller`, { timeout: 180_000 }, async () => {
    // what the container is, said by a program in its service's place
    const context = join(folder, run('seen'))
    mkdirSync(context)
    writeFileSync(
      join(context, 'seen.mjs'),
      `import { readFileSync, writeFileSync, readdirSync } from 'node:fs'
      const tried = (path) => { try { writeFileSync(path, ''); return 'written' } catch (error) { return error.code } }
      const plan = process.env.ANDON_REPLAY_PLAN
      const capabilities = /CapEff:\\s*(\\w+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]
      writeFileSync(plan + '.seen', JSON.stringify({ env: process.env, capabilities, root: tried('/app/x'), tmp: tried('/tmp/x'), home: readdirSync('/') }))
      process.exit(7)`,
    )
    writeFileSync(join(context, 'Dockerfile'), `FROM ${TAG}\nCOPY seen.mjs /seen.mjs\nCMD ["node", "/seen.mjs"]\n`)
    ask(engine, ['build', '--tag', seen(TAG), context])
    const secrets = {
      ANDON_TOKEN: 'secret',
      AWS_SECRET_ACCESS_KEY: 'secret',
      http_proxy: 'http://u:secret@127.0.0.1:1',
      HTTPS_PROXY: 'secret',
    }
    const args = ['replay', 'run', ...rangeOf(60, 70), '--as', run('seen'), '--jobs', '1', ...image(seen(TAG))]
    const { code, err } = await andon(args, { ...settingsOf(engine), ...secrets })
    assert.equal(code, 1)
    assert.match(err, /ended with code 7/)
    const told = readFileSync(join(folder, 'home/replay', run('seen'), 'features.json.seen'), 'utf8')
    assert.doesNotMatch(told, /secret/)
    const { capabilities, root, tmp } = JSON.parse(told) as { capabilities: string; root: string; tmp: string }
    assert.deepEqual({ capabilities: BigInt(`0x${capabilities}`), root, tmp }, { capabilities: 0n, root: 'EROFS', tmp: 'written' })
  })

  test(`${name}: its command killed and started again at once, no two containers write`, { timeout: 240_000 }, async () => {
    const args = ['replay', 'run', ...rangeOf(60, 70), '--as', run('killed'), '--speed', '1x', ...image(TAG)]
    const first = started(engine, args)
    await written(`features.run.${run('killed')}`, 4, first)
    first.kill('SIGKILL')
    await once(first, 'exit')
    await succeeded(engine, ['replay', 'run', '--as', run('killed'), '--topic', 'telemetry'])
    assert.deepEqual((await recordsOf(`features.run.${run('killed')}`)).map(faceOf), await liveOf(60, 70))
    assert.deepEqual(containersOf(engine), [])
  })

  test(`${name}: a command that is gone takes its container along`, { timeout: 180_000 }, async () => {
    const first = started(engine, ['replay', 'run', ...rangeOf(10, 110), '--as', run('gone'), '--speed', '1x', ...image(TAG)])
    await written(`features.run.${run('gone')}`, 2, first)
    assert.equal(containersOf(engine).length, 1)
    first.kill('SIGKILL')
    await once(first, 'exit')
    for (let waitedMs = 0; containersOf(engine).length > 0; waitedMs += 200) {
      assert.ok(waitedMs < 30_000, 'the container ends by itself')
      await sleep(200)
    }
  })

  test(`${name}: Ctrl-C ends it in order, and a rebuilt tag does not change the code it goes on with`, { timeout: 240_000 }, async () => {
    const tag = other(TAG)
    ask(engine, ['tag', TAG, tag])
    const first = started(engine, ['replay', 'run', ...rangeOf(60, 72), '--as', run('stopped'), '--speed', '1x', ...image(tag)])
    await written(`features.run.${run('stopped')}`, 4, first)
    first.kill('SIGINT')
    assert.deepEqual(await once(first, 'exit'), [0, null])
    assert.equal(readFileSync(join(folder, 'home/replay', run('stopped'), 'features.log'), 'utf8'), '')
    const context = join(folder, run('rebuilt'))
    mkdirSync(context)
    writeFileSync(join(context, 'Dockerfile'), `FROM ${TAG}\nCMD ["node", "--eval", "process.exit(9)"]\n`)
    ask(engine, ['build', '--tag', tag, context])
    const refused = await andon(['replay', 'run', '--as', run('stopped'), ...image(tag)], settingsOf(engine))
    assert.match(refused.err, /has another --service/)
    await succeeded(engine, ['replay', 'run', '--as', run('stopped'), '--topic', 'telemetry'])
    assert.deepEqual((await recordsOf(`features.run.${run('stopped')}`)).map(faceOf), await liveOf(60, 72))
  })

  test(`${name}: an image that is not there, has no contract or another service's is refused by name`, { timeout: 120_000 }, async () => {
    const context = join(folder, run('bare'))
    mkdirSync(context)
    writeFileSync(join(context, 'Dockerfile'), `FROM ${TAG}\nLABEL andon.replay=''\n`)
    ask(engine, ['build', '--tag', bare(TAG), context])
    const plan = async (tag: string, topic = 'telemetry') =>
      (await andon(['replay', 'plan', '--topic', topic, '--from', at(0), '--as', run('no'), ...image(tag)], settingsOf(engine))).err
    assert.match(await plan('localhost/andon-test/none:1'), new RegExp(`ANDON_REPLAY_CODE: image localhost/andon-test/none:1 .*${name}: `))
    assert.match(await plan(bare(TAG)), /ANDON_REPLAY_CONTRACT: features of image \S+-bare cannot be replayed/)
    assert.match(await plan(TAG, 'predictions'), /ANDON_REPLAY_INPUT/)
  })
}
