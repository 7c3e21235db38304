// A small model repository in Triton's layout, for suites of clients. `identity_<datatype>` gives back what it is given, `simple` adds and
// subtracts, `labelled` has the labels of its three outputs, `waiting` keeps a request for a while before it runs.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeOnnx } from '../../src/learning/onnx-writer.ts'
import type { ElementType } from '../../src/learning/onnx-writer.ts'
import type { Datatype } from '../../src/tensors/tensors.ts'

/** By datatype of the protocol: the graph's type. */
const graphTypes: Readonly<Record<Datatype, ElementType>> = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  FP32: 'float',
  FP64: 'double',
  BF16: 'bfloat16',
  BYTES: 'string',
}

export const datatypes = Object.keys(graphTypes) as Datatype[]

const typeText = (datatype: Datatype): string => (datatype === 'BYTES' ? 'TYPE_STRING' : `TYPE_${datatype}`)

const identity = (type: ElementType): Buffer =>
  writeOnnx({
    name: 'identity',
    nodes: [{ op: 'Identity', inputs: ['INPUT0'], outputs: ['OUTPUT0'] }],
    initializers: [],
    inputs: [{ name: 'INPUT0', type, dims: ['N', 'M'] }],
    outputs: [{ name: 'OUTPUT0', type, dims: ['N', 'M'] }],
  })

const simple = (): Buffer =>
  writeOnnx({
    name: 'simple',
    nodes: [
      { op: 'Add', inputs: ['INPUT0', 'INPUT1'], outputs: ['OUTPUT0'] },
      { op: 'Sub', inputs: ['INPUT0', 'INPUT1'], outputs: ['OUTPUT1'] },
    ],
    initializers: [],
    inputs: ['INPUT0', 'INPUT1'].map((name) => ({ name, type: 'int32' as const, dims: ['N', 16] })),
    outputs: ['OUTPUT0', 'OUTPUT1'].map((name) => ({ name, type: 'int32' as const, dims: ['N', 16] })),
  })

const tensor = (name: string, type: string, dims: string, more = ''): string =>
  `  { name: "${name}" data_type: ${type} dims: [ ${dims} ]${more} }`
const config = (name: string, inputs: readonly string[], outputs: readonly string[], more = ''): string =>
  `name: "${name}"\nplatform: "onnxruntime_onnx"\nmax_batch_size: 8\ninput [\n${inputs.join(',\n')}\n]\noutput [\n${outputs.join(',\n')}\n]\n${more}`

/** Written into `folder`; returns the names of all models. */
export const writeRepository = (folder: string): string[] => {
  const models: string[] = []
  const add = (
    name: string,
    configText: string,
    versions: Readonly<Record<string, Buffer>>,
    files: Readonly<Record<string, string>> = {},
  ): void => {
    models.push(name)
    for (const [version, bytes] of Object.entries(versions)) {
      mkdirSync(join(folder, name, version), { recursive: true })
      writeFileSync(join(folder, name, version, 'model.onnx'), bytes)
    }
    writeFileSync(join(folder, name, 'config.pbtxt'), configText)
    for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, name, file), text)
  }
  for (const [datatype, type] of Object.entries(graphTypes) as [Datatype, ElementType][]) {
    const name = `identity_${datatype.toLowerCase()}`
    const text = typeText(datatype)
    add(name, config(name, [tensor('INPUT0', text, '-1')], [tensor('OUTPUT0', text, '-1')]), { 1: identity(type) })
  }
  const both = (way: string): string[] => [tensor(`${way}0`, 'TYPE_INT32', '16'), tensor(`${way}1`, 'TYPE_INT32', '16')]
  const dynamic = 'dynamic_batching { preferred_batch_size: [ 4 ] priority_levels: 2 default_priority_level: 2 }\n'
  add('simple', config('simple', both('INPUT'), both('OUTPUT'), `${dynamic}version_policy: { all { } }\n`), { 1: simple(), 2: simple() })
  add(
    'labelled',
    config('labelled', [tensor('INPUT0', 'TYPE_FP32', '-1')], [tensor('OUTPUT0', 'TYPE_FP32', '-1', ' label_filename: "labels.txt"')]),
    { 1: identity('float') },
    { 'labels.txt': 'bearing\ngear\nbelt\n' },
  )
  // A batch of 8 would run at once; a single row is kept for it.
  const waiting = 'dynamic_batching { preferred_batch_size: [ 8 ] max_queue_delay_microseconds: 1500000 }\n'
  add('waiting', config('waiting', [tensor('INPUT0', 'TYPE_FP32', '-1')], [tensor('OUTPUT0', 'TYPE_FP32', '-1')], waiting), {
    1: identity('float'),
  })
  return models
}
