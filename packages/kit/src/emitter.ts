// Collects what a handler wants to publish. Each output names the one input that caused it and gets its number among
// that input's outputs, so lineage does not depend on how records were batched.

import type { Emitter, Input, Output } from './flow.ts'
import { comparePositions } from './lineage.ts'

export const emitter = (): Emitter => {
  const outputs: { cause: Input<unknown>; index: number; output: Output }[] = []
  let last: Input<unknown> | undefined
  /** The cause furthest on in the log so far. */
  let newest: Input<unknown> | undefined
  let index = 0
  const countOf = (cause: Input<unknown>): number => outputs.reduce((count, one) => (one.cause === cause ? count + 1 : count), 0)
  return {
    outputs,
    emit: (cause, output) => {
      if (cause === last) index++
      else {
        // Causes come in log order; only one that lies behind may have outputs already.
        const isNew = !newest || comparePositions(cause.position, newest.position) > 0
        index = isNew ? 0 : countOf(cause)
        if (isNew) newest = cause
        last = cause
      }
      outputs.push({ cause, index, output })
    },
  }
}
