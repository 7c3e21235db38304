// The door of video: cameras, live pictures, clips and their manifests. Names in paths are looked up, never joined to a folder.

import express, { type Express, type Request, type RequestHandler } from 'express'
import {
  AndonError,
  asyncRoute,
  bearerToken,
  notFoundHandler,
  principalOf,
  problemHandler,
  type Blobs,
  type Logger,
  type Principals,
} from '@andon/kit'
import type { Camera } from '@andon/schemas'
import type { Recorder } from './adapters/recorder.ts'
import type { EvidenceOrders } from './evidence-orders.ts'
import { livePlaylist } from './playlist.ts'

export interface RecordedCamera {
  readonly camera: Camera
  readonly recorder: Recorder
}

export interface DoorDeps {
  readonly cameras: () => readonly RecordedCamera[]
  readonly orders: Pick<EvidenceOrders, 'clips' | 'clip'>
  readonly blobs: () => Blobs
  readonly principals: () => Principals
  readonly logger: Logger
  /** A picture that has not changed for longer counts as frozen, seconds. */
  readonly frozenAfterS: number
}

/** A video element cannot send a header, so the token may also ride in this cookie. */
const cookieName = 'andon_token'
const cookieToken = (request: Request): string | undefined =>
  request.headers.cookie
    ?.split(';')
    .map((part) => part.trim().split('='))
    .find(([name]) => name === cookieName)?.[1]

const isoOf = (us: number | undefined): string | null => (us === undefined ? null : new Date(us / 1000).toISOString())

export const cameraView = ({ camera, recorder }: RecordedCamera, frozenAfterS: number, nowUs = Date.now() * 1000) => {
  const segments = recorder.index.all()
  const ring = { fromUs: segments[0]?.startUs ?? nowUs, toUs: segments.at(-1)?.endUs ?? nowUs }
  const frame = recorder.lastFrame
  const isFrozen = recorder.state === 'recording' && (frame?.freezeS ?? 0) > frozenAfterS
  return {
    id: camera.id,
    name: camera.name,
    line: camera.line,
    sees: camera.sees,
    origin: camera.origin,
    state: recorder.state,
    health: recorder.state !== 'recording' ? 'lost' : isFrozen ? 'frozen' : 'good',
    motion: frame?.motion ?? null,
    freezeS: frame?.freezeS ?? null,
    losses: recorder.losses,
    ring: {
      from: isoOf(segments[0]?.startUs),
      to: isoOf(segments.at(-1)?.endUs),
      segments: segments.length,
      bytes: segments.reduce((sum, segment) => sum + segment.bytes, 0),
      gaps: recorder.index.gaps(ring).map(({ fromUs, toUs }) => ({ from: isoOf(fromUs), to: isoOf(toUs) })),
    },
    clockSource: 'receive',
    live: `/v1/cameras/${camera.id}/live.m3u8`,
  }
}

export const createDoor = (deps: DoorDeps): Express => {
  const app = express()
  app.disable('x-powered-by')
  const authenticated: RequestHandler = (request, response, next) => {
    request.principal = principalOf(deps.principals(), bearerToken(request) ?? cookieToken(request))
    response.setHeader('cache-control', 'no-store')
    response.setHeader('x-content-type-options', 'nosniff')
    next()
  }
  app.use('/v1', authenticated)

  const cameraOf = (id: unknown): RecordedCamera => {
    const found = deps.cameras().find(({ camera }) => camera.id === id)
    if (!found) throw new AndonError('ANDON_VIDEO_NO_CAMERA', `No camera ${String(id)} is recorded here`, { status: 404 })
    return found
  }
  const clipOf = (id: unknown) => {
    const clip = typeof id === 'string' ? deps.orders.clip(id) : undefined
    if (!clip) throw new AndonError('ANDON_VIDEO_NO_CLIP', `No clip ${String(id)} is known`, { status: 404 })
    return clip
  }
  const clipView = (clip: ReturnType<typeof clipOf>) => ({
    ...clip,
    from: isoOf(clip.fromUs),
    to: isoOf(clip.toUs),
    video: `/v1/clips/${clip.clipId}/video`,
    manifest: `/v1/clips/${clip.clipId}/manifest`,
  })

  app.get('/v1/cameras', (_request, response) => {
    response.json({ cameras: deps.cameras().map((camera) => cameraView(camera, deps.frozenAfterS)) })
  })
  app.get('/v1/cameras/:id', (request, response) => {
    response.json(cameraView(cameraOf(request.params.id), deps.frozenAfterS))
  })
  app.get('/v1/cameras/:id/live.m3u8', (request, response) => {
    const { recorder } = cameraOf(request.params.id)
    const segments = recorder.index.all()
    if (segments.length === 0)
      throw new AndonError('ANDON_VIDEO_NO_VIDEO', 'Nothing is recorded yet; try again in a few seconds', { status: 404 })
    response.type('application/vnd.apple.mpegurl').send(livePlaylist(segments, 'segments/'))
  })
  app.get('/v1/cameras/:id/segments/:name', (request, response, next) => {
    const { recorder } = cameraOf(request.params.id)
    const { name } = request.params
    const segment = recorder.index.find(name)
    const init = segment ? undefined : recorder.index.all().find((each) => recorder.initOf(each.run) === recorder.path(name))
    if (!segment && !init) throw new AndonError('ANDON_VIDEO_NO_SEGMENT', `The ring does not hold ${name}`, { status: 404 })
    response.type('video/mp4').sendFile(recorder.path(name), { dotfiles: 'allow', cacheControl: false }, (error) => error && next(error))
  })

  app.get('/v1/clips', (_request, response) => {
    response.json({ clips: deps.orders.clips().map(clipView) })
  })
  app.get('/v1/clips/:id', (request, response) => {
    response.json(clipView(clipOf(request.params.id)))
  })
  // Each stored file is hashed once per process before anybody sees it: a changed one is refused, not shown.
  const verified = new Set<string>()
  const verify = async (uri: string): Promise<void> => {
    if (verified.has(uri)) return
    await deps.blobs().get(uri)
    verified.add(uri)
  }
  app.get(
    '/v1/clips/:id/video',
    asyncRoute(async (request, response) => {
      const { uri, sha256, clipId } = clipOf(request.params['id'])
      await verify(uri)
      response.setHeader('etag', `"${sha256}"`)
      response.setHeader('content-disposition', `inline; filename="${clipId}.mp4"`)
      await new Promise<void>((resolve, reject) => {
        response
          .type('video/mp4')
          .sendFile(deps.blobs().path(uri), { dotfiles: 'allow', cacheControl: false, lastModified: false }, (error) => {
            // A viewer that hangs up in the middle of a range is the ordinary case.
            if (error && !response.headersSent) reject(error)
            else resolve()
          })
      })
    }),
  )
  app.get(
    '/v1/clips/:id/manifest',
    asyncRoute(async (request, response) => {
      const { manifestSha256 } = clipOf(request.params['id'])
      // Sent byte for byte: its digest is on the log.
      response.type('application/json').send(await deps.blobs().get(`sha256:${manifestSha256}`))
    }),
  )

  app.use(notFoundHandler)
  app.use(problemHandler(deps.logger))
  return app
}
