// Collects what a handler wants to publish. Each output names the one input that caused it and gets its number among
// that input's outputs, so lineage does not depend on how records were batched.

import type { Emitter, Input, Output } from './flow.ts'

export const emitter = (): Emitter => {
  const outputs: { cause: Input<unknown>; index: number; output: Output }[] = []
  const counts = new Map<Input<unknown>, number>()
  return {
    outputs,
    emit: (cause, output) => {
      const index = counts.get(cause) ?? 0
      counts.set(cause, index + 1)
      outputs.push({ cause, index, output })
    },
  }
}
