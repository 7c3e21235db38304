// A process of a hop. It gets what it needs to reach the log and nothing else: no token, no secret, no address of a door, a
// store of live state or a target, whatever the caller's environment holds. It leads a process group of its own, so that
// Ctrl-C reaches only us and it can end in order; it ends by itself when we are gone.

import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { AndonError } from '@andon/kit/errors'
import type { Context } from '../context.ts'
import type { ReplayCode } from './code.ts'
import { containerArguments, containerName } from './container.ts'

export interface HopFiles {
  /** Folder that the process may write to. */
  readonly folder: string
  /** Its ANDON_DATA_DIR. */
  readonly data: string
  readonly plan: string
  readonly log: string
}

const PASSED = ['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR'] as const
/** A contract can ask for settings by name, but never for anything that opens a door. */
const NEVER = /SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|KEY|_URL$|_DSN$/

/** Settings that a contract names, as far as the environment has them. Throws ANDON_REPLAY_SETTING for one that is never handed on. */
export const namedSettings = (names: readonly string[], environment: NodeJS.ProcessEnv): Record<string, string> => {
  const found: Record<string, string> = {}
  for (const name of names) {
    if (NEVER.test(name))
      throw new AndonError(
        'ANDON_REPLAY_SETTING',
        `ANDON_REPLAY_SETTING: the replay contract asks for ${name}; a run is handed no credentials or addresses.`,
      )
    const value = environment[name]
    if (value !== undefined && value !== '') found[name] = value
  }
  return found
}

/** The whole environment of a hop's process. */
export const childEnvironment = (
  context: Context,
  files: HopFiles,
  settings: Readonly<Record<string, string>>,
  environment: NodeJS.ProcessEnv,
): Record<string, string> => ({
  ...Object.fromEntries(PASSED.flatMap((name) => (environment[name] === undefined ? [] : [[name, environment[name]]]))),
  ...settings,
  ANDON_KAFKA_BROKERS: context.brokers.join(','),
  ANDON_REGISTRY_URL: context.registryUrl,
  ANDON_NAMESPACE: context.namespace,
  ANDON_REGISTER_SCHEMAS: 'false', // a version that is only tried leaves no trace in the registry
  ANDON_BLOB_DIR: context.blobDir,
  ANDON_DATA_DIR: files.data,
  ANDON_LOG_LEVEL: 'warn',
  ANDON_REPLAY_PLAN: files.plan,
})

/** Starts the service on its plan; its output goes to the hop's log. The process of an image stands for its container. */
export const startChild = (
  context: Context,
  code: ReplayCode,
  files: HopFiles,
  settings: Readonly<Record<string, string>>,
): ChildProcess => {
  mkdirSync(files.folder, { recursive: true })
  const env = childEnvironment(context, files, settings, process.env)
  const log = openSync(files.log, 'a')
  try {
    if ('main' in code.at) {
      return spawn(process.execPath, [code.at.main], {
        cwd: code.at.cwd,
        env: { ...env, ANDON_PARENT_PID: String(process.pid) },
        stdio: ['ignore', log, log],
        detached: true,
      })
    }
    const { engine, image, user } = code.at
    const worker = join(import.meta.dirname, 'container-worker.ts')
    const args = containerArguments(image, user, files, context.blobDir, env)
    // the pipe tells the worker when we are gone
    return spawn(process.execPath, [worker, engine, containerName(files), ...args], { stdio: ['pipe', log, log], detached: true })
  } finally {
    closeSync(log)
  }
}
