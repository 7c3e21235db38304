// A button, cord or foot switch at the line: pressing it is a human call. Its id is the id of the source file.

import { z } from 'zod'
import type { Fault } from '../read.ts'

export const buttonSource = {
  kind: z.literal('button'),
  /** Where help is needed: an asset, or a line. */
  asset: z.string().min(1).optional(),
  line: z.string().min(1).optional(),
  /** What people are told, e.g. "Material is missing at press 1". */
  title: z.string().min(1).max(200),
  /** Presses within this time of a call are part of it: a contact that bounces, an impatient hand. */
  debounceS: z.number().min(0).max(3600).default(10),
} as const

/** What the shape of a button cannot say. */
export const buttonFaults = ({ asset, line }: { asset?: string | undefined; line?: string | undefined }): Fault[] => {
  if (asset === undefined && line === undefined) return [{ path: ['asset'], expected: 'an asset, or a line' }]
  return asset !== undefined && line !== undefined ? [{ path: ['line'], expected: 'either an asset or a line, not both' }] : []
}
