// `in-process.ts <folder> <rows>`: ONNX Runtime on the main thread of a process that does nothing else. A round is one run of so many rows.

import '../../../../services/inference/src/runtime/no-telemetry.ts'
import { Tensor } from 'onnxruntime-node'
import { serveContender } from '../../../harness/bench-process.ts'
import { REFERENCE, numbers } from '../../../../services/inference/test/onnx-models.ts'
import { sessionOf } from './expected.ts'

const [COLUMNS] = REFERENCE

const [folder, given] = process.argv.slice(2) as [string, string]
const rows = Number(given)
const session = await sessionOf(folder)
const values = numbers(rows * COLUMNS, 3)

await serveContender(
  { rows },
  async (rounds) => {
    for (let i = 0; i < rounds; i++) await session.run({ x: new Tensor('float32', values, [rows, COLUMNS]) })
    return rounds * rows
  },
  () => session.release(),
)
