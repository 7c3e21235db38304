// What the main thread and a worker thread both see: small runs are asked and answered in it, with one wake-up each way. A message of
// the same size is written, carried and read as objects, which costs more than a small model does. What does not fit goes as a message.

import type { ModelIo } from '../tensors/tensors.ts'
import { graphDatatypeOf, inputOf, putInput } from './batch-copy.ts'
import type { Batch } from './runner.ts'
import type { SessionOutput, SessionTensor } from './session.ts'

/** One run is done, one waits. */
const SLOTS = 2
const INPUT_BYTES = 128 * 1024
const OUTPUT_BYTES = 64 * 1024
/** Each counter has its cache line. */
const CONTROL_BYTES = 128
const [POSTED, ANSWERED] = [0, 16]
const HEADER_WORDS = 256
const HEADER_BYTES = HEADER_WORDS * 4
const SLOT_BYTES = HEADER_BYTES + INPUT_BYTES + OUTPUT_BYTES

// Words of a header; id and time take two each.
const [STATE, MODEL, ID, RUN_US, INPUTS, OUTPUTS, ASK, ANSWER] = [0, 1, 1, 2, 6, 7, 8, 160]
const [FREE, ASKED, DONE] = [0, 1, 2]
const MOST_DIMENSION = 2 ** 31 - 1
/** Tensors start where any element may. */
const aligned = (bytes: number): number => (bytes + 63) & ~63

export interface AskedRun {
  readonly slot: number
  readonly id: number
  readonly model: number
}

export class Slab {
  readonly shared: SharedArrayBuffer
  readonly #control: Int32Array
  readonly #slots: readonly Slot[]
  /** Inputs of the run that is done, where the runtime can read them: it takes no shared memory. */
  readonly #own: ArrayBuffer[] = []

  constructor(shared = new SharedArrayBuffer(CONTROL_BYTES + SLOTS * SLOT_BYTES)) {
    this.shared = shared
    this.#control = new Int32Array(shared, 0, CONTROL_BYTES / 4)
    this.#slots = Array.from({ length: SLOTS }, (_, i) => slotAt(shared, CONTROL_BYTES + i * SLOT_BYTES))
  }

  // The side that asks.

