// A folder of models in Triton's layout, with real files and real sessions: which versions are served, what a change does, what is
// refused, and that nobody notices a replacement.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { AndonError } from '@andon/kit'
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire'
import { writeOnnx } from '../../src/learning/onnx-writer.ts'
import type { ModelRepository } from '../../src/repository/repository.ts'
import type { Runner } from '../../src/runtime/runner.ts'
import { repositoryOver, scaling, states, testFolder } from './serve.ts'

const score = async (repository: ModelRepository, name: string, version = '', value = 1): Promise<number> => {
  const { servable } = repository.find(name, version)
  const bytes = new Uint8Array(new Float64Array([value, 0]).buffer)
  const { outputs } = await servable.run({ inputs: [{ shape: [1, 2], bytes }], outputs: ['y'] })
  return new Float64Array(new Uint8Array(outputs[0]!.bytes).buffer)[0]!
}

test('without a policy the highest version is served, and a model without a configuration takes what its graph says', async (t) => {
  const folder = testFolder(t)
  folder.put('press/1/model.onnx', scaling(1))
  folder.put('press/2/model.onnx', scaling(2))
  folder.put('press/10/model.onnx', scaling(10))
  folder.put('press/notes/model.onnx', scaling(99))
  const repository = await repositoryOver(t, folder)
  assert.deepEqual(states(repository.index()), ['press 10 READY'])
  assert.equal(await score(repository, 'press'), 10)
  assert.throws(() => repository.find('press', '1'), { code: 'ANDON_INFERENCE_MODEL_UNKNOWN' })
  const { config } = repository.find('press', '').servable
  assert.equal(config.maxBatchSize, 16)
  assert.deepEqual(
    config.input.map(({ name, dims }) => [name, dims]),
    [['x', [2n]]],
  )
  assert.equal(config.schedulingChoice?.$case, 'dynamicBatching')
})

test('version policies serve the latest so many, all, or the ones they name', async (t) => {
  const folder = testFolder(t)
  const policies = {
    two: 'latest { num_versions: 2 }',
    all: 'all { }',
    some: 'specific { versions: [ 1, 3, 7 ] }',
    none: 'specific { versions: [ 7 ] }',
  }
  for (const [name, policy] of Object.entries(policies)) {
    folder.put(`${name}/config.pbtxt`, `version_policy { ${policy} }`)
    for (const version of [1, 2, 3]) folder.put(`${name}/${version}/model.onnx`, scaling(version))
  }
  const repository = await repositoryOver(t, folder)
  assert.deepEqual(repository.versions('two'), [2, 3])
  assert.deepEqual(repository.versions('all'), [1, 2, 3])
  assert.deepEqual(repository.versions('some'), [1, 3])
  assert.deepEqual(repository.versions('none'), [])
  assert.equal(await score(repository, 'all', '2'), 2)
  assert.match(repository.index().find(({ name }) => name === 'none')!.reason, /no folder of a version that its version_policy serves/)
})

