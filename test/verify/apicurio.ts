// Apicurio Registry as a process: the outside registry that the conformance suite is held against. 3.0.9 is the newest that runs on
// Java 17. Fetched once by Maven into the cache folder; it keeps its schemas in memory.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Child, type Program, startChild } from '../../packages/platform/src/child.ts'
import { repositoryRoot } from '../../packages/platform/src/layout.ts'
import { freePorts } from '../../packages/platform/src/processes.ts'
import { requireJava } from '../../packages/platform/src/kafka/distribution.ts'
import { findPart, installCommand } from '../../packages/platform/src/system.mjs'

export const APICURIO_VERSION = '3.0.9'

const folder = join(repositoryRoot, '.cache', `apicurio-${APICURIO_VERSION}`)

const run = (command: string, args: readonly string[]): void => {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: 600_000 })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? `exit code ${status}`}\n${stdout}${stderr}`)
}

/** Unpacked program folder; needs the network only the first time. */
const ensureApicurio = (): string => {
  if (existsSync(folder)) return folder
  const maven = findPart('maven')
  if (maven === undefined) throw new Error(`Maven, which fetches Apicurio, was not found. Install it: ${installCommand(['maven'])}`)
  const work = `${folder}.${process.pid}.tmp`
  mkdirSync(join(work, 'app'), { recursive: true })
  const artifact = `io.apicurio:apicurio-registry-app:${APICURIO_VERSION}:tar.gz:all`
  run(maven, ['-B', '-q', 'dependency:copy', `-Dartifact=${artifact}`, `-DoutputDirectory=${work}`])
  run('tar', ['xzf', join(work, `apicurio-registry-app-${APICURIO_VERSION}-all.tar.gz`), '-C', join(work, 'app')])
  renameSync(join(work, 'app'), folder)
  rmSync(work, { recursive: true, force: true })
  return folder
}

export interface Apicurio {
  /** Base of its Confluent-compatible routes. */
  readonly url: string
  stop(): Promise<void>
}

export const startApicurio = async (): Promise<Apicurio> => {
  const java = requireJava()
  const app = ensureApicurio()
  const [port, managementPort] = (await freePorts(2)) as [number, number]
  const logs = mkdtempSync(join(tmpdir(), 'andon-apicurio-'))
  const url = `http://127.0.0.1:${port}/apis/ccompat/v7`
  const program: Program = {
    name: 'apicurio',
    command: java,
    args: [
      '-Xmx256m',
      '-XX:+UseSerialGC',
      '-XX:TieredStopAtLevel=1',
      '-jar',
      join(app, `apicurio-registry-app-${APICURIO_VERSION}-runner.jar`),
    ],
    cwd: app,
    env: {
      ...process.env,
      QUARKUS_HTTP_HOST: '127.0.0.1',
      QUARKUS_HTTP_PORT: String(port),
      QUARKUS_MANAGEMENT_HOST: '127.0.0.1',
      QUARKUS_MANAGEMENT_PORT: String(managementPort),
    },
    logFile: join(logs, 'apicurio.log'),
    readyWithinMs: 120_000,
    isReady: () =>
      fetch(`${url}/subjects`).then(
        (answer) => answer.ok,
        () => false,
      ),
  }
  const child: Child = startChild(program)
  try {
    await child.ready()
  } catch (error) {
    throw new Error(`Apicurio did not start:\n${readFileSync(program.logFile, 'utf8').slice(-4000)}`, { cause: error })
  }
  return {
    url,
    async stop() {
      await child.stop()
      rmSync(logs, { recursive: true, force: true })
    },
  }
}
