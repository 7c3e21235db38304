// Triton's repository layout on disk: `<repository>/<model>/config.pbtxt` (or config.json, config.yaml), `<model>/<version>/model.onnx`,
// labels and warm-up inputs beside the configuration. Looking reads names, sizes and times only; what is read is read whole or not at
// all, and nothing is followed out of the repository.

import { createHash } from 'node:crypto'
import { readFile, readdir, realpath, stat } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { codeOf, sha256Hex } from '@andon/kit'
import { ModelConfig } from '@andon/schemas/inference'
import { modelUnloadable, repositoryUnreadable } from '../errors.ts'
import { isOrtFormat, readOnnx } from '../runtime/onnx-graph.ts'
import type { OnnxGraph } from '../runtime/onnx-graph.ts'
import { noConfigText, readConfigText } from './config-text.ts'
import type { ConfigText } from './config-text.ts'
import { isPlainName } from './model-config.ts'
import type { DeclaredConfig, VersionPolicy } from './model-config.ts'

/** A model's folder, seen from outside. */
export interface FolderModel {
  readonly name: string
  /** Ascending. */
  readonly versions: readonly number[]
  /** Changes when anything beside the version folders does. */
  readonly mark: string
  /** Changes when anything in the version's folder does. */
  readonly versionMarks: ReadonlyMap<number, string>
}

/** A version's files, read. */
export interface VersionFiles {
  readonly bytes: Uint8Array
  readonly externalData: ReadonlyMap<string, Uint8Array>
  readonly golden?: { readonly source: string; readonly text: string }
  readonly warmUpFiles: ReadonlyMap<string, Uint8Array>
  readonly digest: string
}

export interface Folder {
  /** Every model there now, by name. Rejects when the repository itself cannot be read. */
  look(): Promise<ReadonlyMap<string, FolderModel>>
  /** The model's configuration file; that of nobody where there is none. */
  readConfig(model: string): Promise<ConfigText>
  /** Rejects where a file is missing, leads out of the repository, or changes while it is read. */
  readVersion(model: string, version: number, declared: DeclaredConfig): Promise<VersionFiles>
  /** Labels of an output, one a line. */
  readLabels(model: string, filename: string): Promise<string[]>
}

const CONFIG_FILES = ['config.pbtxt', 'config.json', 'config.yaml', 'config.yml']
const GOLDEN_FILES = ['golden.json', 'golden.ndjson']

export const openFolder = (root: string): Folder => {
  const inside = async (path: string): Promise<string> => {
    const [base, real] = await Promise.all([realpath(root), realpath(path)])
    if (real !== base && !real.startsWith(base + sep))
      throw repositoryUnreadable(relative(root, path), 'a link that leads out of the repository')
    return real
  }

  /** The file's bytes, if it is the same before and after. */
  const readWhole = async (path: string): Promise<Buffer> => {
    const real = await inside(path)
    const before = await stat(real)
    if (!before.isFile()) throw repositoryUnreadable(relative(root, path), 'something that is no file')
    const bytes = await readFile(real)
    const after = await stat(real)
    if (before.mtimeMs !== after.mtimeMs || before.size !== after.size || bytes.byteLength !== after.size)
      throw repositoryUnreadable(relative(root, path), 'a file that is being written; it is loaded once it no longer changes', true)
    return bytes
  }

  const missing =
    (path: string, what: string) =>
    (error: unknown): never => {
      if (codeOf(error) === 'ENOENT') throw repositoryUnreadable(relative(root, path), what)
      throw error
    }

  /** Names, sizes and times of everything below, without what hides. */
  const markOf = async (path: string, skips: (name: string) => boolean = () => false): Promise<string> => {
    const parts: string[] = []
    const visit = async (folder: string, depth: number): Promise<void> => {
      for (const entry of (await readdir(folder, { withFileTypes: true })).toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
        if (entry.name.startsWith('.') || (depth === 0 && skips(entry.name))) continue
        const child = join(folder, entry.name)
        const found = await stat(child).catch(() => undefined) // gone again, or a link to nowhere
        if (found?.isDirectory() === true && depth < DEEPEST) await visit(child, depth + 1)
        else parts.push(`${relative(path, child)} ${found?.size ?? '-'} ${found?.mtimeMs ?? '-'} ${found?.ino ?? '-'}`)
      }
    }
    await visit(path, 0)
    return parts.join('\n')
  }

  const lookAt = async (name: string): Promise<FolderModel | undefined> => {
    const path = join(root, name)
    try {
      if (!(await stat(path)).isDirectory()) return undefined
      const versions = (await readdir(path)).filter(isVersion).map(Number)
      const marks = await Promise.all(versions.map(async (version) => [version, await markOf(join(path, String(version)))] as const))
      return {
        name,
        versions: versions.toSorted((a, b) => a - b),
        mark: await markOf(path, isVersion),
        versionMarks: new Map(marks),
      }
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined // gone while it was looked at
      return { name, versions: [], mark: String(error), versionMarks: new Map() } // reading it says why
    }
  }

  return {
    async look() {
      try {
        const names = (await readdir(root)).filter((name) => !name.startsWith('.'))
        const models = await Promise.all(names.map(lookAt))
        return new Map(models.flatMap((model) => (model === undefined ? [] : [[model.name, model] as const])))
      } catch (error) {
        throw repositoryUnreadable(root, error instanceof Error ? error.message : String(error), true)
      }
    },
    async readConfig(model) {
      const names = await readdir(join(root, model)).catch(missing(join(root, model), 'no folder of that name'))
      const [name, second] = CONFIG_FILES.filter((each) => names.includes(each))
      if (name === undefined) return noConfigText(model)
      if (second !== undefined) throw repositoryUnreadable(model, `one configuration: ${name} and ${second} are both there`)
      return readConfigText(`${model}/${name}`, (await readWhole(join(root, model, name))).toString('utf8'))
    },
    async readVersion(model, version, declared) {
      const folder = join(root, model, String(version))
      const path = join(folder, declared.filename)
      const bytes = declared.kind === 'onnxruntime' ? await readWhole(path).catch(missing(path, 'no such file')) : Buffer.alloc(0)
      const externalData = declared.kind === 'onnxruntime' ? await readExternal(folder, bytes, readWhole, root) : new Map<string, Buffer>()
      const golden = await readGoldenText([folder, join(root, model)], readWhole, root)
      const warmUpFiles = new Map<string, Buffer>()
      for (const { inputs } of declared.config.modelWarmup)
        for (const { inputDataType } of Object.values(inputs)) {
          if (inputDataType?.$case !== 'inputDataFile' || !isPlainName(inputDataType.value)) continue
          const file = join(root, model, 'warmup', inputDataType.value)
          warmUpFiles.set(inputDataType.value, await readWhole(file).catch(missing(file, 'no such file')))
        }
      return {
        bytes,
        externalData,
        warmUpFiles,
        digest: digestOf(bytes, externalData, declared),
        ...(golden === undefined ? {} : { golden }),
      }
    },
    async readLabels(model, filename) {
      const path = join(root, model, filename)
      const text = (await readWhole(path).catch(missing(path, 'no such file'))).toString('utf8')
      return text.replace(/\r?\n$/, '').split(/\r?\n/)
    },
  }
}

