// `size.ts memory <assets> <channels>`: bytes per asset that the windows of the P8 set hold, after a full collection, at several moments
// between two ends of a window. `size.ts scale <channels> <assets> <assets>`: CPU per sample with few and with many assets, in turn.

import { setTimeout as sleep } from 'node:timers/promises'
import { Engine } from '../engine.ts'
import { HOP_ROWS, WINDOW_ROWS } from '../field.ts'

const [what, ...numbers] = process.argv.slice(2)
/** Series have the values of so few others that making them up takes no memory. */
const GROUPS = 16

/** Array buffers go when the event loop turns after a collection. */
const heldBytes = async (): Promise<number> => {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.()
    await sleep(20)
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** Windows are full, and lanes have grown as far as they will. */
const SETTLED_HOPS = 40
const MOMENTS = 8

const memory = async (assets: number, channels: number): Promise<object> => {
  new Engine({ assets: 2, channels }, GROUPS).hop() // what is made once, whatever the number of assets
  const engine = new Engine({ assets, channels }, GROUPS)
  engine.keepsNewest = false
  engine.hop()
  engine.forget()
  const before = await heldBytes()
  const bytes: number[] = []
  for (let hop = 0; hop < SETTLED_HOPS + MOMENTS; hop++) {
    engine.hop()
    if (hop >= SETTLED_HOPS) bytes.push(((await heldBytes()) - before) / assets)
  }
  const closed = assets * (SETTLED_HOPS + MOMENTS - 1)
  if (engine.windows !== closed) throw new Error(`${engine.windows} windows closed, expected ${closed}`)
  return { bytesPerAsset: bytes }
}

const PASSES = 12
/** Samples of one measurement, at least. */
const WORK = 20_000_000

const scale = (channels: number, few: number, many: number): object => {
  const engines = [few, many].map((assets) => new Engine({ assets, channels }, GROUPS))
  const nsPerSample: number[][] = [[], []]
  for (let pass = -1; pass < PASSES; pass++) {
    engines.forEach((engine, i) => {
      const hops = Math.max(WINDOW_ROWS / HOP_ROWS + 1, Math.ceil(WORK / engine.samplesPerHop))
      const before = process.cpuUsage()
      for (let hop = 0; hop < hops; hop++) engine.hop()
      const { user, system } = process.cpuUsage(before)
      if (pass >= 0) nsPerSample[i]?.push(((user + system) * 1000) / (hops * engine.samplesPerHop))
    })
  }
  return { few: nsPerSample[0], many: nsPerSample[1] }
}

const [first = 0, second = 0, third = 0] = numbers.map(Number)
process.stdout.write(JSON.stringify(what === 'memory' ? await memory(first, second) : scale(first, second, third)))
