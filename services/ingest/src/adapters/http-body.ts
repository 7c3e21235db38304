// The body of a request in one buffer, decompressed. Nothing larger than the limit is ever held, whatever the headers say, and the
// bytes of all bodies on their way together stay within another.

import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { brotliDecompress, constants, gunzip, inflate, zstdDecompress } from 'node:zlib'
import { AndonError, codeOf, messageOf } from '@andon/kit'

export interface BodyLimits {
  /** As sent, and decompressed. */
  readonly maxBytes: number
  /** Of all bodies that are being received. */
  readonly maxReceivingBytes: number
}

/** The sender went away: there is nobody to answer. */
export class Gone extends Error {}

type Inflate = (
  body: Buffer,
  options: { maxOutputLength: number; info: true },
) => Promise<{ buffer: Buffer; engine: { bytesWritten: number } }>

const inflaters: Readonly<Record<string, Inflate>> = {
  gzip: promisify(gunzip) as unknown as Inflate,
  'x-gzip': promisify(gunzip) as unknown as Inflate,
  deflate: promisify(inflate) as unknown as Inflate,
  br: promisify(brotliDecompress) as unknown as Inflate,
  // 8 MiB of window: what RFC 8878 asks of a decoder, and all that a sender can make us allocate.
  zstd: (body, options) => inflateZstd(body, { ...options, params: { [constants.ZSTD_d_windowLogMax]: 23 } }),
}
const inflateZstd = promisify(zstdDecompress) as unknown as (body: Buffer, options: object) => ReturnType<Inflate>

export class Bodies {
  readonly #limits: BodyLimits
  #receivingBytes = 0

  constructor(limits: BodyLimits) {
    this.#limits = limits
  }

  /** Throws what is already known to be wrong with the body by its headers. */
  check({ headers }: IncomingMessage): void {
    const { 'content-length': announced, 'transfer-encoding': transfer, 'content-encoding': encoding } = headers
    if (announced === undefined && transfer === undefined) {
      throw new AndonError(
        'ANDON_INGEST_LENGTH_REQUIRED',
        'Found neither Content-Length nor Transfer-Encoding: chunked; expected one of them',
        {
          status: 411,
        },
      )
    }
    if (transfer !== undefined && transfer.toLowerCase() !== 'chunked') {
      throw new AndonError('ANDON_INGEST_BAD_REQUEST', `Transfer-Encoding: found ${transfer}, expected chunked, or Content-Length`, {
        status: 400,
      })
    }
    if (Number(announced) > this.#limits.maxBytes) throw this.#tooLarge(`${announced} bytes`)
    if (encoding !== undefined && encoding !== 'identity' && !Object.hasOwn(inflaters, encoding.toLowerCase())) {
      throw new AndonError(
        'ANDON_INGEST_BAD_CONTENT_ENCODING',
        `Content-Encoding: found ${encoding}, expected one of gzip, zstd, deflate, br, or none`,
        { status: 415 },
      )
    }
  }

  /** The body, decompressed. Rejects with Gone when the sender left before its end. Call `check` first. */
  read(request: IncomingMessage): Promise<Buffer> {
    const encoding = request.headers['content-encoding']?.toLowerCase()
    const body = this.#receive(request)
    return encoding === undefined || encoding === 'identity' ? body : body.then((bytes) => this.#inflate(encoding, bytes))
  }

  #receive(request: IncomingMessage): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = []
      let bytes = 0
      let isSettled = false
      const settle = (error?: Error) => {
        if (isSettled) return
        isSettled = true
        this.#receivingBytes -= bytes
        if (error !== undefined) reject(error)
        else if (bytes === 0) reject(noBody())
        else resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes))
      }
      request.on('data', (chunk: Buffer) => {
        if (isSettled) return
        bytes += chunk.length
        this.#receivingBytes += chunk.length
        if (bytes > this.#limits.maxBytes) settle(this.#tooLarge('more'))
        else if (this.#receivingBytes > this.#limits.maxReceivingBytes) settle(busy())
        else chunks.push(chunk)
      })
      const left = () => void (isSettled || settle(new Gone())) // an error is costly to make
      request.on('end', () => settle())
      request.on('close', left)
    })
  }

  async #inflate(encoding: string, body: Buffer): Promise<Buffer> {
    try {
      const { buffer, engine } = await inflaters[encoding]!(body, { maxOutputLength: this.#limits.maxBytes, info: true })
      if (engine.bytesWritten === body.length) return buffer
      throw badCompression(encoding, `${body.length - engine.bytesWritten} bytes after its end`)
    } catch (error) {
      if (error instanceof AndonError) throw error
      if (codeOf(error) === 'ERR_BUFFER_TOO_LARGE') throw this.#tooLarge('more once decompressed')
      throw badCompression(encoding, messageOf(error), error)
    }
  }

  #tooLarge(found: string): AndonError {
    const { maxBytes } = this.#limits
    return new AndonError(
      'ANDON_INGEST_TOO_LARGE',
      `Body: found ${found}, expected at most ${maxBytes} bytes (INGEST_BODY_MAX_BYTES), compressed or not. Send smaller batches, or upload a file.`,
      { status: 413, fields: { maxBytes } },
    )
  }
}

const noBody = () => new AndonError('ANDON_INGEST_NO_BODY', 'The body is empty; expected readings', { status: 400 })

const badCompression = (encoding: string, found: string, cause?: unknown) =>
  new AndonError('ANDON_INGEST_BAD_COMPRESSION', `Body: expected one complete ${encoding} stream, found ${found}`, { status: 400, cause })

const busy = () =>
  new AndonError('ANDON_INGEST_BUSY', 'Too many bytes are being received at once (INGEST_IN_FLIGHT_MAX_BYTES)', {
    retriable: true,
    status: 429,
  })
