// Golden vectors: inputs with the outputs that the model gave where it was made. Checked before a model takes requests, so a runtime,
// a machine or an execution provider whose numbers are others is noticed before anybody relies on them.
//
// `golden.json` beside the model: {"maxAbsDifference", "maxRelDifference", "runs": [{"inputs": [tensor], "outputs": [tensor]}]}, a tensor
// being {"name", "shape", "data"} as in the REST protocol. `golden.ndjson`: the same object without runs in the first line, then a run a
// line. A number may be off by maxAbsDifference + maxRelDifference x |expected|; "NaN", "Infinity" and "-Infinity" are written as text.

import { AndonError } from '@andon/kit/errors'
import { goldenMismatch } from '../errors.ts'
import type { TensorBytes } from '../serving/servable.ts'
import { packBytes, unpackBytes } from '../tensors/bytes.ts'
import { isHalf, narrow, widen } from '../tensors/half.ts'
import { elementCount, pack, unpack } from '../tensors/tensors.ts'
import type { TensorSpec } from '../tensors/tensors.ts'
import type { Runner } from './runner.ts'

/** What a golden file says: recorded runs, and how far a number may be off. */
export interface GoldenVectors {
  /** Name of the file, for messages. */
  readonly source: string
  readonly maxAbsDifference: number
  readonly maxRelDifference: number
  readonly runs: readonly GoldenRun[]
}

interface GoldenRun {
  readonly inputs: readonly GoldenTensor[]
  readonly outputs: readonly GoldenTensor[]
}

interface GoldenTensor {
  readonly name: string
  readonly shape: readonly number[]
  readonly data: readonly GoldenValue[]
}

type GoldenValue = number | string | boolean

/** What was found, over all runs. */
export interface GoldenReport {
  readonly runs: number
  readonly values: number
  readonly largestAbsDifference: number
}

/** JSON or NDJSON; throws with the line and what is wrong about it. */
export const readGolden = (source: string, text: string): GoldenVectors => {
  const lines = source.endsWith('.ndjson')
    ? text.split('\n').flatMap((line, i) => (line.trim() === '' ? [] : [{ line, at: `line ${i + 1}` }]))
    : []
  const [first, ...rest] = lines.length === 0 ? [{ line: text, at: 'file' }] : lines
  const head = objectOf(source, first!.at, parse(source, first!.at, first!.line))
  const runs =
    lines.length === 0
      ? listOf(source, 'runs', head['runs']).map((run, i) => runOf(source, `runs[${i}]`, run))
      : rest.map(({ line, at }) => runOf(source, at, parse(source, at, line)))
  if (runs.length === 0) throw new Error(`${source}: it holds no run`)
  return {
    source,
    maxAbsDifference: tolerance(source, 'maxAbsDifference', head['maxAbsDifference']),
    maxRelDifference: tolerance(source, 'maxRelDifference', head['maxRelDifference']),
    runs,
  }
}

/** Rejects with ANDON_INFERENCE_GOLDEN_MISMATCH, which names run, output, row, expected and got, or with the run's own error. */
export const checkGolden = async (label: string, runner: Runner, golden: GoldenVectors): Promise<GoldenReport> => {
  const report = { runs: 0, values: 0, largestAbsDifference: 0 }
  for (const [i, run] of golden.runs.entries()) {
    const inputs = runner.io.inputs.map((spec) => tensorOf(label, golden, i, spec, run.inputs))
    const unknown = run.inputs.find(({ name }) => !runner.io.inputs.some((spec) => spec.name === name))
    if (unknown !== undefined) throw mismatch(label, golden, i, unknown.name, 'an input of the model', 'a name it does not have')
    const rows = inputs.find((input) => input !== undefined)?.shape[0] ?? 1
    const outputs = run.outputs.map(({ name }) => name)
    const answer = await runner.run({ requests: [{ inputs, rows }], outputs, rows })
    for (const [j, expected] of run.outputs.entries()) {
      const spec = runner.io.outputs.find(({ name }) => name === expected.name)
      const got = answer.outputs[0]?.[j]
      if (spec === undefined || got === undefined)
        throw mismatch(label, golden, i, expected.name, 'an output of the model', 'a name it does not have')
      const largest = compare(label, golden, i, expected, got, valuesOf(spec, got.bytes), runner.provider)
      report.values += expected.data.length
      report.largestAbsDifference = Math.max(report.largestAbsDifference, largest)
    }
    report.runs++
  }
  return report
}

/** Largest difference; throws at the first value that is further off than it may be. */
const compare = (
  label: string,
  golden: GoldenVectors,
  run: number,
  expected: GoldenTensor,
  got: TensorBytes,
  values: readonly GoldenValue[],
  provider: string,
): number => {
  if (expected.shape.length !== got.shape.length || !expected.shape.every((size, d) => size === got.shape[d]))
    throw mismatch(label, golden, run, expected.name, `shape [${expected.shape.join(', ')}]`, `[${got.shape.join(', ')}] on ${provider}`)
  const perRow = elementCount(expected.shape.slice(1))
  let largest = 0
  expected.data.forEach((want, i) => {
    const is = values[i]!
    const difference = differenceOf(want, is)
    if (difference <= golden.maxAbsDifference + golden.maxRelDifference * Math.abs(numberOf(want) || 0)) {
      largest = Math.max(largest, difference)
      return
    }
    const row = perRow === 0 ? 0 : Math.floor(i / perRow)
    throw mismatch(
      label,
      golden,
      run,
      expected.name,
      JSON.stringify(want),
      `${JSON.stringify(textOf(is))} on ${provider}`,
      row,
      perRow > 1 ? i % perRow : undefined,
    )
  })
  return largest
}

