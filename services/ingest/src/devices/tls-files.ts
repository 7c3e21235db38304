// Key, certificate and issuers of the doors as files that somebody renews: read again when they change, used once they fit together.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Logger } from '@andon/kit'
import { messageOf } from '@andon/kit'
import type { DoorTls } from '../devices.ts'

export interface TlsPaths {
  readonly tlsKey: string | null
  readonly tlsCert: string | null
  readonly tlsCa: string | null
}

export class TlsFiles {
  #current: DoorTls
  readonly #read: () => DoorTls
  readonly #logger: Logger
  #complaint = ''

  private constructor(current: DoorTls, read: () => DoorTls, logger: Logger) {
    this.#current = current
    this.#read = read
    this.#logger = logger
  }

  /** Undefined in plain mode. Throws when the files cannot be read or do not fit together. */
  static open({ tlsKey, tlsCert, tlsCa }: TlsPaths, logger: Logger): TlsFiles | undefined {
    if (tlsKey === null || tlsCert === null || tlsCa === null) return undefined
    const read = () => checked({ key: readFileSync(tlsKey), cert: readFileSync(tlsCert), ca: readFileSync(tlsCa) })
    return new TlsFiles(read(), read, logger)
  }

  get current(): DoorTls {
    return this.#current
  }

  /** What the files hold now, if it is new and fits together; a half-written renewal is looked at again. */
  renewed(): DoorTls | undefined {
    try {
      const next = this.#read()
      const { key, cert, ca } = this.#current
      this.#complaint = ''
      if (next.key.equals(key) && next.cert.equals(cert) && next.ca.equals(ca)) return undefined
      this.#logger.info('the doors have a renewed certificate; connections go on')
      return (this.#current = next)
    } catch (error) {
      const complaint = messageOf(error)
      if (complaint !== this.#complaint) this.#logger.warn({ err: error }, 'the renewed certificate of the doors cannot be used yet')
      this.#complaint = complaint
      return undefined
    }
  }
}

const checked = (tls: DoorTls): DoorTls => {
  if (!new X509Certificate(tls.cert).checkPrivateKey(createPrivateKey(tls.key)))
    throw new Error('INGEST_TLS_KEY is not the key of INGEST_TLS_CERT')
  void new X509Certificate(tls.ca) // throws when it is none
  return tls
}
