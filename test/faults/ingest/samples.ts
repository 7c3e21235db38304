// What lies in `telemetry`, as samples: the verifier's own reading of blocks, without the code of ingest or features.

import { createHash } from 'node:crypto'
import type { Codec, Log } from '@andon/kit'
import type { Block, Telemetry } from '@andon/schemas'
import type { FoundRecord } from '../../harness/record-ledger.ts'
import { readTopic } from '../rig.ts'
import { CHANNEL } from './rig.ts'

export interface Found {
  /** Samples by identity (source, epoch, number), first appearances: what readers that drop repeats keep. */
  readonly samples: readonly FoundRecord[]
  /** Identities that came again with another content: never allowed. */
  readonly contradictions: readonly string[]
  /** Blocks that repeat others, as a spool that was sent again does. */
  readonly repeats: number
}

/** Ledger id of the number `count` of an asset. */
export const sampleId = (asset: string, count: number): string => `${asset} ${count}`

interface Sample {
  readonly seq: number
  /** The number that the sender gave as its value. */
  readonly count: number
  readonly timeUs: bigint
}

const samplesIn = function* (block: Block): Iterable<Sample> {
  const at = block.channels.indexOf(CHANNEL)
  const withheld = new Set(block.withheld)
  let row = 0
  for (let seq = block.seqFrom; seq <= block.seqTo; seq++) {
    if (withheld.has(seq)) continue
    yield { seq, count: block.samples.readDoubleLE((at * block.rows + row) * 8), timeUs: block.timesUs.readBigInt64LE(row * 8) }
    row++
  }
}

/** Samples of all assets as they lie on the log now. `id` is the asset and the number that the sender gave as its value. */
export const samplesOn = async (log: Log, codec: Codec): Promise<Found> => {
  const contents = new Map<string, string>()
  const samples: FoundRecord[] = []
  const contradictions: string[] = []
  let repeats = 0
  for (const record of await readTopic(log, 'telemetry')) {
    const { assetId, block } = await codec.decodeAsync<Telemetry>('telemetry', record.value!)
    if (!block) continue
    for (const { seq, count, timeUs } of samplesIn(block)) {
      const identity = `${block.sourceId}/${block.epoch}/${seq}`
      const content = `${assetId} ${count} ${timeUs}`
      const before = contents.get(identity)
      if (before === undefined) {
        contents.set(identity, content)
        samples.push({ id: sampleId(assetId, count), lane: '', number: 0, content: createHash('sha256').update(content).digest('hex') })
      } else {
        repeats++
        if (before !== content) contradictions.push(`${identity}: ${before}, then ${content}`)
      }
    }
  }
  return { samples, contradictions, repeats }
}

/**
 * What has come to the log, for those who wait for it: each look reads on where the one before ended. What a power loss takes away again
 * stays counted, so this is no verdict.
 */
export class Arrivals {
  readonly #log: Log
  readonly #codec: Codec
  readonly #next = new Map<number, number>()
  readonly #ids = new Set<string>()
  readonly #byAsset = new Map<string, number>()
  /** Samples read so far, repeats among them. */
  samples = 0

  constructor(log: Log, codec: Codec) {
    this.#log = log
    this.#codec = codec
  }

  /** Numbers of an asset that have come so far, each counted once. */
  of(asset: string): number {
    return this.#byAsset.get(asset) ?? 0
  }

  hasAll(ids: Iterable<string>): boolean {
    for (const id of ids) if (!this.#ids.has(id)) return false
    return true
  }

  /** The partition ends here now: what comes next has offsets that others had. */
  cutAt(partition: number, endOffset: number): void {
    this.#next.set(partition, Math.min(endOffset, this.#next.get(partition) ?? 0))
  }

  async look(): Promise<void> {
    for (const { partition, high } of await this.#log.admin.watermarks('telemetry')) {
      const from = Math.min(high, this.#next.get(partition) ?? 0)
      for await (const batch of this.#log.read({ topic: 'telemetry', partition, from, to: high })) {
        for (const { value } of batch.records) {
          const { assetId, block } = await this.#codec.decodeAsync<Telemetry>('telemetry', value!)
          if (block) for (const { count } of samplesIn(block)) this.#note(assetId, count)
        }
      }
      this.#next.set(partition, high)
    }
  }

  #note(asset: string, count: number): void {
    this.samples++
    const id = sampleId(asset, count)
    if (this.#ids.has(id)) return
    this.#ids.add(id)
    this.#byAsset.set(asset, this.of(asset) + 1)
  }
}
