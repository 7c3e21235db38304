// kill -9 at every single step that a door for files and the importer take on the disk: whatever was handed over is imported by the next
// process, once by identity, nothing of it stays behind, and no state that a kill leaves holds up the files behind it.

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import fs from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { openMemoryLog } from '@andon/kit'
import type { MemoryLog } from '@andon/kit'
import { folderDoor } from '../../src/adapters/folder.ts'
import { sftpDoor } from '../../src/adapters/sftp.ts'
import { SftpRoot } from '../../src/adapters/sftp-root.ts'
import { tusDoor } from '../../src/adapters/tus.ts'
import type { Intake, Source } from '../../src/adapters/source.ts'
import { importerOf } from '../../src/files/importer.ts'
import { until } from '../until.ts'
import { importerContext } from './importer-rig.ts'

/** One process: it dies before the step of this number, and whatever it asks of the disk from then on is never answered. */
interface Life {
  stepsLeft: number
  readonly died: PromiseWithResolvers<void>
}

const lives = new AsyncLocalStorage<Life>()
const never = new Promise<never>(() => undefined)

/** Undefined while the life goes on, or outside of any. */
const deathAt = (): 'now' | 'before' | undefined => {
  const life = lives.getStore()
  if (life === undefined || --life.stepsLeft > 0) return undefined
  life.died.resolve()
  return life.stepsLeft === 0 ? 'now' : 'before'
}

type AnyCall = (...args: never[]) => Promise<unknown>

const real = { ...fs }
for (const name of ['open', 'rename', 'rm', 'unlink', 'mkdir', 'truncate'] as const)
  Object.assign(fs, { [name]: (...args: never[]) => (deathAt() === undefined ? (real[name] as AnyCall)(...args) : never) })
// A write that a kill cuts off leaves a part of it.
Object.assign(fs, {
  writeFile: (path: string, content: string | Uint8Array, ...rest: never[]) => {
    const death = deathAt()
    if (death === undefined) return real.writeFile(path, content, ...rest)
    return death === 'now' ? real.writeFile(path, content.slice(0, content.length >> 1)).then(() => never) : never
  },
})
syncBuiltinESMExports()
const probe = await real.open(import.meta.filename)
const handles = Object.getPrototypeOf(probe) as Record<'write' | 'writeFile' | 'sync' | 'datasync', AnyCall>
await probe.close()
for (const name of ['write', 'writeFile'] as const) {
  const call = handles[name]
  handles[name] = function (this: unknown, ...args: never[]) {
    return deathAt() === undefined ? call.apply(this, args) : never
  }
}
for (const name of ['sync', 'datasync'] as const) handles[name] = () => Promise.resolve() // a kill loses nothing that was written

const folders: string[] = []
after(() => Promise.all(folders.map((folder) => real.rm(folder, { recursive: true, force: true }))))

/** What outlives a process. */
interface World {
  readonly folder: string
  readonly log: MemoryLog
  /** Values by source and number: what the spool has made safe. */
  readonly rows: Map<string, number>
  readonly contradictions: string[]
}

const newWorld = async (): Promise<World> => {
  const folder = await real.mkdtemp(join(tmpdir(), 'andon-file-kills-'))
  folders.push(folder)
  await real.mkdir(join(folder, 'inbox'))
  return { folder, log: openMemoryLog({ partitions: 1 }), rows: new Map(), contradictions: [] }
}

const csv = (seed: number): string =>
  `timeUs,asset,temperatureC\n${Array.from({ length: rowsPerFile }, (_, row) => `${1_795_000_000_000_000 + row},oven,${seed + row}\n`).join('')}`
const rowsPerFile = 3

type DoorUnderTest = 'folder' | 'tus' | 'sftp'

interface Running {
  /** Resolves when the door has acknowledged the file. */
  readonly send: (name: string, content: string) => Promise<void>
  readonly stop: () => Promise<void>
}

