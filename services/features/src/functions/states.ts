// Channels whose values are states: running, blocked, starved, down. A state holds until the next row, the last one to the end
// of the window; what held before the first row is not known, and counts for none.

import { kernelOfRows } from './rows.ts'
import type { OfRows } from './rows.ts'

const durationS = (state: number): OfRows => {
  const single = Math.fround(state)
  return ({ x, timesUs, n, endUs, isSingle }) => {
    const wanted = isSingle ? single : state
    let heldUs = 0
    for (let i = 0; i < n; i++) if (x[i] === wanted) heldUs += (i + 1 < n ? (timesUs[i + 1] as number) : endUs) - (timesUs[i] as number)
    return heldUs / 1e6
  }
}

const changes: OfRows = ({ x, n }) => {
  let count = 0
  for (let i = 1; i < n; i++) if (x[i] !== x[i - 1]) count++
  return count
}

export const states = kernelOfRows({
  stateDurationS: (options) => options.states!.map(durationS),
  stateChanges: () => [changes],
})
