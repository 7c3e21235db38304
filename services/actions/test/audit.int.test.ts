// Sealing on a real broker: ranges are sealed through takeovers without a gap or a double, anchored, time-stamped, exported by the
// command, and verified by the one file in the export. What is flipped or cut is named.

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { TestContext } from 'node:test'
import { newKey } from '@andon/audit'
import type { SignedSeal, Verdict } from '@andon/audit'
import { createLogger, openCodec, openKafkaLog, startService } from '@andon/kit'
import type { Codec, Log } from '@andon/kit'
import { startKafka, startRegistry } from '@andon/platform'
import { loadConfig } from '../src/config.ts'
import { actionsService } from '../src/service.ts'
import { eventually, findingOf, plantDocuments, publishDocuments, raise, readActions, settingsIn, tempDir, TOPICS } from './rig.ts'

const cli = join(import.meta.dirname, '../../../packages/cli/src/main.ts')
let kafka: Awaited<ReturnType<typeof startKafka>>
let registry: Awaited<ReturnType<typeof startRegistry>>
let codec: Codec
const logs: Log[] = []

before(async () => {
  kafka = await startKafka()
  registry = await startRegistry({ brokers: kafka.brokers })
  codec = await openCodec({ registryUrl: registry.url })
})
after(async () => {
  for (const log of logs) await log.close().catch(() => {})
  await registry.stop()
  await kafka.stop()
})

const openLog = async (): Promise<Log> => {
  const log = await openKafkaLog({ brokers: [...kafka.brokers], clientId: 'test' })
  logs.push(log)
  return log
}

const startIn = async (dir: string, more: Record<string, string>) => {
  const config = loadConfig(settingsIn(dir, { ACTIONS_AUDIT_DIR: join(dir, 'anchors'), ACTIONS_AUDIT_EVERY: '3', ...more }))
  const running = await startService(
    actionsService(config, { log: await openLog(), codec, logger: createLogger({ service: 'actions', level: config.logLevel }) }),
  )
  return running
}

