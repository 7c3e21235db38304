// What the reference model gives, by ONNX Runtime alone on one thread.

import '../../../../services/inference/src/runtime/no-telemetry.ts'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { sessionOptions } from '../../../../services/inference/src/runtime/session-options.ts'
import { REFERENCE } from '../../../../services/inference/test/onnx-models.ts'

const [COLUMNS] = REFERENCE

export const sessionOf = (folder: string): Promise<InferenceSession> =>
  InferenceSession.create(readFileSync(join(folder, 'reference', '1', 'model.onnx')), sessionOptions)

export const expectedOf = async (folder: string, values: Float32Array, rows: number): Promise<Uint8Array> => {
  const session = await sessionOf(folder)
  const { y } = await session.run({ x: new Tensor('float32', values, [rows, COLUMNS]) })
  const { buffer, byteOffset, byteLength } = y!.data as Float32Array
  return new Uint8Array(buffer, byteOffset, byteLength).slice()
}
