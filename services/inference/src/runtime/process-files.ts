// The two files through which tensors go to an isolated model and come back: who has them, and what is read out of them.

import { mkdtempSync, openSync, readSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { countBytes } from '../tensors/bytes.ts'
import { elementBytes, elementCount } from '../tensors/tensors.ts'
import type { ModelIo } from '../tensors/tensors.ts'
import { SLOT_BYTES } from './process-frames.ts'
import type { TensorPlace } from './process-frames.ts'
import type { SessionTensor } from './session.ts'

const LARGEST_OUTPUT = 2 ** 31
const ROOMY_BYTES = 256 * 1024 * 1024

/** Two files without a name, in memory where there is room: only who has them open can read them, and they end with the last of them. */
export const namelessFiles = (): [number, number] => {
  const folder = mkdtempSync(join(roomyFolder(), 'andon-'))
  try {
    return [openSync(join(folder, 'in'), 'wx+', 0o600), openSync(join(folder, 'out'), 'wx+', 0o600)]
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const roomyFolder = (): string => {
  try {
    // A container's own is 64 MB unless it is told otherwise.
    const { bavail, bsize } = statfsSync('/dev/shm')
    return bavail * bsize >= ROOMY_BYTES ? '/dev/shm' : tmpdir()
  } catch {
    return tmpdir()
  }
}

export const writeFully = (fd: number, source: Uint8Array, position: number): void => {
  for (let at = 0; at < source.byteLength;) at += writeSync(fd, source, at, source.byteLength - at, position + at)
}

/** What the process says about an output is checked like anything from outside. */
export const readOutput = (fd: number, slot: number, io: ModelIo, name: string, place: TensorPlace | undefined): SessionTensor => {
  const spec = io.outputs.find((each) => each.name === name)
  if (place?.name !== name || spec === undefined) throw new Error(`output ${name} is not what its process answered`)
  const { datatype, shape, at, bytes } = place
  const isSound =
    datatype === (spec.graphDatatype ?? spec.datatype) &&
    Number.isSafeInteger(at) &&
    at >= 0 &&
    at < SLOT_BYTES / 2 &&
    Number.isSafeInteger(bytes) &&
    bytes >= 0 &&
    bytes <= LARGEST_OUTPUT &&
    shape.every((size) => Number.isSafeInteger(size) && size >= 0)
  if (!isSound) throw new Error(`output ${name} cannot be what its process says it is`)
  const content = new Uint8Array(bytes)
  for (let read = 0; read < bytes;) {
    const count = readSync(fd, content, read, bytes - read, slot * SLOT_BYTES + at + read)
    if (count === 0) throw new Error(`output ${name} ends after ${read} of ${bytes} bytes`)
    read += count
  }
  const size = elementBytes(datatype)
  const count = size === undefined ? countBytes(content).count : bytes / size
  if (count !== elementCount(shape)) throw new Error(`output ${name} has ${count} elements, expected [${shape.join(', ')}]`)
  return { name, datatype, shape, buffer: content.buffer, byteLength: bytes }
}
