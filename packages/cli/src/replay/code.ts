// The code that a run executes: this checkout, a git commit in a tree of its own, or a container image. A commit is written
// to `.andon/replay/worktrees/<sha>` once; its third-party packages are those of this checkout when the lock file is the same,
// else they are installed once per lock file. The two versions meet in topics and environment only.

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { promisify } from 'node:util'
import { AndonError, messageOf } from '@andon/kit/errors'
import { repositoryRoot } from '@andon/platform'
import type { Context } from '../context.ts'
import { findImage, userOf } from './container.ts'
import { checkContract, readContract, readManifestOf, type ReplayContract } from './contract.ts'

export interface ReplayCode {
  /** As the manifest names it: null for this checkout, a commit, `image:<id>` or `folder:<path>`. */
  readonly name: string | null
  readonly contract: ReplayContract
  /** What Node starts and where, or the image to run, the engine that has it, and the container's user. */
  readonly at: { readonly main: string; readonly cwd: string } | { readonly image: string; readonly engine: string; readonly user: string }
}

const COMMIT = /^[0-9a-f]{40,64}$/
const run = promisify(execFile)
const LARGE = { maxBuffer: 64 * 1024 * 1024 }

/** `features`, `features@<git ref>`, `features@image:<ref>`, or the folder of a service of your own (`./averages`), in its parts. */
export const parseService = (text: string): { service: string; code: string | null } => {
  if (/^\.{0,2}\//.test(text)) return { service: basename(resolve(text)), code: `folder:${resolve(text)}` }
  const at = text.indexOf('@')
  return at < 0 ? { service: text, code: null } : { service: text.slice(0, at), code: text.slice(at + 1) }
}

/**
 * The code that is meant and its contract; writes nothing, so a run can be planned before its code is installed. Throws
 * ANDON_REPLAY_CODE when there is no such commit or image, ANDON_REPLAY_CONTRACT when it cannot be replayed.
 */
export const findCode = async (
  { home, containerEngine }: Pick<Context, 'home' | 'containerEngine'>,
  service: string,
  code: string | null,
): Promise<ReplayCode> => {
  if (code === null)
    return { name: null, contract: readContract(repositoryRoot, service, 'this checkout'), at: inTree(repositoryRoot, service) }
  if (code.startsWith('folder:')) return folderCode(service, code.slice('folder:'.length))
  if (code.startsWith('image:')) return imageCode(service, code.slice('image:'.length), containerEngine)
  const sha = await commitOf(code)
  const packageJson = await git(['show', `${sha}:services/${service}/package.json`]).catch(() => '{}')
  const found = (JSON.parse(packageJson) as { andon?: { replay?: unknown } }).andon?.replay
  const contract = checkContract(found, service, code === sha ? code : `${code} (${sha.slice(0, 12)})`)
  return { name: sha, contract, at: inTree(join(home.root, 'replay', 'worktrees', sha), service) }
}

/** Makes the code ready to run: a commit is written to its tree and has its packages. Throws ANDON_REPLAY_CODE when they cannot be installed. */
export const installCode = async ({ name, at }: ReplayCode): Promise<void> => {
  if (name !== null && COMMIT.test(name) && 'main' in at && !existsSync(at.cwd)) await checkOut(name, at.cwd)
}

const inTree = (root: string, service: string) => ({ main: join(root, 'services', service, 'src', 'main.ts'), cwd: root })

/** A service of your own: its package.json holds the contract and, as `main`, what Node starts. */
const folderCode = (service: string, folder: string): ReplayCode => {
  const manifest = readManifestOf(folder, service)
  const contract = checkContract(manifest.andon?.replay, service, folder)
  return { name: `folder:${folder}`, contract, at: { main: join(folder, manifest.main ?? 'main.ts'), cwd: folder } }
}

const git = async (args: readonly string[]): Promise<string> => (await run('git', ['-C', repositoryRoot, ...args], LARGE)).stdout

const commitOf = async (ref: string): Promise<string> => {
  try {
    return (await git(['rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`])).trim()
  } catch (error) {
    throw new AndonError(
      'ANDON_REPLAY_CODE',
      `ANDON_REPLAY_CODE: ${ref} is no commit of ${repositoryRoot}. Name a branch, tag or commit that \`git rev-parse\` knows, or image:<ref>.`,
      { cause: error },
    )
  }
}

/** Whole or not there: written aside, then renamed. */
const checkOut = async (sha: string, root: string): Promise<void> => {
  const aside = `${root}.${process.pid}`
  rmSync(aside, { recursive: true, force: true })
  mkdirSync(aside, { recursive: true })
  const archive = `${aside}.tar`
  try {
    await git(['archive', '--format=tar', '--output', archive, sha])
    await run('tar', ['-xf', archive, '-C', aside])
    linkPackages(await installFor(root, aside), aside)
    renameSync(aside, root)
  } finally {
    rmSync(archive, { force: true })
    rmSync(aside, { recursive: true, force: true })
  }
}

const lockDigest = (root: string): string =>
  createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')

/** A tree with installed packages that fit the lock file of `tree`. */
const installFor = async (worktree: string, tree: string): Promise<string> => {
  const digest = lockDigest(tree)
  if (digest === lockDigest(repositoryRoot) && existsSync(join(repositoryRoot, 'node_modules'))) return repositoryRoot
  const installs = join(dirname(dirname(worktree)), 'installs')
  const install = join(installs, digest)
  if (existsSync(install)) return install
  const aside = `${install}.${process.pid}`
  rmSync(aside, { recursive: true, force: true })
  mkdirSync(aside, { recursive: true })
  try {
    await run('cp', ['-r', `${tree}/.`, aside])
    await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { ...LARGE, cwd: aside })
    renameSync(aside, install)
    return install
  } catch (error) {
    throw new AndonError('ANDON_REPLAY_CODE', `ANDON_REPLAY_CODE: packages of its lock file could not be installed: ${messageOf(error)}`, {
      cause: error,
    })
  } finally {
    rmSync(aside, { recursive: true, force: true })
  }
}

/** Third-party packages are links into the install; the workspaces' own packages are those of the tree. */
const linkPackages = (install: string, tree: string): void => {
  const modules = join(tree, 'node_modules')
  mkdirSync(join(modules, '@andon'), { recursive: true })
  for (const name of readdirSync(join(install, 'node_modules')))
    if (name !== '@andon') symlinkSync(join(install, 'node_modules', name), join(modules, name))
  for (const folder of workspaces(tree)) {
    const { name } = JSON.parse(readFileSync(join(tree, folder, 'package.json'), 'utf8')) as { name: string }
    symlinkSync(relative(join(modules, '@andon'), join(tree, folder)), join(modules, name))
    const own = join(install, folder, 'node_modules')
    if (existsSync(own) && !existsSync(join(tree, folder, 'node_modules'))) symlinkSync(own, join(tree, folder, 'node_modules'))
  }
}

/** Folders of the workspaces; patterns are `folder` and `folder/*`. */
const workspaces = (tree: string): string[] => {
  const { workspaces: patterns } = JSON.parse(readFileSync(join(tree, 'package.json'), 'utf8')) as { workspaces: string[] }
  return patterns
    .flatMap((pattern) => {
      if (!pattern.endsWith('/*')) return [pattern]
      const folder = pattern.slice(0, -2)
      return existsSync(join(tree, folder)) ? readdirSync(join(tree, folder)).map((name) => join(folder, name)) : []
    })
    .filter((folder) => existsSync(join(tree, folder, 'package.json')))
}

const imageCode = async (service: string, image: string, engine: string | null): Promise<ReplayCode> => {
  const found = await findImage(image, engine)
  const contract = checkContract(found.label, service, `image ${image}`)
  return { name: `image:${found.id}`, contract, at: { engine: found.engine, image: found.id, user: await userOf(found.engine) } }
}
