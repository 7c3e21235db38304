// The OPC UA door against two servers that are not ours, each as a process: every value once, with its time and status, over lost
// connections, restarts on either side and an intake that has no room.

import assert from 'node:assert/strict'
import { fork, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { freePorts } from '@andon/platform'
import { randomFrom } from '../../../test/harness/bench-statistics.ts'
import { openFaultProxy } from '../../../test/harness/fault-proxy.ts'
import type { FaultProxy } from '../../../test/harness/fault-proxy.ts'
import { pythonWith } from '../../../test/harness/python.ts'
import { opcuaDoorKind } from '../src/adapters/opcua.ts'
import type { Source } from '../src/adapters/source.ts'
import { systemClock } from '../src/clock.ts'
import { openPullRig } from './pull-rig.ts'
import type { PullRig, Taken } from './pull-rig.ts'
import { blocksOf, logged, openRig } from './rig.ts'
import type { ManualClock } from './rig.ts'
import { until } from './until.ts'

const python = await pythonWith(['asyncua==2.1.0'])
const folder = mkdtempSync(join(tmpdir(), 'andon-opcua-'))
const pki = join(folder, 'pki')
const doors = new Set<Source>()
const children = new Set<ChildProcess>()
let port: number
let server: ChildProcess
let proxy: FaultProxy

const startServer = async (): Promise<void> => {
  server = fork(join(import.meta.dirname, 'workers', 'opcua-server.ts'), [String(port), join(folder, 'server')], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  children.add(server)
  await once(server, 'message')
}

const set = async (...values: readonly object[]): Promise<void> => {
  server.send(values)
  await once(server, 'message')
}

/** A source file; its door reads through the proxy. */
const oven = (id: string, extra: object = {}) => ({
  version: 1,
  id,
  kind: 'opcua',
  endpoint: `opc.tcp://127.0.0.1:${proxy.port}`,
  asset: 'oven',
  channels: { temperatureC: { node: 'ns=1;s=temperature' }, parts: { node: 'nsu=urn:plant:oven;s=count' } },
  samplingMs: 0,
  publishingMs: 50,
  ...extra,
})

const openDoor = async (rig: PullRig, ...files: readonly object[]): Promise<Source> => {
  rig.setFiles(files)
  const door = opcuaDoorKind.open({ pki } as never, rig.context)
  doors.add(door)
  await door.start(rig.intake, () => undefined)
  return door
}
const close = async (door: Source): Promise<void> => {
  doors.delete(door)
  await door.stop()
}
const isUp = (rig: PullRig) => async () => (await rig.metric('andon_ingest_opcua_connects_total{outcome="up"')) > 0

const trustAll = (): void => {
  for (const file of readdirSync(join(pki, 'rejected'))) renameSync(join(pki, 'rejected', file), join(pki, 'trusted', 'certs', file))
}

const baseMs = Date.now() - 60_000
const numbers = (taken: readonly Taken[], channel: string, from: number): number[] =>
  taken.filter((each) => each.channel === channel && each.value !== null && each.value >= from).map(({ value }) => value!)
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index)

before(async () => {
  ;[port] = (await freePorts(1)) as [number]
  await startServer()
  proxy = await openFaultProxy(port)
})

after(async () => {
  for (const door of doors) await door.stop()
  await proxy?.close()
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

test('a server that is not trusted is refused with what to do, and read once its file was moved', async () => {
  const rig = openPullRig(join(folder, 'untrusted'))
  const door = await openDoor(rig, oven('untrusted'))
  await until(() => rig.warnings.length > 0, 'a warning')
  assert.match(
    rig.warnings[0]!,
    /certificate is not trusted \(BadCertificateUntrusted\)\. Compare its SHA-256 [0-9a-f]{64} .* move its file from .*rejected to .*trusted/,
  )
  assert.deepEqual(rig.taken, [])
  trustAll()
  await until(isUp(rig), 'a session')
  await close(door)
})

test('values, source times and status codes are what the server has', async () => {
  const rig = openPullRig(join(folder, 'exact'))
  const door = await openDoor(
    rig,
    oven('exact', { channels: { t: { node: 'ns=1;s=temperature', scale: 2, offset: 1 }, n: { node: 'nsu=urn:plant:oven;s=count' } } }),
  )
  await until(isUp(rig), 'a session')
  const statuses = ['Good', 'UncertainSensorNotAccurate', 'BadSensorFailure'] as const
  for (const index of range(0, 30))
    await set(
      { node: 'temperature', value: 100 + index, sourceMs: baseMs + index, status: statuses[index % 3] },
      { node: 'count', value: 100 + index, sourceMs: baseMs + index, status: 'Good' },
    )
  await until(() => numbers(rig.taken, 'n', 100).length === 30 && numbers(rig.taken, 't', 201).length === 30, 'all values')
  assert.deepEqual(numbers(rig.taken, 'n', 100), range(100, 130))
  assert.deepEqual(
    rig.taken
      .filter(({ channel, value }) => channel === 't' && value! >= 201)
      .map(({ value, timeUs, quality }) => [value, timeUs, quality]),
    range(0, 30).map((index) => [2 * (100 + index) + 1, (baseMs + index) * 1000, index % 3]),
  )
  assert.ok((await rig.metric('andon_ingest_opcua_values_total{status="BadSensorFailure"')) >= 10)
  // Values of one source time and quality are one reading of the whole asset, others are sources of their own.
  const both = rig.taken.filter(({ timeUs }) => timeUs === baseMs * 1000)
  assert.deepEqual(
    both.map(({ source }) => source),
    ['oven:exact', 'oven:exact'],
  )
  const apart = rig.taken.filter(({ timeUs }) => timeUs === (baseMs + 1) * 1000)
  assert.deepEqual(apart.map(({ source }) => source).toSorted(), ['oven:exact.n', 'oven:exact.t'])
  await close(door)
})

test('what is no number goes to quarantine, and what comes with it is kept', async () => {
  const rig = openPullRig(join(folder, 'odd'))
  const channels = { word: { node: 'ns=1;s=word' }, parts: { node: 'nsu=urn:plant:oven;s=count' } }
  const door = await openDoor(rig, oven('odd', { channels }))
  await until(isUp(rig), 'a session')
  await set({ node: 'word', value: 'hot' }, { node: 'count', value: 500 })
  await set({ node: 'count', value: 501 })
  await until(() => numbers(rig.taken, 'parts', 500).length === 2 && rig.refused.length > 0, 'all')
  assert.deepEqual(rig.refused, [
    {
      code: 'ANDON_INGEST_OPCUA_NOT_A_NUMBER',
      message: 'sources/odd: node ns=1;s=word: found String, expected one finite number for channel word',
    },
  ])
  await close(door)
})

test('a lost connection leaves no gap, and values that could not be taken are neither lost nor doubled', async () => {
  const rig = openPullRig(join(folder, 'cut'))
  const door = await openDoor(rig, oven('cut'))
  await until(isUp(rig), 'a session')
  let next = 1000
  const write = async (count: number) => {
    for (let index = 0; index < count; index++, next++) {
      await set({ node: 'temperature', value: next, sourceMs: baseMs + next }, { node: 'count', value: next, sourceMs: baseMs + next + 1 })
      await delay(5)
    }
  }
  await write(20)
  rig.refuseNext = 7
  await write(20)
  proxy.set({ blackhole: 'both' })
  await write(20)
  proxy.cutAll()
  await write(20)
  proxy.heal()
  await write(20)
  proxy.cutAll()
  await write(20)
  await until(
    () => numbers(rig.taken, 'temperatureC', 1000).includes(1119) && numbers(rig.taken, 'parts', 1000).includes(1119),
    'all values',
  )
  const inOrder = (values: readonly number[]) => values.toSorted((a, b) => a - b) // what was refused comes behind what was taken
  assert.deepEqual(inOrder(numbers(rig.taken, 'temperatureC', 1000)), range(1000, 1120))
  assert.deepEqual(inOrder(numbers(rig.taken, 'parts', 1000)), range(1000, 1120))
  await until(async () => (await rig.metric('andon_ingest_opcua_gaps_total{outcome="bridged"')) >= 1, 'a gap that was bridged')
  assert.equal(await rig.metric('andon_ingest_opcua_gaps_total{outcome="open"'), 0)
  await close(door)
})

test('connections cut at any moment of their start lose nothing of a server that keeps no history', async () => {
  const rig = openPullRig(join(folder, 'again'))
  const door = await openDoor(rig, oven('again', { channels: { pressureBar: { node: 'ns=1;s=pressure' } } }))
  await until(isUp(rig), 'a session')
  let next = 1000
  const random = randomFrom(4)
  proxy.set({ latencyMs: 10 }) // a start takes about 20 trips, and some cuts come between two of them
  for (let round = 0; round < 15; round++) {
    proxy.cutAll()
    for (let waits = Math.ceil(random() * 120); waits > 0; waits--) {
      await set({ node: 'pressure', value: next, sourceMs: baseMs + next })
      next++
      await delay(5)
    }
  }
  proxy.heal()
  await until(() => numbers(rig.taken, 'pressureBar', 1000).includes(next - 1), 'the last value')
  assert.deepEqual(numbers(rig.taken, 'pressureBar', 1000), range(1000, next))
  assert.equal(await rig.metric('andon_ingest_opcua_gaps_total{outcome="open"'), 0)
  await close(door)
})

test('a restart of ingest goes on where it was: what the server kept meanwhile comes once', async () => {
  const dataDir = join(folder, 'restart')
  const first = openPullRig(dataDir)
  const door = await openDoor(first, oven('restart'))
  await until(isUp(first), 'a session')
  await set({ node: 'count', value: 2000 })
  await until(() => numbers(first.taken, 'parts', 2000).length === 1, 'the first value')
  await close(door)
  for (const value of range(2001, 2011)) await set({ node: 'count', value, sourceMs: baseMs + value })
  const second = openPullRig(dataDir)
  const again = await openDoor(second, oven('restart'))
  await until(() => numbers(second.taken, 'parts', 2000).includes(2010), 'the values between')
  assert.deepEqual(numbers(second.taken, 'parts', 2000), range(2001, 2011))
  await close(again)
})

test('through the real intake: a full disk in between, and every value is in the log once; what was not safe is read after a restart', async () => {
  const core = await openRig({ isRunning: true, clock: systemClock() as unknown as ManualClock })
  await until(() => core.wiring.refusing() === undefined, 'the intake')
  const dataDir = join(folder, 'core')
  const only = oven('core', { channels: { temperatureC: { node: 'ns=1;s=temperature', unit: 'Cel' } } })
  const openCore = async (): Promise<readonly [PullRig, Source]> => {
    const rig = openPullRig(dataDir)
    rig.setFiles([only])
    const door = opcuaDoorKind.open({ pki } as never, rig.context)
    doors.add(door)
    await door.start(core.wiring.intake, core.wiring.refusing)
    await until(isUp(rig), 'a session')
    return [rig, door]
  }
  const write = async (from: number, to: number) => {
    for (const value of range(from, to)) await set({ node: 'temperature', value, sourceMs: baseMs + 10_000 + value })
  }
  const values = async () =>
    blocksOf(await logged(core.log))
      .filter(({ sourceId }) => sourceId === 'oven:core')
      .reduce((rows, { seqFrom, seqTo, withheld }) => rows + Number(seqTo) - Number(seqFrom) + 1 - withheld.length, 0)
  const [first, door] = await openCore()
  const before = await values()
  await write(0, 20)
  await until(async () => (await values()) - before >= 20, 'the first values')
  core.disk.fault = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
  await write(20, 40)
  await until(async () => (await first.metric('andon_ingest_opcua_values_total')) > 21, 'values that cannot be taken')
  await close(door) // with values in hand that are not safe
  core.disk.fault = undefined
  const [, again] = await openCore()
  await write(40, 60)
  await until(async () => (await values()) - before >= 60, 'all values')
  await delay(200)
  const rows = await values()
  assert.ok(rows === before + 60 || rows === before + 61, `${rows - before} rows of 60`) // the value the node had at first
  await close(again)
  await core.wiring.stop()
})

test('a policy the server does not have, a wrong password and a node that is not there are said as such', async () => {
  for (const [extra, expected] of [
    [
      { securityPolicy: 'Aes256_Sha256_RsaPss' },
      /does not offer SignAndEncrypt with Aes256_Sha256_RsaPss, only SignAndEncrypt Basic256Sha256/,
    ],
    [{ user: { name: 'reader', passwordFrom: 'INGEST_SECRET_NOT_SET' } }, /refused user reader .* Correct user in sources\/wrong/],
    [{ channels: { gone: { node: 'ns=1;s=gone' } } }, /gives none of the nodes of sources\/wrong: ns=1;s=gone: BadNodeIdUnknown/],
    [{ channels: { gone: { node: 'nsu=urn:nowhere;s=x' } } }, /has no namespace urn:nowhere/],
    [{ endpoint: 'opc.tcp://127.0.0.1:9' }, /opc\.tcp:\/\/127\.0\.0\.1:9: .* Is the server up/],
  ] as const) {
    const rig = openPullRig(join(folder, 'wrong'))
    const door = await openDoor(rig, oven('wrong', extra))
    await until(() => rig.warnings.length > 0, 'a warning')
    assert.match(rig.warnings[0]!, expected)
    await close(door)
  }
})

test('kill -9 of the server: read again when it is back, its file changed or gone ends it, and another instance reads nothing', async () => {
  const rig = openPullRig(join(folder, 'killed'))
  const door = await openDoor(rig, oven('killed'))
  await until(isUp(rig), 'a session')
  await set({ node: 'count', value: 3000 })
  await until(() => numbers(rig.taken, 'parts', 3000).length === 1, 'the value before')
  server.kill('SIGKILL')
  await once(server, 'exit')
  await startServer()
  await until(async () => (await rig.metric('andon_ingest_opcua_connects_total{outcome="up"')) > 1, 'a second session')
  await set({ node: 'count', value: 3001 })
  await until(() => numbers(rig.taken, 'parts', 3000).includes(3001), 'the value after')
  assert.deepEqual(numbers(rig.taken, 'parts', 3000), [3000, 3001])
  assert.ok((await rig.metric('andon_ingest_opcua_gaps_total{outcome="open"')) >= 1) // it has no history, and says so

  rig.setFiles([oven('killed', { channels: { only: { node: 'nsu=urn:plant:oven;s=count' } } })])
  await until(() => rig.taken.some(({ channel }) => channel === 'only'), 'the new channel')
  rig.isMine = () => false
  rig.setFiles([oven('killed', { channels: { only: { node: 'nsu=urn:plant:oven;s=count' } } })])
  await close(door)
})

test(
  'asyncua: microseconds and statuses are exact, and its history fills what a lost connection left',
  { skip: python.missing },
  async () => {
    const [ownPort] = (await freePorts(1)) as [number]
    const child = spawn(python.interpreter, [join(import.meta.dirname, 'workers', 'opcua_server.py'), String(ownPort), folder], {
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    children.add(child)
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    assert.equal((await lines.next()).value, 'ready')
    const write = async (...values: readonly object[]) => {
      child.stdin.write(`${JSON.stringify(values)}\n`)
      assert.equal((await lines.next()).value, 'set')
    }
    const own = await openFaultProxy(ownPort)
    const rig = openPullRig(join(folder, 'asyncua'))
    const channels = { forceKN: { node: 'nsu=urn:plant:press;s=force' }, strokeMm: { node: 'nsu=urn:plant:press;s=stroke' } }
    const press = oven('press', { endpoint: `opc.tcp://127.0.0.1:${own.port}`, asset: 'press', channels })
    const door = await openDoor(rig, press)
    await until(() => rig.warnings.length > 0, 'a warning')
    trustAll()
    await until(isUp(rig), 'a session')
    const timeUs = (value: number) => (baseMs + value) * 1000 + 123
    const put = (value: number) =>
      write(
        { node: 'force', value, sourceUs: timeUs(value), status: value % 5 === 0 ? 'UncertainSensorNotAccurate' : 'Good' },
        { node: 'stroke', value, sourceUs: timeUs(value) },
      )
    for (const value of range(100, 120)) await put(value)
    await until(() => numbers(rig.taken, 'forceKN', 100).length === 20, 'the values before')
    own.set({ blackhole: 'both' })
    own.cutAll()
    for (const value of range(120, 160)) await put(value)
    own.heal()
    await until(() => numbers(rig.taken, 'forceKN', 100).length >= 60, 'the values of the outage')
    for (const value of range(160, 170)) await put(value)
    await until(
      () => numbers(rig.taken, 'forceKN', 100).includes(169) && numbers(rig.taken, 'strokeMm', 100).includes(169),
      'the values after',
    )
    assert.deepEqual(
      rig.taken
        .filter(({ channel, value }) => channel === 'forceKN' && value! >= 100)
        .map((each) => [each.value, each.timeUs, each.quality]),
      range(100, 170).map((value) => [value, timeUs(value), value % 5 === 0 ? 1 : 0]),
    )
    assert.deepEqual(numbers(rig.taken, 'strokeMm', 100), range(100, 170))
    assert.equal(await rig.metric('andon_ingest_opcua_gaps_total{outcome="open"'), 0)
    await close(door)

    // A server that has given the subscription up meanwhile, as it does after an outage longer than it was asked to bridge.
    const place = join(folder, 'asyncua', 'ingest', 'ingest-0', 'opcua', 'press.json')
    const { subscription, ...position } = JSON.parse(readFileSync(place, 'utf8')) as { subscription?: object }
    assert.ok(subscription)
    writeFileSync(place, JSON.stringify(position))
    for (const value of range(170, 190)) await put(value)
    const later = openPullRig(join(folder, 'asyncua'))
    const again = await openDoor(later, press)
    await until(() => numbers(later.taken, 'strokeMm', 100).includes(189), 'the values of the history')
    assert.deepEqual(numbers(later.taken, 'forceKN', 100), range(170, 190))
    assert.equal(await later.metric('andon_ingest_opcua_gaps_total{outcome="filled"'), 1)
    await close(again)
    await own.close()
  },
)
