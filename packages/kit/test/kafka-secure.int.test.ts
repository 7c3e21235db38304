// A log over TLS with certificates on both sides, and over SASL: both clients get in with what is right, and say so at once,
// and for good, when it is wrong.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { openKafkaLog } from '@andon/kit'
import type { KafkaLogOptions } from '@andon/kit'
import { startKafka } from '@andon/platform'
import type { Kafka } from '@andon/platform'

const folder = mkdtempSync(join(tmpdir(), 'andon-kit-tls-'))
const file = (name: string): string => join(folder, name)
const read = (name: string): string => readFileSync(file(name), 'utf8')

const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' })

/** A certificate of our own authority, for a server on this machine or for a client. */
const issue = (name: string): void => {
  openssl('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
  writeFileSync(file(`${name}.ext`), 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n')
  openssl(
    'x509',
    '-req',
    '-in',
    `${name}.csr`,
    '-CA',
    'ca.pem',
    '-CAkey',
    'ca.key',
    '-CAcreateserial',
    '-out',
    `${name}.pem`,
    '-days',
    '2',
    '-extfile',
    `${name}.ext`,
  )
}

const freePort = async (): Promise<number> => {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    assert.equal((server.address() as AddressInfo).port, port)
    await new Promise((resolve) => server.close(resolve))
    return port
  }
}

let kafka: Kafka
let tlsBrokers: string[]
let saslBrokers: string[]

before(async () => {
  openssl(
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
    '-days',
    '2',
    '-subj',
    '/CN=andon test authority',
  )
  issue('broker')
  issue('client')
  writeFileSync(file('broker-store.pem'), read('broker.key') + read('broker.pem'))
  const [port, controllerPort, tlsPort, saslPort] = [await freePort(), await freePort(), await freePort(), await freePort()]
  tlsBrokers = [`127.0.0.1:${tlsPort}`]
  saslBrokers = [`127.0.0.1:${saslPort}`]
  const login = (kind: string, words: string) => `org.apache.kafka.common.security.${kind}LoginModule required ${words};`
  kafka = await startKafka({
    port,
    controllerPort,
    extra: {
      listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort},MUTUAL://127.0.0.1:${tlsPort},LOGIN://127.0.0.1:${saslPort}`,
      'advertised.listeners': `PLAINTEXT://127.0.0.1:${port},MUTUAL://127.0.0.1:${tlsPort},LOGIN://127.0.0.1:${saslPort}`,
      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,MUTUAL:SSL,LOGIN:SASL_SSL',
      'ssl.keystore.type': 'PEM',
      'ssl.keystore.location': file('broker-store.pem'),
      'ssl.truststore.type': 'PEM',
      'ssl.truststore.location': file('ca.pem'),
      'listener.name.mutual.ssl.client.auth': 'required',
      'sasl.enabled.mechanisms': 'PLAIN',
      'listener.name.login.plain.sasl.jaas.config': login('plain.Plain', 'user_andon="a secret"'),
    },
  })
})

after(async () => {
  await kafka?.stop()
  rmSync(folder, { recursive: true, force: true })
})

for (const client of ['kafkajs', 'platformatic'] as const) {
  const use = async (options: Pick<KafkaLogOptions, 'brokers' | 'ssl' | 'sasl'>): Promise<void> => {
    const log = await openKafkaLog({ clientId: 'kit-secure', namespace: `${client}${process.pid}-`, client, ...options })
    try {
      await log.admin.ensureTopics([{ name: 'numbers', partitions: 1 }])
      const sent = [Buffer.from('x'), Buffer.alloc(800_000, 7), Buffer.from('y')]
      const places = await log.append(sent.map((value) => ({ topic: 'numbers', key: 'k', value })))
      const found: (Buffer | null)[] = []
      for await (const batch of log.read({ topic: 'numbers', partition: 0, from: places.at(0)!.offset, to: 'latest' }))
        found.push(...batch.records.map(({ value }) => value))
      assert.deepEqual(
        found.map((value, i) => value?.equals(sent[i]!)),
        [true, true, true],
      )
    } finally {
      await log.close()
    }
  }

  void test(`${client}: a certificate on both sides opens the log`, async () => {
    const ssl = { ca: read('ca.pem'), key: read('client.key'), cert: read('client.pem') }
    await use({ brokers: tlsBrokers, ssl })
  })

  void test(`${client}: without a certificate of its own it does not get in`, async () => {
    await assert.rejects(use({ brokers: tlsBrokers, ssl: { ca: read('ca.pem') } }), { name: 'LogError' })
  })

  void test(`${client}: a broker of a strange authority is not trusted`, async () => {
    const ssl = { key: read('client.key'), cert: read('client.pem') }
    await assert.rejects(use({ brokers: tlsBrokers, ssl }), { name: 'LogError' })
  })

  void test(`${client}: name and password open the log, and wrong ones are refused for good`, async () => {
    const ssl = { ca: read('ca.pem') }
    await use({ brokers: saslBrokers, ssl, sasl: { mechanism: 'plain', username: 'andon', password: 'a secret' } })
    await assert.rejects(use({ brokers: saslBrokers, ssl, sasl: { mechanism: 'plain', username: 'andon', password: 'wrong' } }), {
      code: 'ANDON_LOG_REFUSED',
      kind: 'fatal',
    })
  })
}
