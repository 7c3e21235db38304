// The power-loss mode of DESIGN.md §3.1: one host dies, and the broker's log ends where its last flush was. What ingest has
// acknowledged and still keeps in its spool is sent again, in order.

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { partitionOf, seeded } from '@andon/kit'
import type { Codec, Log } from '@andon/kit'
import { topology } from '@andon/schemas'
import type { Telemetry } from '@andon/schemas'
import { verifyRecords } from '../harness/record-ledger.ts'
import type { FoundRecord } from '../harness/record-ledger.ts'
import type { FaultOptions, FaultResult } from './fault.ts'
import { CHANNEL, TOKEN, openIngest, sourceOf } from './ingest/rig.ts'
import { secondsOf, until, withScene } from './rig.ts'
import { cutTail } from './segments.ts'

const ASSET = 'oven'
const READINGS_PER_SECOND = 200
/** An unflushed tail is shorter than this: two flush intervals. */
const TAIL_MS = 10_000

/** True when the readings were acknowledged. */
const post = (url: string, sequences: readonly number[]): Promise<boolean> =>
  fetch(`${url}/v1/telemetry`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify(
      sequences.map((seq) => ({ source: sourceOf(ASSET), epoch: 1, seq, timeUs: Date.now() * 1000, values: { [CHANNEL]: seq } })),
    ),
    signal: AbortSignal.timeout(5000),
  }).then(
    ({ status }) => status === 202,
    () => false,
  )

/** Samples in the order in which they first appear; blocks that are sent again repeat what came before. */
const firstAppearances = async (log: Log, codec: Codec, partition: number): Promise<FoundRecord[]> => {
  const seen = new Set<number>()
  const found: FoundRecord[] = []
  for await (const batch of log.read({ topic: 'telemetry', partition, from: 'earliest', to: 'latest' }))
    for (const record of batch.records) {
      const { block } = await codec.decodeAsync<Telemetry>('telemetry', record.value!)
      if (!block) continue
      for (let seq = block.seqFrom; seq <= block.seqTo; seq++) {
        if (seen.has(seq)) continue
        seen.add(seq)
        found.push({ id: `sample ${seq}`, lane: block.sourceId, number: seq, content: '' })
      }
    }
  return found
}

/** A device sends while the host loses power: the broker's tail is gone, and every second time ingest was killed with it. */
export const powerLoss = (options: FaultOptions): Promise<FaultResult> =>
  withScene(
    options,
    async (scene) => {
      const { fraction: random } = seeded(options.seed)
      const ingest = await openIngest(scene, { doors: ['http'], assets: [ASSET] })
      await ingest.start()
      const { log } = ingest
      const partition = partitionOf(ASSET, topology.topics.telemetry.partitions)
      const acknowledged = new Set<string>()
      let next = 1
      let isOver = false
      const device = (async () => {
        while (!isOver) {
          const sequences = Array.from({ length: READINGS_PER_SECOND / 20 }, (_, i) => next + i)
          while (!(await post(ingest.url, sequences))) await sleep(100) // a device repeats what was not acknowledged
          for (const seq of sequences) acknowledged.add(`sample ${seq}`)
          next += sequences.length
          await sleep(50)
        }
      })()
      let slowestS = 0
      let cut = 0
      for (let i = 0; i < (options.scale < 1 ? 2 : 4); i++) {
        await sleep(4000 + random() * 2000)
        const { offset: high } = await log.latest('telemetry', partition)
        const flushed = await log.admin.offsetAt('telemetry', partition, Date.now() - TAIL_MS)
        const keep = Math.floor(flushed + random() * Math.max(0, high - flushed - 1))
        const both = i % 2 === 1
        await Promise.all([scene.kafka.kill(), both ? ingest.kill() : undefined])
        cut += cutTail(join(scene.dir, 'kafka'), `${scene.namespace}telemetry`, partition, keep)
        await scene.kafka.restart()
        const before = next
        slowestS = Math.max(
          slowestS,
          await secondsOf(async () => {
            if (both) await ingest.start()
            await until('ingest to acknowledge again', () => next > before + READINGS_PER_SECOND / 10)
          }),
        )
        options.note(`power lost${both ? ', ingest too' : ''}: the log ends ${high - keep} records earlier`)
      }
      isOver = true
      await device
      const wanted = acknowledged.size
      await until(
        'everything acknowledged to be on the log',
        async () => (await firstAppearances(log, ingest.codec, partition)).length >= wanted,
        30_000,
      ).catch(() => undefined) // the verdict says what is missing
      const verdict = verifyRecords({ acknowledged, found: await firstAppearances(log, ingest.codec, partition) })
      const broken = cut === 0 ? ['no cut took anything away'] : []
      return { verdict, recoveredS: slowestS, broken: [...scene.surprises, ...broken], detail: { batchesCut: cut } }
    },
    (dir) => ({ dir: join(dir, 'kafka') }),
  )
