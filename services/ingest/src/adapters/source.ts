// The port every door implements: it hands over what devices send, and acknowledges to the device only what the intake has made safe.

import type { Format } from '../reading.ts'

export type DoorName = 'http' | 'mqtt' | 'nats'

/** What one request, publish or message brought. */
export interface Delivery {
  readonly door: DoorName
  readonly payload: Buffer
  readonly format: Format
  /** The source that topic or subject names; readings must not name another. */
  readonly source?: string
  /** Sender's key of this delivery, unique per sender: with the index it identifies readings without a sequence number. */
  readonly idempotencyKey?: string
}

/** What became of it. Quarantined readings are as safe as accepted ones, and will not be taken if sent again. */
export interface Receipt {
  readonly accepted: number
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
