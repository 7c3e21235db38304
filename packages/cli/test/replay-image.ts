// An image of features for tests, without a registry: what its Dockerfile copies, on this machine's Node and its libraries instead
// of the base. And which container engines can run one here.

import { execFile, execFileSync } from 'node:child_process'
import { copyFileSync, cpSync, globSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { repositoryRoot } from '@andon/platform'

const run = promisify(execFile)

/** An engine that has run a container here, and the settings of its client under which it did. */
export interface Engine {
  readonly program: string
  readonly version: string
  readonly environment: Readonly<Record<string, string>>
}

/** Asks one engine to build the folder and to run what came of it. Gives why it cannot, where it cannot. */
export const tryEngine = async (program: string, folder: string, tag: string): Promise<Engine | string> => {
  const limits = join(folder, 'containers.conf')
  // podman asks for higher limits than its own unless told otherwise, which a machine may not grant
  writeFileSync(limits, '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n')
  const reasons: string[] = []
  for (const environment of program === 'podman' ? [{}, { CONTAINERS_CONF: limits }] : [{}])
    try {
      const options = { env: { ...process.env, ...environment }, timeout: 180_000, maxBuffer: 16 * 1024 * 1024 }
      const [version] = (await run(program, ['--version'], options)).stdout.split('\n')
      await run(program, ['info'], options)
      await run(program, ['build', '--tag', tag, '--file', join(folder, 'Dockerfile'), folder], options)
      await run(program, ['run', '--rm', '--network=host', tag, 'node', '--version'], options)
      return { program, version: version!, environment }
    } catch (error) {
      reasons.push(((error as { stderr?: string }).stderr ?? '').trim().split('\n').at(-1) || (error as Error).message)
    }
  return `${program}: ${reasons.at(-1)}`
}

/** Writes what an image is built from to `folder`: the last stage of the service's Dockerfile, without its base and its commands. */
export const writeImageFolder = (folder: string): void => {
  const rootfs = join(folder, 'rootfs')
  const place = (path: string, to = path): void => {
    mkdirSync(dirname(join(rootfs, to)), { recursive: true })
    copyFileSync(path, join(rootfs, to))
  }
  const installed = join(folder, 'installed')
  copyPackages(installed)
  place(process.execPath, '/usr/local/bin/node')
  const natives = globSync('**/*.node', { cwd: installed }).map((name) => join(installed, name))
  const libraries = execFileSync('ldd', [process.execPath, ...natives], { encoding: 'utf8' }).match(/(?<=\s)\/\S+\.so\S*/g) ?? []
  for (const library of new Set(libraries)) place(library)
  for (const name of ['etc', 'tmp', 'andon']) mkdirSync(join(rootfs, name), { recursive: true })
  writeFileSync(join(rootfs, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\nnode:x:1000:1000::/:/bin/sh\n')
  writeFileSync(join(rootfs, 'etc/group'), 'root:x:0:\nnode:x:1000:\n')

  const isOwnFile = (path: string): boolean => !path.split('/').includes('node_modules')
  for (const name of ['package.json', 'schemas', 'packages', 'services/features'])
    cpSync(join(repositoryRoot, name), join(folder, name), {
      recursive: true,
      filter: (path) => isOwnFile(relative(repositoryRoot, path)),
    })
  writeFileSync(join(folder, 'Dockerfile'), dockerfile())
}

/** What `npm ci --omit=dev -w services/features` installs, from the packages that lie here. */
const copyPackages = (to: string): void => {
  const list = execFileSync('npm', ['ls', '--all', '--omit=dev', '--parseable', '--workspace', 'services/features'], {
    cwd: repositoryRoot,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  mkdirSync(join(to, 'services/features/node_modules'), { recursive: true })
  mkdirSync(join(to, 'node_modules/@andon'), { recursive: true })
  for (const path of list.trim().split('\n')) {
    const name = relative(repositoryRoot, path)
    const [, workspace] = /^node_modules\/@andon\/(.+)$/.exec(name) ?? []
    if (workspace !== undefined) {
      const folder = { features: 'services/features', schemas: 'schemas' }[workspace] ?? `packages/${workspace}`
      symlinkSync(`../../${folder}`, join(to, name))
    } else if (name.includes('node_modules'))
      cpSync(path, join(to, name), { recursive: true, filter: (each) => !relative(path, each).split('/').includes('node_modules') })
  }
}

const dockerfile = (): string => {
  const lines = readFileSync(join(repositoryRoot, 'services/features/Dockerfile'), 'utf8').split('\n')
  const last = lines.slice(lines.findLastIndex((line) => line.startsWith('FROM ')) + 1)
  return [
    'FROM scratch',
    'COPY rootfs /',
    ...last.filter((line) => !line.startsWith('RUN ')).map((line) => line.replace(/^COPY --from=packages \/app\//, 'COPY installed/')),
  ].join('\n')
}
