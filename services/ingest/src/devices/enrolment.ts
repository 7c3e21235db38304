// Bringing devices in and keeping their certificates fresh. A certificate is signed before it is asked for and counts only once the
// log has granted it; whoever repeats a request that was granted gets the certificate of the first time.

import { createHash } from 'node:crypto'
import { AndonError, uuid8 } from '@andon/kit'
import { BACKDATED_MS, describeCertificate, issueFor, makeClaim, readCertificateRequest, uriOf } from '@andon/kit/pki'
import type { Authority, KeyPair } from '@andon/kit/pki'
import { deviceRequest } from '@andon/decisions/devices'
import type { DeviceAnswer } from '@andon/decisions/devices'
import type { Devices as DeviceRecord } from '@andon/schemas'
import type { DeviceRegistry } from './registry.ts'

export interface EnrolmentSettings {
  /** Life of a device certificate, at most 30 days. */
  readonly certificateDays: number
  readonly claimHours: number
  /** How long the certificate before a renewal stays valid. */
  readonly overlapHours: number
  readonly answerWithinMs: number
}

export interface EnrolmentDeps {
  readonly settings: EnrolmentSettings
  /** Undefined where this instance has no key to issue with. */
  readonly authority: () => Authority | undefined
  readonly registry: () => DeviceRegistry
  readonly site: () => string | undefined
  readonly nowMs: () => number
}

export interface Asker {
  readonly by: string
  readonly roles: readonly string[] | null
  /** SHA-256 of the certificate that was shown; empty for a person. */
  readonly credentialDigest: string
}

const HOUR_MS = 3_600_000
const MAX_DAYS = 30

export class Enrolment {
  readonly #deps: EnrolmentDeps

  constructor(deps: EnrolmentDeps) {
    this.#deps = deps
  }

  /** A claim certificate with its key, good for one enrolment. */
  async claim(deviceId: string, requestId: string, asker: Asker): Promise<KeyPair> {
    const { nowMs, settings } = this.#deps
    const validity = { notBeforeMs: nowMs() - BACKDATED_MS, notAfterMs: nowMs() + settings.claimHours * HOUR_MS }
    const site = this.#site()
    const pair = await makeClaim(this.#authority(), { site, deviceId }, validity)
    const { serial, sha256, notAfterUs } = describeCertificate(derOf(pair.certificate))
    const request = deviceRequest('ClaimRequested', requestId, { deviceId, site }, nowMs() * 1000, {
      ...asker,
      claim: { serial, sha256, notAfterUs },
    })
    await this.granted(request)
    if (this.#deps.registry().state.devices.get(deviceId)?.claim?.sha256 === sha256) return pair
    throw new AndonError(
      'ANDON_INGEST_CLAIM_REPEATED',
      'This request was granted before, and its key given out then: ask for a new claim',
      {
        status: 409,
      },
    )
  }

  /** The certificate (DER) of a device that asks for it the first time, with a claim or through a person. */
  async enrol(deviceId: string, csr: Buffer, asker: Asker): Promise<Buffer> {
    return this.#issue('EnrolRequested', deviceId, csr, asker, null)
  }

  /** A further certificate (DER) for a device that shows one which counts. The older one stays valid for the overlap. */
  async renew(deviceId: string, csr: Buffer, asker: Asker): Promise<Buffer> {
    return this.#issue('RenewRequested', deviceId, csr, asker, this.#deps.settings.overlapHours * HOUR_MS * 1000)
  }

  /** Puts a request on the log and waits for its answer. Throws what it was refused with; 503 when nobody answered in time. */
  async granted(request: DeviceRecord): Promise<DeviceAnswer> {
    const answer = await this.#deps.registry().ask(request, this.#deps.settings.answerWithinMs)
    if (answer === undefined) {
      throw new AndonError('ANDON_INGEST_DEVICE_UNDECIDED', 'Nobody has decided in time: ask again, it will not be done twice', {
        retriable: true,
        fields: { requestId: request.id },
      })
    }
    if (answer.code !== null) throw new AndonError(answer.code, answer.message ?? 'Refused', { status: statusOf(answer.code) })
    return answer
  }

  async #issue(type: string, deviceId: string, csr: Buffer, asker: Asker, overlapUs: number | null): Promise<Buffer> {
    const { nowMs, settings, registry } = this.#deps
    const name = { kind: 'device', site: this.#site(), deviceId } as const
    const authority = this.#authority()
    const { publicKey } = await readCertificateRequest(csr, uriOf(name))
    const spkiSha256 = createHash('sha256').update(publicKey).digest('hex')
    const id = this.#idOf(type, deviceId, asker, spkiSha256)
    if (!registry().state.answers.get(id)) {
      const notBeforeMs = nowMs() - BACKDATED_MS
      const notAfterMs = notBeforeMs + Math.min(settings.certificateDays, MAX_DAYS) * 24 * HOUR_MS
      const der = await issueFor(authority, name, publicKey, { notBeforeMs, notAfterMs })
      const fields = { ...asker, certificate: describeCertificate(der), overlapUs }
      await this.granted(deviceRequest(type, id, { deviceId, site: name.site }, nowMs() * 1000, fields))
    }
    const held = registry()
      .state.devices.get(deviceId)
      ?.certificates.findLast((one) => one.spkiSha256 === spkiSha256)
    if (held) return Buffer.from(held.der)
    throw new AndonError('ANDON_INGEST_DEVICE_UNDECIDED', 'The certificate is not on the log yet: ask again', { retriable: true })
  }

  /** Whoever repeats a request that is open or was granted repeats its id; after a refusal it is a new request. */
  #idOf(type: string, deviceId: string, { by, credentialDigest }: Asker, spkiSha256: string): string {
    const { answers } = this.#deps.registry().state
    for (let attempt = 0; ; attempt++) {
      const id = uuid8('device-request', type, deviceId, by, credentialDigest, spkiSha256, attempt)
      if ((answers.get(id)?.code ?? null) === null) return id
    }
  }

  #authority(): Authority {
    const authority = this.#deps.authority()
    if (authority) return authority
    throw new AndonError('ANDON_INGEST_NO_AUTHORITY', 'This instance has no key to issue with: set INGEST_CA_KEY and INGEST_CA_CERT', {
      status: 501,
    })
  }

  #site(): string {
    const site = this.#deps.site()
    if (site !== undefined) return site
    throw new AndonError('ANDON_INGEST_NO_PLANT', 'No plant file is published on config; `andon plant apply` does that', {
      retriable: true,
    })
  }
}

const statusOf = (code: string): number => {
  if (code === 'ANDON_INGEST_DEVICE_ROLE') return 403
  if (code.endsWith('_UNKNOWN')) return 404
  return code === 'ANDON_INGEST_DEVICE_MALFORMED' ? 422 : 409
}

const derOf = (pem: string): Buffer => Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64')
