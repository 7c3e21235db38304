// `npm run verify -- doors`: schemathesis, which makes up requests from the OpenAPI document, against the actions door: no 5xx, no answer
// that the document does not know. It decides on a real incident with a real step.

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { pythonWith } from '../harness/python.ts'
import type { Check } from './check.ts'

const SCHEMATHESIS = 'schemathesis==4.32.5'
const CHECKS = 'not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance'
/** They end with their client. */
const STREAMS = ['/v1/events', '/v1/actions/stream']
const SEEDS = [7, 11, 23]
const EXAMPLES = 60

interface Door {
  readonly port: number
  readonly incidentId: string
  readonly stepId: string
}

/** The first line that is the door's and no log line. */
const doorOf = async (child: ChildProcess): Promise<Door> => {
  for await (const line of createInterface({ input: child.stdout! })) {
    const said = JSON.parse(line) as Door
    if (said.port) return said
  }
  throw new Error('the actions door did not start')
}

/** One run; the failures by operation. */
const tryOut = async (python: string, seed: number): Promise<{ readonly operations: number; readonly failures: string[] }> => {
  const folder = mkdtempSync(join(tmpdir(), 'andon-schemathesis-'))
  const child = spawn(process.execPath, [join(import.meta.dirname, 'actions-door.ts')], { stdio: ['pipe', 'pipe', 'ignore'] })
  try {
    const { port, incidentId, stepId } = await doorOf(child)
    child.stdout!.resume()
    const ids = { incidentId, stepId, assetId: 'press-1', episodeId: 'e-1' }
    const config = Object.entries(ids).map(([name, value]) => `${name} = ${JSON.stringify(value)}`)
    writeFileSync(join(folder, 'schemathesis.toml'), ['[parameters]', ...config, ''].join('\n'))
    const report = join(folder, 'report.xml')
    const program = join(dirname(python), 'schemathesis')
    const given = ['--config-file', join(folder, 'schemathesis.toml'), 'run', `http://127.0.0.1:${port}/openapi.json`]
    const asWhom = ['-H', 'Authorization: Bearer token-strong', '--checks', CHECKS, ...STREAMS.flatMap((path) => ['--exclude-path', path])]
    const how = [
      '--max-examples',
      String(EXAMPLES),
      '--seed',
      String(seed),
      '--no-color',
      '--report',
      'junit',
      '--report-junit-path',
      report,
    ]
    // ends with 1 where a check fails; what the report says counts
    await promisify(execFile)(program, [...given, ...asWhom, ...how], { cwd: folder, timeout: 300_000, maxBuffer: 64e6 }).catch(
      () => undefined,
    )
    const cases = readFileSync(report, 'utf8').split('<testcase ').slice(1)
    const failures = cases.filter((one) => one.includes('<failure')).map((one) => `seed ${seed}: ${summaryOf(one)}`)
    return { operations: cases.length, failures }
  } finally {
    const ended = once(child, 'exit')
    child.stdin?.end()
    await ended
    rmSync(folder, { recursive: true, force: true })
  }
}

const summaryOf = (testcase: string): string => {
  const name = /name="([^"]*)"/.exec(testcase)?.[1] ?? ''
  const answer = /Received: (\d+)/.exec(testcase)?.[1] ?? ''
  const detail = /"detail":"([^"]*)"/.exec(testcase.replaceAll('&quot;', '"'))?.[1] ?? ''
  return `${name} answered ${answer} ${detail}`.trim()
}

export const actionsApi = async (): Promise<Check> => {
  const check = 'schemathesis, actions door'
  const { interpreter, missing } = await pythonWith([SCHEMATHESIS])
  if (missing !== false) return { check, items: 0, failed: 0, pass: null, skipped: [missing], failures: [] }
  let items = 0
  const failures: string[] = []
  for (const seed of SEEDS) {
    const tried = await tryOut(interpreter, seed)
    items += tried.operations
    failures.push(...tried.failures)
  }
  const skipped = STREAMS.map((path) => `${path}: a stream ends with its client`)
  return { check, items, failed: failures.length, pass: items > 0 && failures.length === 0, skipped, failures }
}
