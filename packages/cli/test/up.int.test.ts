// `andon up` with every service: up in time, a killed service and a killed broker come back and it is said, nothing stays behind.

import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { type MeshState, homeAt, isPortFree, isRunning, platformPorts, readState } from '@andon/platform'
import { portsInUse } from '../src/up/checks.ts'
import { andon, freeOffset } from './command.ts'

const OFFSET = await freeOffset()
const folder = mkdtempSync(join(tmpdir(), 'andon-up-'))
const environment = { ANDON_HOME: folder, ANDON_PORT_OFFSET: String(OFFSET) }
const home = homeAt(folder)
after(async () => {
  await andon(['down'], environment)
  rmSync(folder, { recursive: true, force: true })
})

const state = (): MeshState => readState(home.stateFile) as MeshState
const childOf = (name: string) => state().children.find((child) => child.name === name)
const until = async (what: string, isTrue: () => boolean): Promise<void> => {
  const deadline = Date.now() + 30_000
  while (!isTrue()) {
    if (Date.now() > deadline) assert.fail(`waited 30 s for: ${what}\n${readFileSync(join(home.logs, 'up.log'), 'utf8')}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
const said = (text: RegExp) => () => text.test(readFileSync(join(home.logs, 'up.log'), 'utf8'))

test('the mesh comes up in the background and says where everything is', async () => {
  const { code, out, err, tookMs } = await andon(
    ['up', '--detach', '--plant', join(import.meta.dirname, '../../../examples/steel-plant')],
    environment,
  )
  assert.equal(code, 0, out + err)
  const signIn = readFileSync(join(home.tokens, 'shift-lead'), 'utf8').trim()
  const addresses = [
    `console +http://127\\.0\\.0\\.1:${7070 + OFFSET}/#token=${signIn} `,
    `schema registry +http://127\\.0\\.0\\.1:${8081 + OFFSET}`,
  ]
  for (const each of [...addresses, 'Running in the background']) assert.match(out, new RegExp(each))
  assert.ok(tookMs < 60_000, `took ${tookMs} ms`)
  const status = await andon(['status', '--json'], environment)
  const view = JSON.parse(status.out) as { status: string; children: { name: string; status: string; ready: boolean }[] }
  assert.equal(view.status, 'ready')
  assert.deepEqual(
    view.children.filter((child) => child.status !== 'running' || !child.ready),
    [],
  )
})

test('another terminal finds the mesh of this folder without its port offset', async () => {
  const { code, out, err } = await andon(['actions', 'list', '--json'], { ...environment, ANDON_PORT_OFFSET: '' })
  assert.equal(code, 0, out + err)
})

test('tokens are for this user only, and their digests match', () => {
  for (const name of ['operator', 'shift-lead', 'agent', 'integrator', 'webhook-secret', 'principals.json'])
    assert.equal(statSync(join(home.tokens, name)).mode & 0o077, 0, name)
  assert.equal(statSync(join(home.logs, 'up.log')).mode & 0o077, 0, 'up.log has the sign-in link')
  const principals = JSON.parse(readFileSync(join(home.tokens, 'principals.json'), 'utf8')) as { name: string; tokenSha256: string }[]
  assert.deepEqual(
    principals.map((each) => each.name),
    ['operator', 'shift-lead', 'agent', 'integrator'],
  )
})

test('a second start on the same state folder is refused', async () => {
  const { code, err } = await andon(['up'], environment)
  assert.equal(code, 1)
  assert.match(err, /already runs here \(pid \d+/)
})

test('a second start on the same ports is refused with who holds them', async () => {
  const { code, err } = await andon(['up'], { ...environment, ANDON_HOME: join(folder, 'other') })
  assert.equal(code, 1)
  assert.match(err, new RegExp(`${9092 + OFFSET} \\(kafka\\): in use by java \\(pid \\d+\\)`))
})

for (const name of ['clustering', 'kafka']) {
  test(`${name} is started again after kill -9, and it is said`, async () => {
    const before = childOf(name)
    process.kill(before?.identity.pid as number, 'SIGKILL')
    await until(`${name} to run again`, said(new RegExp(`${name} ended \\(SIGKILL\\); starts again in [\\s\\S]*${name} runs again`)))
    assert.equal(childOf(name)?.status, 'running')
    assert.notEqual(childOf(name)?.identity.pid, before?.identity.pid)
  })
}

test('down leaves no process and no port', async () => {
  const before = state()
  const { code } = await andon(['down'], environment)
  assert.equal(code, 0)
  assert.deepEqual([before.supervisor, ...before.children.map((child) => child.identity)].filter(isRunning), [])
  const ports = portsInUse(platformPorts(OFFSET), OFFSET, true, {})
  const busy = (await Promise.all(ports.map(async (use) => ((await isPortFree(use.port)) ? [] : [use.port])))).flat()
  assert.deepEqual(busy, [])
  assert.equal(existsSync(home.stateFile), false)
})

test('a second run has the data of the first, and a killed supervisor leaves nobody', async () => {
  const { code, out, err, tookMs } = await andon(['up', '--detach'], environment)
  assert.equal(code, 0, out + err)
  assert.ok(tookMs < 60_000, `took ${tookMs} ms`)
  const { out: topics } = await andon(['topics', 'list', '--json'], environment)
  const { records } = (JSON.parse(topics) as { topics: { name: string; records: number }[] }).topics.find(
    (each) => each.name === 'config',
  ) ?? { records: 0 }
  assert.ok(records >= 7, `config has ${records} records`)

  const before = state()
  process.kill(before.supervisor.pid, 'SIGKILL')
  await until('the end of all children', () => before.children.every((child) => !isRunning(child.identity)))
})

test('down --wipe removes the data', async () => {
  const { code } = await andon(['down', '--wipe'], environment)
  assert.equal(code, 0)
  for (const path of [home.kafka, home.data, home.blobs, home.tokens, home.stateFile]) assert.equal(existsSync(path), false, path)
})