/** A time-stamping authority of openssl on a local port; undefined where there is no openssl. */
const authority = async (t: TestContext, dir: string) => {
  const openssl = (...words: string[]) => execFileSync('openssl', words, { cwd: dir, stdio: 'pipe' })
  if (spawnSync('openssl', ['version']).status !== 0) return undefined
  writeFileSync(
    join(dir, 'tsa.cnf'),
    `[tsa]\ndefault_tsa = here\n[here]\nserial = tsa.serial\nsigner_cert = tsa.pem\ncerts = ca.pem\nsigner_key = tsa.key\nsigner_digest = sha256\ndefault_policy = 1.2.3.4\ndigests = sha256\naccuracy = secs:1\ness_cert_id_alg = sha256\n[leaf]\nextendedKeyUsage = critical,timeStamping\nbasicConstraints = CA:FALSE\n`,
  )
  writeFileSync(join(dir, 'tsa.serial'), '01\n')
  openssl(
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
    '-subj',
    '/CN=authority',
  )
  openssl(
    'req',
    '-new',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    'tsa.key',
    '-out',
    'tsa.csr',
    '-subj',
    '/CN=clock',
  )
  openssl(
    'x509',
    '-req',
    '-in',
    'tsa.csr',
    '-CA',
    'ca.pem',
    '-CAkey',
    'ca.key',
    '-CAcreateserial',
    '-out',
    'tsa.pem',
    '-extfile',
    'tsa.cnf',
    '-extensions',
    'leaf',
  )
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      writeFileSync(join(dir, 'query.tsq'), Buffer.concat(parts))
      openssl('ts', '-reply', '-config', 'tsa.cnf', '-queryfile', 'query.tsq', '-out', 'reply.tsr')
      response.writeHead(200, { 'content-type': 'application/timestamp-reply' }).end(readFileSync(join(dir, 'reply.tsr')))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('decisions are sealed through takeovers, exported, verified by a stranger; a flip and a cut are named', async (t) => {
  const dir = tempDir(t)
  const log = await openLog()
  await log.admin.ensureTopics(TOPICS.map((name) => ({ name, partitions: name === 'config' || name === 'models' ? 1 : 2 })))
  await publishDocuments(log, codec, plantDocuments())
  const facts = await readActions(t, log, codec)
  const seals = () => facts.filter(({ type }) => type === 'RangeSealed')
  const clock = await authority(t, dir)
  if (clock === undefined) t.diagnostic('SKIPPED: no openssl here, time-stamps are not tested')
  const more = clock === undefined ? {} : { ACTIONS_AUDIT_TIME_URL: clock }

  for (const round of [1, 2]) {
    const first = await startIn(dir, more)
    const sealedBefore = seals().length
    await raise(log, codec, findingOf({ findingId: `f-${round}`, episodeId: `e-${round}`, assetId: 'press-1' }))
    await eventually(() => assert.ok(seals().length > sealedBefore, 'nothing sealed'), 15_000)
    // what anchoring and the authority still owe is done by the next owner
    if (round === 2) await eventually(() => assert.equal(anchoredIn(dir, 'seal'), seals().length), 15_000)
    if (round === 2 && clock !== undefined) await eventually(() => assert.ok(anchoredIn(dir, 'time') > 0), 15_000)
    await first.stop()
  }

  const out = join(dir, 'export')
  const environment = {
    ...process.env,
    ANDON_KAFKA_BROKERS: kafka.brokers.join(),
    ANDON_REGISTRY_URL: registry.url,
    ANDON_HOME: join(dir, 'none'),
  }
  const anchors = join(dir, 'anchors')
  const andon = (...words: string[]) => spawnSync(process.execPath, [cli, 'audit', ...words], { env: environment, encoding: 'utf8' })
  const exported = andon('export', '--out', out, '--anchors', anchors)
  assert.equal(exported.status, 0, exported.stderr)

  const keyLine = JSON.parse(readFileSync(join(out, 'keys.jsonl'), 'utf8').split('\n')[0]!) as { key: string }
  // from another folder, without anything of Andon
  const stranger = (folder: string) =>
    spawnSync(process.execPath, [join(folder, 'verify.mjs'), '--key', keyLine.key, '--anchors', anchors], {
      cwd: '/',
      env: {},
      encoding: 'utf8',
    })
  const whole = stranger(out)
  assert.equal(whole.status, 0, whole.stdout + whole.stderr)
  assert.match(whole.stdout, /Everything sealed is what it was/)
  assert.equal(andon('verify', out, '--key', keyLine.key).status, 0)
  if (clock !== undefined) {
    const [token] = readdirSync(join(out, 'tokens'))
    const words = [
      'ts',
      '-verify',
      '-in',
      join(out, 'tokens', token!),
      '-digest',
      token!.replace('.tsr', ''),
      '-CAfile',
      join(dir, 'ca.pem'),
    ]
    const checked = spawnSync('openssl', words, { encoding: 'utf8' })
    assert.match(checked.stdout + checked.stderr, /Verification: OK/)
  }

  const sizeOf = (name: string) => readFileSync(join(out, 'records', name)).length
  const [file = ''] = readdirSync(join(out, 'records')).toSorted((left, right) => sizeOf(right) - sizeOf(left))
  const damage = (name: string, change: (all: string[]) => string[]) => {
    const folder = join(dir, name)
    cpSync(out, folder, { recursive: true })
    const path = join(folder, 'records', file)
    writeFileSync(path, change(readFileSync(path, 'utf8').split('\n')).join('\n'))
    return stranger(folder)
  }
  const flipped = damage('flipped', (all) =>
    all.map((line, at) =>
      at === 1
        ? line.replace(/"timestampMs":(\d+)(\d)/, (_, head: string, last: string) => `"timestampMs":${head}${9 - Number(last)}`)
        : line,
    ),
  )
  assert.equal(flipped.status, 1)
  assert.match(flipped.stdout, /CHANGED actions\/\d offset 1 field timestampMs/)
  const cut = damage('cut', (all) => [...all.slice(0, 2), ''])
  assert.equal(cut.status, 1)
  assert.match(cut.stdout, /GAP actions\/\d offset 2/)

  // another key, and the end of trust in the first one: what it sealed before holds by its anchors, what it sealed after does not
  const keyFile = join(dir, 'data', 'audit', 'key.pem')
  assert.equal(andon('rotate', '--key-file', keyFile, '--anchors', anchors).status, 0)
  const later = join(dir, 'later')
  const partition = /(\d)\.jsonl/.exec(file)![1]
  const revoked = andon('revoke', keyLine.key, '--from', `actions/${partition}@8`, '--key-file', keyFile, '--anchors', anchors)
  assert.equal(revoked.status, 0, revoked.stderr)
  assert.equal(andon('export', '--out', later, '--anchors', anchors).status, 0)
  const next = newKey(readFileSync(keyFile, 'utf8')).fingerprint
  const judged = andon('verify', later, '--key', next, '--key', keyLine.key, '--anchors', anchors, '--json')
  assert.equal(judged.status, 1)
  const verdict = JSON.parse(judged.stdout) as Verdict
  const sealed = readFileSync(join(later, 'seals', file), 'utf8')
    .trim()
    .split('\n')
  const after8 = sealed.map((line) => JSON.parse(line) as SignedSeal).filter(({ seal }) => seal.to > 8)
  assert.deepEqual(
    verdict.problems.map(({ problem, offset }) => `${problem} ${offset}`),
    after8.map(({ offset }) => `revoked key ${offset}`),
  )
})

const anchoredIn = (dir: string, kind: string): number =>
  readdirSync(join(dir, 'anchors', 'holds')).filter((name) => name.startsWith(`${kind}-`)).length