/** Starts the doors as one process does, the one under test last: files of its own may wait for it. */
const start = async ({ folder, log, rows, contradictions }: World, life: Life, last: DoorUnderTest): Promise<Running> => {
  const context = importerContext(folder, log)
  const { logger } = context
  const uploads = { maxBytes: 1e6, quotaBytes: 1e6, expireS: 86_400 }
  const inbox = join(folder, 'inbox')
  const tus = tusDoor({
    ...uploads,
    folder: join(folder, 'uploads'),
    importer: importerOf(context),
    senders: { of: () => ({ id: 'p-loader', device: undefined }) } as never,
    logger,
  })
  const importer = importerOf(context)
  const sftp = sftpDoor({
    ...uploads,
    host: '127.0.0.1',
    port: 0,
    keysFolder: folder,
    folder: join(folder, 'sftp'),
    importer,
    logger,
  })
  const watched = folderDoor({ folder: inbox, settleMs: 0, instance: 'ingest-0', importer: importerOf(context), logger })
  const doors: Source[] = [watched, sftp, tus].toSorted((a, b) => Number(a.name === last) - Number(b.name === last))
  const intake: Intake = async (delivery) => {
    if (life.stepsLeft <= 0) return never
    const { columns } = delivery as Extract<typeof delivery, { columns: unknown }>
    let accepted = 0
    for (const { source, seqFrom = 0, rows: count, values } of columns) {
      for (let row = 0; row < count; row++) {
        const id = `${source}/${seqFrom + row}`
        const value = values[row]!
        if ((rows.get(id) ?? value) !== value) contradictions.push(id)
        rows.set(id, value)
        accepted++
      }
    }
    return { accepted, duplicates: 0, quarantined: [] }
  }
  await real.mkdir(join(folder, 'uploads'), { recursive: true })
  const server = createServer((request, response) => lives.run(life, () => tus.handler(request, response)))
  const stop = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await Promise.all([closed, ...doors.map((door) => door.stop())])
  }
  void life.died.promise.then(() => void stop()) // its timers and ports go with a process; the rest of it never ends
  for (const door of doors) await door.start(intake, () => undefined)
  if (life.stepsLeft <= 0) return never
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/files`
  const incoming = join(folder, 'data/ingest/ingest-0/files/incoming')
  const root = new SftpRoot('loader', join(folder, 'sftp', 'users', 'loader'), incoming, uploads, importer)
  const send = {
    folder: async (name: string, content: string) => {
      await real.writeFile(join(inbox, `${name}.part`), content)
      await real.rename(join(inbox, `${name}.part`), join(inbox, name))
    },
    tus: async (name: string, content: string) => {
      const headers = { 'tus-resumable': '1.0.0' }
      const created = await fetch(url, {
        method: 'POST',
        headers: {
          ...headers,
          'upload-length': String(content.length),
          'upload-metadata': `filename ${Buffer.from(name).toString('base64')}`,
        },
      })
      assert.equal(created.status, 201)
      const patched = await fetch(new URL(created.headers.get('location')!, url), {
        method: 'PATCH',
        headers: { ...headers, 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' },
        body: content,
      })
      assert.equal(patched.status, 204)
    },
    sftp: async (name: string, content: string) => {
      await root.prepare()
      const { file, release } = await root.open(`/${name}.part`, { isNew: false, isTruncated: true })
      await file.write(content)
      await file.close()
      release()
      await root.rename(`/${name}.part`, `/${name}`)
    },
  }
  return { send: (name, content) => send[name.split('-')[0] as DoorUnderTest](name, content), stop }
}

/** Everything that waits or lies half done, in words; what nobody was told of may stay. */
const leftovers = async ({ folder }: World): Promise<string[]> => {
  const files = join(folder, 'data/ingest/ingest-0/files')
  const left: string[] = []
  for (const part of [
    join(files, 'jobs'),
    join(files, 'progress'),
    join(files, 'incoming'),
    join(folder, 'inbox/taken/ingest-0'),
    join(folder, 'uploads'),
  ])
    for (const name of await real.readdir(part)) if (!name.endsWith('.new')) left.push(join(part, name).slice(folder.length + 1))
  return left
}

const isDone = async ({ folder, rows }: World, files: number): Promise<boolean> =>
  rows.size >= files * rowsPerFile && (await real.readdir(join(folder, 'data/ingest/ingest-0/files/jobs'))).length === 0

const oneLife = (stepsLeft: number): Life => ({ stepsLeft, died: Promise.withResolvers<void>() })

/** Sends one file, dies before step `step` of it, and lives again; false when the life had fewer steps. */
const dieAt = async (door: DoorUnderTest, step: number): Promise<boolean> => {
  const world = await newWorld()
  const first = oneLife(step)
  let isAcknowledged = false
  const running = lives.run(first, async () => {
    const started = await start(world, first, door)
    await started.send(`${door}-1.csv`, csv(100))
    isAcknowledged = true
    await until(() => isDone(world, 1), 'the first file is done')
    return started
  })
  running.catch(() => first.died.resolve()) // as a sender is that was cut off; or it went wrong, and has to be cleared away
  await Promise.race([running, first.died.promise])
  const hasDied = first.stepsLeft <= 0
  if (!hasDied) await (await running).stop()
  const acknowledgedBefore = isAcknowledged

  const second = oneLife(Infinity)
  await lives.run(second, async () => {
    const { send, stop } = await start(world, second, door)
    try {
      if (!acknowledgedBefore) await send(`${door}-1.csv`, csv(100)) // as a sender does that heard nothing
      await send(`${door}-2.csv`, csv(200))
      await send('folder-3.csv', csv(300))
      await until(() => isDone(world, 3), `all files are imported after a kill before step ${step} at ${door}`)
    } finally {
      await stop()
    }
  })
  assert.equal(world.rows.size, 3 * rowsPerFile)
  assert.deepEqual(world.contradictions, [])
  if (acknowledgedBefore) assert.deepEqual(await leftovers(world), [], `after a kill before step ${step}`)
  return hasDied
}

for (const door of ['folder', 'tus', 'sftp'] as const) {
  test(`${door}: a kill at any step on the disk loses no file, repeats none, and holds up none`, { timeout: 300_000 }, async () => {
    let steps = 1
    while (await dieAt(door, steps)) steps++
    assert.ok(steps > 10, `${steps} steps`)
  })
}
