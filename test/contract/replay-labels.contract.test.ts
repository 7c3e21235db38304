// An image can be replayed like a checkout: its label says what the service's package.json says.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { serviceNames } from '@andon/schemas'

const services = join(import.meta.dirname, '../../services')

const contractOf = (service: string): unknown =>
  (JSON.parse(readFileSync(join(services, service, 'package.json'), 'utf8')) as { andon?: { replay?: unknown } }).andon?.replay

const labelOf = (service: string): unknown => {
  const label = /^LABEL andon\.replay='(.*)'$/m.exec(readFileSync(join(services, service, 'Dockerfile'), 'utf8'))?.[1]
  return label === undefined ? undefined : JSON.parse(label)
}

for (const service of serviceNames)
  void test(`the image of ${service} carries its replay contract, if it has one`, () =>
    assert.deepEqual(labelOf(service), contractOf(service)))

void test('the services of the pipeline can be replayed', () => {
  for (const service of ['features', 'inference', 'clustering', 'actions']) assert.notEqual(contractOf(service), undefined, service)
})
