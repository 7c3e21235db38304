// Bodies of the HTTP door: read whole into one buffer and decompressed, never more than the limit whatever the headers say; answers are
// compressed for callers who ask for one coding.

import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { deflate, gunzip, gzip, inflate } from 'node:zlib'
import { codeOf, messageOf } from '@andon/kit'
import { badEncoding, bodyTooLarge, invalidRequest } from '../errors.ts'

/** The caller went away: there is nobody to answer. */
export class Gone extends Error {}

const inflaters = { gzip: promisify(gunzip), 'x-gzip': promisify(gunzip), deflate: promisify(inflate) } as const
const deflaters = { gzip: promisify(gzip), deflate: promisify(deflate) } as const

export type Coding = keyof typeof deflaters

/** The body, decompressed. Rejects with Gone when the caller left before its end. */
export const readBody = (request: IncomingMessage, maxBytes: number): Promise<Buffer> => {
  const { 'content-encoding': encoding = 'identity', 'content-length': announced } = request.headers
  if (encoding !== 'identity' && !Object.hasOwn(inflaters, encoding)) return Promise.reject(badEncoding(encoding))
  if (Number(announced) > maxBytes) return Promise.reject(bodyTooLarge(`${announced} bytes`, maxBytes))
  const body = receive(request, maxBytes)
  return encoding === 'identity' ? body : body.then((bytes) => decompress(bytes, encoding as keyof typeof inflaters, maxBytes))
}

const receive = (request: IncomingMessage, maxBytes: number): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= maxBytes) chunks.push(chunk)
      else {
        chunks.length = 0
        reject(bodyTooLarge('more', maxBytes))
      }
    })
    request.on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes <= maxBytes ? bytes : 0)))
    request.on('close', () => request.complete || reject(new Gone()))
    request.on('error', () => reject(new Gone()))
  })

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
