// What the service and the process of an isolated model tell each other: frames of a 4-byte little-endian length and JSON; tensors lie
// in files that both have open. Measured at 1.5 MB there and back: 0.65 ms, against 1.2 ms through a pipe and 1.9 ms as messages.

import type { ModelIo } from '../tensors/tensors.ts'
import type { ProviderName } from './providers.ts'
import type { GraphDatatype } from './session.ts'

/** Numbers of the files that the process is started with; 2 is its log. */
export const FD = { frames: 3, lifeline: 4, inputs: 5, outputs: 6 } as const

/** Batches in flight have a place each in the files, far enough apart never to meet; what is not written takes no memory. */
export const SLOT_BYTES = 2 ** 36

/** A tensor starts at a multiple of it: enough for any element, and for vector instructions. */
export const ALIGNMENT = 64
export const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT

/** Where a tensor lies, from the start of its batch's place on. */
export interface TensorPlace {
  readonly name: string
  readonly datatype: GraphDatatype
  readonly shape: readonly number[]
  readonly at: number
  readonly bytes: number
}

export type ParentFrame =
  | {
      readonly op: 'open'
      readonly id: number
      readonly model: { readonly at: number; readonly bytes: number }
      readonly externalData: readonly { readonly path: string; readonly at: number; readonly bytes: number }[]
      readonly parameters: Readonly<Record<string, string>>
      readonly provider?: ProviderName
      readonly deviceId?: number
    }
  | {
      readonly op: 'run'
      readonly id: number
      readonly slot: number
      /** Of all inputs. */
      readonly bytes: number
      readonly inputs: readonly TensorPlace[]
      readonly outputs: readonly string[]
    }

export type ChildFrame =
  | { readonly op: 'opened'; readonly id: number; readonly io: ModelIo; readonly provider: string }
  | { readonly op: 'ran'; readonly id: number; readonly outputs: readonly TensorPlace[]; readonly runUs: number }
  | { readonly op: 'failed'; readonly id: number; readonly message: string }

const LONGEST_FRAME = 16 * 1024 * 1024

export const frameOf = (frame: ParentFrame | ChildFrame): Buffer => {
  const text = Buffer.from(JSON.stringify(frame))
  const bytes = Buffer.allocUnsafe(4 + text.byteLength)
  bytes.writeUInt32LE(text.byteLength)
  text.copy(bytes, 4)
  return bytes
}

/** Calls with every whole frame; with undefined where what comes is none. */
export const frameReader = (onFrame: (frame: ChildFrame | undefined) => void): ((chunk: Buffer) => void) => {
  let rest: Buffer = Buffer.alloc(0)
  return (chunk) => {
    rest = rest.byteLength === 0 ? chunk : Buffer.concat([rest, chunk])
    while (rest.byteLength >= 4) {
      const length = rest.readUInt32LE()
      if (length > LONGEST_FRAME) return onFrame(undefined)
      if (rest.byteLength < 4 + length) return
      const text = rest.toString('utf8', 4, 4 + length)
      rest = rest.subarray(4 + length)
      onFrame(parsed(text))
    }
  }
}

const parsed = (text: string): ChildFrame | undefined => {
  try {
    const frame = JSON.parse(text) as ChildFrame | null
    return frame ?? undefined
  } catch {
    return undefined
  }
}
