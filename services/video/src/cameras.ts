// The cameras of the plant file that this instance records: recorders follow the file as it changes.

import { join } from 'node:path'
import type { Logger } from '@andon/kit'
import type { Camera } from '@andon/schemas'
import { startRecorder, type Recorder } from './adapters/recorder.ts'
import type { FrameReading } from './frame-channels.ts'
import type { RecordedCamera } from './http-door.ts'
import type { Segment } from './segment-index.ts'

export interface CamerasOptions {
  /** Camera ids, or ['*'] for all. */
  readonly wanted: readonly string[]
  readonly folder: string
  readonly ringUs: number
  readonly stallMs: number
  readonly logger: Logger
  readonly onFrame: (cameraId: string, reading: FrameReading) => void
  readonly onSegment: (cameraId: string, segment: Segment) => void
  readonly onLost: (cameraId: string) => void
}

export interface Cameras {
  /** Records these cameras from now on: new ones start, a changed address starts anew, others stop. */
  use(cameras: readonly Camera[]): Promise<void>
  list(): readonly RecordedCamera[]
  recorder(cameraId: string): Recorder | undefined
  stop(): Promise<void>
}

export const openCameras = (options: CamerasOptions): Cameras => {
  const { wanted, folder, ringUs, stallMs, logger, onFrame, onSegment, onLost } = options
  const recorded = new Map<string, RecordedCamera>()

  const start = async (camera: Camera): Promise<void> => {
    const recorder = await startRecorder({
      cameraId: camera.id,
      url: camera.url,
      folder: join(folder, camera.id),
      ringUs,
      stallMs,
      logger,
      onFrame: (reading) => onFrame(camera.id, reading),
      onSegment: (segment) => onSegment(camera.id, segment),
      onLost: () => onLost(camera.id),
    })
    recorded.set(camera.id, { camera, recorder })
    logger.info({ cameraId: camera.id, segments: recorder.index.all().length }, 'camera is recorded')
  }

  const use = async (cameras: readonly Camera[]): Promise<void> => {
    const next = new Map(cameras.filter(({ id }) => wanted.includes('*') || wanted.includes(id)).map((camera) => [camera.id, camera]))
    for (const [id, { camera, recorder }] of recorded) {
      if (next.get(id)?.url === camera.url) continue
      await recorder.stop()
      recorded.delete(id)
    }
    for (const camera of next.values()) {
      const running = recorded.get(camera.id)
      if (running) recorded.set(camera.id, { ...running, camera })
      else await start(camera)
    }
  }

  // One change at a time: two plant files in quick succession do not start a camera twice.
  let last: Promise<void> = Promise.resolve()
  return {
    use: (cameras) => (last = last.catch(() => {}).then(() => use(cameras))),
    list: () => [...recorded.values()],
    recorder: (cameraId) => recorded.get(cameraId)?.recorder,
    async stop() {
      await last.catch(() => {})
      await Promise.all([...recorded.values()].map(({ recorder }) => recorder.stop()))
      recorded.clear()
    },
  }
}
