// How long a newcomer waits: from `andon up` being ready to the first finding, with the demo as it ships and after breaking something.

import { openCodec, openKafkaLog, followTopic } from '@andon/kit'
import type { Anomalies, Finding } from '@andon/schemas'
import { Mesh, until } from '../harness/mesh.ts'
import { type Measurement, limit, load, notMeasured, rounded } from '../harness/bench-measurement.ts'

const REQUIRED_SECONDS = 90
const PATIENCE_MS = 180_000

interface Seen {
  readonly finding: Finding
  readonly atMs: number
}

export const firstFinding = async (): Promise<Measurement[]> => {
  const mesh = await Mesh.start()
  const readyMs = performance.now()
  const log = await openKafkaLog({ brokers: [`127.0.0.1:${mesh.port(9092)}`], clientId: 'bench' })
  try {
    const codec = await openCodec({ registryUrl: `http://127.0.0.1:${mesh.port(8081)}` })
    const seen: Seen[] = []
    await followTopic<Anomalies>(log, codec, 'anomalies', ({ value: { finding } }) => {
      if (finding?.transition === 'opened') seen.push({ finding, atMs: performance.now() })
    })
    const wait = async (id: string, fromMs: number, wanted: (one: Seen) => boolean): Promise<Measurement> => {
      const found = await until(id, PATIENCE_MS, () => seen.find(wanted)).catch(() => undefined)
      const findings = seen.map(
        (one) => `${one.finding.assetId} after ${rounded((one.atMs - readyMs) / 1000)} s, severity ${one.finding.severity}`,
      )
      const detail = { findings, load: load() }
      if (found === undefined)
        return notMeasured(
          { id, required: REQUIRED_SECONDS, unit: 's', isLimit: true },
          `no finding within ${PATIENCE_MS / 1000} s`,
          detail,
        )
      return limit(id, (found.atMs - fromMs) / 1000, REQUIRED_SECONDS, 's', 1, {
        asset: found.finding.assetId,
        title: found.finding.title,
        ...detail,
      })
    }
    const shipped = await wait('first-finding', readyMs, () => true)
    const injectedMs = performance.now()
    await mesh.call('POST', 7090, '/inject/bearing-wear')
    const worn = await wait(
      'first-finding-bearing-wear',
      injectedMs,
      ({ finding, atMs }) => finding.assetId === 'press-1' && atMs > injectedMs,
    )
    return [shipped, worn]
  } finally {
    await log.close()
    await mesh.stop()
  }
}
