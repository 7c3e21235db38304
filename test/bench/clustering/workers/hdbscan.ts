// Contender `hdbscan.ts <points file> <width> <min cluster size> <min samples>`: HDBSCAN* of clustering. One round = one clustering.

import { readFileSync } from 'node:fs'
import { hdbscan } from '@andon/clustering/density/hdbscan'
import { serveContender } from '../../../harness/bench-process.ts'

const [file = '', ...numbers] = process.argv.slice(2)
const [width = 0, minClusterSize = 0, minSamples = 0] = numbers.map(Number)
const bytes = readFileSync(file)
const values = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))
const points = { values, rows: values.length / width, width }
const labels = [...hdbscan(points, { minClusterSize, minSamples }).labels]

await serveContender(
  { labels },
  (rounds) => {
    for (let i = 0; i < rounds; i++) hdbscan(points, { minClusterSize, minSamples })
    return Promise.resolve(rounds * points.rows)
  },
  () => Promise.resolve(),
)
process.exit(0)
