// The port every door implements: it hands over what devices send, and acknowledges to the device only what the intake has made safe.

import type { Correction } from '../amendments.ts'
import type { ReadingColumns } from '../columns.ts'
import type { Arrival } from '../mapping-fields.ts'
import type { Format, RawReading } from '../reading.ts'

export type DoorName =
  | 'http'
  | 'mqtt'
  | 'mqtt-client'
  | 'sparkplug'
  | 'nats'
  | 'opcua'
  | 'modbus'
  | 's7'
  | 'ethernet-ip'
  | 'kafka'
  | 'kinesis'
  | 'tus'
  | 'sftp'
  | 'folder'

/** Who brought a delivery, proved by a certificate. */
export interface Device {
  readonly id: string
  /** SHA-256 (hex) of the certificate it showed. */
  readonly certificateSha256: string
  /** May readings name this source? A device's sources are its id, and its id, a colon and a stream. */
  speaksFor(source: string): boolean
  /** May it write to this asset? */
  feeds(assetId: string): boolean
}

interface From {
  readonly door: DoorName
  /** The source that topic, subject or connection names; readings must not name another. */
  readonly source?: string
  /** Undefined where nobody showed a certificate: bearer tokens, loopback, sources that we poll. */
  readonly device?: Device | undefined
  /** Whose token or login it came with, where nobody showed a certificate. */
  readonly principal?: string
  /** The sender holds back its next reading until this one is answered: MQTT with QoS 1 and 2. Of HTTP it is known. */
  readonly isAwaited?: boolean
  /** Sender's key of this delivery, unique per sender: with the index it identifies readings without a sequence number. */
  readonly idempotencyKey?: string | undefined
  /** The source file that mapped these readings, and what they came with: kept with what goes to quarantine, to map it again. */
  readonly mapped?: { readonly file: string; readonly arrival: Arrival }
  /**
   * A release or a correction: it speaks as a source that nobody else may name (`isOwnSource`), and all of it is taken or nothing. What is
   * refused is in the receipt as `quarantined`, and goes to no quarantine: what it came from is still there.
   */
  readonly isOwn?: true
  /** With `isOwn`: only says what would become of it. */
  readonly isTrial?: boolean
  /** These readings supersede what is in a range. */
  readonly correction?: Correction
}

/** Bytes as they came, to be split into readings by format. */
export interface BytesDelivery extends From {
  readonly payload: Buffer
  readonly format: Format
}

/** Readings that the door has taken apart itself: a mapping, another protocol's frames. */
export interface ReadingsDelivery extends From {
  readonly readings: readonly RawReading[]
  /** Size of what came in, for the bounds on memory and rate. */
  readonly bytes: number
}

/** Many rows of one source in columns: the fast way in. */
export interface ColumnsDelivery extends From {
  readonly columns: readonly ReadingColumns[]
  readonly bytes: number
}

/** What one request, publish, message or poll brought. */
export type Delivery = BytesDelivery | ReadingsDelivery | ColumnsDelivery

/** What became of it. Quarantined readings are as safe as accepted ones, and will not be taken if sent again. */
export interface Receipt {
  /** Accepted now; repeats of what was accepted before are counted in `duplicates`. */
  readonly accepted: number
  readonly duplicates: number
  readonly quarantined: readonly { readonly index: number; readonly code: string; readonly message: string }[]
}

/**
 * Takes a delivery. Resolves when the device may be acknowledged; rejects with an AndonError when nothing of it
 * may be acknowledged (retriable: the device should send it again).
 */
export type Intake = (delivery: Delivery) => Promise<Receipt>

/** Undefined when the intake takes deliveries, else why it does not. Doors may turn devices away early with it. */
export type Refusing = () => Error | undefined

/** A door. */
export interface Source {
  readonly name: DoorName
  /** Opens the door; rejects with one clear error when it cannot. */
  start(intake: Intake, refusing: Refusing): Promise<void>
  /** Takes nothing more, and waits for deliveries in hand. */
  stop(): Promise<void>
  /** True, or why the door cannot be used now. */
  ready(): true | string
}
