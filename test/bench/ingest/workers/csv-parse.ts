// csv-parse alone on a file: every record taken from its stream and counted, nothing done with it.

import { createReadStream } from 'node:fs'
import { parse } from 'csv-parse'
import { serveContender } from '../../../harness/bench-process.ts'

const [file = ''] = process.argv.slice(2)

await serveContender(
  { peer: 'csv-parse' },
  async (rounds) => {
    let records = 0
    for (let round = 0; round < rounds; round++) {
      const parser = createReadStream(file).pipe(parse({ from: 2 }))
      parser.on('data', () => records++)
      await new Promise((resolve, reject) => parser.on('end', resolve).on('error', reject))
    }
    return records
  },
  () => Promise.resolve(),
)