test('what cannot be loaded is in the index with its reason, beside what is served', async (t) => {
  const folder = testFolder(t)
  folder.put('good/1/model.onnx', scaling(1))
  folder.put('broken/1/model.onnx', scaling(1).subarray(0, 60))
  folder.put('text/1/model.onnx', 'this is no model')
  folder.put('empty/1/other.onnx', scaling(1))
  folder.put('config/config.pbtxt', 'max_batch_size: 4\nmax_batch: 4')
  folder.put('config/1/model.onnx', scaling(1))
  folder.put('named/config.pbtxt', 'name: "other"')
  folder.put('named/1/model.onnx', scaling(1))
  folder.put('twice/config.pbtxt', '')
  folder.put('twice/config.json', '{}')
  folder.put('twice/1/model.onnx', scaling(1))
  folder.put('registered/1/model.onnx', scaling(1))
  folder.put('shape/config.pbtxt', 'max_batch_size: 4\ninput {\n  name: "x" data_type: TYPE_FP64\n  dims: [ 3 ]\n}')
  folder.put('shape/1/model.onnx', scaling(1))
  const repository = await repositoryOver(t, folder)
  const reasons = Object.fromEntries(repository.index().map(({ name, reason }) => [name, reason]))
  assert.deepEqual(
    repository
      .index()
      .filter(({ state }) => state === 'READY')
      .map(({ name }) => name),
    ['good'],
  )
  assert.match(reasons['broken']!, /MODEL_UNLOADABLE/)
  assert.match(reasons['text']!, /MODEL_UNLOADABLE/)
  assert.match(reasons['empty']!, /empty\/1\/model\.onnx: .* no such file/)
  assert.match(reasons['config']!, /config\/config\.pbtxt:2: max_batch: .*max_batch_size/)
  assert.match(reasons['named']!, /named\/config\.pbtxt:1: name: expected the folder's name, named, found other/)
  assert.match(reasons['twice']!, /config\.pbtxt and config\.json are both there/)
  assert.match(reasons['registered']!, /registered on the topic models/)
  assert.match(
    reasons['shape']!,
    /shape\/config\.pbtxt:4: input\[0\]\.dims: expected the graph's, \[2\] \(after the batch dimension\), found \[3\]/,
  )
  assert.throws(() => repository.find('broken', ''), { code: 'ANDON_INFERENCE_MODEL_NOT_READY' })
  assert.equal(repository.isReady(), true)
})

test('a change is loaded when it looks the same twice, and the version before it is served until then', async (t) => {
  const folder = testFolder(t)
  folder.put('press/1/model.onnx', scaling(1))
  const repository = await repositoryOver(t, folder, 'poll')
  folder.put('press/2/model.onnx', scaling(2).subarray(0, 40)) // a writer in the middle of it
  await repository.poll()
  assert.equal(await score(repository, 'press'), 1)
  folder.put('press/2/model.onnx', scaling(2))
  await repository.poll()
  assert.deepEqual(states(repository.index()), ['press 1 READY'])
  await repository.poll()
  assert.deepEqual(states(repository.index()), ['press 2 READY'])
  assert.equal(await score(repository, 'press'), 2)
})

test('a version that cannot be loaded takes nothing from the one before it', async (t) => {
  const folder = testFolder(t)
  folder.put('press/1/model.onnx', scaling(1))
  const repository = await repositoryOver(t, folder, 'poll')
  folder.put('press/2/model.onnx', 'no model')
  await repository.poll()
  await repository.poll()
  assert.deepEqual(states(repository.index()), ['press 1 READY', 'press 2 UNAVAILABLE'])
  assert.equal(await score(repository, 'press'), 1)
  folder.put('press/config.pbtxt', 'max_batch_size: nonsense')
  await repository.poll()
  await repository.poll()
  assert.match(repository.index()[0]!.reason, /not replaced: .*press\/config\.pbtxt:1: max_batch_size/)
  assert.equal(await score(repository, 'press'), 1)
})

test('polling loads new models, serves changed files anew, and takes away what is gone', async (t) => {
  const folder = testFolder(t)
  folder.put('press/1/model.onnx', scaling(1))
  folder.put('press/2/model.onnx', scaling(2))
  folder.put('press/config.pbtxt', 'version_policy { all { } }')
  folder.put('old/1/model.onnx', scaling(5))
  const repository = await repositoryOver(t, folder, 'poll')
  folder.put('new/1/model.onnx', scaling(7))
  folder.put('press/2/model.onnx', scaling(-2))
  folder.remove('old')
  folder.remove('press/1')
  await repository.poll()
  await repository.poll()
  assert.deepEqual(states(repository.index()), ['new 1 READY', 'press 2 READY'])
  assert.equal(await score(repository, 'new'), 7)
  assert.equal(await score(repository, 'press'), -2)
  assert.throws(() => repository.find('old', ''), { code: 'ANDON_INFERENCE_MODEL_UNKNOWN' })
})

test('a replacement leaves no gap: every request is answered by the old one or the new one', async (t) => {
  const folder = testFolder(t)
  folder.put('press/1/model.onnx', scaling(1))
  const repository = await repositoryOver(t, folder, 'poll')
  const answers = new Set<number>()
  let isOver = false
  const asking = (async () => {
    while (!isOver) for (const value of await Promise.all(Array.from({ length: 8 }, () => score(repository, 'press')))) answers.add(value)
  })()
  for (const factor of [2, 3, 4]) {
    folder.put('press/1/model.onnx', scaling(factor))
    await repository.poll()
    await repository.poll()
    await score(repository, 'press')
  }
  isOver = true
  await asking
  for (const value of answers) assert.ok([1, 2, 3, 4].includes(value))
  assert.equal(await score(repository, 'press'), 4)
})

test('with explicit control nothing is served until somebody asks for it, and no longer than they want', async (t) => {
  const folder = testFolder(t)
  folder.put('press/1/model.onnx', scaling(1))
  folder.put('press/2/model.onnx', scaling(2))
  const repository = await repositoryOver(t, folder, 'explicit')
  assert.deepEqual(states(repository.index()), ['press  UNAVAILABLE'])
  assert.throws(() => repository.find('press', ''), { code: 'ANDON_INFERENCE_MODEL_NOT_READY', message: /not loaded/ })
  await repository.load('press', {})
  assert.equal(await score(repository, 'press'), 2)
  await repository.load('press', { config: '{"version_policy": {"all": {}}, "max_batch_size": 3}' })
  assert.deepEqual(states(repository.index()), ['press 1 READY', 'press 2 READY'])
  assert.equal(repository.find('press', '2').servable.config.maxBatchSize, 3)
  await repository.unload('press', false)
  assert.deepEqual(states(repository.index()), ['press  UNAVAILABLE'])
  assert.match(repository.index()[0]!.reason, /unloaded/)
  await assert.rejects(repository.load('nothing', {}), { code: 'ANDON_INFERENCE_MODEL_UNKNOWN' })
  await assert.rejects(repository.load('press', { config: '{"max_batch_size": "many"}' }), {
    code: 'ANDON_INFERENCE_CONFIG_INVALID',
    message: /^parameter config of the request for press:1: max_batch_size: expected an integer/,
  })
  await repository.load('press', {}) // what was refused is forgotten
  assert.equal(await score(repository, 'press'), 2)
  const files = new Map([['1/model.onnx', scaling(1)]])
  await assert.rejects(repository.load('press', { files }), {
    code: 'ANDON_INFERENCE_MODEL_CONTROL',
    message: /INFERENCE_MODEL_UPLOADS=allow/,
  })
})

test('without explicit control loading and unloading are refused by the name of the setting', async (t) => {
  const folder = testFolder(t)
  folder.put('press/1/model.onnx', scaling(1))
  const repository = await repositoryOver(t, folder)
  await assert.rejects(repository.load('press', {}), {
    code: 'ANDON_INFERENCE_MODEL_CONTROL',
    message: /INFERENCE_MODEL_CONTROL=explicit, found none/,
  })
  await assert.rejects(repository.unload('press', false), { code: 'ANDON_INFERENCE_MODEL_CONTROL' })
  assert.equal(await score(repository, 'press'), 1)
})

test('links are followed inside the repository and nowhere else', async (t) => {
  const folder = testFolder(t)
  const outside = testFolder(t)
  outside.put('model.onnx', scaling(3))
  folder.put('shared/model.onnx', scaling(4))
  folder.put('inside/1/other', '')
  folder.put('outside/1/other', '')
  folder.put('labels/config.pbtxt', 'output { name: "y" data_type: TYPE_FP64 dims: [ 2 ] label_filename: "labels.txt" }')
  folder.put('labels/1/model.onnx', scaling(1))
  symlinkSync(join(folder.root, 'shared/model.onnx'), join(folder.root, 'inside/1/model.onnx'))
  symlinkSync(join(outside.root, 'model.onnx'), join(folder.root, 'outside/1/model.onnx'))
  symlinkSync('/etc/hostname', join(folder.root, 'labels/labels.txt'))
  folder.put('up/config.pbtxt', 'default_model_filename: "../../shared/model.onnx"')
  folder.put('up/1/other', '')
  const repository = await repositoryOver(t, folder)
  const reasons = Object.fromEntries(repository.index().map(({ name, reason }) => [name, reason]))
  assert.equal(await score(repository, 'inside'), 4)
  assert.match(reasons['outside']!, /a link that leads out of the repository/)
  assert.match(reasons['labels']!, /a link that leads out of the repository/)
  assert.match(reasons['up']!, /default_model_filename: expected the name of a file in the version folder/)
})

test('what is no file or folder harms nobody but the model it is in', async (t) => {
  const folder = testFolder(t)
  folder.put('good/1/model.onnx', scaling(2))
  folder.put('readme.txt', 'not a model')
  folder.put('pipe/1/other', '')
  folder.put('folder/1/model.onnx/inner', '')
  execFileSync('mkfifo', [join(folder.root, 'pipe/1/model.onnx')])
  symlinkSync('loop', join(folder.root, 'loop'))
  symlinkSync('nowhere', join(folder.root, 'dangling'))
  const repository = await repositoryOver(t, folder)
  const reasons = Object.fromEntries(repository.index().map(({ name, reason }) => [name, reason]))
  assert.equal(await score(repository, 'good'), 2)
  assert.deepEqual(Object.keys(reasons), ['folder', 'good', 'loop', 'pipe'])
  assert.match(reasons['pipe']!, /pipe\/1\/model\.onnx: .*something that is no file/)
  assert.match(reasons['folder']!, /something that is no file/)
  assert.match(reasons['loop']!, /ELOOP/)
})

test('a file that grows while it is read is not loaded', async (t) => {
  const folder = testFolder(t)
  const path = 'press/1/model.onnx'
  folder.put(path, Buffer.concat([scaling(1), Buffer.alloc(50_000_000)]))
  const repository = await repositoryOver(t, folder, 'explicit')
  const loading = repository.load('press', {})
  let isOver = false
  const writing = (async () => {
    for (let size = 50_000_000; !isOver; size += 1) {
      truncateSync(join(folder.root, path), size)
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
  })()
  await assert.rejects(loading, { code: 'ANDON_INFERENCE_REPOSITORY', message: /a file that is being written/, retriable: true })
  isOver = true
  await writing
  writeFileSync(join(folder.root, path), scaling(6))
  utimesSync(join(folder.root, path), 1, 1)
  await repository.load('press', {})
  assert.equal(await score(repository, 'press'), 6)
})

test('where it is allowed, files of a request are served until the next load', async (t) => {
  const folder = testFolder(t)
  folder.put('press/1/model.onnx', scaling(1))
  const repository = await repositoryOver(t, folder, 'explicit', { takesUploads: true })
  const config = '{"backend": "onnxruntime", "max_batch_size": 2}'
  await repository.load('press', { config, files: new Map([['7/model.onnx', scaling(7)]]) })
  assert.deepEqual(states(repository.index()), ['press 7 READY'])
  assert.equal(await score(repository, 'press'), 7)
  await repository.load('new', { config, files: new Map([['1/model.onnx', scaling(9)]]) })
  assert.equal(await score(repository, 'new'), 9)
  await repository.load('press', {})
  assert.deepEqual(states(repository.index()), ['new 1 READY', 'press 1 READY'])
  const refused: [options: Parameters<ModelRepository['load']>[1], message: RegExp][] = [
    [{ files: new Map([['1/model.onnx', scaling(9)]]) }, /the parameter config has to come with the files/],
    [{ config, files: new Map([['../1/model.onnx', scaling(9)]]) }, /expected files as <version>\/<name>, got "\.\.\/1\/model\.onnx"/],
    [{ config, files: new Map([['1/..', scaling(9)]]) }, /expected files as <version>\/<name>/],
    [{ config, files: new Map([['1/other.onnx', scaling(9)]]) }, /no file 1\/model\.onnx/],
    [{ config, files: new Map([['2/model.onnx', Buffer.from('no model')]]) }, /cannot be loaded/],
  ]
  for (const [options, message] of refused) await assert.rejects(repository.load('press', options), { message })
  assert.equal(await score(repository, 'press'), 1)
})

test('a model on a server that does not answer yet is tried again, one that is refused is not', async (t) => {
  const folder = testFolder(t)
  for (const name of ['away', 'refused']) {
    folder.put(`${name}/1/.keep`, '')
    folder.put(`${name}/config.pbtxt`, 'backend: "andon_remote" max_batch_size: 2')
  }
  let isThere = false
  const asked: string[] = []
  const io = {
    inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 2] }],
    outputs: [{ name: 'y', datatype: 'FP64', shape: [-1, 2] }],
  } as const
  const runner: Runner = {
    io,
    provider: 'elsewhere',
    room: { hasRoom: () => true, whenRoom: () => {} },
    run: async ({ requests }) => ({
      outputs: requests.map(({ inputs }) => [{ name: 'y', datatype: 'FP64', shape: inputs[0]!.shape, bytes: inputs[0]!.bytes }]),
      inputUs: 0,
      runUs: 0,
      outputUs: 0,
    }),
    close: async () => {},
  }
  const repository = await repositoryOver(t, folder, 'none', {
    openRemote: async ({ label }) => {
      asked.push(label)
      if (label.startsWith('away') && isThere) return runner
      throw new AndonError('ANDON_TEST', `${label} is not there`, { retriable: label.startsWith('away') })
    },
  })
  assert.deepEqual(states(repository.index()), ['away 1 UNAVAILABLE', 'refused 1 UNAVAILABLE'])
  isThere = true
  await repository.retry()
  assert.deepEqual(states(repository.index()), ['away 1 READY', 'refused 1 UNAVAILABLE'])
  assert.equal(await score(repository, 'away', '', 8), 8)
  await repository.retry()
  assert.deepEqual(
    asked.toSorted((a, b) => (a < b ? -1 : 1)),
    ['away version 1', 'away version 1', 'refused version 1'],
  )
})

