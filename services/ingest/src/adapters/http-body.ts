// The body of a request in one buffer, decompressed. Nothing larger than the limit is ever held, whatever the headers say, and the
// bytes of all bodies on their way together stay within another.

import { IncomingMessage } from 'node:http'
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

/** Told of a body as the parser finds it, in the turn in which it does. */
interface BodySink {
  chunk(bytes: Buffer): void
  end(): void
  /** The sender left before the end. */
  gone(): void
}

/**
 * A request whose body can be handed over without the events and turns of a stream, which cost more than most bodies. Whoever does not
 * ask for that finds an ordinary stream; one whose body was handed over whole stays silent: it has nothing left to end.
 */
export class BodyRequest extends IncomingMessage {
  #sink: BodySink | undefined
  #isHandedOver = false

  /** To be called in the turn in which the request comes in, before any of its body does. */
  handTo(sink: BodySink): void {
    this.#sink = sink
  }

  /** What the sink was not told yet goes the way of a stream. */
  takeBack(): void {
    this.#sink = undefined
  }

  /** Node's parser gives all parts of a body to this, and null behind them. */
  override push(chunk: Buffer | null, encoding?: BufferEncoding): boolean {
    const sink = this.#sink
    if (sink === undefined) return super.push(chunk, encoding)
    if (chunk !== null) {
      sink.chunk(chunk)
      return true
    }
    this.#sink = undefined
    this.#isHandedOver = true
    sink.end()
    return true
  }

  /** Node's server throws away like this what nobody has read. */
  override resume(): this {
    return this.#isHandedOver ? this : super.resume()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const sink = this.#sink
    this.#sink = undefined
    super._destroy(error, callback)
    sink?.gone()
  }
}

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
  readonly #all = { bytes: 0 }

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
    if (Number(announced) > this.#limits.maxBytes) throw tooLarge(this.#limits, `${announced} bytes`)
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
    return new Promise((resolve, reject) => this.take(request, resolve, reject))
  }

  /** As `read`, with callbacks: a body that is not compressed is there in the turn in which its last byte comes in. */
  take(request: IncomingMessage, whole: (body: Buffer) => void, failed: (error: unknown) => void): void {
    if (!(request instanceof BodyRequest)) throw new TypeError('The server makes other requests than BodyRequest')
    const encoding = request.headers['content-encoding']?.toLowerCase()
    const isPlain = encoding === undefined || encoding === 'identity'
    const received = isPlain ? whole : (body: Buffer) => void this.#inflate(encoding, body).then(whole, failed)
    request.handTo(new Receiving(request, this.#limits, this.#all, received, failed))
  }

  async #inflate(encoding: string, body: Buffer): Promise<Buffer> {
    try {
      const { buffer, engine } = await inflaters[encoding]!(body, { maxOutputLength: this.#limits.maxBytes, info: true })
      if (engine.bytesWritten === body.length) return buffer
      throw badCompression(encoding, `${body.length - engine.bytesWritten} bytes after its end`)
    } catch (error) {
      if (error instanceof AndonError) throw error
      if (codeOf(error) === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(this.#limits, 'more once decompressed')
      throw badCompression(encoding, messageOf(error), error)
    }
  }
}

/** One body on its way. */
class Receiving implements BodySink {
  readonly #request: BodyRequest
  readonly #limits: BodyLimits
  /** Bytes of all bodies on their way. */
  readonly #all: { bytes: number }
  readonly #whole: (body: Buffer) => void
  readonly #failed: (error: unknown) => void
  #first: Buffer | undefined
  #others: Buffer[] | undefined
  #bytes = 0

  constructor(
    request: BodyRequest,
    limits: BodyLimits,
    all: { bytes: number },
    whole: (body: Buffer) => void,
    failed: (error: unknown) => void,
  ) {
    this.#request = request
    this.#limits = limits
    this.#all = all
    this.#whole = whole
    this.#failed = failed
  }

  chunk(bytes: Buffer): void {
    this.#bytes += bytes.length
    this.#all.bytes += bytes.length
    if (this.#bytes > this.#limits.maxBytes) this.#refuse(tooLarge(this.#limits, 'more'))
    else if (this.#all.bytes > this.#limits.maxReceivingBytes) this.#refuse(busy())
    else if (this.#first === undefined) this.#first = bytes
    else (this.#others ??= [this.#first]).push(bytes)
  }

  end(): void {
    this.#all.bytes -= this.#bytes
    if (this.#first === undefined) this.#failed(noBody())
    else this.#whole(this.#others === undefined ? this.#first : Buffer.concat(this.#others, this.#bytes))
  }

  gone(): void {
    this.#all.bytes -= this.#bytes
    this.#failed(new Gone())
  }

  #refuse(error: AndonError): void {
    this.#all.bytes -= this.#bytes
    this.#request.takeBack()
    this.#failed(error)
  }
}

const tooLarge = ({ maxBytes }: BodyLimits, found: string): AndonError =>
  new AndonError(
    'ANDON_INGEST_TOO_LARGE',
    `Body: found ${found}, expected at most ${maxBytes} bytes (INGEST_BODY_MAX_BYTES), compressed or not. Send smaller batches, or upload a file.`,
    { status: 413, fields: { maxBytes } },
  )

const noBody = () => new AndonError('ANDON_INGEST_NO_BODY', 'The body is empty; expected readings', { status: 400 })

const badCompression = (encoding: string, found: string, cause?: unknown) =>
  new AndonError('ANDON_INGEST_BAD_COMPRESSION', `Body: expected one complete ${encoding} stream, found ${found}`, { status: 400, cause })

const busy = () =>
  new AndonError('ANDON_INGEST_BUSY', 'Too many bytes are being received at once (INGEST_IN_FLIGHT_MAX_BYTES)', {
    retriable: true,
    status: 429,
  })