/** Links of a version folder are followed so deep. */
const DEEPEST = 4

/** A version's folder has the number as its name, without zeros in front. */
const isVersion = (name: string): boolean => /^[1-9]\d{0,8}$/.test(name)

/** Versions of the folder that are served. */
export const servedVersions = (versions: readonly number[], policy: VersionPolicy): number[] => {
  if (policy.kind === 'all') return [...versions]
  if (policy.kind === 'specific') return policy.versions.filter((version) => versions.includes(version)).toSorted((a, b) => a - b)
  return versions.slice(-policy.count)
}

type ReadWhole = (path: string) => Promise<Buffer>

const readExternal = async (folder: string, bytes: Uint8Array, readWhole: ReadWhole, root: string): Promise<Map<string, Buffer>> => {
  const files = new Map<string, Buffer>()
  if (isOrtFormat(bytes)) return files
  for (const { location, atLeastBytes } of externalOf(relative(root, folder), bytes)) {
    const path = join(folder, location)
    if (relative(folder, path).startsWith('..'))
      throw repositoryUnreadable(`${relative(root, folder)}/${location}`, 'a path that leads out of the version folder')
    const file = await readWhole(path).catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') throw repositoryUnreadable(relative(root, path), 'no such file, and the graph has tensors in it')
      throw error
    })
    if (file.byteLength < atLeastBytes)
      throw repositoryUnreadable(relative(root, path), `${file.byteLength} bytes where the graph has ${atLeastBytes}`)
    files.set(location, file)
  }
  return files
}

const externalOf = (label: string, bytes: Uint8Array): OnnxGraph['externalData'] => {
  try {
    return readOnnx(bytes).externalData
  } catch (error) {
    throw modelUnloadable(label, error)
  }
}

const readGoldenText = async (folders: readonly string[], readWhole: ReadWhole, root: string): Promise<VersionFiles['golden']> => {
  for (const folder of folders)
    for (const name of GOLDEN_FILES) {
      const path = join(folder, name)
      const text = await readWhole(path).catch((error: unknown) => {
        if (codeOf(error) === 'ENOENT') return undefined
        throw error
      })
      if (text !== undefined) return { source: relative(root, path), text: text.toString('utf8') }
    }
  return undefined
}

/** The graph, the files it refers to, and the configuration, which has a say in what comes out. */
export const digestOf = (bytes: Uint8Array, externalData: ReadonlyMap<string, Uint8Array>, { config }: DeclaredConfig): string => {
  const hash = createHash('sha256')
  hash.update(sha256Hex(bytes))
  for (const [path, file] of [...externalData].toSorted(([a], [b]) => (a < b ? -1 : 1)))
    hash.update(`\u{1f}${path}\u{1f}${sha256Hex(file)}`)
  hash.update('\u{1f}')
  hash.update(ModelConfig.encode(config).finish())
  return hash.digest('hex')
}
