// A registered artefact as a servable over the session pool.

import { DataType, ModelConfig } from '@andon/schemas/inference'
import type { SessionPool } from '../runtime/session-pool.ts'
import type { ModelVersion } from './open-model.ts'
import type { Servable } from './servable.ts'
import { statisticsOf } from './statistics.ts'

export const poolOpener =
  (pool: SessionPool, maxBatchRows: number) =>
  async ({ name, version, digest, bytes }: Pick<ModelVersion, 'name' | 'version' | 'digest' | 'bytes'>): Promise<Servable> => {
    const io = await pool.load(digest, bytes)
    const isBatched = io.inputs.length > 0 && [...io.inputs, ...io.outputs].every(({ shape }) => shape[0] === -1)
    const dims = (shape: readonly number[]): bigint[] => (isBatched ? shape.slice(1) : shape).map(BigInt)
    const tensor = ({ name, datatype, shape }: (typeof io.inputs)[number]) => ({
      name,
      dataType: DataType[`TYPE_${datatype === 'BYTES' ? 'STRING' : datatype}`],
      dims: dims(shape),
    })
    const config = ModelConfig.fromPartial({
      name,
      platform: 'onnxruntime_onnx',
      backend: 'onnxruntime',
      maxBatchSize: isBatched ? maxBatchRows : 0,
      input: io.inputs.map(tensor),
      output: io.outputs.map(tensor),
      parameters: { andon_non_finite: { stringValue: 'refuse' } },
    })
    const statistics = statisticsOf(name, String(version), Date.now)
    const provider = 'CPUExecutionProvider'
    return {
      name,
      version,
      digest,
      config,
      ...io,
      provider,
      async run({ inputs, outputs, signal }) {
        const startedMs = performance.now()
        const given = inputs.flatMap((input) => input ?? [])
        try {
          const answer = await pool.run({ model: digest, inputs: given, outputs, ...(signal === undefined ? {} : { signal }) })
          const totalUs = (performance.now() - startedMs) * 1000
          const rows = isBatched ? (given[0]?.shape[0] ?? 1) : 1
          statistics.success({ rows, totalUs, queueUs: 0, batch: { inputUs: 0, runUs: totalUs, outputUs: 0 } })
          return { outputs: answer, provider }
        } catch (error) {
          statistics.failure({ totalUs: (performance.now() - startedMs) * 1000, reason: 'OTHER' })
          throw error
        }
      },
      statistics: () => statistics.read(),
      close: async () => {},
    }
  }
