// An order and a camera's ring → one master clip and its manifest. Whole GOPs that cover the range, copied bit by bit: the same
// segments give the same bytes, so making a clip twice gives the same digest.

import { createHash } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AndonError, canonicalJson, uuid8, type Blobs } from '@andon/kit'
import type { Clip } from '@andon/schemas'
import { runFfmpeg } from './adapters/ffmpeg.ts'
import type { Recorder } from './adapters/recorder.ts'
import { cutFragment, gopsOf, readFragment, readInit, type TrackClock } from './mp4-fragment.ts'
import { initName, partIn, type SegmentPart, type TimeRange } from './segment-index.ts'

export interface ClipOrder {
  readonly orderId: string
  readonly incidentId: string | null
  readonly cameraId: string
  readonly range: TimeRange
}

export interface ClipTools {
  readonly blobs: Blobs
  /** Scratch folder; emptied after each clip. */
  readonly workDir: string
  readonly ffmpegVersion: string
}

export const clipIdOf = (orderId: string, cameraId: string): string => uuid8('clip', orderId, cameraId)

const isoTime = (us: number): string => new Date(us / 1000).toISOString()
/** ISO 8601 interval, as the log and the manifest name gaps. */
export const isoInterval = ({ fromUs, toUs }: TimeRange): string => `${isoTime(fromUs)}/${isoTime(toUs)}`

const copyArgs =
  '-v error -f concat -i parts.txt -map 0:v:0 -c copy -map_metadata -1 -fflags +bitexact -flags:v +bitexact -movflags +faststart -y clip.mp4'

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Parts of one recorder start, with the init segment they need. */
const byRun = (parts: readonly SegmentPart[]): { run: string; parts: SegmentPart[] }[] => {
  const runs: { run: string; parts: SegmentPart[] }[] = []
  for (const part of parts) {
    const last = runs.at(-1)
    if (last?.run === part.segment.run) last.parts.push(part)
    else runs.push({ run: part.segment.run, parts: [part] })
  }
  return runs
}

/** The wanted GOPs of a segment's bytes, every packet as it was recorded. */
const cut = (content: Buffer, { segment, fromGop, toGop }: SegmentPart, clock: TrackClock): Buffer => {
  if (fromGop === 0 && toGop === segment.gops.length) return content
  const fragment = readFragment(content, clock)!
  const gops = gopsOf(fragment, clock)
  return cutFragment(content, fragment, clock, gops[fromGop]!.from, gops[toGop - 1]!.to)
}

/**
 * Stores clip and manifest in the blob store and returns what the log says about them. Rejects with ANDON_VIDEO_NO_VIDEO when the
 * ring holds nothing of the range, and with ANDON_VIDEO_SEGMENT_CHANGED when a segment is no longer what was recorded.
 */
export const makeClip = async (order: ClipOrder, ring: Pick<Recorder, 'index' | 'path' | 'initOf'>, tools: ClipTools): Promise<Clip> => {
  const { range, cameraId } = order
  const held = ring.index.hold(range)
  const clipId = clipIdOf(order.orderId, cameraId)
  const folder = join(tools.workDir, clipId)
  try {
    const parts = ring.index.covering(range).flatMap((segment) => partIn(segment, range) ?? [])
    if (parts.length === 0) {
      throw new AndonError('ANDON_VIDEO_NO_VIDEO', `The ring of ${cameraId} holds nothing of ${isoInterval(range)}`, {
        fields: { cameraId },
      })
    }
    const gaps = ring.index.gaps(range).map(isoInterval)
    await rm(folder, { recursive: true, force: true })
    await mkdir(folder, { recursive: true })
    const runs = byRun(parts)
    const inits: { name: string; sha256: string }[] = []
    for (const [i, { run, parts: ofRun }] of runs.entries()) {
      const init = await readFile(ring.initOf(run))
      inits.push({ name: initName(run), sha256: sha256(init) })
      const clock = readInit(init)
      if (!clock) throw new AndonError('ANDON_VIDEO_SEGMENT_CHANGED', `${initName(run)} of ${cameraId} is not what was recorded`)
      const bytes: Uint8Array[] = [init]
      for (const part of ofRun) {
        const { segment } = part
        const content = await readFile(ring.path(segment.name))
        if (sha256(content) !== segment.sha256) {
          throw new AndonError('ANDON_VIDEO_SEGMENT_CHANGED', `Segment ${segment.name} of ${cameraId} is not what was recorded`, {
            fields: { cameraId, segment: segment.name },
          })
        }
        bytes.push(cut(content, part, clock))
      }
      await writeFile(join(folder, `part-${i}.mp4`), Buffer.concat(bytes))
    }
    await writeFile(join(folder, 'parts.txt'), runs.map((_, i) => `file 'part-${i}.mp4'\n`).join(''))
    const args = copyArgs.split(' ')
    await runFfmpeg({ cwd: folder, args, timeoutMs: 60_000 })
    const clip = await tools.blobs.put(join(folder, 'clip.mp4'))

    const actual = { fromUs: parts[0]!.fromUs, toUs: parts.at(-1)!.toUs }
    const manifest = canonicalJson({
      version: 2,
      clipId,
      orderId: order.orderId,
      incidentId: order.incidentId,
      cameraId,
      requested: { ...range, interval: isoInterval(range) },
      actual: { ...actual, interval: isoInterval(actual) },
      gaps,
      clock: { source: 'receive', meaning: 'a segment ends when its last picture was received; gaps collapse in the clip' },
      segments: parts.map(({ segment, fromGop, toGop }) => ({
        name: segment.name,
        fromUs: segment.startUs,
        toUs: segment.endUs,
        bytes: segment.bytes,
        sha256: segment.sha256,
        gops: segment.gops,
        fromGop,
        toGop,
      })),
      inits,
      tool: { name: 'ffmpeg', version: tools.ffmpegVersion, argv: args },
      clip: { sha256: clip.sha256, bytes: clip.bytes, container: 'mp4', transform: 'stream copy' },
    })
    const stored = await tools.blobs.put(Buffer.from(manifest))
    return {
      clipId,
      cameraId,
      ...actual,
      uri: clip.uri,
      sha256: clip.sha256,
      bytes: clip.bytes,
      manifestSha256: stored.sha256,
      gaps,
    }
  } finally {
    held.release()
    await rm(folder, { recursive: true, force: true })
  }
}
