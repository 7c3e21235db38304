// tus door: resumable uploads (tus 1.0) below /v1/files on the port of the HTTP door. The answer to the last bytes is given when the whole file
// is flushed and queued durably; what became of it is asked for at /v1/files/<id>/status and /manifest.

import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { AndonError } from '@andon/kit'
import type { Logger } from '@andon/kit'
import { Server, Upload } from '@tus/server'
import { defineDoor } from '../doors.ts'
import { importerOf } from '../files/importer.ts'
import type { Importer } from '../files/importer.ts'
import { isUnfinishedName, safeName } from '../files/manifest.ts'
import { problemAnswer } from './http-answers.ts'
import { Senders } from './http-identity.ts'
import { uploadSettings } from '../files/upload-settings.ts'
import type { Source } from './source.ts'
import { TusStore, checksumAlgorithms, parseChecksum, uploadRequest } from './tus-store.ts'

export const tusPrefix = '/v1/files'

export const tusDoorKind = defineDoor({
  name: 'tus',
  about: 'Resumable uploads of CSV and Parquet files (tus 1.0) on the port of the HTTP door',
  settings: uploadSettings,
  open: (settings, context) => {
    const { config, principals, devices, http, logger } = context
    const folder = join(config.dataDir, 'ingest', config.instance, 'uploads')
    const door = tusDoor({ ...settings, folder, importer: importerOf(context), senders: new Senders(principals(), devices), logger })
    http.mount(tusPrefix, door.handler)
    return door
  },
})

export interface TusDoorOptions {
  readonly folder: string
  readonly maxBytes: number
  readonly quotaBytes: number
  readonly expireS: number
  readonly importer: Importer
  readonly senders: Senders
  readonly logger: Logger
}

const expiryCheckMs = 60_000
const mostUploads = 256
const mostParts = 1000

/** How the library takes its errors. */
const refused = (status_code: number, code: string, message: string) => ({ status_code, body: `${code}: ${message}\n` })

