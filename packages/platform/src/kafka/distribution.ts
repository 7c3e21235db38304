// Kafka's jars in the cache folder: fetched once by Maven, with a formatted data folder to copy (spares a JVM run per broker) and a class
// archive that halves the start. Everything is written beside its place and renamed, so an interrupted run leaves nothing half done.

import { spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { AndonError } from '@andon/kit/errors'
import { kafkaCache } from '../layout.ts'
import { findJava, findPart, installCommand } from '../system.mjs'
import { brokerProperties } from './properties.ts'

export interface Distribution {
  readonly java: string
  readonly classPath: string
  /** Formatted, empty data folder. */
  readonly template: string
  /** Where the class archive for this Java and these jars lies or will lie. */
  readonly archive: string
}

/** What a formatted data folder says about itself. */
const META = 'meta.properties'

/** Heap and compiler flags of every broker; the class archive fits only the same ones. */
export const JVM_FLAGS: readonly string[] = ['-Xms128m', '-Xmx384m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']

const run = (command: string, args: readonly string[], what: string): void => {
  const result = spawnSync(command, args, { encoding: 'utf8', timeout: 600_000 })
  if (result.status === 0) return
  const output = `${result.stdout ?? ''}${result.stderr ?? ''}`.trim().split('\n').slice(-15).join('\n')
  throw new AndonError(
    'ANDON_PLATFORM_KAFKA_FETCH',
    `${what} failed (${command}, ${result.error?.message ?? `exit code ${result.status}`}):\n${output}`,
  )
}

/** A cluster or directory id. It may not begin with '-': the format tool would take it for an option. */
export const newId = (): string => `A${randomBytes(16).toString('base64url').slice(1)}`

/** Puts a folder into its place; somebody who was faster wins. */
const publish = (temporary: string, place: string): void => {
  try {
    renameSync(temporary, place)
  } catch (error) {
    if (!existsSync(place)) throw error
    rmSync(temporary, { recursive: true, force: true })
  }
}

const temporaryBeside = (place: string): string => {
  mkdirSync(dirname(place), { recursive: true })
  return `${place}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`
}

const fetchJars = (lib: string, pom: string): void => {
  const maven = findPart('maven')
  if (maven === undefined) {
    throw new AndonError(
      'ANDON_PLATFORM_MAVEN_MISSING',
      `Kafka's jars are not in ${lib} yet and Maven, which fetches them, was not found. Install it: ${installCommand(['maven'])}`,
    )
  }
  const temporary = temporaryBeside(lib)
  const args = ['-B', '-q', '-f', pom, 'dependency:copy-dependencies', `-DoutputDirectory=${temporary}`, '-DincludeScope=runtime']
  run(maven, args, "Fetching Kafka's jars")
  publish(temporary, lib)
}

const formatTemplate = (java: string, classPath: string, template: string): void => {
  const work = temporaryBeside(template)
  mkdirSync(work)
  const properties = join(work, 'server.properties')
  writeFileSync(properties, brokerProperties({ port: 9092, controllerPort: 9093, dataDir: join(work, 'data') }))
  run(
    java,
    [...JVM_FLAGS, '-cp', classPath, 'kafka.tools.StorageTool', 'format', '--cluster-id', newId(), '--config', properties],
    'Formatting the data folder of Kafka',
  )
  publish(join(work, 'data'), template)
  rmSync(work, { recursive: true, force: true })
}

/** The Java to run brokers with. Rejects with one message that says what was found and what to install. */
export const requireJava = (): string => {
  const { path, problem, isMissing } = findJava()
  if (path !== undefined) return path
  throw new AndonError('ANDON_PLATFORM_JAVA', `${problem}${isMissing ? ` Install one: ${installCommand(['java'])}` : ''}`)
}

/** Makes sure jars and template are there; needs the network only the first time. */
export const ensureDistribution = (): Distribution => {
  const java = requireJava()
  const { folder, pom } = kafkaCache()
  const lib = join(folder, 'lib')
  if (!existsSync(lib)) fetchJars(lib, pom)
  const classPath = join(lib, '*')
  const template = join(folder, 'template')
  if (!existsSync(template)) formatTemplate(java, classPath, template)
  const jars = readdirSync(lib).sort().join()
  const key = createHash('sha256').update(`${findJava().version} ${jars} ${JVM_FLAGS.join()}`).digest('hex').slice(0, 12)
  return { java, classPath, template, archive: join(folder, `classes-${key}.jsa`) }
}

/** Gives a data folder its cluster, node and directory id, unless it has them already. */
export const formatDataFolder = (distribution: Distribution, dataDir: string, { nodeId = 1, clusterId = newId() } = {}): void => {
  if (existsSync(join(dataDir, META))) return
  const temporary = temporaryBeside(dataDir)
  cpSync(distribution.template, temporary, { recursive: true })
  const ids = { 'directory.id': newId(), 'cluster.id': clusterId, 'node.id': nodeId }
  let text = readFileSync(join(temporary, META), 'utf8')
  for (const [name, id] of Object.entries(ids)) text = text.replace(new RegExp(`^${name}=.*$`, 'm'), `${name}=${id}`)
  writeFileSync(join(temporary, META), text)
  rmSync(dataDir, { recursive: true, force: true })
  renameSync(temporary, dataDir)
}

/** The cluster that a data folder belongs to; undefined when it is not formatted. */
export const clusterIdOf = (dataDir: string): string | undefined => {
  const file = join(dataDir, META)
  return existsSync(file) ? /^cluster\.id=(.*)$/m.exec(readFileSync(file, 'utf8'))?.[1] : undefined
}