/** 0 for the same, also where that is NaN or infinite; Infinity where they cannot be compared. */
const differenceOf = (want: GoldenValue, is: GoldenValue): number => {
  const [a, b] = [numberOf(want), numberOf(is)]
  if (a === undefined || b === undefined) return want === is ? 0 : Infinity
  if (Object.is(a, b) || a === b) return 0
  const difference = Math.abs(a - b)
  return Number.isNaN(difference) ? Infinity : difference
}

/** Undefined for text that is no number. */
const numberOf = (value: GoldenValue): number | undefined => {
  if (typeof value !== 'string') return Number(value)
  if (value === 'NaN' || value === 'Infinity' || value === '-Infinity') return Number(value)
  return undefined
}

const textOf = (value: GoldenValue): GoldenValue => (typeof value === 'number' && !Number.isFinite(value) ? String(value) : value)

const mismatch = (
  label: string,
  { source }: GoldenVectors,
  run: number,
  output: string,
  expected: string,
  got: string,
  row?: number,
  column?: number,
): AndonError => {
  const place = `${output}${row === undefined ? '' : `, row ${row}`}${column === undefined ? '' : `, value ${column}`}`
  return goldenMismatch(label, `${source}, run ${run}, ${place}: expected ${expected}, got ${got}`, {
    source,
    run,
    output,
    row,
    expected,
    got,
  })
}

const tensorOf = (
  label: string,
  golden: GoldenVectors,
  run: number,
  { name, datatype, isOptional }: TensorSpec,
  inputs: readonly GoldenTensor[],
): TensorBytes | undefined => {
  const given = inputs.find((each) => each.name === name)
  if (given === undefined) {
    if (isOptional === true) return undefined
    throw mismatch(label, golden, run, name, 'an input of that name', 'none')
  }
  const { shape, data } = given
  if (datatype === 'BYTES') return { shape, bytes: packBytes(data.map((value) => Buffer.from(String(value)))) }
  const numbers = data.map((value) => numberOf(value) ?? Number.NaN)
  if (isHalf(datatype)) return { shape, bytes: narrow(datatype, Float32Array.from(numbers)) }
  const isBig = datatype === 'INT64' || datatype === 'UINT64'
  try {
    return { shape, bytes: pack(datatype, isBig ? data.map((value) => BigInt(value)) : numbers) }
  } catch (error) {
    throw mismatch(label, golden, run, name, `numbers of ${datatype}`, (error as Error).message)
  }
}

const valuesOf = ({ datatype }: TensorSpec, bytes: Uint8Array): readonly GoldenValue[] => {
  if (datatype === 'BYTES') return unpackBytes(bytes).map((element) => Buffer.from(element).toString('utf8'))
  if (isHalf(datatype)) {
    const values = new Float32Array(bytes.byteLength / 2)
    widen(datatype, bytes, values)
    return Array.from(values)
  }
  return unpack(datatype, bytes).map((value) => Number(value))
}

const parse = (source: string, at: string, text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Error(`${source}, ${at}: it is no JSON: ${(cause as Error).message}`, { cause })
  }
}

const objectOf = (source: string, at: string, value: unknown): Readonly<Record<string, unknown>> => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`${source}, ${at}: expected an object`)
  return value as Readonly<Record<string, unknown>>
}

const listOf = (source: string, at: string, value: unknown): readonly unknown[] => {
  if (!Array.isArray(value)) throw new Error(`${source}, ${at}: expected a list`)
  return value
}

const tolerance = (source: string, at: string, value: unknown): number => {
  if (typeof value !== 'number' || !(value >= 0) || value === Infinity)
    throw new Error(`${source}, ${at}: expected a number of 0 or more, got ${JSON.stringify(value)}`)
  return value
}

const runOf = (source: string, at: string, value: unknown): GoldenRun => {
  const { inputs, outputs } = objectOf(source, at, value)
  const run = {
    inputs: listOf(source, `${at}.inputs`, inputs).map((tensor, i) => goldenTensor(source, `${at}.inputs[${i}]`, tensor)),
    outputs: listOf(source, `${at}.outputs`, outputs).map((tensor, i) => goldenTensor(source, `${at}.outputs[${i}]`, tensor)),
  }
  if (run.outputs.length === 0) throw new Error(`${source}, ${at}: it expects no output`)
  return run
}

const goldenTensor = (source: string, at: string, value: unknown): GoldenTensor => {
  const { name, shape, data } = objectOf(source, at, value)
  if (typeof name !== 'string') throw new Error(`${source}, ${at}.name: expected text`)
  const sizes = listOf(source, `${at}.shape`, shape)
  if (!sizes.every((size) => Number.isSafeInteger(size) && (size as number) >= 0))
    throw new Error(`${source}, ${at}.shape: expected sizes of 0 or more`)
  const values = listOf(source, `${at}.data`, data).flat(Infinity) as unknown[]
  const expected = elementCount(sizes as number[])
  if (values.length !== expected)
    throw new Error(`${source}, ${at}.data: expected ${expected} values for shape [${sizes.join(', ')}], got ${values.length}`)
  if (!values.every((each) => ['number', 'string', 'boolean'].includes(typeof each)))
    throw new Error(`${source}, ${at}.data: expected numbers, text or booleans`)
  return { name, shape: sizes as number[], data: values as GoldenValue[] }
}