export const tusDoor = (options: TusDoorOptions): Source & { readonly handler: RequestListener } => {
  const { importer, senders, logger, maxBytes, quotaBytes } = options
  const store = new TusStore(options.folder, options.expireS * 1000)
  let isOpen = false
  let timer: NodeJS.Timeout | undefined

  const queue = async (upload: Pick<Upload, 'id' | 'metadata'>): Promise<void> => {
    const { by = null, filename } = upload.metadata ?? {}
    await importer.submit({ door: 'tus', by, name: filename ?? 'upload.csv' }, store.pathOf(upload.id), upload.id)
  }

  /** Queues an upload that is whole and that the importer does not know: its sender was cut off, or we were killed, before the answer. */
  const queueIfWhole = async (id: string): Promise<void> => {
    const info = await store.configstore.get(id)
    if (info === undefined || info.metadata?.['partial'] === '1' || !(await store.isWhole(id))) return
    if ((await importer.status(id)) === undefined) await queue({ id, metadata: info.metadata })
  }

  const checkRoom = async (by: string, length: number): Promise<void> => {
    if (length > maxBytes) throw refused(413, 'ANDON_INGEST_UPLOAD_TOO_LONG', `the file has ${length} bytes, expected at most ${maxBytes}`)
    const { bytes, uploads } = await store.usedBy(by)
    if (uploads >= mostUploads) throw refused(429, 'ANDON_INGEST_UPLOAD_QUOTA', `${uploads} uploads are open; finish or end some of them`)
    if (bytes + length > quotaBytes) {
      throw refused(
        413,
        'ANDON_INGEST_UPLOAD_QUOTA',
        `files of this sender take ${bytes} of ${quotaBytes} bytes; wait until they are imported`,
      )
    }
  }

  const tus = new Server({
    path: tusPrefix,
    datastore: store,
    relativeLocation: true,
    allowedOrigins: [],
    maxSize: maxBytes,
    onUploadCreate: async (_request, upload) => {
      const { by = '', isPartial = false } = uploadRequest.getStore() ?? {}
      await checkRoom(by, upload.size ?? 0)
      return { metadata: ownMetadata(upload.metadata, by, isPartial) }
    },
    onResponseError: (_request, error) => {
      const { status, body } = problemAnswer(asProblem(error))
      return { status_code: status, body }
    },
    onUploadFinish: async (_request, upload) => {
      if (upload.metadata?.['partial'] !== '1') await queue(upload)
      return {}
    },
  })

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const by = senders.of(request).id
    if (!isOpen) throw new AndonError('ANDON_INGEST_STOPPING', 'Uploads are not taken now', { retriable: true })
    const [, id, view] = /^([^/?]*)(?:\/(status|manifest|rejected))?\/?$/.exec(below(request.url ?? '')) ?? []
    if (id === undefined) throw notFound()
    if (request.method === 'OPTIONS') response.setHeader('Tus-Checksum-Algorithm', checksumAlgorithms.join(','))
    if (request.method === 'GET') return await show(by, id, view, response)
    const info = id === '' ? undefined : await uploadOf(by, id)
    if (request.method === 'HEAD') {
      if (info === undefined) return await headOfImported(by, id, response)
      await queueIfWhole(id)
      if (info.metadata?.['partial'] === '1') response.setHeader('Upload-Concat', 'partial')
    } else if (id !== '' && info === undefined && request.method !== 'OPTIONS') throw notFound()
    if (request.method === 'DELETE' && (await importer.status(id)) !== undefined) {
      throw new AndonError('ANDON_INGEST_UPLOAD_QUEUED', 'The upload is whole and is being imported; it can no longer be ended', {
        status: 403,
      })
    }
    const concat = request.headers['upload-concat']
    if (request.method === 'POST' && typeof concat === 'string' && concat.startsWith('final;'))
      return await joinParts(by, concat, request, response)
    const checksum = checksumOf(request)
    await uploadRequest.run({ checksum, isPartial: concat === 'partial', by }, () => tus.handle(request, response))
  }

  const uploadOf = async (by: string, id: string) => {
    if (!/^[0-9a-f]{32}$/.test(id)) throw notFound()
    const info = await store.configstore.get(id)
    if (info !== undefined && info.metadata?.['by'] !== by) throw notFound()
    return info
  }

  /** The file of an upload is gone once it was imported; its sender may not have heard the end of it. */
  const headOfImported = async (by: string, id: string, response: ServerResponse): Promise<void> => {
    const manifest = await importer.manifest(id)
    if (manifest === undefined || manifest.by !== by) throw notFound()
    const length = String(manifest.bytes)
    response
      .writeHead(200, { 'Tus-Resumable': '1.0.0', 'Cache-Control': 'no-store', 'Upload-Offset': length, 'Upload-Length': length })
      .end()
  }

  const show = async (by: string, id: string, view: string | undefined, response: ServerResponse): Promise<void> => {
    const status = await importer.status(id)
    if (status === undefined || status.by !== by) {
      const info = view === 'status' ? await uploadOf(by, id) : undefined
      if (info === undefined) throw notFound()
      const { size, metadata } = info
      return answer(response, 200, { id, name: metadata?.['filename'] ?? null, state: 'uploading', bytes: size ?? null })
    }
    if (view === 'status') return answer(response, 200, status)
    const manifest = await importer.manifest(id)
    if (manifest === undefined) throw notFound('The file is not imported yet; ask for /status')
    if (view === 'manifest') return answer(response, 200, manifest)
    const rejected = view === 'rejected' ? await importer.rejectedRows(manifest) : undefined
    if (rejected === undefined) throw notFound()
    response.writeHead(200, { 'content-type': 'text/csv; charset=utf-8' })
    await pipeline(createReadStream(rejected), response).catch(() => undefined) // the connection is closed, which tells the client
  }

  /** `Upload-Concat: final;<url> <url> …`: the parts become one file, which is imported; the parts go. */
  const joinParts = async (by: string, concat: string, request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const ids = concat
      .slice('final;'.length)
      .trim()
      .split(/\s+/)
      .map((url) => url.split('/').at(-1) ?? '')
    if (request.headers['tus-resumable'] !== '1.0.0')
      throw new AndonError('ANDON_INGEST_UPLOAD', 'Expected Tus-Resumable: 1.0.0', { status: 412 })
    if (ids.length > mostParts)
      throw new AndonError('ANDON_INGEST_UPLOAD', `Found ${ids.length} parts, expected at most ${mostParts}`, { status: 400 })
    let length = 0
    for (const id of ids) {
      const info = await uploadOf(by, id)
      if (info?.metadata?.['partial'] !== '1' || !(await store.isWhole(id))) {
        throw new AndonError('ANDON_INGEST_UPLOAD', `${id} is no finished upload with Upload-Concat: partial`, { status: 400 })
      }
      length += info.size ?? 0
    }
    const target = new Upload({ id: crypto.randomUUID().replaceAll('-', ''), size: length, offset: 0, metadata: metadataOf(request, by) })
    target.creation_date = new Date().toISOString()
    await checkRoom(by, length)
    await store.join(target, ids)
    await queue(target)
    for (const id of ids) await store.remove(id)
    response.writeHead(201, { 'Tus-Resumable': '1.0.0', Location: `${tusPrefix}/${target.id}`, 'Upload-Concat': concat }).end()
  }

  return {
    name: 'tus',
    handler: (request, response) => {
      handle(request, response).catch((error: unknown) => fail(response, error, logger))
    },
    ready: () => isOpen || 'not open',
    start: async (intake, refusing) => {
      await importer.open('tus', ({ id }) => store.remove(id))
      for (const id of await store.ids()) await queueIfWhole(id)
      importer.begin(intake, refusing)
      timer = setInterval(
        () => void store.deleteExpired().catch((error: unknown) => logger.warn({ err: error }, 'expired uploads stay')),
        expiryCheckMs,
      )
      timer.unref()
      isOpen = true
    },
    stop: async () => {
      if (!isOpen) return
      isOpen = false
      clearInterval(timer)
      await importer.end()
    },
  }
}

