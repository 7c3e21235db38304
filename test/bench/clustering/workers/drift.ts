// Contender `drift.ts <adwin|page-hinkley|kswin>`: one round = 256 values of a stream whose level moves every 5 000 values.

import { openAdwin } from '../../../../services/clustering/src/drift/adwin.ts'
import { openKswin } from '../../../../services/clustering/src/drift/kswin.ts'
import { openPageHinkley } from '../../../../services/clustering/src/drift/page-hinkley.ts'
import { serveContender } from '../../../harness/bench-process.ts'

const COUNT = 40_960
const ROUND = 256
const CHECKED = 12_800
const kind = process.argv[2]

const open = (): { push(value: number): boolean } => {
  if (kind === 'adwin') return openAdwin({ afterChange: 'anew' })
  if (kind === 'page-hinkley') return openPageHinkley()
  return openKswin({ windowSize: 60, statSize: 30, alpha: 1e-3, afterChange: 'anew' })
}

let seed = 77
const uniform = (): number => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647 - 0.5
const values = Float64Array.from({ length: COUNT }, (_, i) => {
  let sum = 0
  for (let k = 0; k < 12; k++) sum += uniform()
  return sum + (Math.floor(i / 5000) % 2)
})

let detector = open()
const changes: number[] = []
for (let i = 0; i < CHECKED; i++) if (detector.push(values[i] as number)) changes.push(i)

detector = open()
let at = 0
let found = 0
const round = (): void => {
  for (let i = at; i < at + ROUND; i++) if (detector.push(values[i] as number)) found++
  at = (at + ROUND) % COUNT
}

await serveContender(
  { changes },
  (rounds) => {
    for (let i = 0; i < rounds; i++) round()
    return Promise.resolve(rounds * ROUND)
  },
  () => (found < 0 ? Promise.reject(new Error('nothing was counted')) : Promise.resolve()),
)
process.exit(0)
