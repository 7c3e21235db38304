// What lies in the importer's folders, in words: for people who ask why files that were acknowledged are not on the log.

import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { inboxOf } from './doors.ts'

const WARNINGS = 3
const MOST_CHARACTERS = 400

const namesIn = (folder: string): readonly string[] => {
  try {
    return readdirSync(folder)
  } catch {
    return [] // not made yet
  }
}

const textOf = (file: string): string => {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return '' // gone in this moment, or not made yet
  }
}

interface Job {
  readonly door: string
  readonly name: string
  readonly receivedUs: number
}

/** How many files lie where, which one is the oldest that is not done, and what ingest last said of files. */
export const fileState = (dir: string): string => {
  const instance = join(dir, 'data', 'ingest', 'ingest-0')
  const folders = {
    inbox: inboxOf(dir),
    'inbox/taken': join(inboxOf(dir), 'taken', 'ingest-0'),
    'inbox/done': join(inboxOf(dir), 'done'),
    'inbox/failed': join(inboxOf(dir), 'failed'),
    uploads: join(instance, 'uploads'),
    ...Object.fromEntries(['incoming', 'jobs', 'progress', 'manifests', 'applied'].map((part) => [part, join(instance, 'files', part)])),
  }
  const counts = Object.entries(folders).map(([name, folder]) => `${name} ${namesIn(folder).length}`)
  const jobs = namesIn(join(instance, 'files', 'jobs'))
    .filter((name) => name.endsWith('.json'))
    .flatMap((name) => {
      const text = textOf(join(instance, 'files', 'jobs', name))
      return text === '' ? [] : [{ ...(JSON.parse(text) as Job), id: name }]
    })
    .toSorted((a, b) => a.receivedUs - b.receivedUs)
  const oldest = jobs[0]
  const said = textOf(join(dir, 'ingest.log'))
    .split('\n')
    .filter((line) => / file|upload|SFTP|watched/.test(line))
    .slice(-WARNINGS)
    .map((line) => line.slice(0, MOST_CHARACTERS))
  return [
    `files: ${counts.join(', ')}`,
    oldest === undefined
      ? 'none waits'
      : `the oldest that waits is ${oldest.id}: ${oldest.name} by ${oldest.door}, handed over at ${new Date(oldest.receivedUs / 1000).toISOString()}`,
    said.length === 0 ? 'ingest said nothing of files' : `ingest last said of files: ${said.join(' … ')}`,
  ].join('; ')
}
