// kill -9 of ingest, of Kafka, and of both, at random under load on every door that acknowledges. Afterwards every acknowledged number lies
// in `telemetry` once by identity, whatever was sent again.

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { seeded } from '@andon/kit'
import type { Log } from '@andon/kit'
import { verifyRecords } from '../../harness/record-ledger.ts'
import type { FaultOptions, FaultResult } from '../fault.ts'
import { secondsOf, until, withScene } from '../rig.ts'
import { cutTail } from '../segments.ts'
import { openDoors } from './doors.ts'
import type { Feeder } from './feeders.ts'
import { samplesOn } from './samples.ts'

/** Of ingest, of Kafka and of both together. */
const FULL_KILLS = 24
const WHOM = ['ingest', 'kafka', 'both'] as const
/** Every so many kills the broker's host loses power too: what it had not flushed is gone. */
const POWER_LOSS_EVERY = 5
/** An unflushed tail is shorter than this: two flush intervals. */
const TAIL_MS = 10_000

/** Until every door has acknowledged something since. */
const untilAll = async (feeders: readonly Feeder[], before: readonly number[]): Promise<void> => {
  const silent = (): string[] => feeders.flatMap(({ asset, acknowledged }, at) => (acknowledged.size > before[at]! ? [] : [asset]))
  await until('every door to acknowledge again', () => silent().length === 0).catch((error: unknown) => {
    throw new Error(`silent: ${silent().join(', ')}`, { cause: error })
  })
}

export const ingestKills = (options: FaultOptions): Promise<FaultResult> =>
  withScene(
    options,
    async (scene) => {
      const { fraction: random } = seeded(options.seed)
      const { ingest, feeders } = await openDoors(scene, options.scale === 1, options.note)
      scene.defer(() => Promise.all(feeders.map((feeder) => feeder.abandon())))
      const kills = Math.max(3, Math.round(FULL_KILLS * options.scale))
      let slowestS = 0
      let cut = 0
      for (let i = 0; i < kills; i++) {
        await sleep(500 + random() * 2500)
        const whom = WHOM[i % WHOM.length]!
        const isPowerLoss = i % POWER_LOSS_EVERY === 1
        const keeps = isPowerLoss ? await flushedEnds(ingest.log, random) : []
        await Promise.all([
          whom === 'kafka' ? undefined : ingest.kill(),
          whom === 'ingest' && !isPowerLoss ? undefined : scene.kafka.kill(),
        ])
        if (random() < 0.5) await sleep(random() * 1500)
        for (const { partition, keep } of keeps) cut += cutTail(join(scene.dir, 'kafka'), `${scene.namespace}telemetry`, partition, keep)
        if (whom !== 'ingest' || isPowerLoss) await scene.kafka.restart()
        const before = feeders.map(({ acknowledged }) => acknowledged.size)
        const tookS = await secondsOf(async () => {
          if (whom !== 'kafka') await ingest.start()
          await untilAll(feeders, before)
        })
        slowestS = Math.max(slowestS, tookS)
      }
      await Promise.all(feeders.map((feeder) => feeder.stop()))
      const acknowledged = new Set(feeders.flatMap((feeder) => [...feeder.acknowledged]))
      const unanswered = new Set(feeders.flatMap((feeder) => [...feeder.sent]))
      let found = await samplesOn(ingest.log, ingest.codec)
      await until(
        'everything acknowledged to be on the log',
        async () => {
          found = await samplesOn(ingest.log, ingest.codec)
          const ids = new Set(found.samples.map(({ id }) => id))
          return [...acknowledged].every((id) => ids.has(id))
        },
        60_000,
      ).catch(() => undefined) // the verdict says what is missing
      const verdict = verifyRecords({ acknowledged, unanswered, found: found.samples })
      return {
        verdict,
        recoveredS: slowestS,
        broken: [...scene.surprises, ...(cut === 0 ? ['no cut took anything away'] : []), ...found.contradictions.slice(0, 3)],
        detail: {
          kills,
          batchesCut: cut,
          doors: Object.fromEntries(feeders.map(({ asset, acknowledged: of }) => [asset, of.size])),
          repeats: found.repeats,
        },
      }
    },
    (dir) => ({ dir: join(dir, 'kafka') }),
  )

/** Where each partition of telemetry may end after a power loss: somewhere behind what was flushed. */
const flushedEnds = async (log: Log, random: () => number): Promise<{ partition: number; keep: number }[]> =>
  Promise.all(
    (await log.admin.watermarks('telemetry')).map(async ({ partition, high }) => {
      const flushed = await log.admin.offsetAt('telemetry', partition, Date.now() - TAIL_MS)
      return { partition, keep: Math.floor(flushed + random() * Math.max(0, high - flushed - 1)) }
    }),
  )
