// Who a device is: its certificate against what topic `devices` says of it. Plain mode knows no devices; every door then listens on
// loopback only.

import type { Device } from './adapters/source.ts'

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
   * revoked, retired, of another site.
   */
  identify(certificate: Buffer): Device
  /** Called when a device may no longer speak: its live sessions are to be cut. Returns what ends it. */
  onCutOff(listener: (deviceId: string) => void): () => void
}

/** Plain mode. */
export const noDevices: Devices = {
  tls: undefined,
  identify: () => {
    throw new Error('Plain mode asks for no certificates')
  },
  onCutOff: () => () => undefined,
}
