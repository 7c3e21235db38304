// The trained model as an ONNX graph in float64. Input `features` [N, d]; outputs score, ratio, t2, spe [N] and contributions
// [N, d]. A row scores bit for bit the same alone and within any batch - replays depend on it -, which is why every sum is a
// matrix product: ReduceSum rounds the last row of an odd batch differently (measured, onnxruntime 1.30).

import { writeOnnx } from './onnx-writer.ts'
import type { GraphNode, Initializer } from './onnx-writer.ts'
import { combinedDiagonal } from './t2spe.ts'
import type { T2SpeModel } from './t2spe.ts'

/** The model's artefact. Equal models and metadata give equal bytes. */
export const t2SpeGraph = (model: T2SpeModel, metadata: Readonly<Record<string, string>>): Buffer => {
  const d = model.features.length
  const k = model.loadings.columns
  const vector = (name: string, data: Float64Array): Initializer => ({ name, dims: [data.length], data })
  const scalar = (name: string, value: number): Initializer => ({ name, dims: [1], data: Float64Array.of(value) })
  const node = (op: string, inputs: string[], output: string, attributes: GraphNode['attributes'] = {}): GraphNode => ({
    op,
    inputs,
    outputs: [output],
    attributes,
  })

  return writeOnnx({
    name: 't2spe',
    metadata,
    inputs: [{ name: 'features', type: 'double', dims: ['N', d] }],
    outputs: [
      ...['score', 'ratio', 't2', 'spe'].map((name) => ({ name, type: 'double' as const, dims: ['N'] })),
      { name: 'contributions', type: 'double', dims: ['N', d] },
    ],
    initializers: [
      vector('mean', model.mean),
      vector('scale', model.scale),
      { name: 'loadings', dims: [d, k], data: model.loadings.data },
      { name: 'loadingsTransposed', dims: [k, d], data: transposed(model) },
      vector('componentWeight', model.componentWeight),
      vector(
        'componentShare',
        model.componentWeight.map((weight) => weight / model.t2Limit),
      ),
      vector('channelWeight', model.channelWeight),
      scalar('t2Limit', model.t2Limit),
      scalar('speLimit', model.speLimit),
      vector('combinedDiagonal', combinedDiagonal(model)),
      scalar('tiny', Number.MIN_VALUE),
      { name: 'onesPerFeature', dims: [d, 1], data: new Float64Array(d).fill(1) },
      { name: 'onesPerComponent', dims: [k, 1], data: new Float64Array(k).fill(1) },
      { name: 'one', dims: [1], data: BigInt64Array.of(1n) },
    ],
    nodes: [
      node('Sub', ['features', 'mean'], 'centred'),
      node('Mul', ['centred', 'scale'], 'z'),
      node('MatMul', ['z', 'loadings'], 't'),
      node('Mul', ['t', 'componentWeight'], 'tWeighted'),
      node('Mul', ['t', 'tWeighted'], 't2Terms'),
      node('MatMul', ['t2Terms', 'onesPerComponent'], 't2Column'),
      node('MatMul', ['t', 'loadingsTransposed'], 'reconstructed'),
      node('Sub', ['z', 'reconstructed'], 'residual'),
      node('Mul', ['residual', 'residual'], 'speTerms'),
      node('MatMul', ['speTerms', 'onesPerFeature'], 'speColumn'),
      node('Squeeze', ['t2Column', 'one'], 't2'),
      node('Squeeze', ['speColumn', 'one'], 'spe'),
      node('Div', ['t2', 't2Limit'], 't2Ratio'),
      node('Div', ['spe', 'speLimit'], 'speRatio'),
      node('Add', ['t2Ratio', 'speRatio'], 'score'),
      node('Mul', ['z', 'z'], 'zSquared'),
      node('Mul', ['zSquared', 'channelWeight'], 'channelTerms'),
      node('ReduceMax', ['channelTerms'], 'channelRatio', { axes: [1], keepdims: 0 }),
      node('Max', ['t2Ratio', 'speRatio', 'channelRatio'], 'ratio'),
      // Reconstruction-based contribution: (Φz)_j² / Φ_jj with Φ the quadratic form of the score.
      // (The limit is folded into the weights: a scalar beside a matrix product is fused into it as a float32 factor.)
      node('Mul', ['t', 'componentShare'], 'tShare'),
      node('MatMul', ['tShare', 'loadingsTransposed'], 'projectedShare'),
      node('Div', ['residual', 'speLimit'], 'residualShare'),
      node('Add', ['projectedShare', 'residualShare'], 'gradient'),
      node('Mul', ['gradient', 'gradient'], 'gradientSquared'),
      node('Div', ['gradientSquared', 'combinedDiagonal'], 'gains'),
      node('MatMul', ['gains', 'onesPerFeature'], 'gainSum'),
      node('Max', ['gainSum', 'tiny'], 'gainSumPositive'),
      node('Div', ['gains', 'gainSumPositive'], 'contributions'),
    ],
  })
}

const transposed = ({ loadings }: T2SpeModel): Float64Array =>
  Float64Array.from(
    { length: loadings.rows * loadings.columns },
    (_, i) => loadings.data[(i % loadings.rows) * loadings.columns + Math.floor(i / loadings.rows)]!,
  )
