// Damaged state: bits that flip in what was stored, and snapshots that were being written when the power went. A state that is not
// whole is never used; the one before it is.

import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { changelogTopic, findSnapshot, listSnapshots, openHistoryBlobs, seeded } from '@andon/kit'
import type { Log } from '@andon/kit'
import { jsonCodec } from '../../packages/kit/test/json-codec.ts'
import { decodeRecords } from '../../packages/kit/src/log/kafka/batch-reader.ts'
import { TOTALS, countRun } from './count-run.ts'
import type { CountRun } from './count-run.ts'
import type { FaultOptions, FaultResult } from './fault.ts'
import { PARTITIONS } from './numbers.ts'
import { until } from './rig.ts'
import { batchesIn, flipBit, segmentFile, tearLastBatch } from './segments.ts'

const FLIPS = 1000
const RECORDS_PER_SECOND = 2000
const GROUP = 'totals'
/** How long a service is watched that finds its newest snapshot damaged. */
const WATCH_MS = 10_000

const changelogOf = (run: CountRun): string => `${run.scene.namespace}${changelogTopic(GROUP)}`
const kafkaDirOf = (run: CountRun): string => join(run.scene.dir, 'kafka')

/** Bits of a stored batch that Kafka's checksum does not cover: its offset, and the epoch of its leader. */
const isUnchecked = (byte: number): boolean => byte < 8 || (byte >= 12 && byte < 16)

/** Flips single bits in stored snapshot batches; gives how many of them a reader would have taken for whole. */
const flipsInChangelog = (run: CountRun, count: number, random: () => number): number => {
  const sound = Array.from({ length: PARTITIONS }, (_, partition) => {
    const bytes = readFileSync(segmentFile(kafkaDirOf(run), changelogOf(run), partition))
    return batchesIn(bytes).map(({ start, end }) => bytes.subarray(start, end))
  }).flat()
  let unnoticed = 0
  for (let flips = 0; flips < count;) {
    const bytes = Buffer.from(sound[Math.floor(random() * sound.length)]!)
    const byte = Math.floor(random() * bytes.length)
    if (isUnchecked(byte)) continue
    flips++
    const fromOffset = Number(bytes.readBigInt64BE(0))
    bytes[byte] = (bytes[byte] as number) ^ (1 << Math.floor(random() * 8))
    try {
      const decoded = decodeRecords({ topic: 'changelog', partition: 0, bytes, fromOffset, aborted: [], highWatermark: fromOffset + 1 })
      // A batch that seems to go on behind its bytes gives nothing: the reader asks again.
      if (decoded instanceof Promise || decoded.count > 0) unnoticed++
    } catch {
      // Noticed.
    }
  }
  return unnoticed
}

/** Flips single bits in the blobs of the newest retained snapshot; gives how often that snapshot was still used, and how often an older one. */
const flipsInHistory = async (log: Log, blobDir: string, count: number, random: () => number) => {
  const blobs = await openHistoryBlobs(blobDir)
  const find = (partition: number) => findSnapshot(log, jsonCodec, blobs, { group: GROUP, topic: 'numbers', partition, before: Infinity })
  let [unnoticed, older] = [0, 0]
  for (let flips = 0; flips < count; flips++) {
    const partition = flips % PARTITIONS
    const newest = (await listSnapshots(log, jsonCodec, GROUP, partition)).at(-1)
    if (newest === undefined) throw new Error(`partition ${partition} has no retained snapshot`)
    const manifest = JSON.parse((await blobs.get(newest.uri)).toString()) as { keys: readonly { uri: string }[] }
    const uris = [newest.uri, ...manifest.keys.map(({ uri }) => uri)]
    const file = blobs.path(uris[Math.floor(random() * uris.length)]!)
    const [byte, bit] = [Math.floor(random() * readFileSync(file).length), Math.floor(random() * 8)]
    flipBit(file, byte, bit)
    const found = await find(partition)
    flipBit(file, byte, bit)
    if (found?.uri === newest.uri) unnoticed++
    else if (found !== undefined) older++
  }
  return { unnoticed, older }
}

export const damage = (options: FaultOptions): Promise<FaultResult> =>
  countRun(
    options,
    {
      subject: TOTALS,
      config: { paceMs: 10, sessionMs: 3000, snapshotEveryRecords: 200, historyEveryRecords: 500 },
      kafka: (dir) => ({ dir: join(dir, 'kafka') }),
    },
    async (run) => {
      const { kafka, dir } = run.scene
      const { fraction: random } = seeded(options.seed)
      const broken: string[] = []
      const blobDir = join(dir, 'blobs')
      const start = () => run.startWorker({ blobDir })
      let worker = start()
      await worker.ready
      run.feed(RECORDS_PER_SECOND)
      await until('snapshots to be kept', () => run.counted() > 5 * RECORDS_PER_SECOND)
      const restart = async (): Promise<void> => {
        const at = run.fed()
        worker = start()
        await worker.ready
        await until('the service to go on', () => [...run.lastCounted().values()].every((number) => number > at), 60_000)
      }

      await Promise.all([worker.kill(), kafka.kill()])
      const torn = Array.from({ length: PARTITIONS }, (_, partition) => tearLastBatch(kafkaDirOf(run), changelogOf(run), partition))
      if (!torn.every(Boolean)) broken.push('there was no snapshot to tear')
      await kafka.restart()
      const tornMs = performance.now()
      await restart()
      const recoveredS = (performance.now() - tornMs) / 1000
      options.note(`the newest snapshots torn with the power: going on from older ones after ${recoveredS.toFixed(1)} s`)

      await worker.terminate()
      await kafka.stop()
      const file = segmentFile(kafkaDirOf(run), changelogOf(run), 0)
      const last = batchesIn(readFileSync(file)).at(-1)!
      const [byte, bit] = [last.start + 61 + Math.floor(random() * (last.end - last.start - 61)), Math.floor(random() * 8)]
      flipBit(file, byte, bit)
      await kafka.restart()
      const at = run.fed()
      worker = start()
      await worker.ready.catch(() => undefined)
      const wentOn = (): boolean => (run.lastCounted().get(0) ?? -1) > at
      for (const endMs = performance.now() + WATCH_MS; performance.now() < endMs && !wentOn();) await sleep(100)
      const outcome = wentOn() ? 'an older snapshot was used' : 'its partition waited for repair'
      if (!wentOn()) {
        await worker.terminate()
        await kafka.stop()
        flipBit(file, byte, bit)
        await kafka.restart()
        await restart()
      }
      options.note(`one bit flipped in the newest snapshot on disk: noticed, ${outcome}`)

      const count = Math.max(100, Math.round(FLIPS * options.scale))
      const inChangelog = flipsInChangelog(run, count, random)
      const inHistory = await flipsInHistory(run.log, blobDir, count, random)
      options.note(`${count} bits flipped in stored snapshots, ${count} in retained ones: ${inHistory.older} times an older one was used`)
      if (inChangelog > 0) broken.push(`${inChangelog} of ${count} flips in stored snapshots were not noticed`)
      if (inHistory.unnoticed > 0) broken.push(`${inHistory.unnoticed} of ${count} flips in retained snapshots were not noticed`)
      if (readdirSync(blobDir).length === 0) broken.push('nothing was retained')
      return { recoveredS, broken, detail: { flips: 2 * count, olderUsed: inHistory.older, flippedOnDisk: outcome } }
    },
  )
