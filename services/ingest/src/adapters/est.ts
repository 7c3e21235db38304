// Enrolment over Secure Transport (RFC 7030): cacerts, simpleenroll with a claim certificate, simplereenroll with the device's own.
// Everything is answered from the log: 200 with a certificate means that it is there.

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { TLSSocket } from 'node:tls'
import { AndonError, problemOf } from '@andon/kit'
import type { Logger } from '@andon/kit'
import { certsOnly } from '@andon/kit/pki'
import type { Enrolment } from '../devices/enrolment.ts'
import { certificatesOf } from '../devices/shown.ts'
import type { ShownCertificate } from '../devices/shown.ts'
import { answerProblem } from './http-answers.ts'
import { Bodies, Gone } from './http-body.ts'

export const estPrefix = '/.well-known/est'

const maxBodyBytes = 32 * 1024
const pkcs7 = 'application/pkcs7-mime'

export interface EstDeps {
  readonly enrolment: Enrolment
  /** Root first, then what it issued; PEM. */
  readonly authorities: () => string
  readonly readShown: (certificate: Buffer) => ShownCertificate
  readonly logger: Logger
}

export const estHandler = ({ enrolment, authorities, readShown, logger }: EstDeps): RequestListener => {
  const bodies = new Bodies({ maxBytes: maxBodyBytes, maxReceivingBytes: 64 * maxBodyBytes })

  /** Who asks, by the certificate of the connection. */
  const asker = (request: IncomingMessage, expected: ShownCertificate['name']['kind']): ShownCertificate => {
    const { socket } = request
    const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined
    const wanted = expected === 'claim' ? 'a claim certificate (`andon devices enroll`)' : 'the current certificate of the device'
    if (certificate === undefined)
      throw new AndonError('ANDON_UNAUTHENTICATED', `Found no client certificate; expected ${wanted}`, { status: 401 })
    const shown = readShown(certificate.raw)
    if (!(socket as TLSSocket).authorized)
      throw new AndonError(
        'ANDON_INGEST_CERTIFICATE_NOT_OURS',
        `The certificate is not accepted: ${String((socket as TLSSocket).authorizationError)}`,
        {
          status: 403,
        },
      )
    if (shown.name.kind === expected) return shown
    throw new AndonError('ANDON_INGEST_CERTIFICATE_WRONG_KIND', `Found a ${shown.name.kind} certificate; expected ${wanted}`, {
      status: 403,
    })
  }

  const enrol = async (request: IncomingMessage, response: ServerResponse, isRenewal: boolean): Promise<void> => {
    const { sha256, name } = asker(request, isRenewal ? 'device' : 'claim')
    bodies.check(request)
    const csr = await bodies.read(request)
    const by = { by: name.deviceId, roles: null, credentialDigest: sha256 }
    const der = await (isRenewal ? enrolment.renew(name.deviceId, csr, by) : enrolment.enrol(name.deviceId, csr, by))
    logger.info({ deviceId: name.deviceId, isRenewal }, 'a device has a new certificate')
    answer(response, `${pkcs7}; smime-type=certs-only`, certsOnly([der]))
  }

  const route = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const [path = ''] = (request.url ?? '').split('?', 1)
    const operation = path.slice(estPrefix.length + 1)
    const expected = operation === 'cacerts' ? 'GET' : operation === 'simpleenroll' || operation === 'simplereenroll' ? 'POST' : undefined
    if (expected === undefined)
      throw new AndonError('ANDON_NOT_FOUND', `${path}: expected cacerts, simpleenroll or simplereenroll below ${estPrefix}`, {
        status: 404,
      })
    if (request.method !== expected)
      throw new AndonError('ANDON_INGEST_BAD_METHOD', `${path}: found ${request.method}, expected ${expected}`, {
        status: 405,
        fields: { allow: expected },
      })
    if (operation === 'cacerts') answer(response, pkcs7, certsOnly(certificatesOf(authorities()).map(({ raw }) => raw)))
    else await enrol(request, response, operation === 'simplereenroll')
  }

  return (request, response) => {
    route(request, response).catch((error: unknown) => {
      if (error instanceof Gone) return
      if (problemOf(error).status === 500) logger.error({ err: error }, 'enrolment failed')
      answerProblem(request, response, error)
    })
  }
}

/** DER in base64 (RFC 7030 §4). Lines end in LF alone: what decodes CRLF decodes them too, and `base64 -d` does. */
const answer = (response: ServerResponse, type: string, der: Buffer): void => {
  const body = `${der.toString('base64').replace(/.{64}(?=.)/g, '$&\n')}\n`
  response.writeHead(200, { 'content-type': type, 'content-transfer-encoding': 'base64', 'content-length': body.length })
  response.end(body)
}
