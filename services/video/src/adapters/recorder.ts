// One camera → its ring. Keeps one ffmpeg pulling the stream into fMP4 segments (stream copy, nothing is re-encoded) and small grey
// key frames, and starts it again after any end: ffmpeg's exit code says nothing about whether the camera was lost.
// A kill -9 of ffmpeg or of this process costs the open segment (2 s) and leaves a gap that is listed.

import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { createHash } from 'node:crypto'
import { watch, type FSWatcher } from 'node:fs'
import { mkdir, readFile, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { Logger } from '@andon/kit'
import { frameChannels, frameCutter, frameSize, type FrameReading } from '../frame-channels.ts'
import { readFragment, readInit, type TrackClock } from '../mp4-fragment.ts'
import { recordedGops } from '../recorded-gops.ts'
import { createSegmentIndex, initName, type Segment, type SegmentIndex } from '../segment-index.ts'

export interface RecorderOptions {
  readonly cameraId: string
  readonly url: string
  /** Folder of this camera's ring; its segments are found again after a restart. */
  readonly folder: string
  readonly ringUs: number
  readonly logger: Logger
  readonly onSegment?: (segment: Segment) => void
  readonly onFrame?: (reading: FrameReading, atUs: number) => void
  readonly onLost?: (why: string) => void
  /** No new segment for this long: the stream stands still, start again. Default 8 s. */
  readonly stallMs?: number
  readonly nowUs?: () => number
}

export interface Recorder {
  readonly index: SegmentIndex
  readonly state: 'connecting' | 'recording' | 'stopped'
  readonly lastFrame: (FrameReading & { readonly atUs: number }) | undefined
  /** Losses since the start of this process. */
  readonly losses: number
  /** Process id of the running ffmpeg. */
  readonly pid: number | undefined
  path(name: string): string
  initOf(run: string): string
  stop(): Promise<void>
}

const segmentS = 2
const retryMs = { first: 500, most: 10_000 }
const segmentName = /^(r\d{13})-\d{6}\.m4s$/

const inputOptions = (url: string): string[] => {
  const transport = url.startsWith('rtsp:') ? ['-rtsp_transport', 'tcp', '-timeout', '5000000'] : ['-rw_timeout', '5000000']
  return [
    ...transport,
    '-protocol_whitelist',
    'http,https,tcp,tls,rtsp,rtp,udp,crypto',
    '-analyzeduration',
    '2000000',
    '-skip_frame',
    'nokey',
    '-i',
    url,
  ]
}

const outputOptions = (run: string): string[] => [
  ...`-map 0:v:0 -c copy -f hls -hls_time ${segmentS} -hls_list_size 5 -hls_segment_type fmp4 -hls_fmp4_init_filename ${initName(run)}`.split(
    ' ',
  ),
  ...`-hls_segment_filename ${run}-%06d.m4s -hls_flags temp_file+independent_segments+program_date_time ${run}.m3u8`.split(' '),
  // Also what ends an orphan: when this process dies, writing here fails and ffmpeg stops.
  ...`-map 0:v:0 -vf scale=${frameSize.width}:${frameSize.height}:flags=area,format=gray -vsync passthrough -f rawvideo pipe:1`.split(' '),
]

/** Reads what the folder holds, starts recording, and goes on until stopped. */
export const startRecorder = async (options: RecorderOptions): Promise<Recorder> => {
  const { cameraId, url, folder, ringUs, logger, stallMs = 8000 } = options
  const nowUs = options.nowUs ?? (() => Date.now() * 1000)
  const index = createSegmentIndex()
  const clocks = new Map<string, TrackClock>()
  const frames = frameChannels()
  let state: Recorder['state'] = 'connecting'
  let lastFrame: Recorder['lastFrame']
  let losses = 0
  let child: ChildProcessByStdio<null, Readable, Readable> | undefined
  let restart: NodeJS.Timeout | undefined
  let retryInMs = retryMs.first
  let lastProgressMs = Date.now()
  let collecting: Promise<void> | undefined
  let again = false

  await mkdir(folder, { recursive: true })

  const clockOf = async (run: string): Promise<TrackClock | undefined> => {
    const known = clocks.get(run)
    if (known) return known
    const read = readInit(await readFile(join(folder, initName(run))).catch(() => Buffer.alloc(0)))
    if (read) clocks.set(run, read)
    return read
  }

  /** Takes closed segments into the index, in order. A name ending in .m4s is complete: ffmpeg renames it when it is. */
  const collectNew = async (): Promise<void> => {
    const known = new Set(index.all().map((segment) => segment.name))
    const found = (await readdir(folder)).filter((name) => segmentName.test(name) && !known.has(name)).toSorted()
    for (const name of found) {
      const run = segmentName.exec(name)![1]!
      const file = join(folder, name)
      const [clock, bytes, { mtimeMs }] = await Promise.all([clockOf(run), readFile(file), stat(file)])
      const time = clock && readFragment(bytes, clock)
      // ffmpeg may close a first segment before its init segment: it is looked at again.
      if (!clock && run === current) break
      if (!clock || !time) {
        logger.warn({ cameraId, segment: name }, 'segment cannot be read and is left out')
        await rm(file, { force: true })
        continue
      }
      const segment = index.add({
        name,
        run,
        endUs: Math.round(mtimeMs * 1000),
        durationUs: Math.round(time.durationS * 1e6),
        bytes: bytes.length,
        sha256: createHash('sha256').update(bytes).digest('hex'),
        gops: recordedGops(bytes, time, clock),
      })
      lastProgressMs = Date.now()
      retryInMs = retryMs.first
      if (state === 'connecting' && child) state = 'recording'
      options.onSegment?.(segment)
    }
    await evict()
  }

  const evict = async (): Promise<void> => {
    for (const segment of index.evict(nowUs() - ringUs)) await rm(join(folder, segment.name), { force: true })
    const runs = new Set(index.all().map((segment) => segment.run))
    for (const name of await readdir(folder)) {
      const run = /^(r\d{13})[-.]/.exec(name)?.[1]
      if (run === undefined || runs.has(run) || run === current) continue
      if (!segmentName.test(name)) await rm(join(folder, name), { force: true })
    }
  }

  const collect = (): Promise<void> => {
    if (collecting) {
      again = true
      return collecting
    }
    collecting = (async () => {
      do {
        again = false
        await collectNew()
      } while (again)
    })()
      .catch((error: unknown) => logger.error({ err: error, cameraId }, 'the ring cannot be read'))
      .finally(() => (collecting = undefined))
    return collecting
  }

  let current = ''
  const start = (): void => {
    if (state === 'stopped') return
    current = `r${String(Date.now()).padStart(13, '0')}`
    lastProgressMs = Date.now()
    frames.reset()
    const ffmpeg = spawn(
      'ffmpeg',
      ['-hide_banner', '-loglevel', 'error', '-nostats', '-nostdin', ...inputOptions(url), ...outputOptions(current)],
      {
        cwd: folder,
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    child = ffmpeg
    let said = ''
    ffmpeg.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-1000)))
    ffmpeg.stdout.on(
      'data',
      frameCutter((frame) => {
        const atUs = nowUs()
        const reading = frames.next(frame, atUs)
        if (!reading) return
        lastFrame = { ...reading, atUs }
        options.onFrame?.(reading, atUs)
      }),
    )
    const ended = (why: string) => {
      if (child !== ffmpeg) return
      child = undefined
      if (state === 'stopped') return
      losses++
      state = 'connecting'
      logger.warn({ cameraId, why, retryInMs }, 'camera lost, connecting again')
      options.onLost?.(why)
      restart = setTimeout(start, retryInMs)
      retryInMs = Math.min(retryMs.most, retryInMs * 2)
    }
    ffmpeg.on('error', (error) => ended(error.message))
    ffmpeg.on('close', (code, signal) =>
      ended(signal ? `ffmpeg was ended by ${signal}` : said.trim().split('\n').at(-1) || `ffmpeg ended (${code})`),
    )
  }

  await collect()
  let watcher: FSWatcher | undefined
  try {
    watcher = watch(folder, (_event, name) => {
      if (name?.endsWith('.m4s')) void collect()
    })
    watcher.on('error', () => watcher?.close())
  } catch {
    // Without a watch the timer below finds segments a second later.
  }
  const timer = setInterval(() => {
    void collect()
    if (child && Date.now() - lastProgressMs > stallMs) {
      logger.warn({ cameraId, stallMs }, 'no new segment, ending the stalled recorder')
      lastProgressMs = Date.now()
      child.kill('SIGKILL')
    }
  }, 1000)
  start()

  return {
    index,
    get state() {
      return state
    },
    get lastFrame() {
      return lastFrame
    },
    get losses() {
      return losses
    },
    get pid() {
      return child?.pid
    },
    path: (name) => join(folder, name),
    initOf: (run) => join(folder, initName(run)),
    async stop() {
      state = 'stopped'
      clearInterval(timer)
      clearTimeout(restart)
      watcher?.close()
      const running = child
      if (running) {
        // SIGTERM lets it close the open segment.
        const closed = new Promise<void>((resolve) => running.once('close', () => resolve()))
        running.kill('SIGTERM')
        const force = setTimeout(() => running.kill('SIGKILL'), 2000)
        await closed
        clearTimeout(force)
      }
      await collect()
    },
  }
}
