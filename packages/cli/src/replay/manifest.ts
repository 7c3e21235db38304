// The record of a replay run: `.andon/replay/<id>.json`. One hop per service that the range went through; written whole
// and renamed into place, so a reader never sees half of it. `replay diff` and `replay promote` read it too.

import { mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { codeOf } from '@andon/kit/errors'
import { RUN_ID } from '@andon/kit/replay/names'
import type { ReplayPlan } from '@andon/kit/replay/plan'
import type { Home, ProcessIdentity } from '@andon/platform'
import { CommandError } from '../context.ts'
import { EXIT } from '../exit.ts'

export type HopStatus = 'planned' | 'running' | 'stopped' | 'finished' | 'failed' | 'aborted'

/** One service over one range. */
export interface ReplayHop {
  readonly service: string
  /** Git commit (40 hex digits) of the code, `image:<id>` (64), or null: the code of this checkout. */
  readonly code: string | null
  /** Topic read; may be another run's. */
  readonly input: string
  /** The range asked for, record time, ms UTC. */
  readonly fromMs: number
  readonly toMs: number
  /** Where outputs lie: the topic that the service writes and the run's own. */
  readonly outputs: readonly { readonly topic: string; readonly runTopic: string }[]
  readonly plan: ReplayPlan
  readonly status: HopStatus
  /** Settings that the service was started with, beside those of the mesh: a resumed run takes the same. */
  readonly settings: Readonly<Record<string, string>>
  /** The process that supervises it; null when nobody does. */
  readonly supervisor: ProcessIdentity | null
  /** Processes that share the partitions; fixed by the first start. */
  readonly jobs: number
  /** The service's processes, also for a moment after their supervisor was killed. */
  readonly children: readonly ProcessIdentity[]
  readonly startedMs: number | null
  readonly endedMs: number | null
  /** Why it failed. */
  readonly problem: string | null
}

export interface ReplayManifest {
  readonly version: 1
  readonly id: string
  readonly createdMs: number
  /** In the order in which they were first asked for. */
  readonly hops: readonly ReplayHop[]
}

const folderOf = (home: Home): string => join(home.root, 'replay')

/** Folder of one run: plans, progress and logs of its hops. */
export const runFolder = (home: Home, id: string): string => join(folderOf(home), id)

/** The manifest of one run. */
export const manifestFile = (home: Home, id: string): string => join(folderOf(home), `${id}.json`)

/** The run's manifest; undefined when no run has this id here. */
export const readManifest = (home: Home, id: string): ReplayManifest | undefined => {
  if (!RUN_ID.test(id))
    throw new CommandError(EXIT.usage, `--as: expected lower-case letters, digits and dashes (${RUN_ID.source}), found "${id}".`)
  try {
    return JSON.parse(readFileSync(manifestFile(home, id), 'utf8')) as ReplayManifest
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** The run's manifest; ends the command when there is none. */
export const requireManifest = (home: Home, id: string): ReplayManifest => {
  const manifest = readManifest(home, id)
  if (manifest !== undefined) return manifest
  throw new CommandError(
    EXIT.failed,
    `No run ${id} in ${folderOf(home)}. \`andon replay status\` lists the runs, \`andon replay run\` starts one.`,
  )
}

/** Every run of this state folder, oldest first. */
export const listManifests = (home: Home): ReplayManifest[] => {
  let names: string[]
  try {
    names = readdirSync(folderOf(home))
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
  return names
    .filter((name) => name.endsWith('.json'))
    .map((name) => requireManifest(home, name.slice(0, -'.json'.length)))
    .toSorted((a, b) => a.createdMs - b.createdMs)
}

/** The run's topic that holds what was written to `topic`; undefined when no hop writes it. */
export const runTopicOf = (manifest: ReplayManifest, topic: string): string | undefined =>
  manifest.hops.flatMap(({ outputs }) => outputs).find((output) => output.topic === topic)?.runTopic

export const writeManifest = (home: Home, manifest: ReplayManifest): void => writeJson(manifestFile(home, manifest.id), manifest)

/** Writes a JSON file whole or not at all. */
export const writeJson = (file: string, value: unknown): void => {
  mkdirSync(dirname(file), { recursive: true })
  const temporary = `${file}.${process.pid}.tmp`
  writeFileSync(temporary, `${JSON.stringify(value, undefined, 2)}\n`)
  renameSync(temporary, file)
}
