// Small graphs with the outputs that the event path reads, and facts on `models` that put them in force.

import { localCodec, openBlobs, publish, uuid8 } from '@andon/kit'
import type { Models } from '@andon/schemas'
import { writeOnnx } from '../src/learning/onnx-writer.ts'
import type { GraphNode, Initializer } from '../src/learning/onnx-writer.ts'
import { FEATURES, SET_DIGEST } from './plant.ts'
import type { Plant } from './plant.ts'
import { featureNames } from './rows.ts'

const codec = localCodec()

export interface SmallModel {
  /** ratio = weight x sum of the features; none: the model gives no ratio. */
  readonly weight?: number
  /** Two numbers per vector: the sums of the first and of the last two features. */
  readonly embedding?: string
  /** Hours that remain: 1, 2 and 3 times the sum of the features. */
  readonly remaining?: boolean
}

export const smallModel = ({ weight, embedding, remaining }: SmallModel): Buffer => {
  const nodes: GraphNode[] = []
  const initializers: Initializer[] = []
  const outputs: { name: string; type: 'double'; dims: (string | number)[] }[] = []
  if (weight !== undefined) {
    initializers.push(
      { name: 'weights', dims: [FEATURES, 1], data: new Float64Array(FEATURES).fill(weight) },
      { name: 'one', dims: [1], data: BigInt64Array.of(1n) },
    )
    nodes.push({ op: 'MatMul', inputs: ['features', 'weights'], outputs: ['column'] })
    nodes.push({ op: 'Squeeze', inputs: ['column', 'one'], outputs: ['ratio'] })
    outputs.push({ name: 'ratio', type: 'double', dims: ['N'] })
  }
  if (embedding !== undefined) {
    const places = new Float64Array(FEATURES * 2)
    for (const i of [0, 1]) places[i * 2] = 1
    for (const i of [FEATURES - 2, FEATURES - 1]) places[i * 2 + 1] = 1
    initializers.push({ name: 'places', dims: [FEATURES, 2], data: places })
    nodes.push({ op: 'MatMul', inputs: ['features', 'places'], outputs: [embedding] })
    outputs.push({ name: embedding, type: 'double', dims: ['N', 2] })
  }
  if (remaining === true) {
    const hours = Float64Array.from({ length: FEATURES * 3 }, (_, i) => 1 + (i % 3))
    initializers.push({ name: 'hours', dims: [FEATURES, 3], data: hours })
    nodes.push({ op: 'MatMul', inputs: ['features', 'hours'], outputs: ['remaining_hours'] })
    outputs.push({ name: 'remaining_hours', type: 'double', dims: ['N', 3] })
  }
  return writeOnnx({
    name: 'small',
    nodes,
    initializers,
    inputs: [{ name: 'features', type: 'double', dims: ['N', FEATURES] }],
    outputs,
  })
}

/** Puts the artefact into the plant's blob store and appends the facts: registered, and activated from `effectiveFromUs` on. */
export const putInForce = async (
  plant: Plant,
  artefact: Buffer,
  changes: Partial<Models>,
  types = ['ModelRegistered', 'ModelActivated'],
): Promise<Models> => {
  const blobs = await openBlobs(plant.blobDir)
  const { sha256, uri } = await blobs.put(artefact)
  const fact: Models = {
    type: '',
    model: 'small.press',
    version: 1,
    kind: 'onnx',
    assetId: 'press',
    featureSet: 'features/test',
    featureSetDigest: SET_DIGEST,
    digest: sha256,
    uri,
    role: 'champion',
    features: featureNames(FEATURES),
    card: '{}',
    effectiveFromUs: 0,
    by: 'test',
    assetClass: '',
    requestId: null,
    reason: '',
    atUs: 0,
    ...changes,
  }
  await publish(
    plant.log,
    codec,
    types.map((type) => ({
      topic: 'models',
      key: fact.model,
      value: { ...fact, type },
      id: uuid8('test-fact', type, fact.model, fact.version, fact.digest, fact.effectiveFromUs, fact.role),
      type,
      subject: fact.assetId,
      timeUs: 0,
    })),
    'test',
  )
  return fact
}
