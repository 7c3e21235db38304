// Files: uploads (tus, SFTP) and a watched folder.

import { z } from 'zod'
import type { Fault } from '../read.ts'
import { payloadFaults, payloadMapping } from './payload.ts'
import type { PayloadMapping } from './payload.ts'

export const fileSource = {
  kind: z.literal('file'),
  /**
   * Pattern of file names, `*` and `?`; the first source file in the order of ids that matches is used. `{0}` in a mapping is the file's
   * name, `{1}`… what the first, second… of `*` and `?` stand for.
   */
  name: z.string().min(1),
  mapping: payloadMapping,
} as const

/** What a mapping of rows cannot have: a file's digest and the place of a row identify it, and a row has no time of receipt. */
export const fileFaults = ({ name, mapping }: { readonly name: string; readonly mapping: PayloadMapping }): Fault[] => {
  const wildcards = name.match(/[*?]/g)?.length ?? 0
  const faults = payloadFaults(mapping, ['mapping'], { levels: wildcards + 1, names: [] })
  const fault = (path: Fault['path'], expected: string) => void faults.push({ path: ['mapping', ...path], expected })
  if (!['csv', 'parquet'].includes(mapping.format)) fault(['format'], 'csv or parquet')
  for (const key of ['source', 'epoch', 'seq'] as const) {
    if (mapping[key] !== undefined) fault([key], 'nothing: rows of a file are numbered by their place in it')
  }
  if (mapping.time === undefined) fault(['time'], 'the column with the time: a row has no time of receipt')
  return faults
}
