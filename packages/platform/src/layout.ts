// Where the platform's files lie: the repository, the cache of fetched programs and, in the state folder (ANDON_HOME), one mesh's data.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

export const repositoryRoot: string = fileURLToPath(new URL('../../..', import.meta.url))
const kafkaPom = fileURLToPath(new URL('../kafka/pom.xml', import.meta.url))

/** The broker's logging configuration. */
export const kafkaLogging: string = fileURLToPath(new URL('../kafka/log4j2.properties', import.meta.url))

/** Folder of Kafka's jars, its formatted template and its class archive; its name changes with the pom. */
export const kafkaCache = (): { folder: string; pom: string } => {
  const hash = createHash('sha256').update(readFileSync(kafkaPom)).digest('hex').slice(0, 12)
  return { folder: join(repositoryRoot, '.cache', `kafka-${hash}`), pom: kafkaPom }
}

/** The folders of one mesh under its state folder. */
export interface Home {
  readonly root: string
  readonly logs: string
  readonly kafka: string
  readonly redis: string
  readonly data: string
  readonly blobs: string
  readonly tokens: string
  /** Keys and certificates of the mesh's own authority. */
  readonly pki: string
  readonly stateFile: string
}

export const homeAt = (root: string): Home => {
  const folder = resolve(root)
  return {
    root: folder,
    logs: join(folder, 'logs'),
    kafka: join(folder, 'kafka'),
    redis: join(folder, 'redis'),
    data: join(folder, 'data'),
    blobs: join(folder, 'blobs'),
    tokens: join(folder, 'tokens'),
    pki: join(folder, 'pki'),
    stateFile: join(folder, 'state.json'),
  }
}
