// The importer's queue on a real disk: what a file that fails does to the files behind it.

import assert from 'node:assert/strict'
import fs, { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { openMemoryLog } from '@andon/kit'
import ssh2 from 'ssh2'
import { folderDoor } from '../../src/adapters/folder.ts'
import { sftpDoor } from '../../src/adapters/sftp.ts'
import { isSshKey, newSshKeys } from '../../src/adapters/ssh-keys.ts'
import type { Intake } from '../../src/adapters/source.ts'
import { importerOf } from '../../src/files/importer.ts'
import { until } from '../until.ts'
import { importerContext } from './importer-rig.ts'

const folders: string[] = []
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))))

const newFolder = async (): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'andon-importer-'))
  folders.push(folder)
  return folder
}

const csv = (value: number): string => `timeUs,asset,temperatureC\n1795000000000000,oven,${value}\n`
const takesAll: Intake = () => Promise.resolve({ accepted: 1, duplicates: 0, quarantined: [] })
const takes = () => undefined

test(
  'a file that fails for a reason of this machine lets the others pass, and is done once the reason is gone',
  { timeout: 60_000 },
  async (t) => {
    const folder = await newFolder()
    const context = importerContext(folder, openMemoryLog({ partitions: 1 }))
    const importer = importerOf(context)
    const done: string[] = []
    let isDiskWell = false
    await importer.open('folder', async ({ name }) => {
      if (name === 'first.csv' && !isDiskWell) throw new Error('EIO')
      done.push(name)
    })
    for (const [at, name] of ['first.csv', 'second.csv', 'third.csv'].entries()) {
      await writeFile(join(folder, name), csv(at))
      await importer.submit({ door: 'folder', by: null, name }, join(folder, name))
    }
    importer.begin(takesAll, takes)
    t.after(() => importer.end())
    await until(() => importer.waiting('folder').length === 1, 'the files behind the first one are done')
    assert.deepEqual(done, ['second.csv', 'third.csv'])
    assert.deepEqual(
      importer.waiting('folder').map(({ name }) => name),
      ['first.csv'],
    )
    assert.match(await context.metrics.text(), /^andon_ingest_files_failing(?:\{[^}]*\})? 1$/m)
    isDiskWell = true
    await until(() => importer.waiting('folder').length === 0, 'the first file is done')
    assert.deepEqual(done, ['second.csv', 'third.csv', 'first.csv'])
  },
)

test('files of any name that a folder takes are imported, done/ or not', { timeout: 60_000 }, async () => {
  const folder = await newFolder()
  const inbox = join(folder, 'inbox')
  await mkdir(inbox)
  const context = importerContext(folder, openMemoryLog({ partitions: 1 }))
  const door = folderDoor({ folder: inbox, settleMs: 0, instance: 'ingest-0', importer: importerOf(context), logger: context.logger })
  await door.start(takesAll, takes)
  await rm(join(inbox, 'done'), { recursive: true })
  for (const [at, name] of [`${'x'.repeat(250)}.csv`, `${'炉'.repeat(83)}.csv`].entries()) {
    await writeFile(join(inbox, '.next'), csv(at))
    await rename(join(inbox, '.next'), join(inbox, name))
  }
  const manifests = async () => (await readdir(join(inbox, 'done')).catch(() => [])).filter((name) => name.endsWith('.manifest.json'))
  await until(async () => (await manifests()).length === 2, 'both files are done')
  assert.equal(door.ready(), true)
  await door.stop()
})

test('a host key that nobody can read does not keep the SFTP door shut: another one is made', { timeout: 60_000 }, async () => {
  const folder = await newFolder()
  const context = importerContext(folder, openMemoryLog({ partitions: 1 }))
  const door = sftpDoor({
    host: '127.0.0.1',
    port: 0,
    keysFolder: folder,
    folder,
    importer: importerOf(context),
    logger: context.logger,
    maxBytes: 1e6,
    quotaBytes: 1e6,
    expireS: 60,
  })
  await writeFile(join(folder, 'host-key'), '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n')
  await door.start(takesAll, takes)
  assert.equal(door.ready(), true)
  assert.equal(isSshKey(await readFile(join(folder, 'host-key'), 'utf8')), true)
  await door.stop()
})

test('instances that share a folder leave each other what they have claimed', { timeout: 60_000 }, async () => {
  const folder = await newFolder()
  const inbox = join(folder, 'inbox')
  await mkdir(inbox)
  const log = openMemoryLog({ partitions: 1 })
  const doorOf = (instance: string) => {
    const context = importerContext(folder, log, instance)
    const importer = importerOf(context)
    return { importer, door: folderDoor({ folder: inbox, settleMs: 0, instance, importer, logger: context.logger }) }
  }
  const busy = doorOf('ingest-0')
  const started = doorOf('ingest-1')
  const blocked = Promise.withResolvers<Awaited<ReturnType<Intake>>>()
  await busy.door.start(() => blocked.promise, takes)
  await writeFile(join(inbox, 'long.csv'), csv(1))
  await until(() => busy.importer.waiting('folder').length === 1, 'the first instance has claimed the file')
  await started.door.start(takesAll, takes)
  assert.deepEqual(started.importer.waiting('folder'), [])
  blocked.resolve({ accepted: 1, duplicates: 0, quarantined: [] })
  await until(() => busy.importer.waiting('folder').length === 0, 'the file is done')
  await Promise.all([busy.door.stop(), started.door.stop()])
  assert.equal((await readdir(join(inbox, 'done'))).filter((name) => name.endsWith('.manifest.json')).length, 1)
  assert.deepEqual(await readdir(join(inbox, 'failed')), [])
})

test('an SFTP request is answered that comes while the disk is still busy with the login', { timeout: 20_000 }, async (t) => {
  const folder = await newFolder()
  const keys = newSshKeys()
  await mkdir(join(folder, 'keys'))
  await writeFile(join(folder, 'keys', 'loader'), keys.public)
  const context = importerContext(folder, openMemoryLog({ partitions: 1 }))
  const importer = importerOf(context)
  const options = { host: '127.0.0.1', port: 0, keysFolder: join(folder, 'keys'), folder, maxBytes: 1e6, quotaBytes: 1e6, expireS: 60 }
  const door = sftpDoor({ ...options, importer, logger: context.logger })
  await door.start(takesAll, takes)
  const client = new ssh2.Client()
  const mkdirAtOnce = fs.mkdir
  t.after(async () => {
    fs.mkdir = mkdirAtOnce
    syncBuiltinESMExports()
    client.end()
    await door.stop()
  })
  fs.mkdir = (async (...args: Parameters<typeof mkdir>) => {
    await pause(300) // longer than a client's first request takes
    return mkdirAtOnce(...args)
  }) as typeof mkdir
  syncBuiltinESMExports()
  await new Promise<void>((resolve, reject) => {
    client.on('ready', resolve).on('error', reject)
    client.connect({ host: '127.0.0.1', port: door.port(), username: 'loader', privateKey: keys.private })
  })
  const sftp = await promisify(client.sftp.bind(client))()
  await new Promise<void>((resolve, reject) => sftp.writeFile('a.csv.part', csv(1), (error) => (error ? reject(error) : resolve())))
  await promisify(sftp.rename.bind(sftp))('a.csv.part', 'a.csv')
  await until(() => importer.waiting('sftp').length === 0, 'the file is imported')
})
