// kill -9 of ingest, of Kafka, and of both, at random under load on every door that acknowledges. Afterwards every acknowledged number lies
// in `telemetry` once by identity, whatever was sent again.

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, seeded } from '@andon/kit'
import type { Log } from '@andon/kit'
import { verifyRecords } from '../../harness/record-ledger.ts'
import type { FaultOptions, FaultResult } from '../fault.ts'
import { secondsOf, until, withScene } from '../rig.ts'
import { cutTail, endOffset } from '../segments.ts'
import { FILE_DOORS, openDoors } from './doors.ts'
import type { Feeder } from './feeders.ts'
import { fileState } from './files.ts'
import { Arrivals, samplesOn } from './samples.ts'

/** Of ingest, of Kafka and of both together. */
const FULL_KILLS = 24
const WHOM = ['ingest', 'kafka', 'both'] as const
/** Every so many kills the broker's host loses power too: what it had not flushed is gone. */
const POWER_LOSS_EVERY = 5
/** An unflushed tail is shorter than this: two flush intervals. */
const TAIL_MS = 10_000
/** How often the log is looked at while something is waited for. */
const LOOK_MS = 250
/** In the end the log is waited for as long as it grows: it has stopped when nothing came for so long. */
const STILL_MS = 60_000
const LONGEST_END_MS = 900_000

/** Until every door has acknowledged something since. */
const untilAll = async (feeders: readonly Feeder[], before: readonly number[]): Promise<void> => {
  const silent = (): string[] => feeders.flatMap(({ asset, acknowledged }, at) => (acknowledged.size > before[at]! ? [] : [asset]))
  await until('every door to acknowledge again', () => silent().length === 0).catch((error: unknown) => {
    throw new Error(`silent: ${silent().join(', ')}`, { cause: error })
  })
}

/** Until rows of every door for files have come to the log since: an acknowledged file is only a promise, and an importer that stands still keeps none. */
const untilImported = async (arrivals: Arrivals, before: readonly number[]): Promise<void> => {
  const still = (): string[] => FILE_DOORS.filter((asset, at) => arrivals.of(asset) <= before[at]!)
  await until('files of every door to be imported again', async () => {
    await arrivals.look()
    if (still().length > 0) await sleep(LOOK_MS)
    return still().length === 0
  }).catch((error: unknown) => {
    throw new Error(`files are acknowledged and not imported: ${still().join(', ')}`, { cause: error })
  })
}

/** Until everything acknowledged has come to the log, or nothing comes any more. Gives seconds. */
const untilStill = async (arrivals: Arrivals, acknowledged: ReadonlySet<string>): Promise<number> => {
  const startMs = performance.now()
  let samples = -1
  let grownMs = startMs
  for (;;) {
    await arrivals.look()
    const nowMs = performance.now()
    if (arrivals.samples > samples) grownMs = nowMs
    samples = arrivals.samples
    if (arrivals.hasAll(acknowledged) || nowMs - grownMs > STILL_MS || nowMs - startMs > LONGEST_END_MS) return (nowMs - startMs) / 1000
    await sleep(LOOK_MS)
  }
}

export const ingestKills = (options: FaultOptions): Promise<FaultResult> =>
  withScene(
    options,
    async (scene) => {
      const { fraction: random } = seeded(options.seed)
      const { ingest, feeders } = await openDoors(scene, options.scale === 1, options.note)
      scene.defer(() => Promise.all(feeders.map((feeder) => feeder.abandon())))
      const kills = Math.max(3, Math.round(FULL_KILLS * options.scale))
      const arrivals = new Arrivals(ingest.log, ingest.codec)
      const kafkaDir = join(scene.dir, 'kafka')
      const topic = `${scene.namespace}telemetry`
      let slowestS = 0
      let slowestImportS = 0
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
        for (const { partition, keep } of keeps) {
          cut += cutTail(kafkaDir, topic, partition, keep)
          arrivals.cutAt(partition, endOffset(kafkaDir, topic, partition))
        }
        if (whom !== 'ingest' || isPowerLoss) await scene.kafka.restart()
        const before = feeders.map(({ acknowledged }) => acknowledged.size)
        await arrivals.look()
        const importedBefore = FILE_DOORS.map((asset) => arrivals.of(asset))
        try {
          const tookS = await secondsOf(async () => {
            if (whom !== 'kafka') await ingest.start()
            await untilAll(feeders, before)
          })
          const importS = await secondsOf(() => untilImported(arrivals, importedBefore))
          slowestS = Math.max(slowestS, tookS)
          slowestImportS = Math.max(slowestImportS, tookS + importS)
        } catch (error) {
          throw new Error(`after kill ${i + 1}, of ${whom}: ${messageOf(error)}; ${fileState(scene.dir)}`, { cause: error })
        }
      }
      await Promise.all(feeders.map((feeder) => feeder.stop()))
      const acknowledged = new Set(feeders.flatMap((feeder) => [...feeder.acknowledged]))
      const unanswered = new Set(feeders.flatMap((feeder) => [...feeder.sent]))
      const endS = await untilStill(new Arrivals(ingest.log, ingest.codec), acknowledged) // anew: what a cut took has to come again
      const found = await samplesOn(ingest.log, ingest.codec)
      const verdict = verifyRecords({ acknowledged, unanswered, found: found.samples })
      return {
        verdict,
        recoveredS: slowestS,
        broken: [
          ...scene.surprises,
          ...(cut === 0 ? ['no cut took anything away'] : []),
          ...found.contradictions.slice(0, 3),
          ...(verdict.lost === 0 ? [] : [missingOf(acknowledged, found.samples), fileState(scene.dir)]),
        ],
        detail: {
          kills,
          batchesCut: cut,
          slowestImportS: Math.round(slowestImportS * 10) / 10,
          endS: Math.round(endS * 10) / 10,
          doors: Object.fromEntries(feeders.map(({ asset, acknowledged: of }) => [asset, of.size])),
          repeats: found.repeats,
        },
      }
    },
    (dir) => ({ dir: join(dir, 'kafka') }),
  )

/** How many numbers of each asset are missing. */
const missingOf = (acknowledged: ReadonlySet<string>, found: readonly { readonly id: string }[]): string => {
  const ids = new Set(found.map(({ id }) => id))
  const missing = new Map<string, number>()
  for (const id of acknowledged) {
    const asset = id.split(' ')[0]!
    if (!ids.has(id)) missing.set(asset, (missing.get(asset) ?? 0) + 1)
  }
  return `missing: ${[...missing].map(([asset, count]) => `${count} of ${asset}`).join(', ')}`
}

/** Where each partition of telemetry may end after a power loss: somewhere behind what was flushed. */
const flushedEnds = async (log: Log, random: () => number): Promise<{ partition: number; keep: number }[]> =>
  Promise.all(
    (await log.admin.watermarks('telemetry')).map(async ({ partition, high }) => {
      const flushed = await log.admin.offsetAt('telemetry', partition, Date.now() - TAIL_MS)
      return { partition, keep: Math.floor(flushed + random() * Math.max(0, high - flushed - 1)) }
    }),
  )
