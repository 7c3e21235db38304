// Bodies of the HTTP door: read whole into one buffer and decompressed, never more than the limit whatever the headers say; answers are
// compressed for callers who ask for one coding.

import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { deflate, gunzip, gzip, inflate } from 'node:zlib'
import { codeOf, messageOf } from '@andon/kit'
import { badEncoding, bodyTooLarge, doorBusy, invalidRequest } from '../errors.ts'

/** The caller went away: there is nobody to answer. */
export class Gone extends Error {}

const inflaters = { gzip: promisify(gunzip), 'x-gzip': promisify(gunzip), deflate: promisify(inflate) } as const
const deflaters = { gzip: promisify(gzip), deflate: promisify(deflate) } as const

export type Coding = keyof typeof deflaters

/** Bodies that may be on their way together, in the largest ones that are taken. */
const mostTogether = 4

export class Bodies {
  readonly #maxBytes: number
  #receivingBytes = 0

  /** `maxBytes`: of one body, as sent and decompressed. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** The body, decompressed. Rejects with Gone when the caller left before its end. */
  async read(request: IncomingMessage): Promise<Buffer> {
    const { 'content-encoding': encoding = 'identity', 'content-length': announced } = request.headers
    if (encoding !== 'identity' && !isKnown(encoding)) throw badEncoding(encoding)
    if (Number(announced) > this.#maxBytes) throw bodyTooLarge(`${announced} bytes`, this.#maxBytes)
    const body = await this.#receive(request)
    return encoding === 'identity' ? body : decompress(body, encoding, this.#maxBytes)
  }

  #receive(request: IncomingMessage): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      let chunks: Buffer[] = []
      let bytes = 0
      let isSettled = false
      const settle = (error?: Error): void => {
        if (isSettled) return
        isSettled = true
        this.#receivingBytes -= bytes
        if (error === undefined) resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes))
        else reject(error)
        chunks = []
      }
      request.on('data', (chunk: Buffer) => {
        if (isSettled) return
        bytes += chunk.length
        this.#receivingBytes += chunk.length
        chunks.push(chunk)
        if (bytes > this.#maxBytes) settle(bodyTooLarge('more', this.#maxBytes))
        else if (this.#receivingBytes > mostTogether * this.#maxBytes) settle(doorBusy(mostTogether * this.#maxBytes))
      })
      request.on('end', () => settle())
      request.on('close', () => void (isSettled || settle(new Gone()))) // an error is costly to make
      request.on('error', () => settle(new Gone()))
    })
  }
}

const isKnown = (encoding: string): encoding is keyof typeof inflaters => Object.hasOwn(inflaters, encoding)

const decompress = async (body: Buffer, encoding: keyof typeof inflaters, maxBytes: number): Promise<Buffer> => {
  try {
    return await inflaters[encoding](body, { maxOutputLength: maxBytes })
  } catch (error) {
    if (codeOf(error) === 'ERR_BUFFER_TOO_LARGE') throw bodyTooLarge('more once decompressed', maxBytes)
    throw invalidRequest(`Body: expected one complete ${encoding} stream, got ${messageOf(error)}`)
  }
}

/** Below this a compressed answer is hardly smaller. */
const worthwhileBytes = 256

/**
 * The coding a caller asks for. A library that lists all it can read asks for none: over a plant's network compressing costs more than
 * it saves.
 */
export const codingAsked = ({ headers }: IncomingMessage): Coding | undefined => {
  const asked = headers['accept-encoding']
  return asked === 'gzip' || asked === 'deflate' ? asked : undefined
}

/** The answer in that coding, or undefined where it is too small to gain by it. */
export const compressed = (coding: Coding, body: Buffer): Promise<Buffer> | undefined =>
  body.length < worthwhileBytes ? undefined : deflaters[coding](body, { level: 1 })
