// The words of the device kernel: what topic `devices` knows. Nothing here does I/O or reads a clock; time enters as stamps on records.

import type { DeviceCertificate, DeviceClaim, Devices } from '@andon/schemas'

/** A record of `devices` where the log put it. */
export interface DeviceEntry {
  readonly record: Devices
  readonly offset: number
  /** Broker append time, microseconds UTC (the topic is LogAppendTime). */
  readonly appendedUs: number
}

/** `void-order`: a fact that answers nothing, or not the oldest open request. `void-stamp`: its writer's clock is wrong. */
export type DeviceVerdict = 'counted' | 'repeat' | 'void-order' | 'void-stamp'

export type DeviceStatus =
  /** A claim certificate was issued, nobody has enrolled with it yet. */
  | 'claimed'
  /** It has a certificate; a person has to approve it. */
  | 'pending'
  /** The only state in which it speaks. */
  | 'active'
  | 'suspended'
  /** Its certificates and their keys are refused for good; a new claim and an approval bring it back. */
  | 'revoked'
  /** For good. */
  | 'retired'

/** A certificate of a device, newest last. */
export interface HeldCertificate extends DeviceCertificate {
  /** First moment at which it counts no more: its end, or earlier when another one took its place. */
  readonly endsUs: number
  readonly isRevoked: boolean
}

export interface DeviceState {
  readonly id: string
  readonly site: string
  status: DeviceStatus
  /** Open claim; used up by the enrolment that comes first in the log. */
  claim: DeviceClaim | null
  /** Digest of the claim that was used last. */
  usedClaim: string | null
  certificates: readonly HeldCertificate[]
  /** Assets it may feed once active; `*` is all of its site. */
  assets: readonly string[]
  enrolledUs: number | null
  approvedUs: number | null
  approvedBy: string | null
  /** The last fact: what, when, who, why. */
  last: { readonly type: string; readonly atUs: number; readonly by: string; readonly reason: string | null }
}

/** The fact that answered a request. */
export interface DeviceAnswer {
  readonly type: string
  readonly offset: number
  readonly deviceId: string
  readonly code: string | null
  readonly message: string | null
}

/** Everything the topic says; a function of the records up to `nextOffset` and of nothing else. */
export interface DevicesState {
  nextOffset: number
  /** Highest stamp of a counted fact. */
  stampUs: number
  /** Requests without an answer, oldest first: the only one that can be answered is the first. */
  readonly pending: Map<string, Devices>
  /** By request id; null while undecided. */
  readonly answers: Map<string, DeviceAnswer | null>
  readonly devices: Map<string, DeviceState>
  /** Device of each certificate, by SHA-256. */
  readonly holders: Map<string, string>
  /** Device of each key in use, by SHA-256 of the public key. */
  readonly keys: Map<string, string>
  /** Keys nobody may use again. */
  readonly revokedKeys: Set<string>
}

export interface DeviceDecision {
  /** The stamp of the fact. */
  readonly atUs: number
}
