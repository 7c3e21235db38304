// An order and a camera's ring → one master clip and its manifest. Whole segments that cover the range, copied bit by bit: the same
// segments give the same bytes, so making a clip twice gives the same digest.

import { createHash } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AndonError, canonicalJson, uuid8, type Blobs } from '@andon/kit'
import type { Clip } from '@andon/schemas'
import { runFfmpeg } from './adapters/ffmpeg.ts'
import type { Recorder } from './adapters/recorder.ts'
import { initName, type Segment, type TimeRange } from './segment-index.ts'

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

/** Segments of one recorder start, with the init segment they need. */
const byRun = (segments: readonly Segment[]): { run: string; segments: Segment[] }[] => {
  const runs: { run: string; segments: Segment[] }[] = []
  for (const segment of segments) {
    const last = runs.at(-1)
    if (last?.run === segment.run) last.segments.push(segment)
    else runs.push({ run: segment.run, segments: [segment] })
  }
  return runs
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
    const segments = ring.index.covering(range)
    if (segments.length === 0) {
      throw new AndonError('ANDON_VIDEO_NO_VIDEO', `The ring of ${cameraId} holds nothing of ${isoInterval(range)}`, {
        fields: { cameraId },
      })
    }
    const gaps = ring.index.gaps(range).map(isoInterval)
    await rm(folder, { recursive: true, force: true })
    await mkdir(folder, { recursive: true })
    const runs = byRun(segments)
    const inits: { name: string; sha256: string }[] = []
    for (const [i, { run, segments: part }] of runs.entries()) {
      const init = await readFile(ring.initOf(run))
      inits.push({ name: initName(run), sha256: sha256(init) })
      const bytes = [init]
      for (const segment of part) {
        const content = await readFile(ring.path(segment.name))
        if (sha256(content) !== segment.sha256) {
          throw new AndonError('ANDON_VIDEO_SEGMENT_CHANGED', `Segment ${segment.name} of ${cameraId} is not what was recorded`, {
            fields: { cameraId, segment: segment.name },
          })
        }
        bytes.push(content)
      }
      await writeFile(join(folder, `part-${i}.mp4`), Buffer.concat(bytes))
    }
    await writeFile(join(folder, 'parts.txt'), runs.map((_, i) => `file 'part-${i}.mp4'\n`).join(''))
    const args = copyArgs.split(' ')
    await runFfmpeg({ cwd: folder, args, timeoutMs: 60_000 })
    const clip = await tools.blobs.put(join(folder, 'clip.mp4'))

    const actual = { fromUs: segments[0]!.startUs, toUs: segments.at(-1)!.endUs }
    const manifest = canonicalJson({
      version: 1,
      clipId,
      orderId: order.orderId,
      incidentId: order.incidentId,
      cameraId,
      requested: { ...range, interval: isoInterval(range) },
      actual: { ...actual, interval: isoInterval(actual) },
      gaps,
      clock: { source: 'receive', meaning: 'a segment ends when its last picture was received; gaps collapse in the clip' },
      segments: segments.map((segment) => ({
        name: segment.name,
        fromUs: segment.startUs,
        toUs: segment.endUs,
        bytes: segment.bytes,
        sha256: segment.sha256,
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