  /** There is something to do: a run that was asked here, or a message. */
  post(): void {
    Atomics.add(this.#control, POSTED, 1)
    Atomics.notify(this.#control, POSTED)
  }

  /** Where it is asked; undefined when there is no slot, or the run does not fit one. Throws when bytes and shapes do not agree. */
  ask(id: number, model: number, io: ModelIo, batch: Batch): number | undefined {
    const slot = this.#slots.findIndex(({ words }) => Atomics.load(words, STATE) === FREE)
    if (slot < 0) return undefined
    const { words, numbers, bytes } = this.#slots[slot]!
    let [at, from, inputs] = [ASK, 0, 0]
    for (let i = 0; i < io.inputs.length; i++) {
      const input = inputOf(io.inputs[i]!, batch, i)
      if (input === undefined) continue
      const { shape, byteLength } = input
      if (at + shape.length + 3 > ANSWER || from + byteLength > INPUT_BYTES) return undefined
      words[at++] = i
      words[at++] = byteLength
      words[at++] = shape.length
      for (const size of shape) {
        if (size > MOST_DIMENSION) return undefined
        words[at++] = size
      }
      putInput(io.inputs[i]!, batch, i, bytes.buffer, bytes.byteOffset + from)
      from = aligned(from + byteLength)
      inputs++
    }
    if (at + batch.outputs.length > ANSWER) return undefined
    for (const name of batch.outputs) {
      const index = io.outputs.findIndex((spec) => spec.name === name)
      if (index < 0) return undefined
      words[at++] = index
    }
    words[MODEL] = model
    numbers[ID] = id
    words[INPUTS] = inputs
    words[OUTPUTS] = batch.outputs.length
    Atomics.store(words, STATE, ASKED)
    return slot
  }

  /** What came of it, copied; the slot is free again. Undefined: it is not done. */
  take(slot: number, io: ModelIo, names: readonly string[]): { readonly outputs: SessionTensor[]; readonly runUs: number } | undefined {
    const { words, numbers, answer } = this.#slots[slot]!
    if (Atomics.load(words, STATE) !== DONE) return undefined
    const outputs: SessionTensor[] = []
    let [at, from] = [ANSWER, 0]
    for (const name of names) {
      const byteLength = words[at++]!
      const shape = numbersFrom(words, at + 1, words[at]!)
      at += 1 + shape.length
      const copy = Buffer.allocUnsafe(byteLength)
      copy.set(answer.subarray(from, from + byteLength))
      from = aligned(from + byteLength)
      const datatype = graphDatatypeOf(io.outputs.find((spec) => spec.name === name)!)
      outputs.push({ name, datatype, shape, buffer: copy.buffer as ArrayBuffer, byteOffset: copy.byteOffset, byteLength })
    }
    const runUs = numbers[RUN_US]!
    this.free(slot)
    return { outputs, runUs }
  }

  free(slot: number): void {
    Atomics.store(this.#slots[slot]!.words, STATE, FREE)
  }

  /** Calls back whenever runs have been done, until told to stop. */
  async whenAnswered(listener: () => boolean): Promise<void> {
    for (;;) {
      const seen = Atomics.load(this.#control, ANSWERED)
      if (!listener()) return
      const { async, value } = Atomics.waitAsync(this.#control, ANSWERED, seen)
      if (async) await value
    }
  }

  /** Wakes whoever waits for answers. */
  wakeAsker(): void {
    Atomics.add(this.#control, ANSWERED, 1)
    Atomics.notify(this.#control, ANSWERED)
  }

  // The side that runs.

  get posted(): number {
    return Atomics.load(this.#control, POSTED)
  }

  /** Blocks the thread while nothing is posted after `posted`. */
  waitPosted(posted: number): void {
    Atomics.wait(this.#control, POSTED, posted)
  }

  /** The run that was asked first. */
  first(): AskedRun | undefined {
    let first: AskedRun | undefined
    for (let slot = 0; slot < SLOTS; slot++) {
      const { words, numbers } = this.#slots[slot]!
      if (Atomics.load(words, STATE) !== ASKED) continue
      const id = numbers[ID]!
      if (first === undefined || id < first.id) first = { slot, id, model: words[MODEL]! }
    }
    return first
  }

  /** Its inputs, in memory that the next run uses again, and the outputs wanted. */
  read(slot: number, io: ModelIo): { readonly inputs: SessionTensor[]; readonly outputs: string[] } {
    const { words, bytes } = this.#slots[slot]!
    const inputs: SessionTensor[] = []
    let [at, from] = [ASK, 0]
    for (let i = 0; i < words[INPUTS]!; i++) {
      const spec = io.inputs[words[at]!]!
      const byteLength = words[at + 1]!
      const shape = numbersFrom(words, at + 3, words[at + 2]!)
      at += 3 + shape.length
      const buffer = this.#ownBuffer(i, byteLength)
      new Uint8Array(buffer).set(bytes.subarray(from, from + byteLength))
      from = aligned(from + byteLength)
      inputs.push({ name: spec.name, datatype: graphDatatypeOf(spec), shape, buffer, byteLength })
    }
    const outputs = numbersFrom(words, at, words[OUTPUTS]!).map((index) => io.outputs[index]!.name)
    return { inputs, outputs }
  }

  /** False when the outputs do not fit. */
  answer(slot: number, outputs: readonly SessionOutput[], runUs: number): boolean {
    const { words, numbers, answer } = this.#slots[slot]!
    let [at, from] = [ANSWER, 0]
    for (const { shape, bytes } of outputs) {
      if (at + shape.length + 2 > HEADER_WORDS || from + bytes.byteLength > OUTPUT_BYTES) return false
      words[at++] = bytes.byteLength
      words[at++] = shape.length
      for (const size of shape) {
        if (size > MOST_DIMENSION) return false
        words[at++] = size
      }
      answer.set(bytes, from)
      from = aligned(from + bytes.byteLength)
    }
    numbers[RUN_US] = runUs
    Atomics.store(words, STATE, DONE)
    this.wakeAsker()
    return true
  }

  #ownBuffer(index: number, bytes: number): ArrayBuffer {
    const own = this.#own[index]
    if (own !== undefined && own.byteLength >= bytes) return own
    return (this.#own[index] = new ArrayBuffer(Math.max(1024, 2 ** Math.ceil(Math.log2(bytes)))))
  }
}

/** A plain loop: Array.from costs a microsecond more. */
const numbersFrom = (words: Int32Array, at: number, count: number): number[] => {
  const numbers: number[] = []
  for (let i = 0; i < count; i++) numbers.push(words[at + i]!)
  return numbers
}

interface Slot {
  readonly words: Int32Array
  readonly numbers: Float64Array
  readonly bytes: Uint8Array
  readonly answer: Uint8Array
}

const slotAt = (shared: SharedArrayBuffer, at: number): Slot => ({
  words: new Int32Array(shared, at, HEADER_WORDS),
  numbers: new Float64Array(shared, at, HEADER_WORDS / 2),
  bytes: new Uint8Array(shared, at + HEADER_BYTES, INPUT_BYTES),
  answer: new Uint8Array(shared, at + HEADER_BYTES + INPUT_BYTES, OUTPUT_BYTES),
})
