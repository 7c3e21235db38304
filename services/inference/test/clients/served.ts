// A running service over the models of repository.ts, loaded on request, for client suites.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { openPlant } from '../plant.ts'
import { writeRepository } from './repository.ts'

export interface Served {
  /** host:port. */
  readonly http: string
  readonly grpc: string
  readonly metrics: string
}

export const serveRepository = async (t: TestContext, settings: Record<string, string> = {}): Promise<Served> => {
  const plant = openPlant(t)
  const folder = join(plant.blobDir, 'repository')
  const models = writeRepository(folder)
  const { ports } = await plant.start({
    INFERENCE_MODEL_REPOSITORY: folder,
    INFERENCE_MODEL_CONTROL: 'explicit',
    INFERENCE_ROLE: 'server',
    ...settings,
  })
  const address = (port: number): string => `127.0.0.1:${port}`
  for (const model of models) {
    const answer = await fetch(`http://${address(ports.http)}/v2/repository/models/${model}/load`, { method: 'POST' })
    assert.equal(answer.status, 200, await answer.text())
  }
  return { http: address(ports.http), grpc: address(ports.grpc), metrics: address(ports.metrics) }
}
