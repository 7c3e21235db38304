// The process that runs one model apart from the service. It knows nothing of the service: no settings, no secrets, five open files.
// Short frames on a pipe say what to do; tensors lie in two nameless files that only this process and the service have open, so no byte
// of them goes through a pipe. It may be killed at any moment, and ends by itself when the service does, even in the middle of a run.

import { readSync, writeSync, writeFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { openSession } from './session.ts'
import type { ModelSession, SessionOutput, SessionTensor } from './session.ts'
import { FD, SLOT_BYTES, aligned, frameOf } from './process-frames.ts'
import type { ChildFrame, ParentFrame, TensorPlace } from './process-frames.ts'

// A run blocks this thread, so another one waits for the end of the service. Killed rather than ended: nothing of the runtime's has to
// be put in order, and its exit has been seen to abort.
new Worker(
  `try { require('node:fs').readSync(${FD.lifeline}, Buffer.alloc(1)) } catch {}
   process.kill(process.pid, 'SIGKILL')`,
  { eval: true, stdout: false, stderr: false },
)
// Ctrl-C reaches every process of a terminal; the service decides when this one ends.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
try {
  writeFileSync('/proc/self/oom_score_adj', '1000') // when memory runs out, this process goes and not the service
} catch {
  // not Linux, or not allowed: the service watches memory itself
}

let session: ModelSession | undefined
let input = new ArrayBuffer(1 << 16)

const readFully = (fd: number, target: Uint8Array, position: number | null): void => {
  for (let at = 0; at < target.byteLength;) {
    const count = readSync(fd, target, at, target.byteLength - at, position === null ? null : position + at)
    if (count === 0) process.kill(process.pid, 'SIGKILL') // the service is gone
    at += count
  }
}

const writeFully = (fd: number, source: Uint8Array, position: number | null): void => {
  for (let at = 0; at < source.byteLength;)
    at += writeSync(fd, source, at, source.byteLength - at, position === null ? null : position + at)
}

const length = new Uint8Array(4)
const nextFrame = (): ParentFrame => {
  readFully(FD.frames, length, null)
  const bytes = new Uint8Array(new DataView(length.buffer).getUint32(0, true))
  readFully(FD.frames, bytes, null)
  return JSON.parse(Buffer.from(bytes).toString('utf8')) as ParentFrame
}

const answer = (frame: ChildFrame): void => writeFully(FD.frames, frameOf(frame), null)

/** A copy of its own of a part of the input file. */
const fileBytes = (at: number, bytes: number): Uint8Array => {
  const target = new Uint8Array(bytes)
  readFully(FD.inputs, target, at)
  return target
}

const open = async (frame: Extract<ParentFrame, { op: 'open' }>): Promise<ChildFrame> => {
  session = await openSession({
    bytes: fileBytes(frame.model.at, frame.model.bytes),
    externalData: new Map(frame.externalData.map(({ path, at, bytes }) => [path, fileBytes(at, bytes)])),
    parameters: frame.parameters,
    ...(frame.provider === undefined ? {} : { provider: frame.provider }),
    ...(frame.deviceId === undefined ? {} : { deviceId: frame.deviceId }),
  })
  return { op: 'opened', id: frame.id, io: session.io, provider: session.provider }
}

const run = async (frame: Extract<ParentFrame, { op: 'run' }>): Promise<ChildFrame> => {
  const start = frame.slot * SLOT_BYTES
  if (frame.bytes > input.byteLength) input = new ArrayBuffer(2 ** Math.ceil(Math.log2(frame.bytes)))
  readFully(FD.inputs, new Uint8Array(input, 0, frame.bytes), start)
  const feeds = frame.inputs.map(({ name, datatype, shape, at, bytes }): SessionTensor => ({
    name,
    datatype,
    shape,
    buffer: input,
    byteOffset: at,
    byteLength: bytes,
  }))
  const { outputs, runUs } = await session!.run(feeds, frame.outputs)
  let at = 0
  const places = outputs.map((output): TensorPlace => {
    const place = placeOf(output, at)
    writeFully(FD.outputs, output.bytes, start + at)
    at = aligned(at + output.bytes.byteLength)
    return place
  })
  return { op: 'ran', id: frame.id, outputs: places, runUs }
}

const placeOf = ({ name, datatype, shape, bytes }: SessionOutput, at: number): TensorPlace => ({
  name,
  datatype,
  shape,
  at,
  bytes: bytes.byteLength,
})

for (;;) {
  const frame = nextFrame()
  try {
    answer(await (frame.op === 'open' ? open(frame) : run(frame)))
  } catch (error) {
    answer({ op: 'failed', id: frame.id, message: error instanceof Error ? error.message : String(error) })
  }
}
