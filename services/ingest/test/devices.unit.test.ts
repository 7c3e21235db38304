// Which mode the doors are in, and whose data may come in: decided at the start and by the plant file, with one clear message.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parsePlant } from '@andon/schemas'
import { loadConfig } from '../src/config.ts'
import { siteObjection } from '../src/devices/site-rule.ts'

const refused = (environment: Record<string, string>): string => {
  try {
    loadConfig({ INGEST_DOORS: 'http', ...environment })
  } catch (error) {
    return (error as Error).message
  }
  return 'accepted'
}
const here = import.meta.filename
const tls = { INGEST_TLS_KEY: here, INGEST_TLS_CERT: here, INGEST_TLS_CA: here }

test('plain mode stays on this machine: another address is refused at the start', () => {
  for (const host of ['127.0.0.1', '127.4.5.6', '::1', 'localhost']) assert.equal(refused({ ANDON_HOST: host }), 'accepted')
  for (const host of ['0.0.0.0', '::', '10.0.0.7', 'ingest', '127.0.0.1.example.org'])
    assert.match(refused({ ANDON_HOST: host }), /ANDON_HOST: found .*, expected a loopback address/)
  assert.equal(refused({ ANDON_HOST: '0.0.0.0', ...tls }), 'accepted')
})

test('half a configuration of certificates is refused, naming the setting', () => {
  assert.match(refused({ INGEST_TLS_KEY: here }), /INGEST_TLS_CERT: expected a file/)
  assert.match(refused({ ...tls, INGEST_TLS_CA: '/nowhere/ca.pem' }), /INGEST_TLS_CA: expected a file, found .*ca.pem, which is not there/)
  assert.match(refused({ ...tls, INGEST_CA_CERT: here }), /INGEST_CA_KEY: expected a file/)
  assert.match(refused({ INGEST_CA_KEY: here, INGEST_CA_CERT: here }), /INGEST_TLS_KEY: expected a file, since devices enrol over TLS/)
  assert.equal(refused({ ...tls, INGEST_CA_KEY: here, INGEST_CA_CERT: here }), 'accepted')
})

const plantOf = (clusters?: readonly string[]) =>
  parsePlant({
    version: 1,
    site: { id: 'steel-works', name: 'Steel works', timezone: 'Europe/Vienna', ...(clusters ? { clusters } : {}) },
    lines: [{ id: 'line-1', name: 'Line 1', area: 'hall-1' }],
    assetClasses: [],
    assets: [],
  })

test('a site’s data reaches the clusters that its plant file names, and no other', () => {
  const codeOf = (clusters: readonly string[] | undefined, cluster: string | null) => siteObjection(plantOf(clusters), cluster)?.code
  assert.equal(codeOf(undefined, null), undefined)
  assert.equal(codeOf(undefined, 'us-1'), undefined)
  assert.equal(codeOf(['eu-1', 'eu-2'], 'eu-2'), undefined)
  assert.equal(codeOf(['eu-1'], 'us-1'), 'ANDON_INGEST_SITE_NOT_ALLOWED')
  assert.equal(codeOf(['eu-1'], null), 'ANDON_INGEST_SITE_NOT_ALLOWED')
  assert.match(siteObjection(plantOf(['eu-1']), 'us-1')!.message, /site steel-works may reach eu-1 .*; this process runs in us-1/)
})

test('a plant file that names no cluster in its list is refused', () => {
  assert.throws(() => plantOf([]), /site\.clusters/)
})
