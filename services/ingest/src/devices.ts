// Who a device is: its certificate against what topic `devices` says of it. Plain mode knows no devices; every door then listens on
// loopback only.

import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Server } from 'node:tls'
import { AndonError, codeOf } from '@andon/kit'
import type { Logger, Metrics } from '@andon/kit'
import { standing } from '@andon/decisions/devices'
import type { Plant } from '@andon/schemas'
import type { Device, DoorName } from './adapters/source.ts'
import type { DeviceRegistry } from './devices/registry.ts'
import { DeviceSessions } from './devices/sessions.ts'
import { certificatesOf, readShown, refusedCertificate } from './devices/shown.ts'
import type { ShownCertificate } from './devices/shown.ts'

/** Certificate and keys of the networked doors (`andon up --secure`), PEM. */
export interface DoorTls {
  readonly key: Buffer
  readonly cert: Buffer
  /** Issuers of device certificates. */
  readonly ca: Buffer
}

export interface Devices {
  /** Undefined in plain mode. */
  readonly tls: DoorTls | undefined
  /**
   * The device of a verified client certificate (DER). Throws an AndonError that says why not: unknown, pending, suspended,
   * revoked, retired, of another site, not valid now.
   */
  identify(certificate: Buffer): Device
  /**
   * The device at the other end of a TLS connection, undefined when it showed no certificate. The connection counts as a session of
   * the device from then on, and is destroyed when the device or its certificate may no longer speak. Throws as `identify` does.
   */
  admit(socket: Socket, door: DoorName): Device | undefined
  /**
   * Gives a door's server the renewed certificate and issuers, whenever there are some, until it closes. Connections that are open go on.
   */
  keepFresh(server: Server): void
  /**
   * Called when a device that was identified before may no longer speak at all, before its connections are cut. For doors that say
   * goodbye, or keep something of a device beyond its connection. Returns what ends it.
   */
  onCutOff(listener: (deviceId: string) => void): () => void
}

/** Plain mode. */
export const noDevices: Devices = {
  tls: undefined,
  identify: () => {
    throw new Error('Plain mode asks for no certificates')
  },
  admit: () => undefined,
  keepFresh: () => undefined,
  onCutOff: () => () => undefined,
}

/** Certificates read once are not parsed and verified again. */
const mostRead = 10_000
const sweepMs = 1000

export interface SecureDevicesDeps {
  readonly tls: DoorTls
  readonly registry: () => DeviceRegistry
  readonly logger: Logger
  readonly metrics: Metrics
  readonly nowUs: () => number
  readonly monotonicMs: () => number
}

/** Devices known by their certificates. `start` once the registry is read. */
export class SecureDevices implements Devices {
  #tls: DoorTls
  readonly #deps: SecureDevicesDeps
  #issuers: readonly X509Certificate[]
  readonly #servers = new Set<Server>()
  readonly #sessions: DeviceSessions
  readonly #read = new Map<string, ShownCertificate>()
  /** Identified and not cut off since: device by certificate. */
  readonly #identified = new Map<string, string>()
  readonly #listeners = new Set<(deviceId: string) => void>()
  readonly #refused
  readonly #expires
  #plant: Plant | undefined
  #assetOfSource = new Map<string, string>()
  #timer: NodeJS.Timeout | undefined
  #unwatch: (() => void) | undefined

