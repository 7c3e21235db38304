// Simulated cameras: MPEG-TS over HTTP, one encoder per camera, any number of viewers. A viewer joins at a key frame; one that
// does not keep up is cut off. A camera can be frozen (it repeats its last picture, its clock of frames goes on) and shows a line at rest.

import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { createServer, type ServerResponse } from 'node:http'
import type { Readable, Writable } from 'node:stream'
import { listen } from '@andon/kit'
import { cameraOutput, picture, sceneInput, type SceneName } from './scenes.ts'
import { tsSplitter } from './ts-splitter.ts'

export interface CameraOptions {
  readonly id: string
  readonly scene: SceneName
}

export interface CamerasOptions {
  readonly host: string
  readonly port: number
  readonly cameras: readonly CameraOptions[]
  readonly onTrouble?: (camera: string, message: string) => void
}

export interface Cameras {
  readonly port: number
  freeze(camera: string | undefined, on: boolean): void
  /** Shows the press running or at rest on all cameras that are not frozen. */
  show(running: boolean): void
  state(): { id: string; frozen: boolean; viewers: number; encoder: 'running' | 'starting' }[]
  stop(): Promise<void>
}

/** A viewer that lags by this much is cut off: a camera does not buffer for anybody. */
const maxLagBytes = 2 * 1024 * 1024
type Encoder = ChildProcessByStdio<Writable, Readable, Readable>

const quiet = ['-hide_banner', '-loglevel', 'error', '-nostats']

class Camera {
  readonly id: string
  frozen = false
  readonly viewers = new Set<{ response: ServerResponse; joined: boolean }>()
  readonly #scene: SceneName
  readonly #startMs = Date.now()
  readonly #onTrouble: (message: string) => void
  /** The encoder whose pictures are shown. */
  #live: Encoder | undefined
  /** Started, not shown before its first key frame. */
  #next: Encoder | undefined
  #running = true
  #stopped = false
  #lastGop: Buffer[] = []
  #restart: NodeJS.Timeout | undefined

  constructor({ id, scene }: CameraOptions, onTrouble: (message: string) => void) {
    this.id = id
    this.#scene = scene
    this.#onTrouble = onTrouble
    this.#switchTo(sceneInput(scene, true))
  }

  get encoder(): 'running' | 'starting' {
    return this.#live ? 'running' : 'starting'
  }

  show(running: boolean): void {
    if (running === this.#running) return
    this.#running = running
    if (!this.frozen) this.#switchTo(sceneInput(this.#scene, running))
  }

  freeze(on: boolean): void {
    if (on === this.frozen || this.#stopped) return
    this.frozen = on
    // A frozen camera goes on encoding, from the last key frame it had.
    if (on) this.#switchTo(['-i', 'pipe:0', '-map', '0:v', '-vf', `loop=-1:1:0,fps=${picture.framesPerS},realtime`], this.#lastGop)
    else this.#switchTo(sceneInput(this.#scene, this.#running))
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#restart)
    for (const viewer of this.viewers) viewer.response.destroy()
    await Promise.all([this.#live, this.#next].map((encoder) => (encoder ? this.#end(encoder) : Promise.resolve())))
  }

  #end(encoder: Encoder): Promise<void> {
    if (encoder.exitCode !== null || encoder.signalCode !== null) return Promise.resolve()
    return new Promise((resolve) => {
      encoder.once('exit', () => resolve())
      encoder.kill('SIGKILL')
    })
  }

  #switchTo(input: string[], stdin: readonly Buffer[] = []): void {
    if (this.#stopped) return
    clearTimeout(this.#restart)
    if (this.#next) void this.#end(this.#next)
    const fromFilter = input[0] === '-filter_complex' ? ['-map', '[out]'] : []
    const offsetS = (Date.now() - this.#startMs) / 1000
    const encoder = spawn('ffmpeg', [...quiet, ...input, ...fromFilter, ...cameraOutput(offsetS)], { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#next = encoder
    const split = tsSplitter()
    let errors = ''
    encoder.stdin.on('error', () => {})
    encoder.stdin.end(Buffer.concat(stdin))
    encoder.stderr.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-500)))
    encoder.stdout.on('data', (chunk: Buffer) => {
      for (const piece of split(chunk)) {
        if (encoder === this.#next && piece.joinable) {
          if (this.#live) void this.#end(this.#live)
          this.#live = encoder
          this.#next = undefined
        }
        if (encoder === this.#live) this.#send(piece.bytes, piece.joinable)
      }
    })
    encoder.on('error', (error) => this.#lost(encoder, error.message))
    encoder.on('exit', () => this.#lost(encoder, errors.trim() || 'encoder ended'))
  }

  #lost(encoder: Encoder, why: string): void {
    if (encoder !== this.#live && encoder !== this.#next) return
    if (encoder === this.#live) this.#live = undefined
    if (encoder === this.#next) this.#next = undefined
    if (this.#stopped || this.#live || this.#next) return
    this.#onTrouble(why)
    this.#restart = setTimeout(() => this.#switchTo(sceneInput(this.#scene, this.#running)), 1000)
  }

  #send(bytes: Buffer, joinable: boolean): void {
    if (joinable) this.#lastGop = []
    this.#lastGop.push(bytes)
    for (const viewer of this.viewers) {
      if (joinable) viewer.joined = true
      if (!viewer.joined) continue
      viewer.response.write(bytes)
      if (viewer.response.writableLength > maxLagBytes) viewer.response.destroy()
    }
  }
}

/** Serves GET /<camera>.ts; 404 for anything else. */
export const startCameras = async ({ host, port, cameras, onTrouble = () => {} }: CamerasOptions): Promise<Cameras> => {
  const byId = new Map<string, Camera>()
  const server = createServer((request, response) => {
    const camera = byId.get(/^\/([a-z0-9-]+)\.ts$/.exec(request.url ?? '')?.[1] ?? '')
    if (!camera || request.method !== 'GET') {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('no such camera\n')
      return
    }
    const viewer = { response, joined: false }
    response.writeHead(200, { 'content-type': 'video/mp2t', 'cache-control': 'no-store' })
    response.flushHeaders()
    response.on('close', () => camera.viewers.delete(viewer))
    camera.viewers.add(viewer)
  })
  const boundPort = await listen(server, { host, port, setting: 'STEEL_PLANT_CAMERA_PORT' })
  for (const options of cameras) byId.set(options.id, new Camera(options, (message) => onTrouble(options.id, message)))

  return {
    port: boundPort,
    freeze(camera, on) {
      if (camera !== undefined && !byId.has(camera)) throw new Error(`No camera ${camera}; there is: ${[...byId.keys()].join(', ')}`)
      for (const one of byId.values()) if (camera === undefined || one.id === camera) one.freeze(on)
    },
    show: (running) => byId.forEach((camera) => camera.show(running)),
    state: () => [...byId.values()].map(({ id, frozen, viewers, encoder }) => ({ id, frozen, viewers: viewers.size, encoder })),
    async stop() {
      await Promise.all([...byId.values()].map((camera) => camera.stop()))
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}
