// `stuck-process.ts <spins>`: a process that ends while a thread of it may be in a run of so many spins.

import { endAroundThreads } from '../../src/runtime/end-process.ts'
import { threadRuntime } from '../../src/runtime/thread-runtime.ts'
import { troubleBatch, troubleModel } from '../trouble.ts'

const runtime = threadRuntime({ workers: 1, runTimeoutMs: 300, closeTimeoutMs: 100 })
endAroundThreads(() => runtime.suspects > 0)
const runner = await runtime.open(troubleModel)
await runner
  .run(troubleBatch(0, { spins: Number(process.argv[2]) }))
  .catch((error: unknown) => console.log((error as { code: string }).code))
await runtime.close()
console.log('closed')
process.exit(0)