const below = (url: string): string => {
  const path = url.split('?')[0] ?? ''
  return path === tusPrefix ? '' : path.slice(tusPrefix.length + 1)
}

const notFound = (message = 'There is no such upload of this sender') => new AndonError('ANDON_NOT_FOUND', message, { status: 404 })

const checksumOf = ({ headers }: IncomingMessage) => {
  const header = headers['upload-checksum']
  if (header === undefined) return undefined
  const checksum = typeof header === 'string' ? parseChecksum(header) : undefined
  if (checksum !== undefined) return checksum
  throw new AndonError(
    'ANDON_INGEST_CHECKSUM',
    `Upload-Checksum: expected one of ${checksumAlgorithms.join(', ')}, a space and the digest in base64`,
    { status: 400 },
  )
}

/** What is kept of a sender's metadata: a safe file name, and ours. */
const ownMetadata = (metadata: Upload['metadata'], by: string, isPartial: boolean): Record<string, string | null> => {
  const filename = safeName(metadata?.['filename'] ?? metadata?.['name'] ?? 'upload.csv')
  if (!isPartial && isUnfinishedName(filename)) {
    throw refused(400, 'ANDON_INGEST_UPLOAD', `filename: found ${JSON.stringify(filename)}, expected the name of a finished file`)
  }
  return { filename, by, ...(isPartial ? { partial: '1' } : {}) }
}

const metadataOf = ({ headers }: IncomingMessage, by: string): Record<string, string | null> => {
  const encoded = /(?:^|,)\s*filename ([A-Za-z0-9+/=]+)/.exec(String(headers['upload-metadata'] ?? ''))?.[1]
  return ownMetadata(encoded === undefined ? {} : { filename: Buffer.from(encoded, 'base64').toString() }, by, false)
}

const answer = (response: ServerResponse, status: number, body: unknown): void => {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' }).end(JSON.stringify(body))
}

const fail = (response: ServerResponse, error: unknown, logger: Logger): void => {
  const { status, headers, body } = problemAnswer(asProblem(error))
  if (status >= 500 && status !== 503) logger.error({ err: error }, 'an upload failed')
  if (response.headersSent) return void response.destroy()
  response.writeHead(status, headers).end(body)
}

/** What the library throws says its status itself; ours begins with its code. */
const asProblem = (error: unknown): unknown => {
  if (!isTusError(error)) return error
  const [, code = 'ANDON_INGEST_UPLOAD', message] = /^(ANDON_\w+): (.*)$/s.exec(error.body.trim()) ?? []
  return new AndonError(code, message ?? error.body.trim(), { status: error.status_code })
}

const isTusError = (error: unknown): error is { status_code: number; body: string } =>
  typeof error === 'object' && error !== null && 'status_code' in error && 'body' in error
