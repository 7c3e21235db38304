// tritonclient[grpc] of the Python registry calls everything it has, its client for asyncio included, against a running service.

import assert from 'node:assert/strict'
import test from 'node:test'
import { pythonWith } from '../../../test/harness/python.ts'
import { serveRepository } from './clients/served.ts'
import { failuresOf, runChecks } from './clients/suite.ts'

const python = await pythonWith(['tritonclient[grpc,http]==2.73.0'])

test('tritonclient.grpc finds nothing that Triton would do otherwise', { skip: python.missing }, async (t) => {
  const { grpc } = await serveRepository(t)
  const outcome = await runChecks(python.interpreter, 'triton_grpc.py', grpc)
  assert.equal(failuresOf(outcome), '')
  assert.ok(outcome.passed >= 36, `only ${outcome.passed} checks were run`)
})
