// What is asked of a container engine, seen by one that is a script: no image is run here (replay-image.suite.ts runs real ones).

import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { codeOf } from '@andon/kit/errors'
import { homeAt } from '@andon/platform'
import { findCode } from '../src/replay/code.ts'
import { containerArguments, containerName, findImage, removeContainers, userOf } from '../src/replay/container.ts'

const folder = mkdtempSync(join(tmpdir(), 'andon-engine-'))
after(() => rmSync(folder, { recursive: true }))

const ID = 'ab'.repeat(32)
const CONTRACT = { contract: 1, input: 'telemetry', group: 'features', writes: ['features'], warmUpMinutes: 1 }

/** A program in an engine's place: notes how it was called, and answers by the first two words of it. */
const fakeEngine = (name: string, answers: Readonly<Record<string, string>>): string => {
  const program = join(folder, name)
  const cases = Object.entries(answers).map(([words, answer], i) => {
    writeFileSync(`${program}.${i}`, answer)
    return `"${words}"*) cat '${program}.${i}';;`
  })
  writeFileSync(
    program,
    `#!/bin/sh\necho "$*" >> '${program}.calls'\ncase "$*" in\n${cases.join('\n')}\n*) echo "first"; echo "no such thing" >&2; exit 125;;\nesac\n`,
    {
      mode: 0o755,
    },
  )
  return program
}
const callsOf = (program: string): string[] =>
  existsSync(`${program}.calls`) ? readFileSync(`${program}.calls`, 'utf8').trim().split('\n') : []

const inspected = (labels: unknown, id = `sha256:${ID}`): string => `${id} ${JSON.stringify(labels)}\n`
const codeFrom = (containerEngine: string, image = 'works/features:1') =>
  findCode({ home: homeAt(folder), containerEngine }, 'features', `image:${image}`)

const files = {
  folder: join(folder, 'run-1'),
  data: join(folder, 'run-1/data'),
  plan: join(folder, 'run-1/features.json'),
  log: join(folder, 'log'),
}

test('an image is known by its id, whatever its tag means later, and says its contract in its label', async () => {
  for (const id of [ID, `sha256:${ID}`]) {
    const engine = fakeEngine(`good-${id.length}`, {
      'image inspect': inspected({ 'andon.replay': JSON.stringify(CONTRACT) }, id),
      info: '{"SecurityOptions":["name=seccomp"]}',
    })
    const { name, contract, at } = await codeFrom(engine)
    assert.equal(name, `image:${ID}`)
    assert.equal(contract.input, 'telemetry')
    assert.deepEqual(at, { engine, image: ID, user: `${process.getuid!()}:${process.getgid!()}` })
    assert.match(callsOf(engine)[0]!, / -- works\/features:1$/)
  }
})

test('an image without a label, with one that is no JSON or of another contract is refused by name', async () => {
  const labels = [
    null,
    {},
    { 'andon.replay': 'x{' },
    { 'andon.replay': '' },
    { 'andon.replay': JSON.stringify({ ...CONTRACT, contract: 9 }) },
  ]
  for (const [i, each] of labels.entries())
    await assert.rejects(codeFrom(fakeEngine(`bad-${i}`, { 'image inspect': inspected(each) })), (error: Error) => {
      assert.equal(codeOf(error), 'ANDON_REPLAY_CONTRACT')
      assert.match(error.message, /features of image works\/features:1 cannot be replayed/)
      return true
    })
})

test('an image that the engine does not have, and an engine that is not there, are refused with the reason', async () => {
  await assert.rejects(
    findImage('none:1', fakeEngine('empty', {})),
    /ANDON_REPLAY_CODE: image none:1 cannot be looked at \(\S+: no such thing\)/,
  )
  await assert.rejects(findImage('none:1', join(folder, 'absent')), /ANDON_REPLAY_CODE: .*absent: not installed/)
  await assert.rejects(findImage('none:1', fakeEngine('odd', { 'image inspect': 'hello' })), /ANDON_REPLAY_CODE: .*answered "hello"/)
})

test('where the engine runs as its caller, root of the container is the caller', async () => {
  for (const [name, info, isRootless] of [
    ['podman', '{"host":{"security":{"rootless":true}}}', true],
    ['podman-root', '{"host":{"security":{"rootless":false}}}', false],
    ['docker', '{"SecurityOptions":["name=seccomp,profile=builtin","name=rootless"]}', true],
    ['docker-root', '{"SecurityOptions":null}', false],
  ] as const)
    assert.equal(await userOf(fakeEngine(name, { info })), isRootless ? '0:0' : `${process.getuid!()}:${process.getgid!()}`, name)
})

test('a container has the run`s folder, the blobs and its settings; it can write nowhere else, has no capability and no proxy', () => {
  const blobs = join(folder, 'blobs')
  const environment = { PATH: '/bin', HOME: '/home/x', TMPDIR: '/var/tmp', LANG: 'C', ANDON_DATA_DIR: files.data }
  const args = containerArguments(ID, '1:2', files, blobs, environment)
  assert.deepEqual([args[0], args.at(-1)], ['run', ID])
  for (const needed of [
    '--rm',
    '--read-only',
    '--pull=never',
    '--network=host',
    '--cap-drop=ALL',
    '--security-opt=no-new-privileges',
    '--user=1:2',
  ])
    assert.ok(args.includes(needed), needed)
  assert.deepEqual(
    args.filter((each) => each.startsWith('--volume')),
    [`--volume=${files.folder}:${files.folder}`, `--volume=${blobs}:${blobs}`],
  )
  const given = args.filter((each) => each.startsWith('--env=') && !each.endsWith('='))
  assert.deepEqual(given, ['--env=LANG=C', `--env=ANDON_DATA_DIR=${files.data}`])
  assert.ok(args.includes('--env=http_proxy=') && args.includes('--env=HTTPS_PROXY='))
  assert.ok(existsSync(files.folder) && existsSync(blobs), 'engines make no folders of their own')
})

test('a container is found again by the plan it works on', async () => {
  const other = { ...files, plan: join(folder, 'run-2/features.json') }
  assert.notEqual(containerName(files), containerName(other))
  const engine = fakeEngine('remover', { rm: '' })
  await removeContainers(engine, [files, other])
  assert.deepEqual(callsOf(engine), [`rm --force ${containerName(files)} ${containerName(other)}`])
  await removeContainers(fakeEngine('broken', {}), [files])
})
