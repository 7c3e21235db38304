// Between what callers send and what the graph takes, where a configuration has `reshape`: the same elements in other dimensions.

import type { CompleteConfig } from '../repository/complete-config.ts'
import type { Batch, Runner } from '../runtime/runner.ts'

/** A shape that fits `from`, as `to` has it: open dimensions keep their sizes, in order. */
export const reshape = (shape: readonly number[], from: readonly number[], to: readonly number[]): number[] => {
  const open = shape.filter((_, i) => from[i] === -1)
  return to.map((dim) => (dim === -1 ? open.shift()! : dim))
}

/** The runner with the configuration's tensors; the runner itself where no tensor is reshaped. */
export const reshapedRunner = (
  runner: Runner,
  { inputs, outputs, reshaped }: Pick<CompleteConfig, 'inputs' | 'outputs' | 'reshaped'>,
): Runner => {
  const io = { inputs, outputs }
  const run = async (batch: Batch): ReturnType<Runner['run']> => {
    const requests = batch.requests.map((request) => ({
      ...request,
      inputs: request.inputs.map((tensor, i) => {
        const { name, shape } = inputs[i]!
        const graph = reshaped.get(name)
        return tensor === undefined || graph === undefined ? tensor : { ...tensor, shape: reshape(tensor.shape, shape, graph) }
      }),
    }))
    const answer = await runner.run({ ...batch, requests })
    return {
      ...answer,
      outputs: answer.outputs.map((tensors) =>
        tensors.map((tensor) => {
          const graph = reshaped.get(tensor.name)
          const spec = outputs.find(({ name }) => name === tensor.name)
          return graph === undefined || spec === undefined ? tensor : { ...tensor, shape: reshape(tensor.shape, graph, spec.shape) }
        }),
      ),
    }
  }
  return {
    io,
    get provider() {
      return runner.provider
    },
    room: runner.room,
    run: reshaped.size === 0 ? (batch) => runner.run(batch) : run,
    close: () => runner.close(),
  }
}
