// `npm run verify -- doors`: schemathesis against the actions door (actions-api.ts), and h2spec, the conformance suite of HTTP/2, against the gRPC door's own HTTP/2. What fails on purpose is listed
// with its reason; anything else that fails is a fault, and so is a rule of the list that no longer fails.

import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { GrpcError, grpcServer } from '../../services/inference/src/doors/grpc-server.ts'
import { actionsApi } from './actions-api.ts'
import type { Check } from './check.ts'

const execute = promisify(execFile)
const root = join(import.meta.dirname, '../..')
/** The newest release that can be installed by its version: later tags are no versions of a Go module. */
const H2SPEC = 'v2.2.1+incompatible'

const h2spec = async (): Promise<string> => {
  const folder = join(root, '.andon', 'bench', 'peers', `h2spec-${H2SPEC}`)
  const program = join(folder, 'h2spec')
  if (existsSync(program)) return program
  mkdirSync(folder, { recursive: true })
  await execute('go', ['install', `github.com/summerwind/h2spec/cmd/h2spec@${H2SPEC}`], {
    env: { ...process.env, GOBIN: folder, GOTOOLCHAIN: 'local' },
    timeout: 600_000,
  })
  return program
}

const EARLY = 'what h2spec asks for is no gRPC, and is answered with 415 before this fault comes'
/** By section and rule. */
const ON_PURPOSE: Readonly<Record<string, string>> = {
  'generic/2 Sends a WINDOW_UPDATE frame on half-closed (remote) stream': 'the 415 that h2spec gets has no body, and it waits for one',
  'generic/2 Sends a PRIORITY frame on half-closed (remote) stream': 'the 415 that h2spec gets has no body, and it waits for one',
  'http2/5.1.2 Sends HEADERS frames that causes their advertised concurrent stream limit to be exceeded':
    'each stream is answered with 415 at once, so that there are never too many',
  'http2/8.1 Sends a second HEADERS frame without the END_STREAM flag': EARLY,
  'http2/8.1.2.1 Sends a HEADERS frame that contains a pseudo-header field as trailers': EARLY,
  'http2/8.1.2.6 Sends a HEADERS frame with the "content-length" header field which does not equal the DATA frame payload length':
    'gRPC has no content-length: each message says how long it is',
  'http2/8.1.2.6 Sends a HEADERS frame with the "content-length" header field which does not equal the sum of the multiple DATA frames payload length':
    'gRPC has no content-length: each message says how long it is',
}

const unescaped = (text: string): string => text.replaceAll('&#34;', '"').replaceAll('&quot;', '"').replaceAll('&amp;', '&')

interface Rule {
  readonly name: string
  readonly outcome: 'passed' | 'failed' | 'skipped'
}

const rulesOf = (report: string): Rule[] =>
  Array.from(
    report.matchAll(/<testcase package="([^"]*)" classname="([^"]*)"[^>]*>([\s\S]*?)<\/testcase>/g),
    ([, section, rule, inner]): Rule => ({
      name: unescaped(`${section} ${rule}`),
      outcome: /<(error|failure)/.test(inner!) ? 'failed' : inner!.includes('<skipped') ? 'skipped' : 'passed',
    }),
  )

export const doors = async (): Promise<Check[]> => [...(await grpcDoor()), await actionsApi()]

const grpcDoor = async (): Promise<Check[]> => {
  const check = 'h2spec, gRPC door'
  let program: string
  try {
    program = await h2spec()
  } catch (error) {
    const reason = (error as Error).message.split('\n', 2).join(' ')
    return [{ check, items: 0, failed: 0, pass: null, skipped: [`h2spec cannot be built: ${reason}`], failures: [] }]
  }
  const server = grpcServer({
    unary: new Map([['/a.B/C', (message) => message]]),
    streams: new Map(),
    maxMessageBytes: 1024 * 1024,
    errorOf: (error) => new GrpcError(13, String(error)),
  })
  const port = await server.listen('127.0.0.1', 0)
  const folder = mkdtempSync(join(tmpdir(), 'andon-h2spec-'))
  try {
    const report = join(folder, 'report.xml')
    // Ends with 1 where a rule fails; what the report says counts.
    await execute(program, ['-h', '127.0.0.1', '-p', String(port), '-P', '/a.B/C', '-o', '1', '-j', report]).catch(() => undefined)
    const rules = rulesOf(readFileSync(report, 'utf8'))
    const failed = rules.filter(({ outcome }) => outcome === 'failed').map(({ name }) => name)
    const failures = [
      ...failed.filter((name) => !Object.hasOwn(ON_PURPOSE, name)),
      ...Object.keys(ON_PURPOSE)
        .filter((name) => !failed.includes(name))
        .map((name) => `${name}: is said to fail on purpose, and does not`),
    ]
    const skipped = [
      ...failed.filter((name) => Object.hasOwn(ON_PURPOSE, name)).map((name) => `${name}: ${ON_PURPOSE[name]}`),
      ...rules.filter(({ outcome }) => outcome === 'skipped').map(({ name }) => `${name}: h2spec leaves it out`),
    ]
    const items = rules.length - skipped.length
    return [{ check, items, failed: failures.length, pass: items > 0 && failures.length === 0, skipped, failures }]
  } finally {
    await server.stop(200)
    rmSync(folder, { recursive: true, force: true })
  }
}
