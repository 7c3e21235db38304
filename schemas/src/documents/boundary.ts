// boundaries/*.md: what one automation does and does not do. A Markdown page whose front matter carries the
// parts a program checks; the text below it is for people.

import { z } from 'zod'
import { DocumentError, readDocument } from './read.ts'
import type { ReadOptions } from './read.ts'

const texts = z.array(z.string().min(1)).min(1)

const boundaryShape = z.strictObject({
  version: z.literal(1),
  name: z.string().regex(/^boundaries\/[a-z0-9-]+$/, 'a name like boundaries/press-pause'),
  inputs: texts,
  outputs: texts,
  errorModes: texts,
  /** Who must say yes before what. */
  approvals: texts,
  /** From the closing sample to the proposed action, ms. */
  latencyMs: z.strictObject({ p95: z.number().positive(), p99: z.number().positive() }),
  falsePositives: z.strictObject({ perAssetPerWeek: z.number().min(0) }),
  body: z.string().default(''),
})

export type Boundary = z.output<typeof boundaryShape>

/** Reads a boundary page (text with front matter), or the object it became, as such or as the JSON that lies on `config`. */
export const parseBoundary = (source: unknown, options: ReadOptions = {}): Boundary => {
  const file = options.file ?? 'boundary'
  if (typeof source !== 'string' || source.startsWith('{')) return readDocument(boundaryShape, source, { ...options, file })
  const match = /^---\n([\s\S]*?)\n---\n?([\s\S]*)$/.exec(source)
  if (match === null) throw new DocumentError(file, 1, '', 'text without it', 'front matter between two lines of ---')
  // A blank first line keeps line numbers those of the file.
  const front = readDocument(boundaryShape, `\n${match[1] ?? ''}`, { ...options, file })
  return { ...front, body: (match[2] ?? '').trim() }
}
