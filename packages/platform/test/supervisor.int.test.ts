// The supervisor on small real processes: order, restarts, and no orphans whatever ends first.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { type Program, Supervisor, type SupervisorEvent, clearLeftovers, readState } from '../src/index.ts'
import { identify, isRunning, startTicks } from '../src/processes.ts'

const folder = mkdtempSync(join(tmpdir(), 'andon-supervisor-'))
after(() => rmSync(folder, { recursive: true, force: true }))
let count = 0
const stateFile = () => join(folder, `state-${++count}.json`)

const node = (name: string, code: string, more: Partial<Program> = {}): Program => ({
  name,
  command: process.execPath,
  args: ['-e', code],
  logFile: join(folder, `${name}.log`),
  ...more,
})
const WAITS = 'setInterval(() => {}, 1000)'

const until = async (what: string, isTrue: () => boolean): Promise<void> => {
  const deadline = Date.now() + 15_000
  while (!isTrue()) {
    if (Date.now() > deadline) assert.fail(`waited 15 s for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

test('a child that ends by itself is started again, and it is said', async () => {
  const events: SupervisorEvent[] = []
  const supervisor = new Supervisor({ stateFile: stateFile(), firstPauseMs: 20, onEvent: (event) => events.push(event) })
  after(() => supervisor.stop())
  await supervisor.startWave('services', [() => node('steady', WAITS)])
  const first = supervisor.children()[0]?.identity
  process.kill(first?.pid as number, 'SIGKILL')
  await until('the restart', () => events.some((event) => event.kind === 'restarted'))
  assert.deepEqual(
    events.map((event) => event.kind),
    ['ready', 'ended', 'restarted'],
  )
  const again = supervisor.children()[0]
  assert.notEqual(again?.identity.pid, first?.pid)
  assert.equal(again?.restarts, 1)
  await supervisor.stop()
})

test('pauses between restarts double', async () => {
  const pauses: number[] = []
  const onEvent = (event: SupervisorEvent) => event.kind === 'ended' && pauses.push(event.restartInMs)
  const supervisor = new Supervisor({ stateFile: stateFile(), firstPauseMs: 10, onEvent })
  await supervisor.startWave('services', [() => node('crashing', 'setTimeout(() => process.exit(3), 30)')])
  await until('four ends', () => pauses.length >= 4)
  await supervisor.stop()
  assert.deepEqual(pauses.slice(0, 4), [10, 20, 40, 80])
})

test('a first start that fails says why with the end of the log', async () => {
  const supervisor = new Supervisor({ stateFile: stateFile() })
  const failing = () => node('failing', 'console.error("no such valve"); process.exit(1)', { isReady: () => Promise.resolve(false) })
  await assert.rejects(supervisor.startWave('services', [failing]), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'ANDON_PLATFORM_CHILD_FAILED')
    assert.match(error.message, /exit code 1[\s\S]*no such valve/)
    return true
  })
  await supervisor.stop()
})

test('waves end in reverse', async () => {
  const order = join(folder, 'order')
  const says = (name: string) =>
    `process.on('SIGTERM', () => { require('fs').appendFileSync(${JSON.stringify(order)}, '${name} '); process.exit(0) }); console.log('up'); ${WAITS}`
  const isUp = (name: string) => () => Promise.resolve(readFileSync(join(folder, `${name}.log`), 'utf8').includes('up'))
  const supervisor = new Supervisor({ stateFile: stateFile() })
  for (const name of ['first', 'second', 'third']) await supervisor.startWave(name, [() => node(name, says(name), { isReady: isUp(name) })])
  await supervisor.stop()
  assert.equal(readFileSync(order, 'utf8'), 'third second first ')
})

test('a child that ignores SIGTERM is killed after its grace, with what it started', async () => {
  const pidFile = join(folder, 'grandchild')
  const code = `process.on('SIGTERM', () => {}); const c = require('child_process').spawn(process.execPath, ['-e', '${WAITS}']); require('fs').writeFileSync(${JSON.stringify(pidFile)}, String(c.pid)); ${WAITS}`
  const supervisor = new Supervisor({ stateFile: stateFile() })
  const grandchild = () => {
    try {
      return Number(readFileSync(pidFile, 'utf8'))
    } catch {
      return 0
    }
  }
  await supervisor.startWave('services', [() => node('stubborn', code, { graceMs: 300, isReady: () => Promise.resolve(grandchild() > 0) })])
  const pid = grandchild()
  await supervisor.stop()
  await until('the end of the grandchild', () => startTicks(pid) === undefined)
})

test(
  'a killed supervisor leaves no child',
  { skip: process.platform !== 'linux' && 'the kernel ends children on Linux only' },
  async () => {
    const file = stateFile()
    const script = join(folder, 'supervise.ts')
    writeFileSync(
      script,
      `import { Supervisor } from ${JSON.stringify(join(import.meta.dirname, '../src/index.ts'))}
     const supervisor = new Supervisor({ stateFile: ${JSON.stringify(file)} })
     await supervisor.startWave('services', [() => (${JSON.stringify(node('orphan', WAITS))})])
     supervisor.markReady()
     setInterval(() => {}, 1000)`,
    )
    const parent = spawn(process.execPath, [script], { stdio: 'inherit' })
    await until('the child', () => readState(file)?.status === 'ready')
    const child = readState(file)?.children[0]?.identity
    assert.ok(child !== undefined && isRunning(child))
    parent.kill('SIGKILL')
    await until('the end of the child', () => !isRunning(child))
  },
)

test('what a killed supervisor left is ended; a pid that belongs to somebody else now is not', async () => {
  const file = stateFile()
  const left = spawn(process.execPath, ['-e', WAITS], { detached: true, stdio: 'ignore' })
  const stranger = spawn(process.execPath, ['-e', WAITS], { stdio: 'ignore' })
  after(() => stranger.kill('SIGKILL'))
  const entry = (name: string, identity: object) => ({
    name,
    wave: 'services',
    identity,
    status: 'running',
    restarts: 0,
    sinceMs: 0,
    logFile: '',
  })
  const children = [entry('left', identify(left.pid as number)), entry('stranger', { pid: stranger.pid, startTicks: 1 })]
  writeFileSync(file, JSON.stringify({ supervisor: { pid: 4_000_000, startTicks: 1 }, startedMs: 0, status: 'ready', children, about: {} }))
  assert.equal(await clearLeftovers(file), 1)
  assert.equal(startTicks(left.pid as number), undefined)
  assert.notEqual(startTicks(stranger.pid as number), undefined)
})

test('a running supervisor is not disturbed by a second start', async () => {
  const file = stateFile()
  const supervisor = new Supervisor({ stateFile: file })
  await assert.rejects(clearLeftovers(file), { code: 'ANDON_ALREADY_RUNNING' })
  await supervisor.stop()
})
