// A network that is late, lossy, silent, slow or torn, between Kafka and everybody who uses it: every byte of producer, service and
// reader goes through the proxy, because the broker calls itself by the proxy's port.

import { setTimeout as sleep } from 'node:timers/promises'
import { seeded } from '@andon/kit'
import { freePorts } from '@andon/platform'
import { openFaultProxy } from '../harness/fault-proxy.ts'
import type { NetworkFault } from '../harness/fault-proxy.ts'
import { TOTALS, countRun } from './count-run.ts'
import type { FaultOptions, FaultResult } from './fault.ts'
import { until } from './rig.ts'

const RECORDS_PER_SECOND = 500
/** Appends give up after 15 s by themselves; this much later the fault counts as a hang. */
const RECOVERS_WITHIN_S = 20

interface Phase {
  readonly name: string
  readonly fault: Partial<NetworkFault>
  readonly seconds: number
  /** Whether work has to go on while it lasts. */
  readonly goesOn: boolean
}

const PHASES: readonly Phase[] = [
  { name: '200 ± 100 ms late', fault: { latencyMs: 200, jitterMs: 100 }, seconds: 10, goesOn: true },
  { name: 'connections reset, all of them every second', fault: { resetShare: 0.34 }, seconds: 10, goesOn: true },
  { name: 'torn at every byte', fault: { splitBytes: 1 }, seconds: 8, goesOn: true },
  { name: '64 KB/s', fault: { bytesPerSecond: 64_000 }, seconds: 10, goesOn: true },
  { name: 'silent', fault: { blackhole: 'both' }, seconds: 12, goesOn: false },
  { name: 'half-open: answers are missing', fault: { blackhole: 'answers' }, seconds: 20, goesOn: false },
  { name: 'half-open: requests are missing', fault: { blackhole: 'requests' }, seconds: 20, goesOn: false },
]

/** The phases one after another, each under load; after each of them work goes on by itself. */
export const network = async (options: FaultOptions): Promise<FaultResult> => {
  const { fraction: random } = seeded(options.seed)
  const [port = 0] = await freePorts(1)
  const proxy = await openFaultProxy(port, { random })
  const kafka = () => ({ port, advertisedPorts: [proxy.port] })
  try {
    return await countRun(options, { subject: TOTALS, config: { paceMs: 0, sessionMs: 10_000 }, kafka }, async (run) => {
      await run.startWorker().ready
      run.feed(RECORDS_PER_SECOND)
      await until('work under way', () => run.counted() > RECORDS_PER_SECOND)
      const broken: string[] = []
      let slowestS = 0
      for (const { name, fault, seconds, goesOn } of PHASES) {
        proxy.set(fault)
        const cutting = fault.resetShare === undefined ? undefined : setInterval(() => proxy.cutAll(), 1000)
        const before = run.counted()
        await sleep(Math.max(2, seconds * options.scale) * 1000)
        if (goesOn) {
          const stuck = await until('progress', () => run.counted() > before, 30_000).then(
            () => false,
            () => true,
          )
          if (stuck) broken.push(`${name}: nothing was counted while it lasted`)
        }
        clearInterval(cutting)
        const during = run.counted() - before
        proxy.heal()
        const healedMs = performance.now()
        const fed = run.fed()
        await until(`recovery from: ${name}`, () => run.counted() > fed + RECORDS_PER_SECOND / 5)
        const recoveredS = (performance.now() - healedMs) / 1000
        if (recoveredS > RECOVERS_WITHIN_S) broken.push(`${name}: went on ${recoveredS.toFixed(1)} s after its end`)
        slowestS = Math.max(slowestS, recoveredS)
        options.note(`${name}: ${during} counted while it lasted, going on ${recoveredS.toFixed(1)} s after its end`)
      }
      return { recoveredS: slowestS, broken, detail: { resets: proxy.resets } }
    })
  } finally {
    await proxy.close()
  }
}