/** y = x + w, where w lies in `weights/w.bin` beside the model. */
const withExternalData = (): Uint8Array => {
  const message = (write: (writer: BinaryWriter) => BinaryWriter): Uint8Array => write(new BinaryWriter()).finish()
  const entry = (key: string, value: string): Uint8Array => message((m) => m.tag(1, 2).string(key).tag(2, 2).string(value))
  const w = message((m) =>
    m.tag(1, 0).int64(2).tag(2, 0).int32(11).tag(8, 2).string('w').tag(13, 2).bytes(entry('location', 'weights/w.bin')).tag(14, 0).int32(1),
  )
  const model = writeOnnx({
    name: 'sum',
    nodes: [{ op: 'Add', inputs: ['x', 'w'], outputs: ['y'] }],
    initializers: [],
    inputs: [{ name: 'x', type: 'double', dims: ['N', 2] }],
    outputs: [{ name: 'y', type: 'double', dims: ['N', 2] }],
  })
  const [reader, writer] = [new BinaryReader(model), new BinaryWriter()]
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag()
    writer.tag(field, wire)
    if (field === 7) writer.bytes(Buffer.concat([reader.bytes(), message((m) => m.tag(5, 2).bytes(w))]))
    else writer.raw(reader.skip(wire))
  }
  return writer.finish()
}

test('files that a graph refers to are read with it, belong to its digest, and are missed by name', async (t) => {
  const folder = testFolder(t)
  folder.put('sum/1/model.onnx', withExternalData())
  const repository = await repositoryOver(t, folder, 'explicit')
  await assert.rejects(repository.load('sum', {}), { message: /sum\/1\/weights\/w\.bin: .*no such file, and the graph has tensors in it/ })
  folder.put('sum/1/weights/w.bin', new Uint8Array(Float64Array.of(10, 20).buffer))
  await repository.load('sum', {})
  assert.equal(await score(repository, 'sum'), 11)
  const { digest } = repository.find('sum', '').servable
  folder.put('sum/1/weights/w.bin', new Uint8Array(Float64Array.of(30, 20).buffer))
  await repository.load('sum', {})
  assert.equal(await score(repository, 'sum'), 31)
  assert.notEqual(repository.find('sum', '').servable.digest, digest)
})
