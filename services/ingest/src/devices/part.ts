// Devices as a part of the service: the registry, who is connected, and the routes for enrolment and for people. In plain mode there
// is none of it, and the routes say so.

import { readFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { AndonError } from '@andon/kit'
import type { Codec, Log, Logger, Metrics, Part, Principals } from '@andon/kit'
import { openAuthority } from '@andon/kit/pki'
import type { Authority } from '@andon/kit/pki'
import { topology } from '@andon/schemas'
import type { Plant } from '@andon/schemas'
import { devicesApi, devicesPrefix } from '../adapters/devices-api.ts'
import { estHandler, estPrefix } from '../adapters/est.ts'
import { answerProblem } from '../adapters/http-answers.ts'
import type { CoreConfig } from '../config.ts'
import { noDevices, SecureDevices } from '../devices.ts'
import type { Devices } from '../devices.ts'
import type { HttpRoutes } from '../http-routes.ts'
import { Enrolment } from './enrolment.ts'
import { DeviceRegistry, devicesTopic } from './registry.ts'
import { TlsFiles } from './tls-files.ts'

const answerWithinMs = 5000
const renewalCheckMs = 10_000

export interface DevicesPartDeps {
  readonly config: CoreConfig
  readonly http: HttpRoutes
  readonly log: () => Log
  readonly codec: () => Codec
  readonly principals: () => Principals
  readonly logger: Logger
  readonly metrics: Metrics
  /** How often the files of the doors' certificate are looked at. */
  readonly renewalCheckMs?: number
}

export interface DevicesPart extends Part {
  readonly devices: Devices
  usePlant(plant: Plant): void
}

export const devicesPart = (deps: DevicesPartDeps): DevicesPart => {
  const files = TlsFiles.open(deps.config, deps.logger)
  return files === undefined ? plainPart(deps) : securePart(deps, files)
}

const plainPart = ({ http, logger }: DevicesPartDeps): DevicesPart => {
  const refuse: RequestListener = (request, response) =>
    answerProblem(
      request,
      response,
      new AndonError(
        'ANDON_INGEST_PLAIN_MODE',
        'This mesh runs in plain mode: it knows no devices. `andon up --secure` gives them certificates',
        {
          status: 501,
        },
      ),
    )
  http.mount(estPrefix, refuse)
  http.mount(devicesPrefix, refuse)
  return {
    name: 'devices',
    devices: noDevices,
    usePlant: () => undefined,
    start: async () => logger.warn('PLAIN MODE: devices are not asked who they are; the doors listen on this machine only'),
    stop: async () => undefined,
  }
}

const securePart = (deps: DevicesPartDeps, files: TlsFiles): DevicesPart => {
  const { config, http, logger, metrics } = deps
  const nowUs = () => Date.now() * 1000
  const monotonicMs = () => performance.now()
  let opened: DeviceRegistry | undefined
  const registry = (): DeviceRegistry => {
    if (opened) return opened
    throw new AndonError('ANDON_INGEST_DEVICES_NOT_READ', 'Topic devices has not been read yet', { retriable: true })
  }
  let authority: Authority | undefined
  let plant: Plant | undefined
  const devices = new SecureDevices({ tls: files.current, registry, logger, metrics, nowUs, monotonicMs })
  const site = () => plant?.site.id
  const enrolment = new Enrolment({
    settings: { ...config, answerWithinMs },
    authority: () => authority,
    registry,
    site,
    nowMs: Date.now,
  })
  const authorities = () => files.current.ca.toString()
  let checking: NodeJS.Timeout | undefined
  http.mount(estPrefix, estHandler({ enrolment, authorities, readShown: (certificate) => devices.readShown(certificate), logger }))
  http.mount(
    devicesPrefix,
    devicesApi({
      enrolment,
      registry,
      principals: deps.principals,
      assets: () => plant?.assets.map(({ id }) => id),
      site,
      authorities,
      nowUs,
      logger,
    }) as RequestListener,
  )
  return {
    name: 'devices',
    devices,
    usePlant: (next) => {
      plant = next
      devices.usePlant(next)
    },
    ready: () => opened?.isRead === true || 'topic devices has not been read',
    start: async () => {
      const { caKey, caCert } = config
      if (caKey !== null && caCert !== null)
        authority = await openAuthority({ key: readFileSync(caKey, 'utf8'), certificate: readFileSync(caCert, 'utf8') })
      const { partitions, configs } = topology.topics.devices
      await deps.log().admin.ensureTopics([{ name: devicesTopic, partitions, configs }])
      opened = new DeviceRegistry({ log: deps.log(), codec: deps.codec(), logger, nowUs, monotonicMs })
      await opened.start()
      devices.start()
      checking = setInterval(() => {
        const renewed = files.renewed()
        if (renewed) devices.renew(renewed)
      }, deps.renewalCheckMs ?? renewalCheckMs)
    },
    ended: () => opened?.ended() ?? Promise.resolve(),
    stop: async () => {
      clearInterval(checking)
      devices.stop()
      await opened?.stop()
    },
  }
}
