// What the importer counts. Names are listed in the README.

import type { Metrics } from '@andon/kit'
import type { DoorName } from '../adapters/source.ts'
import type { Tally } from './manifest.ts'

export const fileMetrics = (metrics: Metrics) => {
  const files = metrics.counter('andon_ingest_files_total', 'Files that are done, by what became of them', ['door', 'outcome'])
  const rows = metrics.counter('andon_ingest_file_rows_total', 'Rows of files that are safe, by what became of them', ['door', 'outcome'])
  const waiting = metrics.gauge('andon_ingest_files_waiting', 'Files handed over and not done')
  const failing = metrics.gauge('andon_ingest_files_failing', 'Files whose import has failed and is tried again')
  const progress = metrics.gauge('andon_ingest_file_progress_ratio', 'Share of the file in hand that is safe, 0 to 1')
  return {
    file: (door: DoorName, outcome: string) => files.inc({ door, outcome }),
    rows: (door: DoorName, before: Tally, now: Tally) => {
      rows.inc({ door, outcome: 'accepted' }, now.accepted - before.accepted)
      rows.inc({ door, outcome: 'duplicate' }, now.duplicates - before.duplicates)
      rows.inc({ door, outcome: 'rejected' }, now.rejected - before.rejected)
    },
    waiting: (count: number) => waiting.set(count),
    failing: (count: number) => failing.set(count),
    progress: (share: number) => progress.set(share),
  }
}
