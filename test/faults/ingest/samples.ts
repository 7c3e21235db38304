// What lies in `telemetry`, as samples: the verifier's own reading of blocks, without the code of ingest or features.

import { createHash } from 'node:crypto'
import type { Codec, Log } from '@andon/kit'
import type { Telemetry } from '@andon/schemas'
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

/** Samples of all assets as they lie on the log now. `id` is the asset and the number that the sender gave as its value. */
export const samplesOn = async (log: Log, codec: Codec): Promise<Found> => {
  const contents = new Map<string, string>()
  const samples: FoundRecord[] = []
  const contradictions: string[] = []
  let repeats = 0
  for (const record of await readTopic(log, 'telemetry')) {
    const { assetId, block } = await codec.decodeAsync<Telemetry>('telemetry', record.value!)
    if (!block) continue
    const at = block.channels.indexOf(CHANNEL)
    const withheld = new Set(block.withheld)
    let row = 0
    for (let seq = block.seqFrom; seq <= block.seqTo; seq++) {
      if (withheld.has(seq)) continue
      const count = block.samples.readDoubleLE((at * block.rows + row) * 8)
      const timeUs = block.timesUs.readBigInt64LE(row * 8)
      row++
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
