// Entry of the bootstrap: fetches Kafka's jars, formats the template and makes the class archive, each only when it is missing.
// The archive holds what a broker loads from its start through its warm-up, and halves later starts.

import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startChild } from './child.ts'
import { AndonError } from '@andon/kit/errors'
import { ensureDistribution } from './kafka/distribution.ts'
import { kafkaProgram } from './kafka/server.ts'
import { freePorts } from './processes.ts'

const makeArchive = async (archive: string): Promise<void> => {
  const dir = mkdtempSync(join(tmpdir(), 'andon-kafka-archive-'))
  const temporary = `${archive}.${process.pid}.tmp`
  try {
    const [port, controllerPort] = (await freePorts(2)) as [number, number]
    // The JVM names every class it leaves out, in hundreds of lines: they would hide the broker's own last words.
    const jvm = [`-XX:ArchiveClassesAtExit=${temporary}`, '-Xlog:disable']
    const options = { dir, port, controllerPort, logFile: join(dir, 'kafka.log'), jvm }
    // Writing the archive is part of the exit and takes seconds.
    const child = startChild({ ...kafkaProgram(options), graceMs: 60_000 })
    try {
      await child.ready()
    } finally {
      await child.stop()
    }
    if (existsSync(temporary)) renameSync(temporary, archive)
  } finally {
    rmSync(temporary, { force: true })
    rmSync(dir, { recursive: true, force: true })
  }
}

try {
  const distribution = ensureDistribution()
  if (!existsSync(distribution.archive)) await makeArchive(distribution.archive)
} catch (error) {
  if (!(error instanceof AndonError)) throw error
  console.error(error.message)
  process.exitCode = 1
}
