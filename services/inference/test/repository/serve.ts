// A folder of models of a test's own, and a catalogue over it with real sessions in worker threads.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Blobs } from '@andon/kit'
import { ModelRegistry } from '../../src/models/model-registry.ts'
import { openFolder } from '../../src/repository/folder.ts'
import { openRepository } from '../../src/repository/repository.ts'
import type { ModelRepository, RepositoryOptions } from '../../src/repository/repository.ts'
import { threadRuntime } from '../../src/runtime/thread-runtime.ts'
import { openCatalogue } from '../../src/serving/catalogue.ts'
import type { Catalogue } from '../../src/serving/catalogue.ts'
import { modelOpener } from '../../src/serving/open-model.ts'
import type { OpenerOptions } from '../../src/serving/open-model.ts'
import { responseCache } from '../../src/serving/response-cache.ts'
import type { InferAnswer, InferRequest, TensorData } from '../../src/serving/serving.ts'
import { writeOnnx } from '../../src/learning/onnx-writer.ts'

export const defaults = { maxBatchRows: 16, instances: 1, maxQueueSize: 100 }

export interface TestFolder {
  readonly root: string
  /** A file below the folder; folders on the way are made. */
  put(path: string, content: string | Uint8Array): void
  remove(path: string): void
}

export const testFolder = (t: TestContext): TestFolder => {
  const root = mkdtempSync(join(tmpdir(), 'andon-repository-'))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  return {
    root,
    put(path, content) {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), content)
    },
    remove: (path) => rmSync(join(root, path), { recursive: true, force: true }),
  }
}

/** y = x * factor, rows of `columns`. */
export const scaling = (factor: number, columns = 2): Buffer =>
  writeOnnx({
    name: `times ${factor}`,
    nodes: [{ op: 'Mul', inputs: ['x', 'factor'], outputs: ['y'] }],
    initializers: [{ name: 'factor', dims: [1], data: new Float64Array([factor]) }],
    inputs: [{ name: 'x', type: 'double', dims: ['N', columns] }],
    outputs: [{ name: 'y', type: 'double', dims: ['N', columns] }],
  })

const opener = (t: TestContext, more: Pick<Partial<OpenerOptions>, 'openRemote'> = {}) => {
  const threads = threadRuntime({ workers: 1, runTimeoutMs: 10_000 })
  const closing: (() => Promise<void>)[] = [() => threads.close()]
  t.after(async () => {
    for (const close of closing.toReversed()) await close()
  })
  const open = modelOpener({ threads, defaults, cache: responseCache({ maxBytes: 1 << 20 }), nowMs: () => 1_700_000_000_000, ...more })
  return { open, closing }
}

/** A repository on its own, looked at only when the test says so. */
export const repositoryOver = async (
  t: TestContext,
  folder: TestFolder,
  control: 'none' | 'poll' | 'explicit' = 'none',
  {
    takesUploads = false,
    logger,
    ...more
  }: Pick<Partial<RepositoryOptions>, 'takesUploads' | 'logger'> & Pick<Partial<OpenerOptions>, 'openRemote'> = {},
): Promise<ModelRepository> => {
  const { open, closing } = opener(t, more)
  const repository = openRepository({
    folder: openFolder(folder.root),
    control,
    pollMs: 3_600_000,
    takesUploads,
    open,
    defaults,
    isTaken: (name) => name === 'registered',
    resolveOther: (name) => {
      throw new Error(`there is no model ${name}`)
    },
    nowMs: () => 1_700_000_000_000,
    ...(logger === undefined ? {} : { logger }),
  })
  closing.push(() => repository.close())
  await repository.started()
  return repository
}

export const catalogueOver = async (t: TestContext, folder: TestFolder, control: 'none' | 'explicit' = 'none'): Promise<Catalogue> => {
  const { open, closing } = opener(t)
  const nothing = (): Promise<never> => Promise.reject(new Error('nothing is registered here'))
  const catalogue = await openCatalogue({
    registry: new ModelRegistry(),
    blobs: { get: nothing } as unknown as Blobs,
    latest: { get: nothing },
    open,
    defaults,
    repository: { path: folder.root, control, pollMs: 3_600_000 },
    nowMs: () => 1_700_000_000_000,
  })
  closing.push(() => catalogue.close())
  await catalogue.started()
  return catalogue
}

export const doubles = (name: string, rows: readonly (readonly number[])[]): TensorData => ({
  name,
  datatype: 'FP64',
  shape: [rows.length, rows[0]!.length],
  bytes: new Uint8Array(Float64Array.from(rows.flat()).buffer),
})

export const requestOf = (model: string, inputs: readonly TensorData[], changes: Partial<InferRequest> = {}): InferRequest => ({
  model,
  version: '',
  id: '',
  parameters: {},
  inputs,
  outputs: [],
  ...changes,
})

export const values = ({ bytes }: Pick<TensorData, 'bytes'>): number[] => [...new Float64Array(new Uint8Array(bytes).buffer)]

export const first = (answer: InferAnswer): number[] => values(answer.outputs[0]!)

/** Entries of the index as `name version state`. */
export const states = (entries: readonly { name: string; version: string; state: string }[]): string[] =>
  entries.map(({ name, version, state }) => `${name} ${version} ${state}`)
