// A secure ingest on a log in memory: authority, registry, HTTP door, and devices that enrol with openssl and curl as a field engineer would.

import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createLogger, createMetrics, localCodec, openMemoryLog, sha256Hex } from '@andon/kit'
import type { Principals } from '@andon/kit'
import { makeRoot, makeServerCertificate, makeSiteAuthority, openAuthority } from '@andon/kit/pki'
import type { Authority } from '@andon/kit/pki'
import { parsePlant } from '@andon/schemas'
import { httpDoor } from '../src/adapters/http.ts'
import type { Delivery } from '../src/adapters/source.ts'
import type { CoreConfig } from '../src/config.ts'
import { devicesPart } from '../src/devices/part.ts'
import type { DevicesPart } from '../src/devices/part.ts'
import { HttpRoutes } from '../src/http-routes.ts'

const run = promisify(execFile)

export const SITE = 'steel-works'
const tokens = new Map([
  [sha256Hex('operator'), { id: 'p-operator', roles: ['operator'] }],
  [sha256Hex('integrator'), { id: 'p-integrator', roles: ['integrator', 'ingest'] }],
])
export const principals: Principals = { of: (token) => tokens.get(sha256Hex(token)) }

const asset = (id: string, sources: string[]) => ({
  id,
  name: id,
  line: 'line-1',
  class: 'press',
  sources,
  channels: [{ id: 'temperatureC', unit: 'Cel', kind: 'scalar' }],
})
export const plant = parsePlant({
  version: 1,
  site: { id: SITE, name: 'Steel works', timezone: 'Europe/Vienna' },
  lines: [{ id: 'line-1', name: 'Line 1', area: 'hall-1' }],
  assetClasses: [{ id: 'press', featureSet: 'features/press' }],
  assets: [asset('press-1', ['press-1-plc', 'meter-7']), asset('press-2', ['press-2-plc'])],
})

export interface LogLine {
  readonly level: string
  readonly msg: string
  readonly [field: string]: unknown
}

/** What the door says of a device, or why it does not; the rest of its answers by name. */
interface Answer {
  readonly code?: string
  readonly status?: string
  readonly certificates?: readonly { readonly state: string; readonly endsUs: number; readonly notAfterUs: number }[]
  readonly devices?: readonly { readonly id: string; readonly status: string }[]
  readonly [name: string]: unknown
}

