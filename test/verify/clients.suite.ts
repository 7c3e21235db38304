// Run by `npm run verify -- clients`: clients of other servers against ours, each of their checks a rule of its own: Triton's,
// KServe's and MLServer's, over HTTP and gRPC; and the document of the HTTP door.

import { spawn } from 'node:child_process'
import { test } from 'node:test'
import { openApi } from '../../services/inference/src/doors/http-openapi.ts'
import { serveRepository } from '../../services/inference/test/clients/served.ts'
import { runChecks } from '../../services/inference/test/clients/suite.ts'
import { pythonWith } from '../harness/python.ts'

type Door = 'http' | 'grpc'

interface ClientSuite {
  readonly client: string
  readonly packages: readonly string[]
  readonly program: string
  readonly doors: readonly Door[]
  readonly leastChecks: number
}

const triton = ['tritonclient[grpc,http]==2.73.0']
const SUITES: readonly ClientSuite[] = [
  { client: 'tritonclient.http 2.73.0', packages: triton, program: 'triton_http.py', doors: ['http'], leastChecks: 43 },
  { client: 'tritonclient.grpc 2.73.0', packages: triton, program: 'triton_grpc.py', doors: ['grpc'], leastChecks: 20 },
  { client: 'KServe 0.21.0', packages: ['kserve==0.21.0'], program: 'kserve_client.py', doors: ['http', 'grpc'], leastChecks: 9 },
  { client: 'MLServer 1.7.1', packages: ['mlserver==1.7.1'], program: 'mlserver_client.py', doors: ['http', 'grpc'], leastChecks: 9 },
]

for (const { client, packages, program, doors, leastChecks } of SUITES) {
  const python = await pythonWith(packages)
  await test(client, { skip: python.missing }, async (t) => {
    const served = await serveRepository(t)
    const { names, failed } = await runChecks(python.interpreter, program, ...doors.map((door) => served[door]))
    for (const name of names) {
      await t.test(`${client}: ${name}`, () => {
        const why = failed[name]
        if (why !== undefined) throw new Error(why.trim().split('\n').at(-1))
      })
    }
    if (names.length < leastChecks) throw new Error(`only ${names.length} of ${leastChecks} checks were run`)
  })
}

const validator = await pythonWith(['openapi-spec-validator==0.7.2'])
await test('OpenAPI 3.1', { skip: validator.missing }, async (t) => {
  await t.test('OpenAPI 3.1: openapi-spec-validator 0.7.2 finds nothing in the document of the HTTP door', async () => {
    const child = spawn(validator.interpreter, ['-m', 'openapi_spec_validator', '-'], { stdio: ['pipe', 'pipe', 'inherit'] })
    child.stdin.end(JSON.stringify(openApi()))
    const said = Buffer.concat((await child.stdout.toArray()) as Buffer[]).toString()
    if (!/: OK\s*$/.test(said)) throw new Error(said.split('\n', 1)[0])
  })
})
