// What became of a file: counted while it is imported, told in a manifest when it is done. Pure.

import { uuid8 } from '@andon/kit'
import type { ManifestInput, TelemetryInput } from '@andon/schemas'
import type { DoorName } from '../adapters/source.ts'

/** Who brought a file, and under which name. */
export interface FileOrigin {
  readonly door: DoorName
  /** Principal, device or SFTP user; null for a watched folder. */
  readonly by: string | null
  /** As sent, without folders. */
  readonly name: string
}

export interface RejectedRow {
  /** The first row behind the header is 1. */
  readonly row: number
  readonly code: string
  readonly message: string
}

/** Counts so far; a plain value that a checkpoint keeps. */
export interface Tally {
  readonly rows: number
  readonly accepted: number
  readonly duplicates: number
  readonly rejected: number
  readonly reasons: Readonly<Record<string, number>>
  readonly firstRejected: readonly RejectedRow[]
}

export const emptyTally: Tally = { rows: 0, accepted: 0, duplicates: 0, rejected: 0, reasons: {}, firstRejected: [] }

const firstKept = 20

/** The tally with one batch more; `rejected` ascending by row. */
export const tallied = (tally: Tally, batch: { accepted: number; duplicates: number; rejected: readonly RejectedRow[] }): Tally => {
  const { accepted, duplicates, rejected } = batch
  const reasons = { ...tally.reasons }
  for (const { code } of rejected) reasons[code] = (reasons[code] ?? 0) + 1
  return {
    rows: tally.rows + accepted + duplicates + rejected.length,
    accepted: tally.accepted + accepted,
    duplicates: tally.duplicates + duplicates,
    rejected: tally.rejected + rejected.length,
    reasons,
    firstRejected:
      tally.firstRejected.length >= firstKept ? tally.firstRejected : [...tally.firstRejected, ...rejected].slice(0, firstKept),
  }
}

export type Outcome = 'applied' | 'refused' | 'failed'

/** As it stands on disk, at the HTTP door and, without `alreadyApplied`, on topic `telemetry`. */
export interface Manifest extends FileOrigin, Tally {
  readonly id: string
  readonly sha256: string
  readonly bytes: number
  /** Source file that mapped the columns; null: by the header. */
  readonly mapping: string | null
  readonly outcome: Outcome
  readonly code: string | null
  readonly message: string | null
  /** Blob with all rejected rows. */
  readonly rejectedList: string | null
  readonly receivedUs: number
  readonly finishedUs: number
  /** The same bytes were applied before, under this id; nothing was done now. */
  readonly alreadyApplied?: string
}

export const manifestType = 'andon.telemetry.manifest'

/** The record of topic `telemetry`. Its id comes from the import's, so that a repeat is known as one. */
export const manifestRecord = (manifest: Manifest): { value: TelemetryInput; id: string } => {
  const { reasons, firstRejected, alreadyApplied: _, ...rest } = manifest
  const input: ManifestInput = {
    ...rest,
    reasons: Object.entries(reasons).map(([code, rows]) => ({ code, rows })),
    firstRejected: [...firstRejected],
  }
  return { value: { type: 'manifest', manifest: input }, id: uuid8('manifest', manifest.id) }
}

/** One line of the list of rejected rows: row,code,message. */
export const rejectedLine = ({ row, code, message }: RejectedRow): string => `${row},${code},"${message.replaceAll('"', '""')}"\n`

export const rejectedHeader = 'row,code,message\n'

// A folder's limit is 255 bytes a name: with the id, the user and `.manifest.json.new` around it a name still fits.
const longestName = 120
const longestNameBytes = 160

/** A name that is safe in a folder and in a log line: letters, digits and . _ - and a few more; never a path, and never too long for one. */
export const safeName = (name: string): string => {
  const base = name.split(/[/\\]/).at(-1) ?? ''
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  const plain = base
    .normalize('NFC')
    .replaceAll(/[^\p{L}\p{N} ._()+@=-]/gu, '_')
    .replace(/^\.+/, '_')
    .trim()
  const short = Array.from(plain).slice(0, longestName) // eslint-disable-line unicorn/prefer-spread -- a name is cut between characters
  while (Buffer.byteLength(short.join('')) > longestNameBytes) short.pop()
  return short.length === 0 ? 'file' : short.join('')
}

/** Names under which programs write what is not finished: hidden files, *.part, *.tmp and the like. */
export const isUnfinishedName = (name: string): boolean => /^[.~]|\.(?:part|partial|filepart|tmp|temp|crdownload|new)$|~$/i.test(name)
