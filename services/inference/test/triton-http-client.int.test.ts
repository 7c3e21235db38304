// tritonclient[http] of the Python registry calls everything it has, its client for asyncio included, against a running service.

import assert from 'node:assert/strict'
import test from 'node:test'
import { pythonWith } from '../../../test/harness/python.ts'
import { serveRepository } from './clients/served.ts'
import { failuresOf, runChecks } from './clients/suite.ts'

const python = await pythonWith(['tritonclient[grpc,http]==2.73.0'])

test('tritonclient.http finds nothing that Triton would do otherwise', { skip: python.missing }, async (t) => {
  const { http } = await serveRepository(t)
  const outcome = await runChecks(python.interpreter, 'triton_http.py', http)
  assert.equal(failuresOf(outcome), '')
  assert.ok(outcome.passed >= 43, `only ${outcome.passed} checks were run`)
})
