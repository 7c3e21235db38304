// Images as code of a run, by whichever container engine has them: docker, podman, or another one with the same commands. A
// container sees its run's folder, the blob store and the host's network, and has no capabilities, no healthcheck and none of
// the caller's variables. Its name follows from its plan, so what a killed command left running is found and removed.

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { promisify } from 'node:util'
import { AndonError, messageOf } from '@andon/kit/errors'
import type { HopFiles } from './child.ts'

/** Asked in this order, unless ANDON_CONTAINER_ENGINE names one. */
const ENGINES = ['docker', 'podman'] as const

export interface FoundImage {
  /** The program that has it. */
  readonly engine: string
  /** 64 hex digits: unlike a tag it never means another image. */
  readonly id: string
  /** What the label `andon.replay` holds; undefined without one, or when it is no JSON. */
  readonly label: unknown
}

const run = promisify(execFile)

/** The image as the first engine that has it knows it; nothing is pulled. Throws ANDON_REPLAY_CODE when none has. */
export const findImage = async (image: string, engine: string | null): Promise<FoundImage> => {
  const problems: string[] = []
  for (const program of engine === null ? ENGINES : [engine]) {
    try {
      // after `--`, so that no ref is taken for an option
      const { stdout } = await run(program, ['image', 'inspect', '--format', '{{.Id}} {{json .Config.Labels}}', '--', image])
      const [, id, labels] = /^(?:sha256:)?([0-9a-f]{64}) (.*)$/s.exec(stdout.trim()) ?? []
      if (id !== undefined) return { engine: program, id, label: labelIn(labels!) }
      problems.push(`${program}: answered "${stdout.trim().slice(0, 100)}"`)
    } catch (error) {
      problems.push(`${program}: ${reasonOf(error)}`)
    }
  }
  throw new AndonError(
    'ANDON_REPLAY_CODE',
    `ANDON_REPLAY_CODE: image ${image} cannot be looked at (${problems.join('; ')}). Start the container engine and pull or build the image, or name a git ref.`,
  )
}

const labelIn = (labels: string): unknown => {
  try {
    return JSON.parse((JSON.parse(labels) as Record<string, string> | null)?.['andon.replay'] ?? '') as unknown
  } catch {
    return undefined
  }
}

const reasonOf = (error: unknown): string => {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'not installed'
  const lines = ((error as { stderr?: string }).stderr ?? '').trim().split('\n')
  return lines.at(-1) || messageOf(error)
}

/** Name of the container that works on a plan. */
export const containerName = ({ plan }: HopFiles): string => `andon-replay-${createHash('sha256').update(plan).digest('hex').slice(0, 16)}`

/**
 * Whom a container runs as, so that its files are the caller's: the same numbers, or 0 where the engine itself runs as the
 * caller (rootless) and maps 0 to it.
 */
export const userOf = async (engine: string): Promise<string> => {
  const { stdout } = await run(engine, ['info', '--format', '{{json .}}'])
  const info = JSON.parse(stdout) as { host?: { security?: { rootless?: boolean } }; SecurityOptions?: string[] }
  const isRootless = info.host?.security?.rootless === true || info.SecurityOptions?.includes('name=rootless') === true
  return isRootless ? '0:0' : `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`
}

/** Engines hand on the caller's or their own proxy, which may have a password in it, unless the container has one already. */
const PROXIES = ['http_proxy', 'https_proxy', 'ftp_proxy', 'all_proxy', 'no_proxy'].flatMap((name) => [name, name.toUpperCase()])

/** Arguments of the engine: the host's network, since brokers and the run's registry may be on its loopback. */
export const containerArguments = (
  image: string,
  user: string,
  files: HopFiles,
  blobDir: string,
  environment: Readonly<Record<string, string>>,
): string[] => {
  const { PATH: _path, HOME: _home, TMPDIR: _tmp, ...given } = environment
  for (const folder of [files.folder, blobDir]) mkdirSync(folder, { recursive: true }) // docker would make it, and root's
  return [
    'run',
    '--rm',
    `--name=${containerName(files)}`,
    '--pull=never',
    '--read-only',
    '--tmpfs=/tmp',
    '--network=host',
    '--cap-drop=ALL',
    '--security-opt=no-new-privileges',
    '--security-opt=label=disable', // SELinux: the folders keep the labels that they have
    '--no-healthcheck', // it would ask the live service, which has the port
    `--user=${user}`,
    ...[files.folder, blobDir].map((folder) => `--volume=${folder}:${folder}`),
    ...PROXIES.map((name) => `--env=${name}=`),
    ...Object.entries(given).map(([name, value]) => `--env=${name}=${value}`),
    image,
  ]
}

/** Ends and removes the containers of these files, whether or not there are any. */
export const removeContainers = async (engine: string, files: readonly HopFiles[]): Promise<void> => {
  // one that is still there makes the next start fail by its name, so nothing is hidden here
  await run(engine, ['rm', '--force', ...files.map(containerName)]).catch(() => {})
}
