// Contender `statistics.ts <assets> <channels>`: the engine of features on the series of P8. One round = 64 values of every series.

import { serveContender } from '../../../harness/bench-process.ts'
import { Engine } from '../engine.ts'
import { HOP_ROWS, WINDOW_ROWS } from '../field.ts'

const [assets = 0, channels = 0] = process.argv.slice(2).map(Number)
const engine = new Engine({ assets, channels })
// The window of the last rows closes with the block after them.
while (engine.hops <= WINDOW_ROWS / HOP_ROWS) engine.hop()
const check = [0, 1, assets >> 1, assets - 1].map((asset) => [asset, [...(engine.newest[asset] ?? [])]])

await serveContender(
  { check },
  (rounds) => {
    const before = engine.windows
    for (let i = 0; i < rounds; i++) engine.hop()
    const windows = engine.windows - before
    if (windows !== rounds * assets) throw new Error(`${windows} windows in ${rounds} hops of ${assets} assets`)
    return Promise.resolve(rounds * engine.samplesPerHop)
  },
  () => Promise.resolve(),
)
process.exit(0)
