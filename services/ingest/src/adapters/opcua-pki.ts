// Whom the OPC UA door trusts, and who it is: certificates in a folder that people look after. A server that is not known yet is put
// under rejected/; moving its file to trusted/certs/ is the approval, and the next attempt to connect sees it.

import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { OPCUACertificateManager } from 'node-opcua-certificate-manager'
import { AndonError, sha256Hex } from '@andon/kit'

const validDays = 3650

export interface Pki {
  readonly folder: string
  /** As our certificate says it. */
  readonly applicationUri: string
  readonly certificateFile: string
  readonly privateKeyFile: string
  readonly manager: OPCUACertificateManager
  /** Resolves when this server certificate (or chain) is trusted, else rejects with what to do. */
  check(certificate: Buffer | Buffer[], endpoint: string): Promise<void>
  close(): Promise<void>
}

/** Opens the folder; makes our key and certificate the first time. */
export const openPki = async (folder: string, instance: string): Promise<Pki> => {
  const { OPCUACertificateManager: Manager } = await import('node-opcua-certificate-manager')
  await mkdir(folder, { recursive: true })
  const applicationUri = `urn:andon:ingest:${instance}`
  const certificateFile = join(folder, 'own', 'certs', `${instance}.pem`)
  const open = async (): Promise<OPCUACertificateManager> => {
    const opened = new Manager({ rootFolder: folder, automaticallyAcceptUnknownCertificate: false, disableFileWatchers: true })
    await opened.initialize()
    return opened
  }
  const manager = await open()
  if (!existsSync(certificateFile))
    await manager.createSelfSignedCertificate({
      applicationUri,
      subject: `/CN=Andon ingest ${instance}`,
      dns: [hostname()],
      startDate: new Date(),
      validity: validDays,
      outputFile: certificateFile,
    })
  return {
    folder,
    applicationUri,
    certificateFile,
    privateKeyFile: manager.privateKey,
    manager,
    check: async (certificate, endpoint) => {
      const fresh = await open() // without watchers: it reads the folder as it is now
      try {
        const status = await fresh.checkCertificate(certificate)
        if (!status.isGood()) throw untrusted(status.name, Array.isArray(certificate) ? certificate[0]! : certificate, endpoint, folder)
      } finally {
        await fresh.dispose()
      }
    },
    close: () => manager.dispose(),
  }
}

const untrusted = (status: string, certificate: Buffer, endpoint: string, folder: string): AndonError => {
  const unknown = status === 'BadCertificateUntrusted' || status === 'BadCertificateChainIncomplete'
  const todo = unknown
    ? `Compare its SHA-256 ${sha256Hex(certificate)} with the server's, then move its file from ${join(folder, 'rejected')} to ${join(folder, 'trusted', 'certs')} (a CA: to ${join(folder, 'issuers', 'certs')})`
    : 'Give the server a valid certificate'
  return new AndonError('ANDON_INGEST_OPCUA_UNTRUSTED', `${endpoint}: the server's certificate is not trusted (${status}). ${todo}`, {
    retriable: true,
  })
}
