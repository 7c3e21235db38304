// Files: uploads (tus, SFTP) and a watched folder.

import { z } from 'zod'
import { payloadMapping } from './payload.ts'

export const fileSource = {
  kind: z.literal('file'),
  /** Pattern of file names, `*` and `?`; the first source file in the order of ids that matches is used. */
  name: z.string().min(1),
  mapping: payloadMapping,
} as const
