// Quarantined readings as releases: the reading a device meant, under a source of its own. The identity follows from the reading that was
// quarantined, so a release that is sent again - or a reading that was quarantined twice - counts once.

import type { LogRecord } from '@andon/kit'
import { HEADER } from '@andon/kit'
import { parse } from '../door.ts'

export const QUARANTINE_TOPIC = 'telemetry.ingest.quarantine'

/** What the ingest door takes at /v1/releases: a reading, or a payload to map again, and the id of the quarantine record it comes from. */
export type Release =
  | { readonly quarantineId: string; readonly reading: Readonly<Record<string, unknown>> }
  | { readonly quarantineId: string; readonly mapped: { readonly file: string; readonly arrival: unknown; readonly payload: string } }

/**
 * The reading of a quarantined record: what a mapping had made of it, else its JSON. Bytes that a mapping could make nothing of are mapped
 * again, by the source file as it is now. With why not, when the bytes are no reading and no mapping was there.
 */
export const releaseOf = (record: LogRecord): Release | { readonly whyNot: string } => {
  const id = record.header(HEADER.id)
  if (id === undefined) return { whyNot: 'the record carries no id' }
  if (record.header('andon-quarantine-original-bytes') !== undefined) return { whyNot: 'its bytes were cut when it was quarantined' }
  const file = record.header('andon-quarantine-mapping')
  if (file !== undefined && record.header('andon-quarantine-reading') === undefined && record.value !== null) {
    const arrival = parse(record.header('andon-quarantine-arrival') ?? '')
    if (!isObject(arrival)) return { whyNot: 'it does not say what its payload came with' }
    return { quarantineId: id, mapped: { file, arrival, payload: Buffer.from(record.value).toString('base64') } }
  }
  const reading = parse(record.header('andon-quarantine-reading') ?? record.value?.toString('utf8') ?? '')
  if (!isObject(reading)) return { whyNot: 'its bytes are no reading; correct the source file, then send the original again' }
  const source = reading['source'] ?? record.key ?? undefined
  return { quarantineId: id, reading: { ...reading, ...(source === undefined ? {} : { source }) } }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
