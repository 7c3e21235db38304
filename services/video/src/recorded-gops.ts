// The groups of pictures of a closed segment, each with the Merkle root over its packets: what a clip is later proved against.

import { merkleRoot, packetLeaf } from '@andon/audit'
import { gopsOf, type Fragment, type TrackClock } from './mp4-fragment.ts'
import type { RecordedGop } from './segment-index.ts'

export const recordedGops = (segment: Buffer, fragment: Fragment, clock: TrackClock): RecordedGop[] =>
  gopsOf(fragment, clock).map(({ from, to, durationS }) => {
    const leaves = fragment.packets.slice(from, to).map(({ at, size }) => packetLeaf(segment.subarray(at, at + size)))
    return { durationUs: Math.round(durationS * 1e6), packets: to - from, root: merkleRoot(leaves).toString('hex') }
  })