export const openDeviceRig = async () => {
  const folder = mkdtempSync(join(tmpdir(), 'andon-devices-'))
  const file = (name: string, content?: string | Buffer) => {
    const path = join(folder, name)
    if (content !== undefined) writeFileSync(path, content, { mode: 0o600 })
    return path
  }
  const root = await makeRoot('Andon test root')
  const rootAuthority = await openAuthority(root)
  const sitePair = await makeSiteAuthority(rootAuthority, SITE)
  const authority = await openAuthority(sitePair)
  const server = await makeServerCertificate(authority, SITE, ['localhost', '127.0.0.1', '127.0.0.2'])
  const config = {
    tlsKey: file('door.key', server.key),
    tlsCert: file('door.pem', server.certificate + sitePair.certificate),
    tlsCa: file('ca.pem', root.certificate + sitePair.certificate),
    caKey: file('site.key', sitePair.key),
    caCert: file('site.pem', sitePair.certificate),
    certificateDays: 30,
    claimHours: 24,
    overlapHours: 24,
  } as CoreConfig

  const log = openMemoryLog()
  const codec = localCodec()
  const lines: LogLine[] = []
  const logger = createLogger({
    service: 'ingest',
    level: 'info',
    destination: { write: (line: string) => void lines.push(JSON.parse(line) as LogLine) },
  })
  const deliveries: Delivery[] = []
  const stops: (() => Promise<unknown>)[] = []

  /** One ingest instance: its own registry, doors and metrics on the common log. */
  const openInstance = async (host = '127.0.0.1') => {
    const routes = new HttpRoutes()
    const metrics = createMetrics('ingest')
    const part: DevicesPart = devicesPart({
      config,
      http: routes,
      log: () => log,
      codec: () => codec,
      principals: () => principals,
      logger,
      metrics,
      renewalCheckMs: 50,
    })
    part.usePlant(plant)
    await part.start()
    const http = httpDoor({ host, port: 0, principals, maxBodyBytes: 1 << 20, logger, devices: part.devices, routes })
    await http.start(
      async (delivery) => {
        deliveries.push(delivery)
        return { accepted: 1, duplicates: 0, quarantined: [] }
      },
      () => undefined,
    )
    const stop = async () => {
      await http.stop()
      await part.stop()
    }
    stops.push(stop)
    return { part, metrics, http, url: `https://localhost:${http.port()}`, devices: part.devices, stop }
  }

  const openssl = async (...args: string[]) => (await run('openssl', args, { cwd: folder })).stdout

  /** curl with the site's authorities; gives status and body. */
  const curl = async (url: string, ...args: string[]) => {
    const { stdout } = await run('curl', ['-sS', '--cacert', config.tlsCa!, '-w', '\n%{http_code}', ...args, url], { cwd: folder })
    const at = stdout.lastIndexOf('\n')
    return { status: Number(stdout.slice(at + 1)), body: stdout.slice(0, at) }
  }

  const api = async (url: string, path: string, body?: object, token = 'operator') => {
    const send = body === undefined ? [] : ['-H', 'content-type: application/json', '-d', JSON.stringify(body)]
    const answer = await curl(`${url}/v1/devices${path}`, '-H', `authorization: Bearer ${token}`, ...send)
    return { status: answer.status, json: JSON.parse(answer.body) as Answer }
  }

  /** A new key and a request for `subject`, as base64 DER the way EST wants it. */
  const request = async (name: string, subject: string, ...more: string[]) => {
    await openssl('ecparam', '-genkey', '-name', 'prime256v1', '-noout', '-out', `${name}.key`)
    await openssl('req', '-new', '-key', `${name}.key`, '-subj', subject, '-outform', 'DER', '-out', `${name}.der`, ...more)
    return file(`${name}.b64`, readFileSync(file(`${name}.der`)).toString('base64'))
  }

  /** Posts a request to EST with a certificate; on 200 keeps the new one as <name>.pem. */
  const est = async (url: string, operation: string, shown: string, name: string, body: string) => {
    const answer = await curl(
      `${url}/.well-known/est/${operation}`,
      '--cert',
      `${shown}.pem`,
      '--key',
      `${shown}.key`,
      '-H',
      'content-type: application/pkcs10',
      '--data-binary',
      `@${body}`,
    )
    if (answer.status === 200) {
      file(`${name}.p7`, Buffer.from(answer.body, 'base64'))
      const text = await openssl('pkcs7', '-inform', 'DER', '-in', `${name}.p7`, '-print_certs')
      file(`${name}.pem`, text.slice(text.indexOf('-----BEGIN')))
    }
    return answer
  }

  /** Claims for an operator; keeps <name>.pem and <name>.key. */
  const claim = async (url: string, deviceId: string, name = `${deviceId}-claim`) => {
    const { status, json } = await api(url, `/${deviceId}/claim`, {})
    if (status !== 201) throw new Error(`claim: ${status} ${JSON.stringify(json)}`)
    file(`${name}.pem`, String(json['certificate']))
    file(`${name}.key`, String(json['key']))
    return name
  }

  /** The whole way in: claim, enrolment, approval. Keeps <deviceId>.pem and .key. */
  const bringIn = async (url: string, deviceId: string, assets: string[]) => {
    const shown = await claim(url, deviceId)
    const enrolled = await est(url, 'simpleenroll', shown, deviceId, await request(deviceId, `/CN=${deviceId}`))
    if (enrolled.status !== 200) throw new Error(`enrol: ${enrolled.status} ${enrolled.body}`)
    const approved = await api(url, `/${deviceId}/approve`, { assets })
    if (approved.status !== 200) throw new Error(`approve: ${approved.status} ${JSON.stringify(approved.json)}`)
  }

  const send = (url: string, name: string) =>
    curl(`${url}/v1/telemetry`, '--cert', `${name}.pem`, '--key', `${name}.key`, '-H', 'content-type: application/json', '-d', '[]')

  const metric = async (metrics: { text(): Promise<string> }, line: string): Promise<number> => {
    const found = (await metrics.text()).split('\n').find((each) => each.startsWith(line))
    return Number(found?.slice(found.lastIndexOf(' ') + 1) ?? 0)
  }

  const close = async () => {
    for (const stop of stops.toReversed()) await stop()
    await log.close()
    rmSync(folder, { recursive: true, force: true })
  }

  return {
    folder,
    file,
    config,
    log,
    lines,
    deliveries,
    authority: authority as Authority,
    rootAuthority,
    openInstance,
    openssl,
    curl,
    api,
    request,
    est,
    claim,
    bringIn,
    send,
    metric,
    close,
  }
}

export type DeviceRig = Awaited<ReturnType<typeof openDeviceRig>>
