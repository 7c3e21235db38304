// The doors that poll against servers of other libraries, each as a process: pymodbus, python-snap7, cpppo. And against servers that are
// silent, broken or wrong.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { freePorts } from '@andon/platform'
import { pythonWith } from '../../../test/harness/python.ts'
import { ethernetIpDoorKind } from '../src/adapters/ethernet-ip.ts'
import { modbusDoorKind } from '../src/adapters/modbus.ts'
import { pollingDoor } from '../src/adapters/polling.ts'
import { s7DoorKind } from '../src/adapters/s7.ts'
import type { Source } from '../src/adapters/source.ts'
import type { DoorKind } from '../src/doors.ts'
import { openPullRig } from './pull-rig.ts'
import type { PullRig } from './pull-rig.ts'
import { until } from './until.ts'

const [pymodbus, snap7, cpppo] = await Promise.all([
  pythonWith(['pymodbus==3.11.1']),
  pythonWith(['python-snap7==2.0.2']),
  pythonWith(['cpppo==5.2.5']),
])
const folder = mkdtempSync(join(tmpdir(), 'andon-polling-'))
const doors = new Set<Source>()
const children = new Set<ChildProcess>()
const servers = new Set<Server>()

after(async () => {
  for (const door of doors) await door.stop()
  for (const child of children) child.kill('SIGKILL')
  for (const server of servers) server.close()
  rmSync(folder, { recursive: true, force: true })
})

