// Media type of a body → the decoder that makes readings of it.

import { AndonError } from '@andon/kit'
import { avroFileContent, rawAvroContent } from './http-avro.ts'
import type { DecodeBody } from './http-content.ts'
import { csvContent } from './http-csv.ts'
import { jsonContent, ndjsonContent } from './http-json.ts'

const decoders: ReadonlyMap<string, DecodeBody> = new Map<string, DecodeBody>([
  ['application/json', jsonContent],
  ['application/x-ndjson', ndjsonContent],
  ['application/ndjson', ndjsonContent],
  ['application/jsonl', ndjsonContent],
  ['text/csv', (body, { device }) => csvContent(body, device?.id)],
  ['application/avro', avroFileContent],
  ['application/vnd.andon.telemetry+avro', rawAvroContent],
])

/** Media types that are taken, most usual first. */
export const mediaTypes: readonly string[] = [...decoders.keys()]

/** The decoder of a Content-Type; throws ANDON_INGEST_BAD_MEDIA_TYPE (415). Nearly every request names one in the shortest form. */
export const decoderOf = (contentType: string | undefined): DecodeBody => {
  const plain = decoders.get(contentType ?? '')
  if (plain !== undefined) return plain
  const [type = '', ...parameters] = (contentType ?? '').split(';').map((part) => part.trim().toLowerCase())
  const charset = parameters
    .find((parameter) => parameter.startsWith('charset='))
    ?.slice('charset='.length)
    .replaceAll('"', '')
  const decoder = decoders.get(type)
  if (decoder !== undefined && (charset === undefined || charset === 'utf-8' || charset === 'utf8')) return decoder
  const found = contentType === undefined ? 'nothing' : JSON.stringify(contentType.slice(0, 80))
  throw new AndonError('ANDON_INGEST_BAD_MEDIA_TYPE', `Content-Type: found ${found}, expected one of ${mediaTypes.join(', ')} in UTF-8`, {
    status: 415,
  })
}
