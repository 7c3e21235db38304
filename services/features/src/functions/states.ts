// Channels whose values are states: running, blocked, starved, down. A state holds until the next row, the last one to the end
// of the window, and the one from before the window from its start on. Where none is known from before, what held until the
// first row is not known, and counts for none.

import { heldUs, kernelOfRows } from './rows.ts'
import type { OfRows } from './rows.ts'

const durationS = (state: number): OfRows => {
  const single = Math.fround(state) // what a channel of floats shows of it
  return (rows) => heldUs(rows, (value) => value === state || value === single) / 1e6
}

const changes: OfRows = ({ x, n, before }) => {
  let count = n > 0 && before !== null && before.value !== x[0] ? 1 : 0
  for (let i = 1; i < n; i++) if (x[i] !== x[i - 1]) count++
  return count
}

export const states = kernelOfRows({
  stateDurationS: (options) => options.states!.map(durationS),
  stateChanges: () => [changes],
})