  constructor(deps: SecureDevicesDeps) {
    this.#tls = deps.tls
    this.#deps = deps
    this.#issuers = certificatesOf(deps.tls.ca)
    this.#sessions = new DeviceSessions(deps)
    this.#refused = deps.metrics.counter('andon_ingest_device_refused_total', 'Certificates that were refused, by error code', ['reason'])
    this.#expires = deps.metrics.gauge(
      'andon_ingest_certificate_expires_timestamp_seconds',
      'When certificates end, unix time: of the doors, and the first of all active devices',
      ['of'],
    )
  }

  get tls(): DoorTls {
    return this.#tls
  }

  keepFresh(server: Server): void {
    this.#servers.add(server)
    server.once('close', () => this.#servers.delete(server))
  }

  /** The doors go on with this from now on. */
  renew(tls: DoorTls): void {
    this.#tls = tls
    this.#issuers = certificatesOf(tls.ca)
    this.#read.clear()
    const { key, cert, ca } = tls
    for (const server of this.#servers) server.setSecureContext({ key, cert, ca, minVersion: 'TLSv1.2' })
    this.#noteDoorExpiry()
  }

  start(): void {
    this.#noteDoorExpiry()
    this.#unwatch = this.#deps.registry().onChange(() => this.sweep())
    this.#timer = setInterval(() => this.sweep(), sweepMs)
    this.sweep()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#unwatch?.()
  }

  usePlant(plant: Plant): void {
    this.#plant = plant
    this.#assetOfSource = new Map(plant.assets.flatMap(({ id, sources }) => sources.map((source) => [source, id] as const)))
  }

  /** Site of this mesh; undefined before the first plant file. */
  get site(): string | undefined {
    return this.#plant?.site.id
  }

  /** Reads a certificate and checks all but what the log says of it. */
  readShown(certificate: Buffer): ShownCertificate {
    const shown = this.#parsed(certificate)
    const { site } = this
    if (site === undefined)
      throw new AndonError('ANDON_INGEST_NO_PLANT', 'No plant file is published on config; `andon plant apply` does that', {
        retriable: true,
      })
    if (shown.name.site !== site)
      throw refusedCertificate(
        'ANDON_INGEST_SITE_NOT_ALLOWED',
        `Device ${shown.name.deviceId} is of site ${shown.name.site}, this is ${site}`,
      )
    return shown
  }

  identify(certificate: Buffer): Device {
    try {
      const shown = this.readShown(certificate)
      this.#demandStanding(shown)
      this.#identified.set(shown.sha256, shown.name.deviceId)
      return this.#deviceOf(shown)
    } catch (error) {
      this.#refused.inc({ reason: codeOf(error) ?? 'ANDON_INTERNAL' })
      throw error
    }
  }

  admit(socket: Socket, door: DoorName): Device | undefined {
    const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined
    if (certificate === undefined) return undefined
    const device = this.identify(certificate.raw)
    if (!(socket as TLSSocket).authorized)
      throw refusedCertificate(
        'ANDON_INGEST_CERTIFICATE_NOT_OURS',
        `The certificate of ${device.id} is not accepted: ${String((socket as TLSSocket).authorizationError)}`,
      )
    this.#sessions.add(socket, door, device.id, device.certificateSha256)
    return device
  }

  onCutOff(listener: (deviceId: string) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Cuts off whoever may no longer speak. */
  sweep(): void {
    const { state, isRead } = this.#deps.registry()
    if (!isRead) return
    const nowUs = this.#deps.nowUs()
    const objection = (sha256: string): string | undefined => {
      const found = standing(state, sha256, nowUs)
      return found.code === null ? undefined : found.message
    }
    const speaks = (deviceId: string): boolean =>
      state.devices.get(deviceId)?.certificates.some(({ sha256 }) => objection(sha256) === undefined) === true
    for (const [sha256, deviceId] of this.#identified) {
      if (objection(sha256) === undefined) continue
      this.#identified.delete(sha256)
      if (!speaks(deviceId)) for (const listener of this.#listeners) listener(deviceId)
    }
    this.#sessions.sweep(objection)
    this.#noteExpiry()
  }

  #parsed(certificate: Buffer): ShownCertificate {
    const key = certificate.toString('latin1')
    const known = this.#read.get(key)
    if (known) return known
    const shown = readShown(certificate, this.#issuers)
    if (this.#read.size >= mostRead) this.#read.clear()
    this.#read.set(key, shown)
    return shown
  }

  #demandStanding({ sha256, name, notBeforeUs, notAfterUs }: ShownCertificate): void {
    const { isRead, state } = this.#deps.registry()
    if (!isRead) throw new AndonError('ANDON_INGEST_DEVICES_NOT_READ', 'Topic devices has not been read yet', { retriable: true })
    if (name.kind === 'claim')
      throw refusedCertificate(
        'ANDON_INGEST_CERTIFICATE_IS_A_CLAIM',
        `A claim certificate of ${name.deviceId} enrols and does nothing else`,
      )
    const nowUs = this.#deps.nowUs()
    if (nowUs < notBeforeUs || nowUs >= notAfterUs) {
      const code = nowUs < notBeforeUs ? 'ANDON_INGEST_CERTIFICATE_NOT_YET_VALID' : 'ANDON_INGEST_CERTIFICATE_EXPIRED'
      throw refusedCertificate(
        code,
        `The certificate of ${name.deviceId} is valid from ${iso(notBeforeUs)} to ${iso(notAfterUs)}, now is ${iso(nowUs)}`,
      )
    }
    const found = standing(state, sha256, nowUs)
    if (found.code !== null) throw refusedCertificate(found.code, found.message)
    if (found.device.id !== name.deviceId)
      throw refusedCertificate('ANDON_INGEST_CERTIFICATE_UNKNOWN', `Nobody here issued this certificate to ${name.deviceId}`)
  }

  /** What it may do is asked when it does it: an approval that changes its assets holds for live sessions too. */
  #deviceOf({ sha256, name: { deviceId } }: ShownCertificate): Device {
    const current = () => this.#deps.registry().state.devices
    const feeds = (assetId: string): boolean => {
      const assets = current().get(deviceId)?.assets ?? []
      return assets.includes(assetId) || (assets.includes('*') && this.#plant?.assets.some(({ id }) => id === assetId) === true)
    }
    return {
      id: deviceId,
      certificateSha256: sha256,
      feeds,
      speaksFor: (source) => {
        if (source === deviceId || source.startsWith(`${deviceId}:`)) return true
        // A gateway speaks for the sources that the plant file gives to its assets, but for no device that speaks for itself.
        const [named = source] = source.split(':', 1)
        const assetId = this.#assetOfSource.get(source)
        return assetId !== undefined && feeds(assetId) && !current().has(named)
      },
    }
  }

  #noteDoorExpiry(): void {
    const [door] = certificatesOf(this.#tls.cert)
    if (door) this.#expires.set({ of: 'door' }, door.validToDate.getTime() / 1000)
  }

  #noteExpiry(): void {
    let firstUs = Number.POSITIVE_INFINITY
    for (const { status, certificates } of this.#deps.registry().state.devices.values()) {
      const newest = certificates.at(-1)
      if (status === 'active' && newest) firstUs = Math.min(firstUs, newest.notAfterUs)
    }
    this.#expires.set({ of: 'device' }, firstUs === Number.POSITIVE_INFINITY ? 0 : firstUs / 1e6)
  }
}

const iso = (us: number): string => new Date(us / 1000).toISOString()
