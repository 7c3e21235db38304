// Clients of other languages, installed on first use under `.andon` at pinned versions. What cannot be had here is a
// missing peer: its figures are skipped, never passed.

import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { repositoryRoot } from '@andon/platform'
import { PeerMissing, progress } from '../../harness/bench.ts'
import { pythonWith } from '../../harness/python.ts'

const PYTHON_PACKAGES = ['confluent-kafka==2.16.1', 'fastavro==1.13.1'] as const
/** The newest command line tools; there are none of 4.4.0. */
const JAVA_TOOLS = 'org.apache.kafka:kafka-tools:4.3.1'
const JAVA_LOGGING = 'org.apache.logging.log4j:log4j-slf4j-impl:2.25.5'

const peers = join(repositoryRoot, '.andon', 'bench', 'peers')
const workers = join(import.meta.dirname, 'workers')
const execute = promisify(execFile)

const run = async (what: string, program: string, args: readonly string[]): Promise<void> => {
  try {
    await execute(program, args, { timeout: 300_000, maxBuffer: 64 * 1024 * 1024 })
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    throw new PeerMissing(`${what}: ${text.split('\n').slice(0, 3).join(' ')}`, { cause: error })
  }
}

/** Installs once; a folder without its mark is a broken one and is filled again. */
const installed = async (folder: string, version: string, install: () => Promise<void>): Promise<void> => {
  const mark = join(folder, `.installed-${version.replaceAll(/[^\w.=-]/g, '_')}`)
  if (existsSync(mark)) return
  mkdirSync(folder, { recursive: true })
  await install()
  writeFileSync(mark, '')
}

/** Python with confluent-kafka and fastavro: its interpreter. Throws PeerMissing. */
export const python = async (): Promise<string> => {
  progress(`Python with ${PYTHON_PACKAGES.join(', ')}`)
  const { interpreter, missing } = await pythonWith(PYTHON_PACKAGES)
  if (missing !== false) throw new PeerMissing(missing)
  return interpreter
}

/** librdkafka without a binding: `workers/produce.c` built against the library that confluent-kafka brings. Throws PeerMissing. */
export const librdkafkaProducer = async (): Promise<string> => {
  const libraries = join(dirname(await python()), '..', 'lib')
  const packages = readdirSync(libraries)
    .map((version) => join(libraries, version, 'site-packages', 'confluent_kafka.libs'))
    .find((folder) => existsSync(folder))
  const library = packages === undefined ? undefined : readdirSync(packages).find((name) => name.startsWith('librdkafka'))
  if (packages === undefined || library === undefined)
    throw new PeerMissing('librdkafka: confluent-kafka was installed without a library of its own')
  mkdirSync(peers, { recursive: true })
  const program = join(peers, 'produce-librdkafka')
  await run('a C compiler (cc)', 'cc', [
    '-O2',
    '-o',
    program,
    join(workers, 'produce.c'),
    join(packages, library),
    `-Wl,-rpath,${packages}`,
  ])
  return program
}

/** Class path of Kafka's own command line tools. Throws PeerMissing. */
export const javaTools = async (): Promise<string> => {
  const folder = join(peers, 'java')
  await installed(folder, JAVA_TOOLS, async () => {
    progress(`fetching ${JAVA_TOOLS}`)
    const dependency = (coordinates: string): string => {
      const [group, artifact, version] = coordinates.split(':')
      return `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`
    }
    writeFileSync(
      join(folder, 'pom.xml'),
      '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>andon</groupId>' +
        `<artifactId>bench</artifactId><version>1</version><dependencies>${dependency(JAVA_TOOLS)}${dependency(JAVA_LOGGING)}</dependencies></project>`,
    )
    const target = `-DoutputDirectory=${join(folder, 'lib')}`
    await run('Maven', 'mvn', ['-B', '-q', '-f', join(folder, 'pom.xml'), 'dependency:copy-dependencies', target, '-DincludeScope=runtime'])
  })
  return join(folder, 'lib', '*')
}