const open = async (kind: DoorKind, ...files: readonly object[]): Promise<{ rig: PullRig; door: Source }> => {
  const rig = openPullRig(folder)
  rig.setFiles(files)
  const door = kind.open({} as never, rig.context)
  doors.add(door)
  await door.start(rig.intake, () => undefined)
  return { rig, door }
}
const close = async (door: Source): Promise<void> => {
  doors.delete(door)
  await door.stop()
}
const start = async (interpreter: string, args: readonly string[], isReady: (text: string) => boolean): Promise<ChildProcess> => {
  const child = spawn(interpreter, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  children.add(child)
  await new Promise<void>((resolve, reject) => {
    let text = ''
    const read = (chunk: Buffer): void => {
      text += chunk.toString()
      if (isReady(text)) resolve()
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.once('exit', () => reject(new Error(text)))
  })
  return child
}
const worker = (name: string) => join(import.meta.dirname, 'workers', name)
const isReady = (text: string) => text.includes('ready')
const file = (kind: string, port: number, channels: object, extra: object = {}) => ({
  version: 1,
  id: `${kind}-1`,
  kind,
  host: '127.0.0.1',
  port,
  asset: 'oven',
  everyMs: 50,
  timeoutMs: 1000,
  channels,
  ...extra,
})
/** The newest value of each channel. */
const latest = ({ taken }: PullRig) => Object.fromEntries(taken.map(({ channel, value }) => [channel, value]))

test(
  'Modbus TCP: types, word orders, bits and areas are read as pymodbus has them; what it does not have is bad alone',
  { skip: pymodbus.missing },
  async () => {
    const [port] = (await freePorts(1)) as [number]
    const child = await start(pymodbus.interpreter, [worker('modbus_server.py'), String(port)], isReady)
    const { rig, door } = await open(
      modbusDoorKind,
      file(
        'modbus',
        port,
        {
          plain: { address: 3 },
          scaled: { address: 4, scale: 0.5, offset: -1 },
          input: { area: 'input', address: 5 },
          float: { address: 10, type: 'float32' },
          swapped: { address: 12, type: 'int32', wordOrder: 'little' },
          double: { address: 14, type: 'float64' },
          negative: { address: 18, type: 'int16' },
          bit: { address: 19, bit: 0 },
          notANumber: { address: 20, type: 'float32' },
          coil: { area: 'coil', address: 11 },
          discrete: { area: 'discrete', address: 12 },
          beyond: { address: 98 },
          illegal: { address: 101 },
        },
        { unitId: 7 },
      ),
    )
    await until(() => rig.taken.length > 0 && rig.refused.length > 0, 'a poll')
    assert.deepEqual(latest(rig), {
      plain: 3,
      scaled: 1,
      input: 5,
      float: 21.5,
      swapped: -70_000,
      double: 1e-3,
      negative: -2,
      bit: 1,
      coil: 1,
      discrete: 0,
      beyond: 98,
      illegal: null,
    })
    assert.match(rig.refused[0]!.message, /channel notANumber: found NaN, expected a finite number/)
    assert.equal(rig.taken[0]!.source, 'oven:modbus-1')
    assert.equal(rig.taken[0]!.quality, 0)

    child.kill('SIGKILL')
    await until(() => rig.taken.some(({ quality }) => quality === 2), 'stale')
    assert.ok((await rig.metric('andon_ingest_polls_total{door="modbus",outcome="missed"')) >= 3)
    assert.equal(await rig.metric('andon_ingest_polled_stale_total'), 1)
    const stale = rig.taken.length
    await start(pymodbus.interpreter, [worker('modbus_server.py'), String(port)], isReady)
    await until(() => rig.taken.slice(stale).some(({ quality }) => quality === 0), 'values again')
    await close(door)
  },
)

test('Modbus TCP: another unit id is not answered, and said', { skip: pymodbus.missing }, async () => {
  const [port] = (await freePorts(1)) as [number]
  await start(pymodbus.interpreter, [worker('modbus_server.py'), String(port)], isReady)
  const { rig, door } = await open(modbusDoorKind, file('modbus', port, { a: { address: 1 } }, { unitId: 9, timeoutMs: 300 }))
  await until(() => rig.warnings.length > 0, 'a warning')
  await close(door)
})

test('S7: a data block is read as python-snap7 has it', { skip: snap7.missing }, async () => {
  const [port] = (await freePorts(1)) as [number]
  await start(snap7.interpreter, [worker('s7_server.py'), String(port)], isReady)
  const channels = {
    real: { address: 'DB1,REAL0' },
    int: { address: 'DB1,INT4' },
    dint: { address: 'DB1,DINT6', scale: 0.1 },
    bit: { address: 'DB1,X10.3' },
    other: { address: 'DB1,X10.2' },
    gone: { address: 'DB9,INT0' },
  }
  const { rig, door } = await open(s7DoorKind, file('s7', port, channels))
  await until(() => rig.taken.length > 0, 'a poll')
  assert.deepEqual(latest(rig), { real: 1.5, int: -3, dint: 7000, bit: 1, other: 0, gone: null })
  await close(door)
})

test('EtherNet/IP: tags are read as cpppo has them', { skip: cpppo.missing }, async () => {
  const [port] = (await freePorts(1)) as [number]
  const args = ['-m', 'cpppo.server.enip', '-v', '-a', `127.0.0.1:${port}`, 'Speed=REAL', 'Count=DINT', 'Values=INT[4]']
  await start(
    cpppo.interpreter,
    args,
    (text) => text.includes('EtherNet/IP Simulator') || text.includes('enip_srv') || text.includes('server'),
  )
  const { rig, door } = await open(
    ethernetIpDoorKind,
    file('ethernet-ip', port, {
      speed: { tag: 'Speed', offset: 1 },
      count: { tag: 'Count' },
      third: { tag: 'Values[2]' },
    }),
  )
  await until(() => rig.taken.length > 0, 'a poll')
  assert.deepEqual(latest(rig), { speed: 1, count: 0, third: 0 })
  await close(door)
})

/** A server that does something else than its protocol. */
const broken = async (onConnection: (socket: Socket) => void): Promise<number> => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    onConnection(socket)
  })
  servers.add(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

const channelsOf = { modbus: { a: { address: 1 } }, s7: { a: { address: 'DB1,REAL0' } }, 'ethernet-ip': { a: { tag: 'A' } } } as const
const kinds = [modbusDoorKind, s7DoorKind, ethernetIpDoorKind]
const wrongs: readonly (readonly [what: string, onConnection: (socket: Socket) => void])[] = [
  ['is silent', (socket) => socket.resume()],
  ['resets', (socket) => socket.once('data', () => socket.resetAndDestroy())],
  ['closes', (socket) => socket.once('data', () => socket.end())],
  ['answers with noise', (socket) => socket.on('data', () => socket.write(randomBytes(64)))],
  ['says what it was told', (socket) => socket.on('data', (data) => socket.write(data))],
  ['cuts its answer', (socket) => socket.on('data', (data) => socket.write(data.subarray(0, 5)))],
  ['answers with zeros', (socket) => socket.on('data', () => socket.write(Buffer.alloc(300)))],
]

for (const kind of kinds) {
  test(`${kind.name}: servers that are silent, reset, close or answer with anything end one connection, and no other source waits`, async () => {
    const files = await Promise.all(
      wrongs.map(async ([, onConnection], index) => ({
        ...file(kind.name, await broken(onConnection), channelsOf[kind.name as keyof typeof channelsOf], { timeoutMs: 150, staleAfter: 2 }),
        id: `wrong-${index}`,
      })),
    )
    const { rig, door } = await open(kind, ...files)
    const isStale = (index: number) =>
      rig.taken.some(({ source, quality, value }) => source === `oven:wrong-${index}` && quality === 2 && value === null)
    await until(() => wrongs.every((_, index) => isStale(index)), 'every source is said to be bad')
    assert.deepEqual(
      rig.taken.filter(({ value }) => value !== null),
      [],
      'no value is made up',
    )
    await close(door)
  })
}

test('a poll that takes longer than its slot skips slots and never meets the next one; what the intake refuses comes in order', async () => {
  let reading = 0
  let most = 0
  let count = 0
  const connect = async () => ({
    read: async () => {
      most = Math.max(most, ++reading)
      await delay(70)
      reading--
      return [++count]
    },
    close: () => undefined,
  })
  const rig = openPullRig(folder)
  rig.refuseNext = 3
  rig.setFiles([{ ...file('modbus', 502, { a: { address: 1 } }), everyMs: 20 }])
  const door = pollingDoor({ kind: 'modbus', connect }, rig.context)
  doors.add(door)
  await door.start(rig.intake, () => undefined)
  await until(() => rig.taken.length >= 6, 'polls')
  await close(door)
  assert.equal(most, 1)
  assert.ok((await rig.metric('andon_ingest_polls_total{door="modbus",outcome="skipped"')) >= 5)
  assert.deepEqual(
    rig.taken.map(({ value }) => value),
    rig.taken.map((_, index) => index + 1),
  )
})
