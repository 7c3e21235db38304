// Damaged state: bits that flip in what was stored, and snapshots that were being written when the power went. A state that is not
// whole is never used; the one before it is.

import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { changelogTopic, findSnapshot, listSnapshots, openHistoryBlobs, seeded } from '@andon/kit'
import type { Log } from '@andon/kit'
import { Snapshots } from '../../packages/kit/src/snapshots.ts'
import type { Recovered } from '../../packages/kit/src/snapshots.ts'
import { jsonCodec } from '../../packages/kit/test/json-codec.ts'
import { decodeRecords } from '../../packages/kit/src/log/kafka/batch-reader.ts'
import { TOTALS, countRun } from './count-run.ts'
import type { CountRun } from './count-run.ts'
import type { FaultOptions, FaultResult } from './fault.ts'
import { logWith } from './flipped-log.ts'
import type { StoredPartition } from './flipped-log.ts'
import { PARTITIONS, totalsUpTo } from './numbers.ts'
import { readTopic, until } from './rig.ts'
import { batchesIn, flipBit, segmentFile, tearLastBatch } from './segments.ts'

const FLIPS = 1000
const RECORDS_PER_SECOND = 2000
const GROUP = 'totals'

const changelogOf = (run: CountRun): string => `${run.scene.namespace}${changelogTopic(GROUP)}`
const kafkaDirOf = (run: CountRun): string => join(run.scene.dir, 'kafka')

/** Bits of a stored batch that Kafka's checksum does not cover: its offset, and the epoch of its leader. */
const isUnchecked = (byte: number): boolean => byte < 8 || (byte >= 12 && byte < 16)

interface Flips {
  /** How many a reader would have taken for whole, or that led to a state that is not the right one. */
  unnoticed: number
  /** How many led to the newest round, to an older one, and to no round at all. */
  newest: number
  older: number
  none: number
}

/** Flips single bits in the stored snapshots, one at a time, and recovers the partition from what is left. */
const flipsInChangelog = async (run: CountRun, count: number, random: () => number): Promise<Flips> => {
  const topic = changelogTopic(GROUP)
  const stored = Array.from({ length: PARTITIONS }, (_, partition) => {
    const bytes = readFileSync(segmentFile(kafkaDirOf(run), changelogOf(run), partition))
    return { topic, partition, bytes, batches: batchesIn(bytes) }
  })
  const numbers = await readTopic(run.log, 'numbers')
  const recover = (of: StoredPartition) => new Snapshots(logWith(run.log, of), jsonCodec, GROUP).recover('numbers', of.partition)
  const sound = await Promise.all(stored.map(async (of) => (await recover(of))?.input.offset ?? -1))
  const flips: Flips = { unnoticed: 0, newest: 0, older: 0, none: 0 }
  for (let done = 0; done < count;) {
    const of = stored[Math.floor(random() * stored.length)]!
    const { start, end } = of.batches[Math.floor(random() * of.batches.length)]!
    const byte = Math.floor(random() * (end - start))
    if (isUnchecked(byte)) continue
    done++
    const bytes = Buffer.from(of.bytes)
    bytes[start + byte] = (bytes[start + byte] as number) ^ (1 << Math.floor(random() * 8))
    if (await isTakenForWhole(bytes.subarray(start, end))) flips.unnoticed++
    const found = await recover({ ...of, bytes })
    if (!found) flips.none++
    else if (!isRight(found, totalsUpTo(numbers, of.partition, found.input.offset))) flips.unnoticed++
    else if (found.input.offset === sound[of.partition]) flips.newest++
    else flips.older++
  }
  return flips
}

const isTakenForWhole = async (bytes: Buffer): Promise<boolean> => {
  const fromOffset = Number(bytes.readBigInt64BE(0))
  try {
    // A batch that seems to go on behind its bytes gives nothing: the reader asks again.
    return (await decodeRecords({ topic: '', partition: 0, bytes, fromOffset, aborted: [], highWatermark: fromOffset + 1 })).count > 0
  } catch {
    return false
  }
}

const isRight = ({ keys }: Recovered, totals: ReadonlyMap<string, string>): boolean =>
  keys.length === totals.size && keys.every(({ key, state }) => totals.get(key) === Buffer.from(state).toString())

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
      const flippedMs = performance.now()
      await restart()
      const roundedS = (performance.now() - flippedMs) / 1000
      options.note(`one bit flipped in the newest snapshot on disk: going on from an older one after ${roundedS.toFixed(1)} s`)

      const count = Math.max(100, Math.round(FLIPS * options.scale))
      const inChangelog = await flipsInChangelog(run, count, random)
      const inHistory = await flipsInHistory(run.log, blobDir, count, random)
      options.note(
        `${count} bits flipped in stored snapshots, one at a time: ${inChangelog.newest} times the newest round does without what they hit, ${inChangelog.older} times an older one was used`,
      )
      options.note(`${count} bits flipped in retained snapshots: ${inHistory.older} times an older one was used`)
      if (inChangelog.unnoticed > 0) broken.push(`${inChangelog.unnoticed} of ${count} flips in stored snapshots were not noticed`)
      if (inChangelog.none > 0) broken.push(`${inChangelog.none} of ${count} flips in stored snapshots left no round to go on from`)
      if (inHistory.unnoticed > 0) broken.push(`${inHistory.unnoticed} of ${count} flips in retained snapshots were not noticed`)
      if (readdirSync(blobDir).length === 0) broken.push('nothing was retained')
      return { recoveredS, broken, detail: { flips: 2 * count, olderUsed: inChangelog.older + inHistory.older } }
    },
  )
