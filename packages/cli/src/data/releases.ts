// Quarantined readings as releases: the reading a device meant, under a source of its own. The identity follows from the reading that was
// quarantined, so a release that is sent again - or a reading that was quarantined twice - counts once.

import type { LogRecord } from '@andon/kit'
import { HEADER } from '@andon/kit'
import { parse } from '../door.ts'

export const QUARANTINE_TOPIC = 'telemetry.ingest.quarantine'

/** What the ingest door takes at /v1/releases: a reading, and the id of the quarantine record it comes from. */
export interface Release {
  readonly quarantineId: string
  readonly reading: Readonly<Record<string, unknown>>
}

/**
 * The reading of a quarantined record: what a mapping had made of it, else its JSON. With why not, when nobody has read the
 * bytes as a reading yet: correct the source file and let the device or the file be sent again.
 */
export const releaseOf = (record: LogRecord): Release | { readonly whyNot: string } => {
  const id = record.header(HEADER.id)
  if (id === undefined) return { whyNot: 'the record carries no id' }
  if (record.header('andon-quarantine-original-bytes') !== undefined) return { whyNot: 'its bytes were cut when it was quarantined' }
  const reading = parse(record.header('andon-quarantine-reading') ?? record.value?.toString('utf8') ?? '')
  if (typeof reading !== 'object' || reading === null || Array.isArray(reading))
    return { whyNot: 'its bytes are no reading; correct the source file, then send the original again' }
  const source = (reading as { source?: unknown }).source ?? record.key ?? undefined
  return { quarantineId: id, reading: { ...reading, ...(source === undefined ? {} : { source }) } }
}
