// Ids by logical identity (never from a clock, a random number or an offset), so that a replay, an import and the
// live path give the same ones. Vectors that any language can check against lie in schemas/golden/ids.json.

import { hash } from 'node:crypto'

type Part = string | number | bigint

const separator = '\u001f'

/** UUIDv8 over a kind and its parts: SHA-256 of them in UTF-8, joined by U+001F, integers in decimal. */
export const uuid8 = (kind: string, ...parts: readonly Part[]): string => {
  let text = kind
  for (const part of parts) text += separator + partText(part)
  const hex = hash('sha256', text, 'hex')
  const variant = '89ab'[Number.parseInt(hex[16]!, 16) & 3]!
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

const partText = (part: Part): string => {
  if (typeof part === 'string') {
    if (part.includes(separator)) throw new RangeError('A part of an id cannot contain U+001F')
    return part
  }
  if (typeof part === 'number' && !Number.isSafeInteger(part)) throw new RangeError(`A part of an id must be an integer, found ${part}`)
  return part.toString()
}

export const sha256Hex = (data: string | Uint8Array): string => hash('sha256', data, 'hex')

/** JSON with sorted keys and no spaces (RFC 8785): equal values give equal text. Undefined properties are left out. */
export const canonicalJson = (value: unknown): string => {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new RangeError(`${value} has no JSON form`)
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return canonicalJson((value as { toJSON(): unknown }).toJSON())
  const entries = Object.entries(value).filter(([, each]) => each !== undefined)
  entries.sort(([left], [right]) => (left < right ? -1 : 1))
  return `{${entries.map(([key, each]) => `${JSON.stringify(key)}:${canonicalJson(each)}`).join(',')}}`
}

/** Sample numbers of one source, both ends included. */
export interface SampleIdentity {
  readonly sourceId: string
  readonly epoch: number
  readonly seqFrom: number
  readonly seqTo: number
}

const identityText = ({ sourceId, epoch, seqFrom, seqTo }: SampleIdentity): string =>
  sourceId + separator + epoch + separator + seqFrom + separator + seqTo

/** Digest of the samples a window was made of, whatever order they arrived in. */
export const samplesDigest = (ranges: readonly SampleIdentity[]): string => {
  const [only] = ranges
  if (ranges.length === 1 && only !== undefined) return sha256Hex(identityText(only))
  return sha256Hex(ranges.map(identityText).toSorted().join('\u001e'))
}

export const blockId = (range: SampleIdentity): string => uuid8('block', range.sourceId, range.epoch, range.seqFrom, range.seqTo)

/** `samples` is samplesDigest of the window; a window is known by its end; `revision` rises with its distinct inputs. */
export const vectorId = (featureSet: string, assetId: string, windowEndUs: number, revision: number, samples: string): string =>
  uuid8('vector', featureSet, assetId, windowEndUs, revision, samples)

export const predictionId = (vector: string, verdictSet: string): string => uuid8('prediction', vector, verdictSet)

export const episodeId = (assetId: string, detectorSet: string, openingVector: string): string =>
  uuid8('episode', assetId, detectorSet, openingVector)

export const findingId = (assetId: string, detectorSet: string, openingVector: string, transition: string): string =>
  uuid8('finding', assetId, detectorSet, openingVector, transition)

export const incidentId = (line: string, cause: string): string => uuid8('incident', line, cause)

export const stepId = (incident: string, step: string): string => uuid8('step', incident, step)

export const stepAttemptId = (incident: string, step: string, attempt: number): string => uuid8('attempt', incident, step, attempt)
